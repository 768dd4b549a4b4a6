//! A process that cannot be mistaken for another: pidfd_open(2).
//!
//! Kernels before 5.3 and other systems have none. There a handle is just the number, with the window between a check and
//! kill(2) that cannot be closed without one.

use super::Errno;
use super::process::{self, Pid};
use super::{Sys, fd, time};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    descriptor: Option<OwnedFd>,
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Sys<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = libc::c_int::try_from(result).map_err(|_| Errno::EINVAL)?;
    super::fd::above_standard(super::fd::own(fd)?)
}

#[cfg(not(target_os = "linux"))]
fn open(_pid: Pid) -> Sys<OwnedFd> {
    Err(Errno::ENOSYS)
}

#[cfg(target_os = "linux")]
fn send(descriptor: RawFd, signal: libc::c_int) -> Sys<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal takes numbers and a siginfo that may be NULL.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal, no_info, 0) };
    super::check_size(result as isize).map(drop)
}

#[cfg(not(target_os = "linux"))]
fn send(_descriptor: RawFd, _signal: libc::c_int) -> Sys<()> {
    Err(Errno::ENOSYS)
}

impl Process {
    /// Takes hold of the process that has this PID now; ESRCH when there is none. A thread's number is none: EINVAL, or ENOENT
    /// since Linux 6.9.
    pub(crate) fn open(pid: Pid) -> Sys<Self> {
        match open(pid) {
            Ok(descriptor) => Ok(Self { pid, descriptor: Some(descriptor) }),
            Err(Errno::ENOENT) => Err(Errno::ESRCH),
            Err(errno @ (Errno::ESRCH | Errno::EINVAL | Errno::EMFILE | Errno::ENFILE)) => Err(errno),
            Err(_) => match process::kill(pid, 0) {
                Ok(()) | Err(Errno::EPERM) => Ok(Self::by_number(pid)),
                Err(errno) => Err(errno),
            },
        }
    }

    /// The process that a pidfd is of.
    #[cfg(target_os = "linux")]
    pub(crate) fn by_descriptor(pid: Pid, descriptor: OwnedFd) -> Self {
        Self { pid, descriptor: Some(descriptor) }
    }

    /// Becomes readable when the process ends; -1, which poll(2) skips, where there is no such descriptor.
    pub(crate) fn as_poll_descriptor(&self) -> RawFd {
        self.descriptor.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Sends a signal to this very process; ESRCH when it is gone.
    pub(crate) fn signal(&self, signal: libc::c_int) -> Sys<()> {
        match &self.descriptor {
            Some(descriptor) => send(descriptor.as_raw_fd(), signal),
            None => process::kill(self.pid, signal),
        }
    }

    /// Waits until the process has ended, a zombie included; false when `timeout` (`None`: any time) passed first.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Sys<bool> {
        let deadline = time::Deadline::after(timeout);
        let descriptor = self.as_poll_descriptor();
        loop {
            let patience = if descriptor < 0 { STEP } else { deadline.poll_timeout() };
            let ended = fd::poll(&mut [fd::readable(descriptor)], patience)? || descriptor < 0 && has_ended(self.pid);
            if ended || deadline.passed() {
                return Ok(ended);
            }
        }
    }

    /// A process that nothing is known of but its number: a child's own, for as long as it is not waited for.
    pub(crate) fn by_number(pid: Pid) -> Self {
        Self { pid, descriptor: None }
    }
}

/// Milliseconds between two looks, where there is nothing to wait on.
pub(crate) const STEP: libc::c_int = 10;

/// When to look next.
pub(crate) fn next_look() -> time::Deadline {
    time::Deadline::after(Some(Duration::from_millis(STEP as u64)))
}

/// A zombie can be signalled, but of a child it is known that it is one.
pub(crate) fn has_ended(pid: Pid) -> bool {
    match process::peek(pid, false) {
        Ok(how) => how.is_some(),
        Err(_) => process::kill(pid, 0) == Err(Errno::ESRCH),
    }
}
