//! Which files a start refuses: those that are no pid files, and those of daemons that run or may run.

use super::assess::{Assessment, PidFileView};
use super::locking::{failed, is_at};
use super::proof::{self, Proof};
use crate::error::{Cause, Error, Step, Subject};
use crate::pid_content::Content;
use crate::registry;
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind};
use crate::sys::process::{self, Pid};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Why a file cannot be had that this process may not write: mostly because another user's daemon has it.
pub(super) fn refuse_unwritable(path: &CBuf, proof: Proof, errno: Errno) -> Error {
    let readable = file::open(path.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0);
    let Ok(file) = readable else { return failed(path, errno) };
    let checked = check_content(path, file.as_raw_fd(), proof).and_then(|()| refuse_living(path, &file, proof));
    checked.err().unwrap_or_else(|| failed(path, errno))
}

/// A pid file is a regular file with one name: a link leads elsewhere, a FIFO blocks, opening a device has effects.
pub(super) fn check_kind(path: &CBuf, status: &file::Status) -> Result<(), Error> {
    let (errno, note) = match status.kind {
        Kind::Regular if status.links > 1 => (Errno::EMLINK, "the file has other names"),
        Kind::Regular => return Ok(()),
        Kind::SymbolicLink => (Errno::ELOOP, "a symbolic link"),
        Kind::Directory => (Errno::EISDIR, ""),
        Kind::Fifo => (Errno::EINVAL, "a FIFO"),
        Kind::Socket => (Errno::EINVAL, "a socket"),
        Kind::Device => (Errno::EINVAL, "a device"),
    };
    Err(failed(path, errno).note(note))
}

/// A file that has anything but digits in it is not a pid file, and left as it is. libdaemon's interface calls it corrupt, and
/// replaces it.
pub(super) fn check_content(path: &CBuf, file: RawFd, proof: Proof) -> Result<(), Error> {
    if proof::read(file, proof) == Content::Other && proof != Proof::Libdaemon {
        return Err(Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::NotPidFile));
    }
    Ok(())
}

/// Refuses the file of a daemon that runs, or may run, and of a start under way.
pub(super) fn refuse_living(path: &CBuf, file: &OwnedFd, proof: Proof) -> Result<(), Error> {
    let view = PidFileView::new(file.as_raw_fd(), path, proof).map_err(|errno| failed(path, errno))?;
    refuse(&view, view.assess().map_err(|errno| failed(path, errno))?)
}

/// Refuses the file of a daemon that does not lock it, where this process has it locked now.
pub(super) fn refuse_unlocked(path: &CBuf, file: &OwnedFd, proof: Proof) -> Result<(), Error> {
    let failed = |errno| failed(path, errno);
    // What has another file at the path is looked at again.
    if !proof.accepts_age() || !is_at(path, file.as_raw_fd()) {
        return Ok(());
    }
    let view = PidFileView::new(file.as_raw_fd(), path, proof).map_err(failed)?;
    refuse(&view, view.assess_own().map_err(failed)?)
}

fn refuse(view: &PidFileView<'_>, assessment: Assessment) -> Result<(), Error> {
    let path = view.path;
    let refuse = |cause| Err(Error::new(Step::PidFile, Subject::Text(path.clone()), cause));
    match assessment {
        Assessment::Stale => Ok(()),
        // This process took it before it executed this program, which begins anew. The lock was inherited.
        Assessment::Running(_, pid) if pid == process::id() && !registry::has(view.status.identity) => Ok(()),
        Assessment::Running(_, pid) => refuse(Cause::Held(Some(pid))),
        Assessment::Starting => refuse(Cause::Held(None)),
        Assessment::Remains(pid) => refuse(Cause::Remains(pid)),
        Assessment::Unproven(pid, why) => Err(unproven(path, pid, why)),
        Assessment::Unseen => Err(unseen(path)),
    }
}

pub(super) fn unproven(path: &CBuf, pid: Pid, why: &'static str) -> Error {
    Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::Unproven(pid, why))
}

pub(super) fn unseen(path: &CBuf) -> Error {
    Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::Unseen)
}
