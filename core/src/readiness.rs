//! When a program is ready that knows nothing of this library.

use crate::ancestry;
use crate::error::{Failure, Step, Subject};
use crate::null_device;
use crate::pidfile;
use crate::sys::alarm::Interrupted;
use crate::sys::process::{self, Pid};
use crate::sys::socket::{Letterbox, Sender, SenderProcess};
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, fd};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

/// When a program is ready that is started by [`Daemon::launch`](crate::Daemon::launch).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// As soon as it runs: the daemon has become the program.
    #[default]
    Executed,
    /// When it has run for so long. What is wrong with a program mostly shows at its start.
    StillRunning(Duration),
    /// When it writes a newline to this descriptor, as s6 and its like have it (`notification-fd`). Closing it without is a
    /// failure.
    Newline(RawFd),
    /// When the program sends `READY=1` to the socket that `NOTIFY_SOCKET` names (sd_notify(3)): its own process, a process of its
    /// session, or a descendant. The same processes may ask for more time (`EXTEND_TIMEOUT_USEC=`), up to ten times the ready timeout. The
    /// sender must still exist when the message is read, so a short-lived one waits for that (`BARRIER=1`), as systemd-notify(1) does.
    Notify,
    /// When it has gone into the background: its process exited with status 0 and left a descendant, which is the daemon. With a path,
    /// when that file, which the program writes, names the daemon. Needs a monitor.
    Forked(Option<PathBuf>),
    /// When the program, or a descendant of it, listens there. Needs a monitor.
    Listening(ListenAddress),
    /// When this file is there and newer than the start. Needs a monitor.
    File(PathBuf),
}

/// Where a program is to listen before it counts as ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP port, at this address or, without one, at any.
    Port(Option<IpAddr>, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Readiness {
    /// What it is called in an error.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Newline(fd) => Subject::Number(i64::from(*fd)),
            Self::Notify => Subject::Word("NOTIFY_SOCKET"),
            Self::Forked(_) => Subject::Word("forking"),
            Self::Listening(_) => Subject::Word("listen"),
            Self::File(_) => Subject::Word("file"),
            _ => Subject::Nothing,
        }
    }
}

/// How many times the timeout of a start the daemon may use up by asking for more time.
const MOST_TIMEOUTS: u32 = 10;

/// How long a start may take, with all that the daemon asks for.
pub(crate) fn longest_start(timeout: Option<Duration>) -> Option<Duration> {
    timeout.map(|timeout| timeout.saturating_mul(MOST_TIMEOUTS))
}

/// What is known of a program's readiness.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    NotYet,
    Ready,
    /// Unless something happens until then.
    ReadyAt(Deadline),
    /// It has so much time from now.
    Extended(Duration),
    Failed(Failure),
}

/// Signs of readiness that the starter looks for, beside the report. Neither allocates: a helper may look.
pub(crate) trait Signs {
    /// Becomes readable when there is something to look at; -1 for never.
    fn descriptor(&self) -> RawFd;

    /// The daemon has become the program.
    fn executed(&mut self) -> Verdict;

    /// There is something to look at.
    fn look(&mut self, daemon: Pid) -> Verdict;
}

/// Nobody but the daemon itself says that it is ready.
pub(crate) enum Nobody {}

impl Signs for Nobody {
    fn descriptor(&self) -> RawFd {
        match *self {}
    }

    fn executed(&mut self) -> Verdict {
        match *self {}
    }

    fn look(&mut self, _daemon: Pid) -> Verdict {
        match *self {}
    }
}

/// The ends of whatever the program says that it is ready by.
#[derive(Debug)]
pub(crate) enum Plan {
    Time(Duration),
    Newline { listener: OwnedFd, speaker: Option<OwnedFd>, place: RawFd },
    Notify(Letterbox),
}

impl Plan {
    /// # Errors
    /// EOPNOTSUPP: a kind that needs a monitor.
    pub(crate) fn new(readiness: &Readiness) -> Sys<Self> {
        Ok(match readiness {
            Readiness::Executed => Self::Time(Duration::ZERO),
            Readiness::StillRunning(time) => Self::Time(*time),
            Readiness::Newline(place) => Self::newline(*place)?,
            Readiness::Notify => Self::Notify(Letterbox::new(None)?),
            Readiness::Forked(_) | Readiness::Listening(_) | Readiness::File(_) => return Err(Errno::EOPNOTSUPP),
        })
    }

    /// The program's end gets its number at once where that is free, so that nothing else which the start opens has it.
    fn newline(place: RawFd) -> Sys<Self> {
        let (listener, speaker) = fd::pipe()?;
        let speaker = fd::duplicate_from(speaker.as_raw_fd(), place)?;
        Ok(Self::Newline { listener, speaker: Some(speaker), place })
    }

    /// What the daemon keeps until it becomes the program.
    pub(crate) fn kept(&self) -> Option<RawFd> {
        match self {
            Self::Newline { speaker, .. } => speaker.as_ref().map(AsRawFd::as_raw_fd),
            _ => None,
        }
    }

    /// The name of the socket that the program is to be told of.
    pub(crate) fn socket_name(&self) -> Option<&[u8]> {
        match self {
            Self::Notify(letterbox) => Some(letterbox.name()),
            _ => None,
        }
    }

