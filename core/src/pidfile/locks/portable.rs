//! Systems without a `/proc` that is known: a lock counts, whichever process has it.

use super::{Hold, Search};
use crate::sys::file::Status;
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use crate::sys::time::Deadline;
use std::os::fd::RawFd;

pub(in crate::pidfile) struct LockedFile;

impl LockedFile {
    pub(in crate::pidfile) fn new(_descriptor: RawFd, _status: &Status) -> Self {
        Self
    }

    /// No process is looked at.
    pub(in crate::pidfile) fn deadline(&self) -> Deadline {
        Deadline::after(None)
    }

    pub(in crate::pidfile) fn restart_deadline(&self) {}
}

pub(in crate::pidfile) fn hold(_pid: Pid, _wanted: &LockedFile) -> Hold {
    Hold::NoProc
}

pub(in crate::pidfile) fn monitor_of(_pid: Pid, _wanted: &LockedFile) -> Option<Process> {
    None
}

pub(in crate::pidfile) fn is_strangers(_wanted: &LockedFile) -> bool {
    false
}

pub(in crate::pidfile) fn holders(_wanted: &LockedFile) -> Vec<Pid> {
    Vec::new()
}

pub(in crate::pidfile) fn related_holder(_pid: Pid, _wanted: &LockedFile) -> bool {
    false
}

pub(in crate::pidfile) fn find_holder(_wanted: &LockedFile, _is_empty: bool) -> Search {
    Search::Incomplete
}
