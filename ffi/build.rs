//! Compiles the C files of libdaemon's interface, and sets the link arguments of the shared library.

use std::path::Path;

/// What C alone can define: functions with any number of arguments, and data objects.
const C_FILES: [&str; 5] = ["dexec.c", "dfork.c", "dlog.c", "dpid.c", "dsignal.c"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    compile();
    set_link_arguments();
}

fn compile() {
    let sources = Path::new("src/libdaemon");
    let headers = Path::new("../include");
    for watched in [sources, headers] {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    cc::Build::new()
        .files(C_FILES.map(|file| sources.join(file)))
        .include(headers)
        .flag("-fvisibility=hidden")
        .flag("-ffunction-sections")
        .flag_if_supported("-fno-asynchronous-unwind-tables")
        .flag("-fno-omit-frame-pointer")
        .define("_GNU_SOURCE", None)
        .opt_level_str("s")
        .extra_warnings(true)
        .warnings_into_errors(true)
        .cargo_metadata(false)
        .compile("daemon_c");
    let built = std::env::var("OUT_DIR").unwrap_or_default();
    println!("cargo:rustc-link-search=native={built}");
    // Exported, and with nobody in Rust calling most of it.
    println!("cargo:rustc-link-lib=static:+export-symbols,+whole-archive=daemon_c");
}

fn set_link_arguments() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    // The name that programs linked with libdaemon 0.14 carry.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libdaemon.so.0");
    // GNU ld drops the unwinding tables of code it drops; lld keeps every personality routine that any table names, and
    // with that routine all of the standard library's panic machinery: four times the size, none of it ever run.
    println!("cargo:rustc-cdylib-link-arg=-fuse-ld=bfd");
    // The unwinder that nothing here calls is found in the static library first, and dropped with the code that names it;
    // otherwise every program that links with this one would load libgcc_s.
    println!("cargo:rustc-link-lib=dylib=gcc_eh");
    // Code and constants in one segment: a mapping less for each program that loads the library, and no padding between.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,noseparate-code");
    // crti.o's _init and _fini do nothing; the one at the end would be the only reason to have the last pages in memory at exit.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-init=,-fini=");
    // A sanitizer's report goes by the tables.
    if std::env::var_os("CARGO_CFG_SANITIZE").is_none() {
        let script = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("without-unwinding.ld");
        println!("cargo:rerun-if-changed={}", script.display());
        println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{}", script.display());
    }
    // Nothing is bound late: a lookup between a fork and the report would take the dynamic linker's lock.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,now");
}