    /// The daemon's step, the last before it becomes the program.
    pub(crate) fn apply(&self) -> Result<(), Failure> {
        let Self::Newline { speaker, place, .. } = self else { return Ok(()) };
        let connected = match speaker.as_ref().map(AsRawFd::as_raw_fd) {
            Some(speaker) if speaker == *place => fd::keep_on_exec(speaker),
            Some(speaker) => fd::connect(speaker, *place),
            // Started again: nobody listens any more.
            None => null_device::open().and_then(|null| connect_owned(null, *place)),
        };
        connected.map_err(|errno| Failure { step: Step::ReadyDescriptor, errno, value: i64::from(*place) })
    }

    /// Nobody sends messages any more. What is still queued is dropped with the last copy of the socket.
    pub(crate) fn close_socket(&mut self) {
        if let Self::Notify(_) = self {
            *self = Self::Time(Duration::ZERO);
        }
    }

    /// For whoever watches: only the daemon speaks.
    pub(crate) fn listen(&mut self) {
        if let Self::Newline { speaker, .. } = self {
            *speaker = None;
        }
    }
}

fn connect_owned(from: OwnedFd, to: RawFd) -> Sys<()> {
    if from.as_raw_fd() == to {
        return fd::keep_on_exec(from.into_raw_fd());
    }
    fd::connect(from.as_raw_fd(), to)
}

impl Signs for Plan {
    fn descriptor(&self) -> RawFd {
        match self {
            Self::Time(_) => -1,
            Self::Newline { listener, .. } => listener.as_raw_fd(),
            Self::Notify(letterbox) => letterbox.as_raw_fd(),
        }
    }

    fn executed(&mut self) -> Verdict {
        match self {
            Self::Time(Duration::ZERO) => Verdict::Ready,
            Self::Time(time) => Verdict::ReadyAt(Deadline::after(Some(*time))),
            _ => Verdict::NotYet,
        }
    }

    fn look(&mut self, daemon: Pid) -> Verdict {
        match self {
            Self::Time(_) => Verdict::NotYet,
            Self::Newline { listener, place, .. } => look_for_newline(listener, *place),
            Self::Notify(letterbox) => look_for_message(letterbox, daemon),
        }
    }
}

fn look_for_newline(listener: &OwnedFd, place: RawFd) -> Verdict {
    let mut bytes = [0; 256];
    let failed = |errno| Verdict::Failed(Failure { step: Step::Ready, errno, value: i64::from(place) });
    match fd::read(listener.as_raw_fd(), &mut bytes) {
        Ok(0) => failed(Errno::EPIPE),
        Ok(got) if bytes.iter().take(got).any(|byte| *byte == b'\n') => Verdict::Ready,
        Ok(_) => Verdict::NotYet,
        Err(errno) => failed(errno),
    }
}

fn look_for_message(letterbox: &Letterbox, daemon: Pid) -> Verdict {
    let mut room = [0; MESSAGE];
    let message =
        receive(letterbox, &mut room).filter(|(sender, _)| belongs_to(sender.pid, daemon) && has_number(sender));
    let verdict = message.map_or(Verdict::NotYet, |(_, text)| read_message(text));
    if matches!(verdict, Verdict::Ready) {
        wait_for_barrier(letterbox, daemon);
    }
    verdict
}

/// The next message. Anybody on the machine may send one, also with what takes long to drop: a socket that lingers at its close.
pub(crate) fn receive<'a>(letterbox: &Letterbox, room: &'a mut [u8]) -> Option<(Sender, &'a [u8])> {
    let interrupted = Interrupted::begin();
    let message = letterbox.receive(room);
    drop(interrupted);
    message.ok()
}

/// systemd-notify(1) sends `BARRIER=1` behind its message, and fails where the socket is gone.
fn wait_for_barrier(letterbox: &Letterbox, daemon: Pid) {
    const PATIENCE: Duration = Duration::from_millis(50);
    let deadline = Deadline::after(Some(PATIENCE));
    let mut room = [0; MESSAGE];
    let mut socket = [fd::readable(letterbox.as_raw_fd())];
    while !deadline.passed() && fd::poll(&mut socket, deadline.poll_timeout()) == Ok(true) {
        let message = receive(letterbox, &mut room).filter(|(sender, _)| belongs_to(sender.pid, daemon));
        if message.is_some_and(|(_, text)| text.split(|byte| *byte == b'\n').any(|line| line == b"BARRIER=1")) {
            return;
        }
    }
}

/// Whether the sender of a message still has its PID, so that what was found out about the PID is about the sender. Asked afterwards.
/// Before Linux 6.5, and where the message came with descriptors, another process of the same user can have it.
pub(crate) fn has_number(sender: &Sender) -> bool {
    match &sender.process {
        // One that has ended keeps its number until it is reaped.
        SenderProcess::Known(process) => process.signal(0) != Err(Errno::ESRCH),
        SenderProcess::Displaced | SenderProcess::Unknown => {
            pidfile::real_user(sender.pid).is_none_or(|user| user == sender.user)
        }
    }
}

/// Whether a process is the daemon, of its session, or a descendant, whatever its user: others of the same user are not the daemon.
fn belongs_to(sender: Pid, daemon: Pid) -> bool {
    sender > 0 && (process::share_session(sender, daemon) || ancestry::descends_from(sender, daemon))
}

/// Longer messages are nobody's: systemd takes a page.
const MESSAGE: usize = 4096;

fn read_message(text: &[u8]) -> Verdict {
    let mut verdict = Verdict::NotYet;
    for line in text.split(|byte| *byte == b'\n') {
        if line == b"READY=1" {
            return Verdict::Ready;
        }
        let more = line.strip_prefix(b"EXTEND_TIMEOUT_USEC=").and_then(crate::pidfile::number);
        verdict = more.map_or(verdict, |time| Verdict::Extended(Duration::from_micros(time)));
    }
    verdict
}
