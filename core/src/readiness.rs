//! When a program is ready that knows nothing of this library.

use crate::error::Subject;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// When a program is ready that is started by [`Daemon::launch`](crate::Daemon::launch).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// As soon as it runs: it was executed.
    Executed,
    /// When it has run for so long: 0.5 s is the default. What is wrong with a program mostly shows at its start, as a port that is taken
    /// or a file that is missing.
    StillRunning(Duration),
    /// When it writes a newline to this descriptor, as s6 and its like have it (`notification-fd`). Closing it without is a
    /// failure.
    Newline(RawFd),
    /// When the program or a descendant of it sends `READY=1` to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). The same processes may ask for more time (`EXTEND_TIMEOUT_USEC=`), up to ten times the ready timeout. The
    /// sender must still exist when the message is read, so a short-lived one waits for that (`BARRIER=1`), as systemd-notify(1) does.
    Notify,
    /// When it has gone into the background: its process exited with status 0 and left a descendant, which is the daemon. With a path,
    /// when that file, which the program writes, names the daemon.
    Forked(Option<PathBuf>),
    /// When the program, or a descendant of it, listens there.
    Listening(ListenAddress),
    /// When this file is there and newer than the start.
    File(PathBuf),
}

impl Default for Readiness {
    fn default() -> Self {
        Self::StillRunning(Duration::from_millis(500))
    }
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
    /// What has not happened, of a program that is not ready in time.
    pub(crate) fn awaited(&self) -> &'static str {
        match self {
            Self::Newline(_) => "no newline came on its descriptor",
            Self::Notify => "no READY=1 came",
            Self::Forked(None) => "it did not put itself into the background",
            Self::Forked(Some(_)) => "its pid file named no daemon",
            Self::Listening(_) => "nothing listens there",
            Self::File(_) => "the file did not appear",
            Self::Executed | Self::StillRunning(_) => "",
        }
    }

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

/// How long a start may take, with all that the program asks for.
pub(crate) fn longest_start(timeout: Option<Duration>) -> Option<Duration> {
    /// How many times the timeout may be used up by asking for more time.
    const MOST_TIMEOUTS: u32 = 10;
    timeout.map(|timeout| timeout.saturating_mul(MOST_TIMEOUTS))
}
