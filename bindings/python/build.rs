//! Link arguments of the module, and the monitor beside it.

use std::io::{Error, Result};
use std::path::Path;
use std::process::Command;

/// CPython ends threads by pthread_exit(3) when a program is over, in the middle of the module too. That unwinds, and would call Rust's
/// personality routine with the context of another unwinder than the module is linked with. Without tables the C library leaves such a
/// thread by longjmp.
const WITHOUT_UNWINDING: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table*) } }\nINSERT AFTER .bss;\n";

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let directory = variable("OUT_DIR")?;
    if variable("CARGO_CFG_TARGET_OS")? == "linux" {
        let script = Path::new(&directory).join("without-unwinding.ld");
        std::fs::write(&script, WITHOUT_UNWINDING)?;
        println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{}", script.display());
    }
    if variable("CARGO_CFG_TARGET_ENV")? == "gnu" {
        // Found before libgcc_s, which would be loaded with each import.
        println!("cargo:rustc-link-lib=dylib=gcc_eh");
    }
    if std::env::var_os("CARGO_FEATURE_MONITOR").is_some() { monitor(Path::new(&directory)) } else { Ok(()) }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|error| Error::other(format!("{name}: {error}")))
}

/// Builds the monitor for the wheel, with the linker and the flags of the module. Cargo has locked the module's target directory.
fn monitor(directory: &Path) -> Result<()> {
    const NAME: &str = "daemonctx-monitor";
    for source in ["../../core/src", "../../core/Cargo.toml"] {
        println!("cargo:rerun-if-changed={source}");
    }
    let target = variable("TARGET")?;
    let built = directory.join("monitor");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.args(["build", "--quiet", "--release", "--package", "daemonctx", "--bin", NAME, "--target", &target]);
    cargo.arg("--manifest-path").arg(Path::new(&variable("CARGO_MANIFEST_DIR")?).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&built).env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    // That of a lint.
    cargo.env_remove("RUSTC_WORKSPACE_WRAPPER");
    let status = cargo.status()?;
    if !status.success() {
        return Err(Error::other(format!("building the monitor: {status}")));
    }
    std::fs::copy(built.join(target).join("release").join(NAME), directory.join(NAME)).map(drop)
}
