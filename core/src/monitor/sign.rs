//! Signs of readiness that come from the program.

use super::event::Event;
use super::files::read_pid;
use super::launch::{Launch, Place, Sign};
use super::program::SignEnd;
use super::receiver::Receiver;
use super::{descendants, listening, proc};
use crate::sys::c_buf::CBuf;
use crate::sys::file::Identity;
use crate::sys::process::Pid;
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, fd, file};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How often it is looked for files. Only starts look, so nothing wakes a monitor later.
const STEP: Duration = Duration::from_millis(20);

/// How long it is looked for listeners at once.
const LOOK: Duration = Duration::from_millis(100);

/// Files are stamped with the time of the kernel's last tick.
const TICK: Duration = Duration::from_millis(20);

/// How long messages are received after the sign: as long as systemd-notify(1) waits for its barrier.
const PARTING: Duration = Duration::from_secs(5);

/// What is looked for in one life.
pub(super) enum Watch<'a> {
    Nothing,
    Newline {
        listener: OwnedFd,
        speaker: Option<OwnedFd>,
        number: RawFd,
    },
    Notify(Receiver),
    /// The sign was given. Its sender may send more: sd_notify_barrier(3) comes behind it, and fails where nobody receives.
    Parting {
        receiver: Receiver,
        until: Deadline,
    },
    Listen {
        place: &'a Place,
        next: Deadline,
        hindrance: Option<Errno>,
    },
    File {
        path: &'a CBuf,
        since: Duration,
        /// What is there already with a date in the future, which tells nothing of when it was written.
        dated: Option<(Identity, Duration)>,
        next: Deadline,
    },
    PidFile {
        path: &'a CBuf,
        next: Deadline,
    },
}

impl<'a> Watch<'a> {
    /// The program's end of a pipe gets its number at once where that is free, so no other descriptor does.
    pub(super) fn begin(launch: &'a Launch) -> Sys<Self> {
        let next = Deadline::after(Some(Duration::ZERO));
        Ok(match &launch.sign {
            Sign::None => Self::Nothing,
            Sign::Newline(number) => {
                let (listener, speaker) = fd::pipe()?;
                let speaker = fd::duplicate_from(speaker.as_raw_fd(), *number)?;
                Self::Newline { listener, speaker: Some(speaker), number: *number }
            }
            Sign::Notify => Self::Notify(Receiver::begin(launch.notify.as_ref())?),
            Sign::Listen(place) => Self::Listen { place, next, hindrance: None },
            Sign::File(path) => {
                let now = time::realtime();
                let there = file::status_behind(path.as_c_str()).ok().filter(|status| status.modified > now);
                let dated = there.map(|status| (status.identity, status.modified));
                Self::File { path, since: now.saturating_sub(TICK), dated, next }
            }
            Sign::PidFile(path) => Self::PidFile { path, next },
        })
    }

    pub(super) fn end(&self) -> Option<SignEnd> {
        match self {
            Self::Newline { speaker: Some(speaker), number, .. } => {
                Some(SignEnd { end: speaker.as_raw_fd(), number: *number })
            }
            _ => None,
        }
    }

    /// The name of the socket for messages.
    pub(super) fn socket(&self) -> Option<&[u8]> {
        if let Self::Notify(receiver) = self { Some(receiver.name()) } else { None }
    }

    /// After the fork: only the program can give the sign.
    pub(super) fn listen(&mut self) {
        if let Self::Newline { speaker, .. } = self {
            *speaker = None;
        }
    }

    /// Becomes readable when there is something to look at; -1 for never.
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Self::Newline { listener, .. } => listener.as_raw_fd(),
            Self::Notify(receiver) | Self::Parting { receiver, .. } => receiver.as_raw_fd(),
            _ => -1,
        }
    }

    /// Why the sign cannot be seen, if that is so.
    pub(super) fn hindrance(&self) -> Option<Errno> {
        if let Self::Listen { hindrance, .. } = self { *hindrance } else { None }
    }

    /// When to look without that.
    pub(super) fn next(&self) -> Deadline {
        match self {
            Self::Listen { next, .. } | Self::File { next, .. } | Self::PidFile { next, .. } => *next,
            Self::Parting { until, .. } => *until,
            _ => Deadline::after(None),
        }
    }

    /// After the sign: nothing is looked for, and a socket for messages is emptied for a while.
    pub(super) fn part(&mut self) {
        *self = match std::mem::replace(self, Self::Nothing) {
            Self::Notify(receiver) => Self::Parting { receiver, until: Deadline::after(Some(PARTING)) },
            Self::Parting { receiver, until } if !until.passed() => Self::Parting { receiver, until },
            _ => Self::Nothing,
        };
    }

    pub(super) fn is_parting(&self) -> bool {
        matches!(self, Self::Parting { .. })
    }

    /// Looks whether the program has given its sign. The process that is meant becomes `program`.
    pub(super) fn look(&mut self, is_readable: bool, program: &mut Option<Pid>) -> Option<Event> {
        match self {
            Self::Newline { listener, .. } if is_readable => read_newline(listener),
            Self::Notify(receiver) if is_readable => {
                let event = receiver.next();
                if event.is_err() {
                    // The start times out.
                    *self = Self::Nothing;
                }
                event.ok().flatten()
            }
            Self::Parting { receiver, .. } if is_readable => {
                if receiver.next().is_err() {
                    *self = Self::Nothing;
                }
                None
            }
            Self::Listen { place, next, hindrance } if next.passed() => {
                *next = Deadline::after(Some(STEP));
                *hindrance = None;
                // Whatever the program has open, signals and timers do not wait for long.
                let end = Deadline::after(Some(LOOK));
                let mut found = false;
                descendants::any(|pid| {
                    found = listening::listens(pid, place, hindrance);
                    found || end.passed()
                });
                found.then_some(Event::Sign)
            }
            Self::File { path, since, dated, next } if next.passed() => {
                *next = Deadline::after(Some(STEP));
                let status = file::status_behind(path.as_c_str()).ok()?;
                // Anybody can set the one; nobody the other, which a new owner, mode or link changes as well.
                let is_new = status.modified >= *since && status.changed >= *since;
                let is_dated = status.modified > time::realtime() || *dated == Some((status.identity, status.modified));
                (is_new && !is_dated).then_some(Event::Sign)
            }
            Self::PidFile { path, next } if next.passed() => {
                *next = Deadline::after(Some(STEP));
                let found = read_pid(path).ok().filter(|pid| proc::is_child(*pid))?;
                // How a program ends that goes into the background tells whether it has: its children are given away before that is known.
                let ends = |pid| proc::stat(pid).is_ok_and(|stat| stat.is_ending() || stat.has_ended());
                if program.is_some_and(ends) {
                    return None;
                }
                *program = Some(found);
                Some(Event::Sign)
            }
            _ => None,
        }
    }
}

fn read_newline(listener: &OwnedFd) -> Option<Event> {
    let mut bytes = [0; 256];
    match fd::read(listener.as_raw_fd(), &mut bytes) {
        Ok(0) | Err(_) => Some(Event::SignLost),
        Ok(got) => bytes.iter().take(got).any(|byte| *byte == b'\n').then_some(Event::Sign),
    }
}
