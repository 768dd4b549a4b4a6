//! Which processes have the lock of a pid file. Facts only: `assess.rs` decides what they prove.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub(super) use linux::{LockedFile, find_holder, hold, holders, is_strangers, monitor_of, related_holder};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{LockedFile, find_holder, hold, holders, is_strangers, monitor_of, related_holder};

use crate::sys::process::Pid;

/// How a process has an exclusive flock(2) on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "where there is no /proc, a lock counts whoever has it")
)]
pub(super) enum Hold {
    /// Through a writable open file description: it was opened by a process that may write the file.
    Writer,
    /// Through one with `O_NOATIME`, which only the file's owner and root can open (open(2)). Daemons inherit this one.
    Owner,
    /// Through one that every process which may read the file can open.
    Reader,
    /// Not at all.
    None,
    /// The process may not be looked at.
    Hidden,
    /// The process delays the look, as no honest one does.
    Delayed,
    /// It could not be looked at: no child could be made for that.
    Unknown,
    /// There is no `/proc`.
    NoProc,
}

#[cfg(target_os = "linux")]
impl Hold {
    /// What `as u8` makes a number of.
    fn from_number(number: u8) -> Option<Self> {
        // The others are not said by a child.
        let all = [Self::Writer, Self::Owner, Self::Reader, Self::None, Self::Hidden, Self::Delayed, Self::NoProc];
        all.into_iter().find(|hold| *hold as u8 == number)
    }

    /// Whether a process that can merely read the file could not have taken the lock.
    pub(super) fn is_privileged(self) -> bool {
        matches!(self, Self::Writer | Self::Owner)
    }
}

/// What a search for the holder of a lock has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is found where nothing can be looked at"))]
pub(super) enum Search {
    /// A start under way.
    Starter,
    /// A process that has the lock from a daemon which has ended.
    Remains(Pid),
    /// No process whose lock counts.
    NotFound,
    /// The holder may be a process that is not visible from here.
    Incomplete,
}
