//! Taking a pid file: opened, judged, locked, and still the one at its path.
//!
//! The lock is taken on a descriptor that is open for reading alone, because the daemon keeps it after it has given up its
//! privileges. The one that the PID is written through is closed before. The lock's descriptor has `O_NOATIME`, which only the
//! file's owner and root can set (open(2)): this tells it from the lock of a process that can merely read the file.

use super::assess::{Assessment, PidFileView, Proof};
use super::content::{self, Content};
use super::held::{self, Held};
use super::replace::Replacement;
use crate::error::{Cause, Error, Step, Subject};
use crate::sys::file::{self, Kind, Lock};
use crate::sys::process::{self, Pid};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, fd, identity};
use crate::text::Text;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Every user may read which process runs, whatever the umask.
const MODE: libc::mode_t = 0o644;
/// Until the file is locked nobody else may open it, and so lock it first.
const MODE_BEFORE_LOCK: libc::mode_t = 0o600;

/// How long a path is tried whose file is replaced meanwhile: by other starts, or by a hostile owner of the directory.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A file that this process has locked.
pub(super) struct Taken {
    pub(super) lock: OwnedFd,
    /// None where the lock itself is open for writing: the file system gives the file another owner, or cannot lock what is
    /// open for reading (NFS).
    pub(super) writer: Option<OwnedFd>,
}

/// Takes the pid file at `path`, which is absolute: afterwards this process holds it, empty. `root` is the directory that the
/// daemon is going to change its root to.
pub(super) fn acquire(path: &Text, root: Option<&Text>, proof: Proof) -> Result<Held, Error> {
    let deadline = Deadline::after(Some(PATIENCE));
    while !deadline.passed() {
        if let Some(taken) = attempt(path, proof)? {
            return hold(path, root, taken).map_err(|errno| failed(path, errno));
        }
    }
    Err(failed(path, Errno::EAGAIN).note("the file keeps changing"))
}

