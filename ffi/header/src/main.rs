//! Writes `include/daemonctx.h` from `ffi/daemonctx`. Run by `make header`; CI fails when the committed header differs.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match write(&root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("daemonctx-header: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let config = cbindgen::Config::from_file(root.join("ffi/header/cbindgen.toml"))?;
    let sources = root.join("ffi/daemonctx/src/lib.rs");
    let bindings = cbindgen::Builder::new().with_config(config).with_src(sources).generate()?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    // C89 knows neither this comment of cbindgen's own nor a comma at the end of an enum.
    let mut header = String::from_utf8(header)?.replace("// __cplusplus", "/* __cplusplus */").replace(",\n}", "\n}");
    for (mark, value) in [
        ("@VERSION@", env!("CARGO_PKG_VERSION")),
        ("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR")),
        ("@MINOR@", env!("CARGO_PKG_VERSION_MINOR")),
        ("@PATCH@", env!("CARGO_PKG_VERSION_PATCH")),
    ] {
        header = header.replace(mark, value);
    }
    std::fs::write(root.join("include/daemonctx.h"), header)?;
    Ok(())
}
