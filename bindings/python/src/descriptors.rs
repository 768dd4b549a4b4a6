//! Descriptors, as far as Python has no call for them.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::fs;
use std::os::fd::RawFd;

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

/// The descriptors above the standard streams that this program has opened, and not inherited from the one before execve(2). None where
/// there is no `/proc`.
pub(crate) fn opened() -> Vec<RawFd> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    // Read to its end, as the descriptor of the directory is listed too.
    let listed: Vec<RawFd> = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().filter_map(number).collect();
    listed.into_iter().filter(|fd| *fd > libc::STDERR_FILENO && is_own(*fd)).collect()
}

/// Nothing hands on epoll, inotify and their like, and not all libraries mark them.
fn is_own(fd: RawFd) -> bool {
    // SAFETY: fcntl with F_GETFD takes a number.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    let is_anonymous = || {
        let target = fs::read_link(format!("/proc/self/fd/{fd}"));
        target.is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"anon_inode:"))
    };
    flags >= 0 && (flags & libc::FD_CLOEXEC != 0 || is_anonymous())
}
