//! Replacing a stale pid file whose lock cannot be had, because a process that has nothing to do with it holds it.
//!
//! Starts exclude each other by the lock of the file that they replace. Where a stranger has that lock they use the lock of
//! a file of their own, beside the pid file, which nobody else may open. It exists for as long as a replacement takes.
//!
//! A start that gets the stranger's lock after all does not know of the replacement. So it looks for the file beside once it
//! has the lock, and a replacement looks for such a start once the file beside is there: one of them sees the other.

use super::locking::{create, failed, is_at, reuse};
use super::proof::Proof;
use super::refusal::{check_content, refuse_living, refuse_unlocked};
use crate::error::Error;
use crate::registry::LockedPidFile;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind, Lock, Status};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, identity};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// How long a path is tried whose file is replaced meanwhile: by other starts, or by a hostile owner of the directory.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The turn to replace one pid file.
pub(super) struct Replacement<'a> {
    path: &'a CBuf,
    beside: CBuf,
    lock: OwnedFd,
}

fn name_beside(path: &CBuf) -> Sys<CBuf> {
    let mut name = crate::sys::fixed_buf::MessageBuf::new();
    name.push(path.as_bytes()).push(b".replace");
    CBuf::path(name.as_bytes())
}

impl<'a> Replacement<'a> {
    pub(super) fn is_under_way(path: &CBuf) -> bool {
        name_beside(path).is_ok_and(|beside| file::status_at(beside.as_c_str()).is_ok())
    }

    /// Waits for the turn; none where it was another's, who has replaced the file by now.
    pub(super) fn begin(path: &'a CBuf) -> Result<Option<Self>, Error> {
        const PAUSE: Duration = Duration::from_millis(1);
        let beside = name_beside(path).map_err(|errno| failed(path, errno))?;
        let failed = |errno| failed(&beside, errno);
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let lock = file::open(beside.as_c_str(), flags, 0o600).map_err(failed)?;
        match file::status_of(lock.as_raw_fd()).map_err(failed)? {
            // Without a name it is that of a turn which has just ended.
            Status { kind: Kind::Regular, owner, links: ..=1, .. }
                if owner == 0 || owner == identity::effective_user() => {}
            _ => return Err(failed(Errno::EPERM).note("another user's")),
        }
        let deadline = Deadline::after(Some(PATIENCE));
        while !file::lock(lock.as_raw_fd(), Lock::Exclusive).map_err(failed)? {
            if deadline.passed() {
                return Err(failed(Errno::EAGAIN).note("another start replaces the pid file"));
            }
            time::pause(PAUSE);
        }
        let is_mine = is_at(&beside, lock.as_raw_fd());
        Ok(is_mine.then_some(Self { path, beside, lock }))
    }

    /// Puts a new file in the place of a stale one; none where the path has another by now.
    pub(super) fn replace(&mut self, stale: &OwnedFd, proof: Proof) -> Result<Option<LockedPidFile>, Error> {
        let is_free = file::lock(stale.as_raw_fd(), Lock::Exclusive);
        let failed = |errno| failed(self.path, errno);
        // The age of a process does not count while another one has the lock.
        let refuse = if is_free.map_err(failed)? { refuse_unlocked } else { refuse_living };
        refuse(self.path, stale, proof)?;
        match remove_stale(self.path, stale, proof)? {
            None => create(self.path).map_err(failed),
            taken => Ok(taken),
        }
    }
}

impl Drop for Replacement<'_> {
    /// Before the lock goes with its descriptor.
    fn drop(&mut self) {
        let _: Sys<()> = file::unlink(self.beside.as_c_str());
        let _: &OwnedFd = &self.lock;
    }
}

/// Removes a stale file from the path, so that a new one can be made; one that cannot be removed is emptied and taken.
pub(super) fn remove_stale(path: &CBuf, file: &OwnedFd, proof: Proof) -> Result<Option<LockedPidFile>, Error> {
    if !is_at(path, file.as_raw_fd()) {
        return Ok(None);
    }
    check_content(path, file.as_raw_fd(), proof)?;
    match file::unlink(path.as_c_str()) {
        Ok(()) | Err(Errno::ENOENT) => Ok(None),
        Err(errno) => reuse(path, file).map_err(|_| failed(path, errno)),
    }
}
