//! What is asked of a monitor by signals.

use super::event::Stop;
use crate::sys::Sys;
use crate::sys::pidfd::Process;
use crate::sys::signal::{Set, Signal};

/// How a launched daemon is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopRequest {
    /// By the stop signal, and by SIGKILL after a timeout.
    Terminate,
    /// By SIGKILL.
    Kill,
    /// The caller signals the program, whose end is the last for as long as the caller lives.
    EndWithProgram,
}

impl StopRequest {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Kill => libc::SIGQUIT,
            Self::EndWithProgram => libc::SIGUSR1,
        }
    }

    /// Asks a monitor.
    pub(crate) fn send(self, monitor: &Process) -> Sys<()> {
        monitor.signal(self.signal())?;
        // One that was stopped (SIGSTOP) would take the signal only when somebody else continues it.
        let _: Sys<()> = monitor.signal(libc::SIGCONT);
        Ok(())
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
