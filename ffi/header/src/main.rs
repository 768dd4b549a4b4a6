//! Writes `include/daemonctx.h` from `ffi/src/daemonctx`. Run by `make header`; CI fails when the committed header differs.

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
    let config = cbindgen::Config::from_file(root.join("ffi/cbindgen.toml"))?;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["error", "options", "start", "pidfile", "notify", "mod"] {
        builder = builder.with_src(root.join(format!("ffi/src/daemonctx/{file}.rs")));
    }
    let bindings = builder.generate()?;
    bindings.write_to_file(root.join("include/daemonctx.h"));
    Ok(())
}
