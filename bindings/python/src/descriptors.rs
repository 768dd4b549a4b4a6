//! Descriptors, as far as Python has no call for them.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Marks every open descriptor from `first` on close-on-exec, in one call. OSError where the kernel has none: before Linux
/// 5.11, and on other systems.
#[pyfunction]
pub(crate) fn close_on_exec(first: u32) -> PyResult<()> {
    mark(first).map_err(|errno| PyOSError::new_err((errno, "close_range failed")))
}

#[cfg(target_os = "linux")]
fn mark(first: u32) -> Result<(), i32> {
    // SAFETY: close_range takes three numbers; with this flag it closes nothing in this program.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == -1 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ENOSYS)) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn mark(_first: u32) -> Result<(), i32> {
    Err(libc::ENOSYS)
}
