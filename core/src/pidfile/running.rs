//! The process that a pid file was found to mean, held fast.

use crate::error::{Error, Step, Subject};
use crate::procfs;
use crate::sys::c_buf::CBuf;
use crate::sys::file::Status;
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use crate::sys::{Errno, identity, signal};
use std::time::Duration;

/// A daemon that runs: the very process that its pid file meant when it was asked ([`PidFile::running`](super::PidFile::running)).
pub struct Running {
    process: Process,
    pid: Pid,
    /// The owner of the file that names it.
    named_by: identity::Uid,
    /// Whether the file's group, or everybody, may write it.
    is_writable_by_others: bool,
    path: CBuf,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Running").field("pid", &self.pid).field("pid_file", &self.path).finish()
    }
}

impl Running {
    pub(super) fn new(process: Process, pid: Pid, file: &Status, path: CBuf) -> Self {
        let is_writable_by_others = file.is_writable_by_others();
        Self { process, pid, named_by: file.owner, is_writable_by_others, path }
    }

    /// Its PID, which is another process's when this one has ended.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// For the command: the user who owns the pid file.
    #[doc(hidden)]
    #[must_use]
    pub fn named_by(&self) -> u32 {
        self.named_by
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

    /// The owner of the file chooses which process it names. So another user's file is obeyed only as far as that user could
    /// have sent the signal: it must be root's, the caller's, or belong to the user that the process runs as. A file that others
    /// may write is not obeyed at all.
    fn check_owner(&self) -> Result<(), Error> {
        let owner = self.named_by;
        let is_trusted = owner == 0 || owner == identity::effective_user() || procfs::runs_as(self.pid, owner);
        if is_trusted && !self.is_writable_by_others {
            return Ok(());
        }
        if self.process.wait(Some(Duration::ZERO)) == Ok(true) {
            // Once it has ended its number may be any process's.
            return Err(self.error(Step::Signal, Errno::ESRCH));
        }
        let why = if is_trusted {
            "other users can write the pid file"
        } else {
            "the file's owner is neither root, nor you, nor the process's user"
        };
        Err(self.error(Step::Signal, Errno::EPERM).note(why))
    }

    fn error(&self, step: Step, errno: Errno) -> Error {
        Error::about(step, self.path.as_bytes(), errno)
    }
}
