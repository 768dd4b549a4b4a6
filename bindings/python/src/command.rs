//! The command `daemonctx`, as the package's console script.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Does what the arguments say, the first of which is the command's own name, and gives the status to leave with. `run` does not
/// come back.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| daemonctx_command::run(arguments))
}
