//! Opening files in directories that other users can write to: log files and standard input.
//!
//! A daemon mostly starts with more privileges than the owner of such a directory has, who must not decide what is read or written
//! with them. The rules, for every part of the path:
//! - A symbolic link is followed only if root or this user owns it, and nobody else can rename it (ELOOP).
//! - A file is created with `O_EXCL`, never through a symbolic link; only what this very call created gets a mode and an owner.
//! - A file that exists is no other user's FIFO (EPERM), no directory, no second name of another file (EMLINK).
//! - What was judged is what is open: names are looked up in directories that are held open, and compared with the opened file.
//! - Opening never blocks.

mod location;

use crate::sys::c_buf::CBuf;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, file};
use location::Location;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The mode of a log file, less the umask: no business of others.
const MODE: libc::mode_t = 0o640;

/// How long a path is tried where files come and go. Each round that fails is one in which somebody exchanged a file.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// What is to happen to a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Append,
    /// The caller is going to truncate it: a symbolic link is not followed (ELOOP).
    Truncate,
    /// EEXIST.
    Refuse,
}

/// How a file is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Creation {
    /// The exact mode; 0640 less the umask without one.
    pub(crate) mode: Option<libc::mode_t>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
}

/// Opens a file that exists for reading.
///
/// # Errors
/// The rules above, EACCES for a file in another user's directory that this user cannot read, EAGAIN where the path keeps changing.
pub(crate) fn open_for_reading(path: &CBuf) -> Sys<OwnedFd> {
    until_settled(|| {
        let Some(location) = Location::find(path)? else { return Ok(None) };
        let Some(location) = location.behind_links(false)? else { return Ok(None) };
        location.open(libc::O_RDONLY, Purpose::Read)
    })
}

/// Opens a file for appending, and creates it where it does not exist. `access` is O_WRONLY or O_RDWR.
///
/// # Errors
/// The rules above, EACCES for a third user's file in a sticky directory, EAGAIN where the path keeps changing.
pub(crate) fn open_for_writing(
    path: &CBuf,
    access: libc::c_int,
    existing: Existing,
    creation: &Creation,
) -> Sys<OwnedFd> {
    let flags = access | libc::O_APPEND;
    until_settled(|| {
        let Some(location) = Location::find(path)? else { return Ok(None) };
        match creation.create(&location, flags) {
            Err(Errno::EEXIST) if existing != Existing::Refuse => {}
            created => return created.map(Some),
        }
        let opened = match location.behind_links(existing == Existing::Truncate) {
            Ok(Some(location)) => location.open(flags, Purpose::Write),
            Ok(None) => Ok(None),
            Err(errno) => Err(errno),
        };
        match opened {
            // Removed meanwhile; a link to nothing is still there.
            Err(Errno::ENOENT) if file::status_at(path.as_c_str()) == Err(Errno::ENOENT) => Ok(None),
            opened => opened,
        }
    })
}

fn until_settled(mut open: impl FnMut() -> Sys<Option<OwnedFd>>) -> Sys<OwnedFd> {
    let deadline = Deadline::after(Some(PATIENCE));
    while !deadline.passed() {
        if let Some(opened) = open()? {
            return Ok(opened);
        }
    }
    Err(Errno::EAGAIN)
}

impl Creation {
    /// What cannot be completed is removed: the next try would find a file that is not as it was asked for.
    fn create(&self, location: &Location, flags: libc::c_int) -> Sys<OwnedFd> {
        let created = location.create(flags, self.mode.unwrap_or(MODE))?;
        let completed = self.complete(created.as_raw_fd());
        if completed.is_err() {
            location.take_back(&created);
        }
        completed.map(|()| created)
    }

    /// The mode first: of a file that has been given away only CAP_FOWNER can change it, which a service may well not have.
    fn complete(&self, created: RawFd) -> Sys<()> {
        if let Some(mode) = self.mode {
            file::set_mode(created, mode)?;
        }
        if self.user.is_some() || self.group.is_some() {
            file::set_owner(created, self.user, self.group)?;
        }
        Ok(())
    }
}
