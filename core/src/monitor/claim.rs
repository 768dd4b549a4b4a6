//! The name of a daemon: where its state file is, and the lock that says that a launcher or a monitor has it.

use crate::run_directory;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Lock};
use crate::sys::{Errno, Sys};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A name that this process has. The lock goes on to guard and monitor, never to the program.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) state_file: CBuf,
    pub(crate) path: CBuf,
    /// Where the program's socket for messages may be.
    pub(super) notify: CBuf,
    lock: OwnedFd,
}

impl Claim {
    /// Takes the name; none where another launcher or monitor has it. `run` is where state files are, the usual place where there is
    /// none.
    ///
    /// # Errors
    /// The directory for state files cannot be made, or is not this user's alone: EPERM.
    pub(crate) fn take(name: &[u8], pid_file: Option<&CBuf>, run: Option<&CBuf>) -> Sys<Option<Self>> {
        let run = run_directory::make(run)?;
        let state_file = run_directory::file_of(name, pid_file, &run, run_directory::STATE)?;
        let path = run_directory::file_of(name, pid_file, &run, b".lock")?;
        let notify = run_directory::file_of(name, pid_file, &run, b".notify")?;
        Ok(lock(&path)?.map(|lock| Self { state_file, path, notify, lock }))
    }

    /// Takes the name of a state file.
    ///
    /// # Errors
    /// EAGAIN: another launcher or monitor has it.
    pub(super) fn of_state_file(state_file: &CBuf) -> Sys<Self> {
        let (path, notify) = (beside(state_file, b".lock")?, beside(state_file, b".notify")?);
        let lock = lock(&path)?.ok_or(Errno::EAGAIN)?;
        Ok(Self { state_file: CBuf::path(state_file.as_bytes())?, path, notify, lock })
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    /// Gives the name up.
    pub(crate) fn release(&self) {
        remove(&self.path, self.as_raw_fd());
    }
}

/// Removes what a monitor had beside its state file. The caller has the name.
pub(super) fn clear_away(state_file: &CBuf) {
    for suffix in [&b".notify"[..], b".state.new"] {
        let _: Sys<()> = beside(state_file, suffix).and_then(|path| file::unlink(path.as_c_str()));
    }
}

fn beside(state_file: &CBuf, suffix: &[u8]) -> Sys<CBuf> {
    let stem = state_file.as_bytes().strip_suffix(run_directory::STATE).ok_or(Errno::EINVAL)?;
    run_directory::join(&[stem, suffix])
}

/// Removes the file of a lock that this process has: if it is the one at the path, no other process's is.
pub(super) fn remove(path: &CBuf, lock: RawFd) {
    if crate::pidfile::is_at(path, lock) {
        let _: Sys<()> = file::unlink(path.as_c_str());
    }
}

/// A file that was locked after its owner had removed it is not the one at the path any more.
fn lock(path: &CBuf) -> Sys<Option<OwnedFd>> {
    loop {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let lock = file::open(path.as_c_str(), flags, MODE)?;
        if !file::lock(lock.as_raw_fd(), Lock::Exclusive)? {
            return Ok(None);
        }
        if crate::pidfile::is_at(path, lock.as_raw_fd()) {
            if let Err(errno) = let_owner_open(lock.as_raw_fd()) {
                remove(path, lock.as_raw_fd());
                return Err(errno);
            }
            return Ok(Some(lock));
        }
    }
}

const MODE: libc::mode_t = 0o600;

/// Whatever the umask, which may keep a file's owner from opening it.
fn let_owner_open(lock: RawFd) -> Sys<()> {
    if file::status_of(lock)?.mode & MODE != MODE {
        file::set_mode(lock, MODE)?;
    }
    Ok(())
}
