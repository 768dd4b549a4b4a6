//! Compiles the C files of libdaemon's interface, as `ffi/libdaemon/build.rs` does.

fn main() {
    let sources = std::path::Path::new("../../../../ffi/libdaemon/src");
    println!("cargo:rerun-if-changed={}", sources.display());
    let mut build = cc::Build::new();
    build.files(["dexec.c", "dfork.c", "dlog.c", "dpid.c", "dsignal.c"].map(|file| sources.join(file)));
    build.include("../../../../include").define("_GNU_SOURCE", None).link_lib_modifier("+whole-archive");
    if std::env::var("CARGO_CFG_SANITIZE").is_ok_and(|kinds| kinds.contains("address")) {
        build.flag("-fsanitize=address").flag("-g");
    }
    build.compile("daemon_c");
}
