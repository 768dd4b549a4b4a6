//! What is asked of a monitor by signals.

use super::event::Stop;
use crate::sys::signal::{Set, Signal};

/// How a launched daemon is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopRequest {
    /// By the stop signal, and by SIGKILL after a timeout.
    Terminate,
    /// By SIGKILL.
    Kill,
    /// The caller signals the program; its end is the last.
    EndWithProgram,
}

impl StopRequest {
    pub(super) fn signal(self) -> Signal {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGQUIT,
            Self::EndWithProgram => libc::SIGUSR1,
        }
    }
}

/// The signals that a monitor waits for.
pub(super) fn asked() -> Set {
    let mut set = Set::empty();
    for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGQUIT, libc::SIGUSR1] {
        set.add(signal);
    }
    set
}

pub(super) fn stop_of(signal: Signal) -> Option<Stop> {
    match signal {
        libc::SIGTERM => Some(Stop::Politely),
        libc::SIGQUIT => Some(Stop::AtOnce),
        libc::SIGUSR1 => Some(Stop::WithProgram),
        _ => None,
    }
}
