//! Compiles the C files of libdaemon's interface into the archive of this crate.

use std::path::Path;

/// What C alone can define: functions with any number of arguments, and data objects.
const C_FILES: [&str; 5] = ["dexec.c", "dfork.c", "dlog.c", "dpid.c", "dsignal.c"];

fn main() {
    let sources = Path::new("src");
    let headers = Path::new("../../include");
    println!("cargo:rerun-if-changed=build.rs");
    for watched in [sources, headers] {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    cc::Build::new()
        .files(C_FILES.map(|file| sources.join(file)))
        .include(headers)
        .flag("-ffunction-sections")
        // A function of the program's may throw: dpid.c.
        .flag("-fexceptions")
        .define("_GNU_SOURCE", None)
        .extra_warnings(true)
        .warnings_into_errors(true)
        // Rust calls few of them.
        .link_lib_modifier("+whole-archive")
        .compile("daemon_c");
}
