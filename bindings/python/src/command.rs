//! The command `daemonctx`, as the package's console script.

use pyo3::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// Does what the arguments say, the first of which is the command's own name, and returns the exit status. `run` does not return.
/// `monitor` is the program that stays with each daemon.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, arguments: Vec<OsString>, monitor: PathBuf) -> u8 {
    py.detach(|| daemonctx_command::run(arguments, &monitor))
}
