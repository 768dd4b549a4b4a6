//! The process that a pid file was found to mean, held fast.

use super::holder;
use crate::error::{Error, Step, Subject};
use crate::sys::file::Status;
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use crate::sys::{Errno, identity, signal};
use crate::text::Text;
use std::time::Duration;

/// A daemon that runs: the very process that its pid file meant when it was asked ([`PidFile::running`](super::PidFile::running)).
#[derive(Debug)]
pub struct Running {
    process: Process,
    pid: Pid,
    /// Who owns the file that names it.
    named_by: identity::Uid,
    /// The file has other names as well.
    is_linked: bool,
    path: Text,
}

impl Running {
    pub(super) fn new(process: Process, pid: Pid, file: &Status, path: Text) -> Self {
        Self { process, pid, named_by: file.owner, is_linked: file.links > 1, path }
    }

    /// Its PID, which is another process's when this one has ended.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal to it, and to nobody else. Signal 0 only checks.
    ///
    /// # Errors
    /// ESRCH when it has ended; EPERM when it may not be signalled; EINVAL for a number that is no signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        if signal != 0 && signal::disposition(signal).is_err() {
            return Err(Error::os(Step::Signal, Subject::Signal(signal), Errno::EINVAL));
        }
        self.check_owner()?;
        self.process.signal(signal).map_err(|errno| self.error(Step::Signal, errno))
    }

    /// Waits until it has ended; false when `timeout` (`None`: any time) has passed first. Nothing is sent.
    ///
    /// # Errors
    /// The system does not let this process wait.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.process.wait(timeout).map_err(|errno| self.error(Step::Wait, errno))
    }

    /// Whoever owns the file chooses whom it names. So the file of somebody else is obeyed only as far as that somebody
    /// could have sent the signal himself: it must be root's, this user's, or belong to the user the process runs as. And whoever
    /// owns the directory may have linked another daemon's file into it, so it must not have two names.
    fn check_owner(&self) -> Result<(), Error> {
        let owner = self.named_by;
        let why = if self.is_linked {
            "the file has other names"
        } else if owner == 0 || owner == identity::effective_user() || holder::runs_as(self.pid, owner) {
            return Ok(());
        } else if self.process.wait(Some(Duration::ZERO)) == Ok(true) {
            // Nobody's, now that it has ended.
            return Err(self.error(Step::Signal, Errno::ESRCH));
        } else {
            "the file's owner is neither root, nor you, nor the process's"
        };
        Err(self.error(Step::Signal, Errno::EPERM).note(why))
    }

    #[inline(never)]
    fn error(&self, step: Step, errno: Errno) -> Error {
        Error::about(step, self.path.as_bytes(), errno)
    }
}
