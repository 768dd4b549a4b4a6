//! What programs that show or replace pid files ask beyond [`PidFile`].

use crate::error::{Error, Step, Subject};
use crate::pidfile::{PidFile, Running, Status};
use crate::stop::StopRequest;
use crate::sys::pidfd;
use std::path::Path;
use std::time::Duration;

/// A pid file as libdaemon 0.14 reads it: the number in the first line counts, with white space around it or without. A file
/// without a number is corrupt, which [`PidFile::status`] calls stale, and [`PidFile::remove`] removes. Everything else is as
/// for [`PidFile::of_either_kind`], which leaves such a file alone.
///
/// # Errors
/// A path that is empty, too long or holds a NUL.
pub fn libdaemon_pid_file(path: impl AsRef<Path>) -> Result<PidFile, Error> {
    PidFile::of_libdaemon(path.as_ref())
}

/// [`PidFile::status`], which fails instead where the status is [`Unknown`](crate::Status::Unknown).
///
/// # Errors
/// As for [`PidFile::running`].
pub fn known_status(file: &PidFile) -> Result<Status, Error> {
    file.known_status()
}

/// Whether such a file holds something other than a number.
#[must_use]
pub fn is_corrupt(file: &PidFile) -> bool {
    file.is_corrupt()
}

/// The processes that hold the lock of a pid file as a daemon or a start does, as far as they are visible (Linux). The locks of
/// processes that can merely read the file are left out.
///
/// # Errors
/// As for [`PidFile::read_pid`].
pub fn lock_holders(file: &PidFile) -> Result<Vec<i32>, Error> {
    file.holders()
}

/// The monitor of a daemon, found by its pid file alone: there may be no state file (any more).
#[derive(Debug)]
pub struct FoundMonitor(pidfd::Process);

impl FoundMonitor {
    /// None where the daemon was not launched, or its monitor was killed.
    ///
    /// # Errors
    /// As for [`PidFile::read_pid`].
    pub fn of(file: &PidFile, daemon: &Running) -> Result<Option<Self>, Error> {
        Ok(file.monitor_of(daemon)?.map(Self))
    }

    /// Asks it to stop the daemon.
    ///
    /// # Errors
    /// EPERM: it is another user's. ESRCH: it has ended.
    pub fn ask(&self, request: StopRequest) -> Result<(), Error> {
        let asked = request.send(&self.0);
        asked.map_err(|errno| Error::os(Step::Signal, Subject::Word("monitor"), errno))
    }

    /// Waits until it has ended, and with it the daemon's descendants; false when `timeout` (`None`: any time) has passed first.
    ///
    /// # Errors
    /// The system does not let this process wait.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.0.wait(timeout).map_err(|errno| Error::os(Step::Wait, Subject::Word("monitor"), errno))
    }
}
