//! Taking a pid file: opened, judged, locked, and surely the one at that path.

use super::content::{self, Content};
use super::held::Held;
use super::holder::{self, Answer, Proof};
use crate::error::{Cause, Error, ErrorKind, Step, Subject};
use crate::sys::Errno;
use crate::sys::file::{self, Kind, Lock};
use crate::sys::process::{self, Pid};
use crate::sys::time::{self, Deadline};
use crate::sys::{Sys, identity};
use crate::text::Text;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Whatever the umask, everybody may read who runs.
const MODE: libc::mode_t = 0o644;

/// How long a path is tried whose file changes under our hands. Every round that fails is one that another start has got
/// further in, or one that somebody spoils on purpose, who may have it last for as long as [`lock`] waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes the pid file at `path`, which is absolute: afterwards this process holds it, empty. `root` is the one that the
/// daemon is going to change to, `proof` what keeps a file that is there from being stale.
pub(super) fn acquire(path: &Text, root: Option<&Text>, proof: Proof) -> Result<Held, Error> {
    let deadline = Deadline::after(Some(PATIENCE));
    while !deadline.passed() {
        let taken = match open(path)? {
            Opened::Fresh(file) => take_fresh(path, file)?,
            Opened::Existing(file) => take_existing(path, file, proof)?,
            Opened::Vanished => None,
        };
        if let Some(file) = taken {
            let inside = root.map_or_else(|| Text::path(path.as_bytes()).map(Some), |root| path.inside(root));
            let held = inside.and_then(|inside| Held::new(&file, Text::path(path.as_bytes())?, inside));
            return match held {
                Ok(held) => {
                    std::mem::forget(file);
                    Ok(held)
                }
                Err(errno) => {
                    // Before the lock goes with the descriptor.
                    let _: Sys<()> = file::unlink(path.as_c_str());
                    Err(failed(path, errno))
                }
            };
        }
    }
    Err(failed(path, Errno::EAGAIN).note("the file keeps changing"))
}

fn failed(path: &Text, errno: Errno) -> Error {
    Error::about(Step::PidFile, path.as_bytes(), errno)
}

enum Opened {
    /// Made by this very call, so it is no link to anything else.
    Fresh(OwnedFd),
    Existing(OwnedFd),
    Vanished,
}

fn open(path: &Text) -> Result<Opened, Error> {
    match file::open(path.as_c_str(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW, MODE) {
        Ok(file) => return Ok(Opened::Fresh(file)),
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed(path, errno)),
    }
    // Looked at before it is opened: opening a device can have effects.
    match file::status_at(path.as_c_str()) {
        Ok(status) => regular(path, status.kind)?,
        Err(Errno::ENOENT) => return Ok(Opened::Vanished),
        Err(errno) => return Err(failed(path, errno)),
    }
    match file::open(path.as_c_str(), libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0) {
        Ok(file) => {
            let status = file::status_of(file.as_raw_fd()).map_err(|errno| failed(path, errno))?;
            regular(path, status.kind)?;
            Ok(Opened::Existing(file))
        }
        Err(Errno::ENOENT) => Ok(Opened::Vanished),
        Err(errno) => Err(refuse_unwritable(path, errno)),
    }
}

/// Why a file cannot be had that this process may not write to: mostly because somebody else has it.
fn refuse_unwritable(path: &Text, errno: Errno) -> Error {
    let readable = file::open(path.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0);
    match readable {
        Ok(file) if is_held(file.as_raw_fd()) == Ok(true) => held_by(path, read(file.as_raw_fd(), Proof::Lock).pid()),
        _ => failed(path, errno),
    }
}

/// A pid file is a regular file and nothing else: a link leads elsewhere, a FIFO hangs, a device acts.
pub(super) fn regular(path: &Text, kind: Kind) -> Result<(), Error> {
    Err(match kind {
        Kind::Regular => return Ok(()),
        Kind::SymbolicLink => failed(path, Errno::ELOOP).note("a symbolic link"),
        Kind::Directory => failed(path, Errno::EISDIR),
        Kind::Fifo => failed(path, Errno::EINVAL).note("a FIFO"),
        Kind::Socket => failed(path, Errno::EINVAL).note("a socket"),
        Kind::Device => failed(path, Errno::EINVAL).note("a device"),
    })
}

/// A file that this start has made. Another may have opened and locked it in between; then that one goes on with it.
fn take_fresh(path: &Text, file: OwnedFd) -> Result<Option<OwnedFd>, Error> {
    let locked = lock(path, file.as_raw_fd());
    let held = matches!(&locked, Err(error) if error.kind() == ErrorKind::AlreadyRunning);
    if held || !is_at(path, file.as_raw_fd()) {
        return locked.map(|()| None);
    }
    let ready = locked.and_then(|()| give_mode(file.as_raw_fd()).map_err(|errno| failed(path, errno)));
    if ready.is_err() {
        // A file system without locks or modes: what was made is taken back.
        let _: Sys<()> = file::unlink(path.as_c_str());
    }
    ready.map(|()| Some(file))
}