/// Hands the file over to the table of those that this process holds.
fn hold(path: &Text, root: Option<&Text>, taken: Taken) -> Sys<Held> {
    let inside = root.map_or_else(|| Text::path(path.as_bytes()).map(Some), |root| path.inside(root));
    match inside.and_then(|inside| Held::new(&taken, Text::path(path.as_bytes())?, inside)) {
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
fn attempt(path: &Text, proof: Proof) -> Result<Option<Taken>, Error> {
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

pub(super) fn failed(path: &Text, errno: Errno) -> Error {
    Error::about(Step::PidFile, path.as_bytes(), errno)
}

/// Makes the file and locks it; none where there is one, or another process has taken the new one away.
pub(super) fn create(path: &Text) -> Sys<Option<Taken>> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let writer = match file::open(path.as_c_str(), flags, MODE_BEFORE_LOCK) {
        Err(Errno::EEXIST) => return Ok(None),
        opened => opened?,
    };
    let taken = lock_writer(path, writer);
    match &taken {
        Ok(Some(Taken { lock, .. })) if !is_at(path, lock.as_raw_fd()) => return Ok(None),
        Ok(Some(Taken { lock, .. })) => file::set_mode(lock.as_raw_fd(), MODE).inspect_err(|_| discard(path)),
        Ok(None) => Ok(()),
        Err(_) => {
            // A file system without locks or modes: remove what was made.
            discard(path);
            Ok(())
        }
    }?;
    taken
}

fn discard(path: &Text) {
    let _: Sys<()> = file::unlink(path.as_c_str());
}

/// Locks the file that is open for writing, by a descriptor of its own; none where somebody else has the lock, or the file is
/// not at its path any more.
fn lock_writer(path: &Text, writer: OwnedFd) -> Sys<Option<Taken>> {
    match file::open(path.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | file::O_NOATIME, 0) {
        Ok(lock) if !is_same(&lock, &writer) => Ok(None),
        Ok(lock) => match file::lock(lock.as_raw_fd(), Lock::Exclusive) {
            Ok(locked) => Ok(locked.then_some(Taken { lock, writer: Some(writer) })),
            Err(Errno::EBADF) => lock_itself(writer),
            Err(errno) => Err(errno),
        },
        Err(Errno::EPERM) => lock_itself(writer),
        Err(Errno::ENOENT | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn lock_itself(writer: OwnedFd) -> Sys<Option<Taken>> {
    Ok(file::lock(writer.as_raw_fd(), Lock::Exclusive)?.then_some(Taken { lock: writer, writer: None }))
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    match (file::status_of(one.as_raw_fd()), file::status_of(other.as_raw_fd())) {
        (Ok(one), Ok(other)) => one.identity == other.identity,
        _ => false,
    }
}

/// Opens the file that is there, if it is a pid file.
fn open_existing(path: &Text, proof: Proof) -> Result<Option<OwnedFd>, Error> {
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

/// Why a file cannot be had that this process may not write: mostly because another user's daemon has it.
fn refuse_unwritable(path: &Text, proof: Proof, errno: Errno) -> Error {
    let readable = file::open(path.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0);
    let Ok(file) = readable else { return failed(path, errno) };
    let checked = check_content(path, file.as_raw_fd(), proof).and_then(|()| refuse_living(path, &file, proof));
    checked.err().unwrap_or_else(|| failed(path, errno))
}

/// A pid file is a regular file with one name: a link leads elsewhere, a FIFO blocks, opening a device has effects.
pub(super) fn check_kind(path: &Text, status: &file::Status) -> Result<(), Error> {
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
pub(super) fn check_content(path: &Text, file: RawFd, proof: Proof) -> Result<(), Error> {
    if read(file, proof) == Content::Other && proof != Proof::Libdaemon {
        return Err(Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::NotPidFile));
    }
    Ok(())
}

/// Refuses the file of a daemon that runs, or may run, and of a start under way.
pub(super) fn refuse_living(path: &Text, file: &OwnedFd, proof: Proof) -> Result<(), Error> {
    let view = PidFileView::new(file.as_raw_fd(), path, proof).map_err(|errno| failed(path, errno))?;
    refuse(&view, view.assess().map_err(|errno| failed(path, errno))?)
}

fn refuse(view: &PidFileView<'_>, assessment: Assessment) -> Result<(), Error> {
    let path = view.path;
    let refuse = |cause| Err(Error::new(Step::PidFile, Subject::Text(path.clone()), cause));
    match assessment {
        Assessment::Stale => Ok(()),
        // This process took it before it executed this program, which begins anew. The lock was inherited.
        Assessment::Running(_, pid) if pid == process::id() && !held::has(view.status.identity) => Ok(()),
        Assessment::Running(_, pid) => refuse(Cause::Held(Some(pid))),
        Assessment::Starting => refuse(Cause::Held(None)),
        Assessment::Remains(pid) => refuse(Cause::Remains(pid)),
        Assessment::Unproven(pid, why) => Err(unproven(path, pid, why)),
        Assessment::Unseen => Err(unseen(path)),
    }
}

pub(super) fn unproven(path: &Text, pid: Pid, why: &'static str) -> Error {
    Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::Unproven(pid, why))
}

pub(super) fn unseen(path: &Text) -> Error {
    Error::new(Step::PidFile, Subject::Text(path.clone()), Cause::Unseen)
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
fn wait_for_lock(path: &Text, file: &OwnedFd, proof: Proof) -> Result<Found, Error> {
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
fn take_stale(path: &Text, file: OwnedFd, proof: Proof) -> Result<Option<Taken>, Error> {
    if Replacement::is_under_way(path) {
        // That start does not hold this lock. It has to be let pass, or both would put a file at the path.
        file::unlock(file.as_raw_fd());
        return Replacement::begin(path)?.map_or(Ok(None), |mut turn| turn.replace(&file, proof));
    }
    refuse_unlocked(path, &file, proof)?;
    remove_stale(path, &file, proof)
}

/// Refuses the file of a daemon that does not lock it, where this process has it locked now.
pub(super) fn refuse_unlocked(path: &Text, file: &OwnedFd, proof: Proof) -> Result<(), Error> {
    let failed = |errno| failed(path, errno);
    // What has another file at the path is looked at again.
    if !proof.accepts_age() || !is_at(path, file.as_raw_fd()) {
        return Ok(());
    }
    let view = PidFileView::new(file.as_raw_fd(), path, proof).map_err(failed)?;
    refuse(&view, view.assess_own().map_err(failed)?)
}

/// Removes a stale file from the path, so that a new one can be made; one that cannot be removed is emptied and taken.
pub(super) fn remove_stale(path: &Text, file: &OwnedFd, proof: Proof) -> Result<Option<Taken>, Error> {
    if !is_at(path, file.as_raw_fd()) {
        return Ok(None);
    }
    check_content(path, file.as_raw_fd(), proof)?;
    match file::unlink(path.as_c_str()) {
        Ok(()) | Err(Errno::ENOENT) => Ok(None),
        Err(errno) => reuse(path, file).map_err(|_| failed(path, errno)),
    }
}

/// A stale file in a directory that this process cannot write, as an administrator makes one for an unprivileged daemon. It is
/// written in place if it is this user's own.
fn reuse(path: &Text, file: &OwnedFd) -> Sys<Option<Taken>> {
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
pub(crate) fn is_at(path: &Text, file: RawFd) -> bool {
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

/// What is in an open pid file; what cannot be read is not a pid file.
pub(super) fn read(file: RawFd, proof: Proof) -> Content {
    let mut room = [0; content::ROOM];
    let length = file::read_start(file, &mut room).ok();
    let bytes = length.and_then(|length| room.get(..length));
    bytes.map_or(Content::Other, |bytes| proof.read(bytes))
}
