//! Link arguments of the shared library. The C part that exports libdaemon's variadic functions will be compiled from here.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
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
    // Nothing is bound late: a lookup between a fork and the report would take the dynamic linker's lock.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,now");
}