/// The umask has taken from the mode that it was made with, or has not: mostly nothing is left to do.
fn give_mode(file: RawFd) -> Sys<()> {
    if file::status_of(file)?.mode == MODE { Ok(()) } else { file::set_mode(file, MODE) }
}

/// A file that was there and that nobody holds: stale. It is replaced by a new one, never written to, because its name
/// may have been made a hard link to something precious. Whoever waits for its lock meanwhile finds it gone from the path
/// and begins again.
fn take_existing(path: &Text, file: OwnedFd, proof: Proof) -> Result<Option<OwnedFd>, Error> {
    lock(path, file.as_raw_fd())?;
    if !is_at(path, file.as_raw_fd()) {
        return Ok(None);
    }
    if proof != Proof::Lock {
        refuse_living(path, file.as_raw_fd())?;
    }
    match file::unlink(path.as_c_str()) {
        Ok(()) | Err(Errno::ENOENT) => Ok(None),
        Err(errno) => reuse(path, file).map(Some).map_err(|_| failed(path, errno)),
    }
}

/// A file that names a living daemon of a program that does not lock is not stale, though its lock is free.
fn refuse_living(path: &Text, file: RawFd) -> Result<(), Error> {
    let status = file::status_of(file).map_err(|errno| failed(path, errno))?;
    match read(file, Proof::Either).pid() {
        Some(pid) if holder::began_before(pid, &status) == Answer::Yes => Err(held_by(path, Some(pid))),
        _ => Ok(()),
    }
}

fn held_by(path: &Text, pid: Option<Pid>) -> Error {
    Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::Held(pid))
}

/// A stale file in a directory that this process cannot write to, as an administrator makes one for an unprivileged
/// daemon. It is written to in place when it is this user's own and has no other name.
fn reuse(path: &Text, file: OwnedFd) -> Sys<OwnedFd> {
    let status = file::status_at(path.as_c_str())?;
    let is_ours = status.owner == identity::effective_user() && status.links == 1;
    if !is_ours || file::status_of(file.as_raw_fd())?.identity != status.identity {
        return Err(Errno::EPERM);
    }
    file::truncate(file.as_raw_fd())?;
    file::set_mode(file.as_raw_fd(), MODE)?;
    Ok(file)
}

/// Whether the open file is still the one that `path` names.
pub(crate) fn is_at(path: &Text, file: RawFd) -> bool {
    match (file::status_of(file), file::status_at(path.as_c_str())) {
        (Ok(open), Ok(named)) => open.identity == named.identity,
        _ => false,
    }
}

/// Locks for good, or says who else has.
///
/// Some locks in the way are gone in a moment, and worth waiting for: a shared one is somebody asking [`is_held`]; one on a
/// file that names a dead process, or nobody, is somebody removing a stale file, which a file that has just been made looks like
/// too, or a daemon that is just leaving. Where it is a start, there is a PID to tell soon.
fn lock(path: &Text, file: RawFd) -> Result<(), Error> {
    const TRIES: u32 = 1000;
    /// A dead process's file may also be held for good: by a process of another PID namespace, say.
    const TRIES_WHERE_HELD: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(1);
    let lock = |kind| file::lock(file, kind).map_err(|errno| failed(path, errno));
    for round in 0..TRIES {
        if lock(Lock::Exclusive)? {
            return Ok(());
        }
        if lock(Lock::Shared)? {
            file::unlock(file);
        } else {
            let content = read(file, Proof::Lock);
            if round > TRIES_WHERE_HELD || !names_nobody(content) {
                return Err(held_by(path, content.pid()));
            }
        }
        if round > TRIES_WHERE_HELD / 10 {
            time::pause(PAUSE);
        }
    }
    Err(failed(path, Errno::EAGAIN).note("somebody holds a shared lock"))
}

/// Whether this names no process that lives.
fn names_nobody(content: Content) -> bool {
    content.pid().is_none_or(|pid| process::kill(pid, 0) == Err(Errno::ESRCH))
}

/// Whether a daemon holds the file that is open as `file`. Asked with a shared lock that is given back at once: two who ask
/// at the same time do not disturb each other, and a start tells them from a daemon.
pub(super) fn is_held(file: RawFd) -> Sys<bool> {
    let free = file::lock(file, Lock::Shared)?;
    if free {
        file::unlock(file);
    }
    Ok(!free)
}

/// What is in an open pid file; what cannot be read is garbage.
pub(super) fn read(file: RawFd, proof: Proof) -> Content {
    let mut room = [0; content::ROOM];
    let length = file::read_start(file, &mut room).ok();
    let bytes = length.and_then(|length| room.get(..length));
    bytes.map_or(Content::Garbage, if proof == Proof::Lock { Content::of } else { Content::of_foreign })
}
