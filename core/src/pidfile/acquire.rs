//! Taking a pid file: opened, judged, locked, and still the one at its path.

use super::locking::{create, discard, failed};
use super::proof::Proof;
use super::refusal::{check_content, check_kind, refuse_living, refuse_unlocked, refuse_unwritable};
use super::replace::{PATIENCE, Replacement, remove_stale};
use crate::error::Error;
use crate::registry::{Held, LockedPidFile};
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Lock};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Takes the pid file at `path`, which is absolute: afterwards this process holds it, empty. `root` is the directory that the
/// daemon is going to change its root to.
pub(super) fn acquire(path: &CBuf, root: Option<&CBuf>, proof: Proof) -> Result<Held, Error> {
    let deadline = Deadline::after(Some(PATIENCE));
    while !deadline.passed() {
        if let Some(taken) = attempt(path, proof)? {
            return hold(path, root, taken.raised()).map_err(|errno| failed(path, errno));
        }
    }
    Err(failed(path, Errno::EAGAIN).note("the file keeps changing"))
}

/// Hands the file over to the table of those that this process holds.
fn hold(path: &CBuf, root: Option<&CBuf>, taken: LockedPidFile) -> Sys<Held> {
    let inside = root.map_or_else(|| CBuf::path(path.as_bytes()).map(Some), |root| path.inside(root));
    match inside.and_then(|inside| Held::new(&taken, CBuf::path(path.as_bytes())?, inside)) {
        Ok(held) => {
            std::mem::forget(taken);
            Ok(held)
        }
        Err(errno) => {
            // Before the lock goes with its descriptor.
            discard(path);
            Err(errno)
        }
    }
}

/// None where the file has changed meanwhile, and has to be looked at again.
fn attempt(path: &CBuf, proof: Proof) -> Result<Option<LockedPidFile>, Error> {
    if let Some(taken) = create(path).map_err(|errno| failed(path, errno))? {
        return Ok(Some(taken));
    }
    let Some(existing) = open_existing(path, proof)? else { return Ok(None) };
    match wait_for_lock(path, &existing, proof)? {
        Found::Locked => take_stale(path, existing, proof),
        Found::LockedByStranger => {
            Replacement::begin(path)?.map_or(Ok(None), |mut turn| turn.replace(&existing, proof))
        }
    }
}

/// Opens the file that is there, if it is a pid file.
fn open_existing(path: &CBuf, proof: Proof) -> Result<Option<OwnedFd>, Error> {
    // Looked at before it is opened: opening a device can have effects.
    match file::status_at(path.as_c_str()) {
        Ok(status) => check_kind(path, &status)?,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(failed(path, errno)),
    }
    match file::open(path.as_c_str(), libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0) {
        Ok(file) => {
            let status = file::status_of(file.as_raw_fd()).map_err(|errno| failed(path, errno))?;
            check_kind(path, &status)?;
            check_content(path, file.as_raw_fd(), proof)?;
            Ok(Some(file))
        }
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(refuse_unwritable(path, proof, errno)),
    }
}

/// Whose lock a file has that was there.
enum Found {
    /// This process's.
    Locked,
    /// That of a process which is neither the daemon nor a start.
    LockedByStranger,
}

/// Locks the file, or says which daemon or start has it.
///
/// Some locks are gone in a moment, and worth waiting for: a shared one is a query; one on a file that names no living process
/// is a stop removing it, or a daemon on its way out. Any reader may also hold one on purpose, for as long as he likes.
fn wait_for_lock(path: &CBuf, file: &OwnedFd, proof: Proof) -> Result<Found, Error> {
    const TRIES: u32 = 100;
    /// Without a pause at first: mostly it is a query.
    const UNPAUSED: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(1);
    let lock = |kind| file::lock(file.as_raw_fd(), kind).map_err(|errno| failed(path, errno));
    let mut is_assessed = false;
    for tries in 0..TRIES {
        if lock(Lock::Exclusive)? {
            return Ok(Found::Locked);
        }
        if lock(Lock::Shared)? {
            file::unlock(file.as_raw_fd());
        } else if !is_assessed {
            // Once: it may take a look at every process. One that is not seen may just end.
            match refuse_living(path, file, proof) {
                Err(error) if error.is_unseen() => {}
                refused => refused?,
            }
            is_assessed = true;
        }
        if tries >= UNPAUSED {
            time::pause(PAUSE);
        }
    }
    refuse_living(path, file, proof)?;
    Ok(Found::LockedByStranger)
}

/// A file that was there, and that this process has locked now. It is replaced by a new one. A process that waits for its lock
/// meanwhile finds it gone from the path, and begins again.
fn take_stale(path: &CBuf, file: OwnedFd, proof: Proof) -> Result<Option<LockedPidFile>, Error> {
    if Replacement::is_under_way(path) {
        // That start does not hold this lock. It has to be let pass, or both would put a file at the path.
        file::unlock(file.as_raw_fd());
        return Replacement::begin(path)?.map_or(Ok(None), |mut turn| turn.replace(&file, proof));
    }
    refuse_unlocked(path, &file, proof)?;
    remove_stale(path, &file, proof)
}
