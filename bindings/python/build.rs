//! Link arguments of the module.

use std::path::PathBuf;

/// Leaves out the tables for unwinding, a tenth of the module, as nothing in it unwinds (`src/unwinding.rs`).
const WITHOUT_UNWINDING: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table*) } }\nINSERT AFTER .bss;\n";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return Ok(());
    }
    let script = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("without-unwinding.ld");
    std::fs::write(&script, WITHOUT_UNWINDING)?;
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{}", script.display());
    Ok(())
}
