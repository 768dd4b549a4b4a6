//! A process that is meant and no other.

use crate::error::{Error, Step, Subject};
use crate::sys::{Errno, pidfd, process};
use std::path::PathBuf;
use std::time::Duration;

/// The path of this program's executable, also where there is no `/proc`, if it was executed by an absolute path.
#[must_use]
pub fn executable() -> Option<PathBuf> {
    process::executable().ok().map(|path| path.as_path().to_owned())
}

/// A process, held fast by a pidfd where the system has them: signals never reach another one that has got its PID.
pub struct Process {
    process: pidfd::Process,
    pid: i32,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Process").field(&self.pid).finish()
    }
}

impl Process {
    /// Takes hold of the process that has this PID now; none where there is none.
    ///
    /// # Errors
    /// EMFILE and its like.
    pub fn open(pid: i32) -> Result<Option<Self>, Error> {
        match pidfd::Process::open(pid) {
            Ok(process) => Ok(Some(Self { process, pid })),
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(Error::os(Step::Wait, Subject::Pid(i64::from(pid)), errno)),
        }
    }

    /// Its PID, which is another process's when this one has ended.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal to it.
    ///
    /// # Errors
    /// ESRCH when it has ended; EPERM; EINVAL for a number that is no signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        self.process.signal(signal).map_err(|errno| self.error(Step::Signal, errno))
    }

    /// Waits until it has ended; false when `timeout` (`None`: any time) has passed first.
    ///
    /// # Errors
    /// The system does not let this process wait.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.process.wait(timeout).map_err(|errno| self.error(Step::Wait, errno))
    }

    fn error(&self, step: Step, errno: Errno) -> Error {
        Error::os(step, Subject::Pid(i64::from(self.pid)), errno)
    }
}
