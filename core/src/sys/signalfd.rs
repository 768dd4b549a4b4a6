//! Blocked signals that are waited for: signalfd(2).
//!
//! Other systems have no such descriptor. There it is looked every few milliseconds whether one has come.

use super::pidfd::STEP;
use super::process::Pid;
use super::signal::{self, Set, Signal};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Signals that are blocked, to be taken one at a time.
pub(crate) struct Arrivals {
    set: Set,
    descriptor: Option<OwnedFd>,
}

/// Becomes readable when one of `set` is pending.
#[cfg(target_os = "linux")]
fn open(set: &Set) -> Option<OwnedFd> {
    // SAFETY: `set` is initialised; -1 asks for a new descriptor.
    let fd = super::fd::own(unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC) }).ok()?;
    super::fd::above_standard(fd).ok()
}

#[cfg(not(target_os = "linux"))]
fn open(_set: &Set) -> Option<OwnedFd> {
    None
}

impl Arrivals {
    /// Of `set`, whose signals must be blocked.
    pub(crate) fn of(set: Set) -> Self {
        Self { set, descriptor: open(&set) }
    }

    /// Becomes readable when one has come; -1, which poll(2) skips, where there is no such descriptor.
    pub(crate) fn as_poll_descriptor(&self) -> RawFd {
        self.descriptor.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// How long poll(2) may wait, with that descriptor, until it is to be looked whether one has come.
    pub(crate) fn patience(&self, timeout: libc::c_int) -> libc::c_int {
        if self.descriptor.is_some() { timeout } else { STEP }
    }

    /// Takes the next one, if one has come.
    pub(crate) fn take(&self) -> Option<Signal> {
        signal::take_pending(&self.set)
    }

    /// The same, with the PID of the process that sent it, where that is known.
    pub(crate) fn take_from(&self) -> Option<(Signal, Option<Pid>)> {
        signal::take_pending_from(&self.set)
    }
}
