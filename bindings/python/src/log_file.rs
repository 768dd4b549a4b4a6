//! Log files for handlers of `logging`.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::os::fd::IntoRawFd;
use std::path::PathBuf;

/// Opens a log file and returns its descriptor, in the way in which the core opens a daemon's log files; OSError says why it
/// cannot. Of `flags`, as of `os.open`, O_RDWR, O_TRUNC and O_EXCL count.
#[pyfunction]
#[pyo3(signature = (path, flags, mode, user, group))]
pub(crate) fn open_log_file(
    py: Python<'_>,
    path: PathBuf,
    flags: i32,
    mode: Option<u32>,
    user: Option<u32>,
    group: Option<u32>,
) -> PyResult<i32> {
    match py.detach(|| daemonctx::open_log_file(&path, flags, mode, user, group)) {
        Ok(opened) => Ok(opened.into_raw_fd()),
        // The module is loaded in every interpreter, so this needs no file.
        Err(errno) => {
            let text: String = py.import("os")?.call_method1("strerror", (errno,))?.extract()?;
            Err(PyOSError::new_err((errno, text, path.into_os_string())))
        }
    }
}
