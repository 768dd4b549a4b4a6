//! Signs of readiness that come from the program.

use super::event::Event;
use super::files::read_pid;
use super::launch::{Launch, Place, Sign};
use super::program::SignEnd;
use super::{descendants, listening, proc};
use crate::pidfile::{number, real_user};
use crate::sys::alarm::Interrupted;
use crate::sys::process::{self, Pid};
use crate::sys::socket::{Letterbox, Sender, SenderProcess};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, fd, file};
use crate::text::Text;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How often it is looked for files. Only starts look, so nothing wakes a monitor later.
const STEP: Duration = Duration::from_millis(20);

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
    Notify(Letterbox),
    /// The sign was given. Its sender may send more: sd_notify_barrier(3) comes behind it, and fails where nobody receives.
    Parting {
        letterbox: Letterbox,
        until: Deadline,
    },
    Listen {
        place: &'a Place,
        next: Deadline,
        hindrance: Option<Errno>,
    },
    File {
        path: &'a Text,
        since: Duration,
        next: Deadline,
    },
    PidFile {
        path: &'a Text,
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
            Sign::Notify => Self::Notify(Letterbox::new(launch.notify.as_ref())?),
            Sign::Listen(place) => Self::Listen { place, next, hindrance: None },
            Sign::File(path) => Self::File { path, since: time::realtime().saturating_sub(TICK), next },
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
        if let Self::Notify(letterbox) = self { Some(letterbox.name()) } else { None }
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
            Self::Notify(letterbox) | Self::Parting { letterbox, .. } => letterbox.as_raw_fd(),
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
            Self::Notify(letterbox) => Self::Parting { letterbox, until: Deadline::after(Some(PARTING)) },
            Self::Parting { letterbox, until } if !until.passed() => Self::Parting { letterbox, until },
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
            Self::Notify(letterbox) if is_readable => read_message(letterbox),
            Self::Parting { letterbox, .. } if is_readable => {
                read_message(letterbox);
                None
            }
            Self::Listen { place, next, hindrance } if next.passed() => {
                *next = Deadline::after(Some(STEP));
                *hindrance = None;
                let mut listens = |pid| listening::listens(pid, place, hindrance);
                descendants::any(&mut listens).then_some(Event::Sign)
            }
            Self::File { path, since, next } if next.passed() => {
                *next = Deadline::after(Some(STEP));
                let status = file::status_behind(path.as_c_str()).ok()?;
                (status.modified >= *since).then_some(Event::Sign)
            }
            Self::PidFile { path, next } if next.passed() => {
                *next = Deadline::after(Some(STEP));
                let found = read_pid(path).ok().filter(|pid| is_child(*pid))?;
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

/// Every process of the machine may send to the socket. A message counts if it comes from a descendant that still exists:
/// systemd-notify(1) waits for the barrier that it sends after the message.
fn read_message(letterbox: &Letterbox) -> Option<Event> {
    /// systemd takes no longer ones.
    const MESSAGE: usize = 4096;
    let mut room = [0; MESSAGE];
    let message = receive(letterbox, &mut room);
    let (_, text) = message.filter(|(sender, _)| descendants::is_one(sender.pid) && has_number(sender))?;
    let mut found = None;
    for line in text.split(|&byte| byte == b'\n') {
        if line == b"READY=1" {
            return Some(Event::Sign);
        }
        let more = line.strip_prefix(b"EXTEND_TIMEOUT_USEC=").and_then(number);
        found = more.map(|time| Event::Extend(Duration::from_micros(time))).or(found);
    }
    found
}

/// The next message. Anybody on the machine may send one, also with what takes long to drop: a socket that lingers at its close.
fn receive<'a>(letterbox: &Letterbox, room: &'a mut [u8]) -> Option<(Sender, &'a [u8])> {
    let interrupted = Interrupted::begin();
    let message = letterbox.receive(room);
    drop(interrupted);
    message.ok()
}

/// Whether the sender of a message still has its PID, so that what was found out about the PID is about the sender. Asked afterwards.
/// Before Linux 6.5, and where the message came with descriptors, another process of the same user can have it.
fn has_number(sender: &Sender) -> bool {
    match &sender.process {
        // One that has ended keeps its number until it is reaped.
        SenderProcess::Known(process) => process.signal(0) != Err(Errno::ESRCH),
        SenderProcess::Displaced | SenderProcess::Unknown => {
            real_user(sender.pid).is_none_or(|user| user == sender.user)
        }
    }
}

/// Only of a child the end is seen. A descendant becomes one when the processes between have ended, as those of a program that goes
/// into the background do.
fn is_child(pid: Pid) -> bool {
    proc::stat(pid).is_ok_and(|stat| stat.parent == process::id() && !stat.is_dead())
}
