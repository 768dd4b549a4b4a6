//! Making and locking a pid file, and whether one is locked. Nothing is judged here.
//!
//! The lock is taken on a descriptor that is open for reading alone, because the daemon keeps it after it has given up its
//! privileges. The one that the PID is written through is closed before. The lock's descriptor has `O_NOATIME`, which only the
//! file's owner and root can set (open(2)): this tells it from the lock of a process that can merely read the file.

use crate::error::{Error, Step};
use crate::registry::LockedPidFile;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Lock};
use crate::sys::{Errno, Sys, fd, identity};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Every user may read which process runs, whatever the umask.
const MODE: libc::mode_t = 0o644;
/// Until the file is locked nobody else may open it, and so lock it first.
const MODE_BEFORE_LOCK: libc::mode_t = 0o600;

pub(super) fn failed(path: &CBuf, errno: Errno) -> Error {
    Error::about(Step::PidFile, path.as_bytes(), errno)
}

/// Makes the file and locks it; none where there is one, or another process has taken the new one away.
pub(super) fn create(path: &CBuf) -> Sys<Option<LockedPidFile>> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let writer = match file::open(path.as_c_str(), flags, MODE_BEFORE_LOCK) {
        Err(Errno::EEXIST) => return Ok(None),
        opened => opened?,
    };
    let taken = lock_writer(path, writer);
    match &taken {
        Ok(Some(LockedPidFile { lock, .. })) if !is_at(path, lock.as_raw_fd()) => return Ok(None),
        Ok(Some(LockedPidFile { lock, .. })) => file::set_mode(lock.as_raw_fd(), MODE).inspect_err(|_| discard(path)),
        Ok(None) => Ok(()),
        Err(_) => {
            // A file system without locks or modes: remove what was made.
            discard(path);
            Ok(())
        }
    }?;
    taken
}

pub(super) fn discard(path: &CBuf) {
    let _: Sys<()> = file::unlink(path.as_c_str());
}

/// Locks the file that is open for writing, by a descriptor of its own; none where somebody else has the lock, or the file is
/// not at its path any more.
pub(super) fn lock_writer(path: &CBuf, writer: OwnedFd) -> Sys<Option<LockedPidFile>> {
    const FLAGS: libc::c_int = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | file::O_NOATIME;
    let opened = match file::open(path.as_c_str(), FLAGS, 0) {
        // Made with a umask that keeps its owner from it.
        Err(Errno::EACCES) => {
            file::set_mode(writer.as_raw_fd(), MODE_BEFORE_LOCK)?;
            file::open(path.as_c_str(), FLAGS, 0)
        }
        opened => opened,
    };
    match opened {
        Ok(lock) if !is_same(&lock, &writer) => Ok(None),
        Ok(lock) => match file::lock(lock.as_raw_fd(), Lock::Exclusive) {
            Ok(locked) => Ok(locked.then_some(LockedPidFile { lock, writer: Some(writer) })),
            Err(Errno::EBADF) => lock_itself(writer),
            Err(errno) => Err(errno),
        },
        Err(Errno::EPERM) => lock_itself(writer),
        Err(Errno::ENOENT | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn lock_itself(writer: OwnedFd) -> Sys<Option<LockedPidFile>> {
    Ok(file::lock(writer.as_raw_fd(), Lock::Exclusive)?.then_some(LockedPidFile { lock: writer, writer: None }))
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    match (file::status_of(one.as_raw_fd()), file::status_of(other.as_raw_fd())) {
        (Ok(one), Ok(other)) => one.identity == other.identity,
        _ => false,
    }
}

/// A stale file in a directory that this process cannot write, as an administrator makes one for an unprivileged daemon. It is
/// written in place if it is this user's own.
pub(super) fn reuse(path: &CBuf, file: &OwnedFd) -> Sys<Option<LockedPidFile>> {
    let status = file::status_at(path.as_c_str())?;
    let is_own = status.owner == identity::effective_user() && status.links == 1;
    if !is_own || file::status_of(file.as_raw_fd())?.identity != status.identity {
        return Err(Errno::EPERM);
    }
    // The lock changes over to a descriptor that the daemon may keep. Another start may come in between.
    file::unlock(file.as_raw_fd());
    let Some(taken) = lock_writer(path, fd::duplicate(file.as_raw_fd())?)? else { return Ok(None) };
    file::truncate(file.as_raw_fd())?;
    file::set_mode(file.as_raw_fd(), MODE)?;
    Ok(Some(taken))
}

/// Whether the open file is still the one at `path`.
pub(crate) fn is_at(path: &CBuf, file: RawFd) -> bool {
    match (file::status_of(file), file::status_at(path.as_c_str())) {
        (Ok(open), Ok(named)) => open.identity == named.identity,
        _ => false,
    }
}

/// Whether the file is locked. Asked with a shared lock that is given back at once: two queries do not disturb each other, and
/// a start can tell one from a daemon.
pub(super) fn is_held(file: RawFd) -> Sys<bool> {
    let free = file::lock(file, Lock::Shared)?;
    if free {
        file::unlock(file);
    }
    Ok(!free)
}

/// Whether another process has a lock of either kind.
pub(super) fn is_shared(file: RawFd) -> Sys<bool> {
    let free = file::lock(file, Lock::Exclusive)?;
    if free {
        file::unlock(file);
    }
    Ok(!free)
}
