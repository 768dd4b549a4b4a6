//! A directory of the daemon's own for its pid file and sockets: what systemd calls `RuntimeDirectory=` (systemd.exec(5)).
//!
//! A daemon that has given up its privileges cannot remove its pid file from a directory of root's. From this one it can.

use crate::error::{Error, Step};
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind};
use crate::sys::{Errno, Sys, identity, memory, process};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// Everybody may look for the pid file.
const MODE: libc::mode_t = 0o755;

/// The directory that this start has made, and the process whose end removes it. Atomic, because exit handlers find it here.
static MADE: AtomicPtr<CBuf> = AtomicPtr::new(std::ptr::null_mut());
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The directory of a start that is not under way yet. Dropping it removes the directory.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Made by this start, which removes it at its end.
    pub(crate) is_made: bool,
}

impl Prepared {
    /// Leaves the directory to the start.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        remove();
    }
}

/// Makes the directory for the user and group that the daemon is going to run as, or finds that it is theirs.
pub(crate) fn prepare(path: &CBuf, (user, group): (Option<u32>, Option<u32>)) -> Result<Prepared, Error> {
    forget();
    let made = make(path, user, group).and_then(|made| if made { remember(path).map(|()| true) } else { Ok(false) });
    let is_made = made.map_err(|errno| {
        let error = Error::about(Step::RuntimeDirectory, path.as_bytes(), errno);
        if errno == Errno::EPERM {
            error.note("it, or the directory above it, is another user's to write")
        } else {
            error
        }
    })?;
    Ok(Prepared { is_made })
}

/// What an earlier start of this process has made is its daemon's.
fn forget() {
    memory::reclaim(MADE.swap(std::ptr::null_mut(), Ordering::AcqRel));
}

/// Whether it was made.
fn make(path: &CBuf, user: Option<u32>, group: Option<u32>) -> Sys<bool> {
    let above = file::status_behind(path.parent()?.as_c_str())?;
    let is_own = |owner| owner == 0 || owner == identity::effective_user();
    // Nobody else may rename what is made there before it is opened.
    if !is_own(above.owner) || above.is_writable_by_others() && above.mode & libc::S_ISVTX == 0 {
        return Err(Errno::EPERM);
    }
    match file::make_directory(path.as_c_str(), MODE) {
        Ok(()) => {}
        Err(Errno::EEXIST) => return check_existing(path, user).map(|()| false),
        Err(errno) => return Err(errno),
    }
    let directory = file::open(path.as_c_str(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
    let given = file::set_mode(directory.as_raw_fd(), MODE).and_then(|()| match (user, group) {
        (None, None) => Ok(()),
        _ => file::set_owner(directory.as_raw_fd(), user, group),
    });
    if given.is_err() {
        let _: Sys<()> = file::remove_directory(path.as_c_str());
    }
    given.map(|()| true)
}

/// A directory that was there is not given to another user: there may be anything in it.
fn check_existing(path: &CBuf, user: Option<u32>) -> Sys<()> {
    let status = file::status_at(path.as_c_str())?;
    if status.kind != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    let is_theirs = status.owner == user.unwrap_or_else(identity::effective_user);
    if is_theirs && !status.is_writable_by_others() { Ok(()) } else { Err(Errno::EPERM) }
}

fn remember(path: &CBuf) -> Sys<()> {
    let kept = memory::leak(CBuf::path(path.as_bytes())?)?;
    MADE.store(kept, Ordering::Release);
    take_ownership();
    Ok(())
}

/// Makes this process the one whose end removes the directory. Async-signal-safe, like [`remove`].
pub(crate) fn take_ownership() {
    OWNER.store(process::id(), Ordering::Relaxed);
}

/// Removes the directory if this start has made it and it is empty.
pub(crate) fn remove() {
    if OWNER.load(Ordering::Relaxed) == process::id() {
        if let Some(path) = memory::borrow(MADE.load(Ordering::Acquire)) {
            let _: Sys<()> = file::remove_directory(path.as_c_str());
        }
    }
}
