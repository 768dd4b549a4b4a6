//! The monitor beside the module.

use std::io::{Error, Result};
use std::path::Path;
use std::process::Command;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let directory = variable("OUT_DIR")?;
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
