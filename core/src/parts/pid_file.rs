//! What programs that show or replace pid files ask beyond [`PidFile`].

use crate::error::Error;
use crate::pidfile::{PidFile, Status};
use std::path::Path;

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
