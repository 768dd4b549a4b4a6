//! How a launched daemon is stopped.

use crate::sys::Sys;
use crate::sys::pidfd::Process;
use crate::sys::signal::Signal;

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

/// Which processes a stop of a launched program ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KillMode {
    /// The program and all its descendants.
    #[default]
    Tree,
    /// The program alone: its descendants go on.
    Process,
}
