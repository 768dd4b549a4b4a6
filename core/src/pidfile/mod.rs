//! Pid files: which process is the daemon, proved by a lock.
//!
//! The file holds one decimal PID and a newline. The daemon has an exclusive flock(2) on it, which ends with the daemon: a stale
//! file never blocks a start, and a process that was given a reused PID is never mistaken for the daemon.

mod acquire;
mod age;
mod assess;
mod locking;
mod locks;
mod proof;
mod recorded;
mod refusal;
mod replace;
mod running;

pub(crate) use locking::is_at;
pub(crate) use proof::Proof;
pub(crate) use recorded::{field as recorded_field, is_here as is_recorded_here, parse_identity as recorded_identity};

use crate::error::{Error, Step};
use crate::pid_content::Content;
use crate::registry::{self, Held};
use crate::stop::StopRequest;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Lock};
use crate::sys::pidfd::Process;
use crate::sys::{Errno, Sys};
use assess::{Assessment, PidFileView};
use replace::Replacement;
pub use running::Running;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A pid file, by its path: to take, or to ask about the daemon that holds it.
///
/// Making one does nothing to the file system.
///
/// ```no_run
/// use daemonctx::{PidFile, Status};
/// use std::time::Duration;
///
/// let file = PidFile::new("/run/hello.pid")?;
/// match file.status()? {
///     Status::Running(pid) => println!("running as {pid}"),
///     status => println!("{status:?}"),
/// }
/// file.stop(Duration::from_secs(10))?;
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PidFile {
    path: CBuf,
    proof: Proof,
}

impl std::fmt::Debug for PidFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PidFile").field("path", &self.path).field("proof", &self.proof).finish()
    }
}

/// What a pid file says about its daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The daemon runs and has this PID.
    Running(i32),
    /// A start holds the file and has not written a PID yet.
    Starting,
    /// There is a file, and its daemon does not run: it died without removing the file.
    Stale,
    /// There is no file.
    NotRunning,
    /// It cannot be known: this user may not read the file; or the process that it names may be the daemon, and nothing proves
    /// that it is. [`PidFile::running`] fails with the reason.
    Unknown,
}

/// How [`PidFile::stop`] ended the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stopped {
    /// It was not running.
    NotRunning,
    /// It ended on SIGTERM.
    Terminated,
    /// It did not, and was killed.
    Killed,
}

/// The lock on a pid file, held by this process. Dropping it removes the file and gives up the lock; so does the end of
/// the process, by exit(3) or, in a daemon, by SIGTERM, SIGINT and SIGHUP where the program does not handle them.
///
/// ```
/// use daemonctx::{ErrorKind, PidFile, Status};
///
/// let path = std::env::temp_dir().join(format!("example-{}.pid", std::process::id()));
/// let file = PidFile::new(&path)?;
/// let lock = file.acquire()?;
/// assert_eq!(file.read_pid()?, i32::try_from(std::process::id()).ok());
/// assert!(matches!(file.status()?, Status::Running(_)));
/// lock.release();
/// assert!(!path.exists());
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[derive(PartialEq, Eq)]
#[must_use = "dropping it removes the pid file"]
pub struct PidFileLock(Option<Held>);

impl std::fmt::Debug for PidFileLock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_ref().and_then(Held::path) {
            Some(path) => formatter.debug_tuple("PidFileLock").field(path).finish(),
            None => formatter.write_str("PidFileLock"),
        }
    }
}

impl PidFileLock {
    /// Removes the file and gives up the lock.
    pub fn release(self) {}

    /// Leaves the file to the end of the process, or to [`PidFile::remove`].
    pub fn keep(mut self) {
        self.0 = None;
    }

    /// Leaves the file to the daemon that has been forked, while this process goes on.
    pub(crate) fn abandon(self) {
        if let Some(held) = &self.0 {
            held.abandon();
        }
    }

    /// The lock, for a program that inherits it; another process writes the PID.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.0.as_ref().and_then(Held::lock_alone)
    }

    /// Has the file, and no other that this process holds, go along with the daemon that is going to be forked.
    pub(crate) fn inherit_across_fork(&self) {
        if let Some(held) = &self.0 {
            held.inherit_across_fork();
        }
    }
}

impl Drop for PidFileLock {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            held.release();
        }
    }
}

impl PidFile {
    /// A pid file that is locked while its daemon lives, as this library writes them. A relative path is made absolute from
    /// the present working directory.
    ///
    /// # Errors
    /// A path that is empty, too long or holds a NUL.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        let path = file::absolute_path(bytes).map_err(|errno| Error::about(Step::PidFile, bytes, errno))?;
        Ok(Self { path, proof: Proof::Lock })
    }

    /// A pid file of a program that does not lock it. Instead of the lock, the process must have begun before the file was
    /// written. This proves nothing, and the status is [`Status::Unknown`], where others than root and the caller may write the
    /// file or its directory, where the file is dated in the future or before the last boot, where another process has the file
    /// locked, or where a process of another PID namespace may be meant.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn foreign(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(path).map(|file| Self { proof: Proof::Age, ..file })
    }

    /// A pid file of a program of either kind: locked by this library, or written by an older one that does not lock, such as
    /// libdaemon 0.14. Where the file is not locked, the age of the process counts, as for [`foreign`](Self::foreign). Taking such
    /// a file fails while an unlocked one names a daemon that runs, or may run.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of_either_kind(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(path).map(|file| Self { proof: Proof::Either, ..file })
    }

    /// The same for libdaemon's interface, which reads the first line of the file alone, accepts white space around the number,
    /// and takes a file without a number for a stale one.
    pub(crate) fn of_libdaemon(path: &Path) -> Result<Self, Error> {
        Self::new(path).map(|file| Self { proof: Proof::Libdaemon, ..file })
    }

    /// The file's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.as_path()
    }

    /// Takes the file for this process and writes its PID. For programs that are not started through
    /// [`Daemon`](crate::Daemon), which does this by itself.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyRunning`](crate::ErrorKind::AlreadyRunning) when another process holds it; otherwise the system
    /// call that failed.
    pub fn acquire(&self) -> Result<PidFileLock, Error> {
        let lock = self.lock(None)?;
        if let PidFileLock(Some(held)) = &lock {
            held.write().map_err(|errno| self.error(Step::PidFile, errno))?;
        }
        Ok(lock)
    }

    /// Takes the file, without a PID in it yet, for a daemon that is going to change its root to `root`.
    pub(crate) fn lock(&self, root: Option<&CBuf>) -> Result<PidFileLock, Error> {
        acquire::acquire(&self.path, root, self.proof).map(|held| PidFileLock(Some(held)))
    }

    /// Fails where taking the file would.
    pub(crate) fn check_free(&self) -> Result<(), Error> {
        let Some(file) = self.open()? else { return Ok(()) };
        refusal::refuse_living(&self.path, &file, self.proof)
    }

    pub(crate) fn text(&self) -> &CBuf {
        &self.path
    }

    fn error(&self, step: Step, errno: Errno) -> Error {
        Error::about(step, self.path.as_bytes(), errno)
    }

    /// The PID in the file, whoever that is by now; `None` when there is no file, it is empty, or has a number that no daemon has.
    ///
    /// # Errors
    /// The file is no pid file, or cannot be read.
    pub fn read_pid(&self) -> Result<Option<i32>, Error> {
        Ok(self.open()?.and_then(|file| proof::read(file.as_raw_fd(), self.proof).pid()))
    }

    /// For libdaemon's interface: whether there is something in the file that is not a number.
    pub(crate) fn is_corrupt(&self) -> bool {
        matches!(self.open(), Ok(Some(file)) if proof::read(file.as_raw_fd(), self.proof) == Content::Other)
    }

    /// What the file says about its daemon. The daemon is not disturbed, and neither is a start that goes on meanwhile.
    ///
    /// # Errors
    /// The file is no pid file, or cannot be read for another reason than missing permission.
    pub fn status(&self) -> Result<Status, Error> {
        match self.known_status() {
            Err(error) if error.leaves_unknown() || error.errno() == Some(Errno::EACCES.value()) => Ok(Status::Unknown),
            status => status,
        }
    }

    /// The same, and the reason where it cannot be known.
    pub(crate) fn known_status(&self) -> Result<Status, Error> {
        let Some(file) = self.open()? else { return Ok(Status::NotRunning) };
        Ok(match self.assess(&file)? {
            Assessment::Running(process, pid) => {
                self.confirm(&file, process, pid)?.map_or(Status::Stale, |target| Status::Running(target.pid()))
            }
            Assessment::Starting => Status::Starting,
            Assessment::Stale | Assessment::Remains(_) => Status::Stale,
            Assessment::Unproven(pid, why) => return Err(refusal::unproven(&self.path, pid, why)),
            Assessment::Unseen => return Err(refusal::unseen(&self.path)),
        })
    }

    /// Whether the daemon runs.
    ///
    /// # Errors
    /// As for [`running`](Self::running).
    pub fn is_running(&self) -> Result<bool, Error> {
        Ok(self.running()?.is_some())
    }

    /// Sends a signal to the daemon, and surely to nobody else: the process is held fast by a pidfd before it is checked.
    /// Signal 0 only checks.
    ///
    /// # Errors
    /// ESRCH when the daemon does not run; EPERM when it may not be signalled; EINVAL for a number that is no signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        self.target()?.signal(signal)
    }

    /// Sends a signal to the daemon and waits until it has ended; false when `timeout` (`None`: any time) has passed first.
    ///
    /// # Errors
    /// As for [`signal`](Self::signal).
    pub fn signal_and_wait(&self, signal: i32, timeout: Option<Duration>) -> Result<bool, Error> {
        let target = self.target()?;
        target.signal(signal)?;
        target.wait(timeout)
    }

    /// Ends the daemon: SIGTERM, `grace` to follow it, then SIGKILL. Returns when the process is gone, and its file with
    /// it. A daemon that does not run is no error. A launched program is not started again, and its monitor ends with its descendants.
    ///
    /// # Errors
    /// As for [`signal`](Self::signal). ETIMEDOUT: the process has not ended within 10 s after SIGKILL, as one does not that waits for a
    /// dead file system, or the monitor not within 20 s after the program.
    pub fn stop(&self, grace: Duration) -> Result<Stopped, Error> {
        const KILL: Duration = Duration::from_secs(10);
        const HELD: Duration = Duration::from_secs(1);
        const NONE: i32 = 0;
        let Some(target) = self.running()? else {
            self.remove_stale();
            return Ok(Stopped::NotRunning);
        };
        // It may end by itself just now.
        let send = |signal| match target.signal(signal) {
            Err(error) if error.errno() == Some(Errno::ESRCH.value()) => Ok(()),
            sent => sent,
        };
        send(NONE)?;
        let monitor = self.monitor_of(&target)?;
        if let Some(monitor) = &monitor {
            let _: Sys<()> = StopRequest::EndWithProgram.send(monitor);
        }
        send(libc::SIGTERM)?;
        let how = if target.wait(Some(grace))? {
            Stopped::Terminated
        } else {
            send(libc::SIGKILL)?;
            if !target.wait(Some(HELD))? {
                // A descendant can hold it, by ptrace(2). The monitor kills them all.
                let _: Option<Sys<()>> = monitor.as_ref().map(|monitor| StopRequest::Kill.send(monitor));
            }
            if !target.wait(Some(KILL - HELD))? {
                return Err(self.error(Step::Wait, Errno::ETIMEDOUT).note("not ended 10 s after SIGKILL"));
            }
            Stopped::Killed
        };
        let is_there = |monitor: &Process| monitor.wait(Some(KILL)) == Ok(false);
        let held = monitor.filter(is_there).filter(|monitor| {
            // A descendant that traces the program hides its end from the monitor.
            let _: Sys<()> = StopRequest::Kill.send(monitor);
            is_there(monitor)
        });
        if held.is_some() {
            return Err(self.error(Step::Wait, Errno::ETIMEDOUT).note("its monitor not ended after 20 s"));
        }
        self.remove_stale();
        Ok(how)
    }

    /// The monitor of a daemon that was launched.
    pub(crate) fn monitor_of(&self, daemon: &Running) -> Result<Option<Process>, Error> {
        let Some(file) = self.open()? else { return Ok(None) };
        let view = PidFileView::new(file.as_raw_fd(), &self.path, self.proof);
        view.map(|view| view.monitor_of(daemon.pid())).map_err(|errno| self.error(Step::PidFile, errno))
    }

    /// Removes the file: this process's own, whose lock is given up with it; that of the process that this one was forked from;
    /// or a stale one.
    ///
    /// # Errors
    /// ENOENT when there is none; EPERM when it is the file of a daemon that runs or starts; otherwise the system call that
    /// failed.
    pub fn remove(&self) -> Result<(), Error> {
        if registry::release_at(&self.path) {
            return Ok(());
        }
        if registry::remove_for_parent(&self.path).map_err(|errno| self.error(Step::PidFile, errno))? {
            return Ok(());
        }
        let Some(file) = self.open()? else { return Err(self.error(Step::PidFile, Errno::ENOENT)) };
        if !self.unlink_stale(&file)? {
            return Err(self.error(Step::PidFile, Errno::EPERM).note("another process's"));
        }
        Ok(())
    }

    /// Waits until the daemon has ended; false when `timeout` (`None`: any time) has passed first. Nothing is sent.
    ///
    /// # Errors
    /// As for [`status`](Self::status).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.running()?.map_or(Ok(true), |target| target.wait(timeout))
    }

    /// Whether there is anything at the path, be it a pid file or not.
    #[must_use]
    pub fn exists(&self) -> bool {
        file::status_at(self.path.as_c_str()).is_ok()
    }

    /// Opens the file to read it, without waiting and without following a link. Fails where it is not a pid file.
    fn open(&self) -> Result<Option<OwnedFd>, Error> {
        // Looked at before it is opened: opening a device can have effects.
        match file::status_at(self.path.as_c_str()) {
            Ok(status) => refusal::check_kind(&self.path, &status)?,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(self.error(Step::PidFile, errno)),
        }
        match file::open(self.path.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0) {
            Ok(opened) => {
                let status = file::status_of(opened.as_raw_fd());
                let status = status.map_err(|errno| self.error(Step::PidFile, errno))?;
                refusal::check_kind(&self.path, &status)?;
                refusal::check_content(&self.path, opened.as_raw_fd(), self.proof)?;
                Ok(Some(opened))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.error(Step::PidFile, errno)),
        }
    }

    /// The processes that hold the lock and may be the daemon or a start, as far as they are visible.
    pub(crate) fn holders(&self) -> Result<Vec<i32>, Error> {
        let Some(file) = self.open()? else { return Ok(Vec::new()) };
        if !self.is_held(&file)? {
            return Ok(Vec::new());
        }
        let view = PidFileView::new(file.as_raw_fd(), &self.path, self.proof);
        view.map(|view| view.holders()).map_err(|errno| self.error(Step::PidFile, errno))
    }

    fn is_held(&self, file: &OwnedFd) -> Result<bool, Error> {
        locking::is_held(file.as_raw_fd()).map_err(|errno| self.error(Step::PidFile, errno))
    }

    /// The daemon, held by a pidfd: what is asked of it later is asked of the same process, whatever becomes of the file.
    ///
    /// # Errors
    /// As for [`read_pid`](Self::read_pid). EPERM: the process that the file names may be the daemon, and nothing proves that it
    /// is. EAGAIN: a process that is not visible from here has the file locked.
    pub fn running(&self) -> Result<Option<Running>, Error> {
        let Some(file) = self.open()? else { return Ok(None) };
        match self.assess(&file)? {
            Assessment::Running(process, pid) => self.confirm(&file, process, pid),
            Assessment::Unproven(pid, why) => Err(refusal::unproven(&self.path, pid, why)),
            Assessment::Unseen => Err(refusal::unseen(&self.path)),
            Assessment::Starting | Assessment::Stale | Assessment::Remains(_) => Ok(None),
        }
    }

    fn target(&self) -> Result<Running, Error> {
        self.running()?.ok_or_else(|| self.error(Step::Signal, Errno::ESRCH))
    }

    fn assess(&self, file: &OwnedFd) -> Result<Assessment, Error> {
        let reads_state = cfg!(feature = "state-files") && self.proof != Proof::Libdaemon;
        let recorded = if reads_state { recorded::program(&self.path) } else { None };
        if let Some((process, pid)) = recorded {
            if proof::read(file.as_raw_fd(), self.proof).pid() == Some(pid) {
                return Ok(Assessment::Running(process, pid));
            }
        }
        let view = PidFileView::new(file.as_raw_fd(), &self.path, self.proof);
        view.and_then(|view| view.assess()).map_err(|errno| self.error(Step::PidFile, errno))
    }

    /// Looks once more whether the file is the one at the path and names this process: both may have changed before the process
    /// was held.
    fn confirm(&self, file: &OwnedFd, process: Process, pid: i32) -> Result<Option<Running>, Error> {
        let status = file::status_of(file.as_raw_fd()).map_err(|errno| self.error(Step::PidFile, errno))?;
        let Ok(named) = file::status_at(self.path.as_c_str()) else { return Ok(None) };
        let same = proof::read(file.as_raw_fd(), self.proof).pid() == Some(pid) && named.identity == status.identity;
        refusal::check_kind(&self.path, &named)?;
        Ok(same.then(|| Running::new(process, pid, &named, self.path.clone())))
    }

    /// For a start of which nobody is left who could remove its file at `path`.
    pub(crate) fn clear_away(path: CBuf) {
        Self { path, proof: Proof::Lock }.remove_stale();
    }

    /// Removes the file that a killed daemon has left, where that can be. What another program wrote is that program's.
    fn remove_stale(&self) {
        if self.proof == Proof::Age {
            return;
        }
        if let Ok(Some(file)) = self.open() {
            let _: Result<bool, Error> = self.unlink_stale(&file);
        }
    }

    /// Removes the file if no daemon runs that it could mean; false if one does, or starts. Under its lock, so never a file
    /// that another start has taken meanwhile.
    fn unlink_stale(&self, file: &OwnedFd) -> Result<bool, Error> {
        let failed = |errno| self.error(Step::PidFile, errno);
        if self.proof.accepts_age() && !matches!(self.assess(file)?, Assessment::Stale) {
            return Ok(false);
        }
        if file::lock(file.as_raw_fd(), Lock::Exclusive).map_err(failed)? {
            // A replacement does not hold this lock. It puts a new file here in a moment.
            if !Replacement::is_under_way(&self.path) && is_at(&self.path, file.as_raw_fd()) {
                file::unlink(self.path.as_c_str()).map_err(failed)?;
            }
            return Ok(true);
        }
        // Locked by a process that has nothing to do with the daemon?
        let Some(_turn) = Replacement::begin(&self.path)? else { return Ok(false) };
        if !matches!(self.assess(file)?, Assessment::Stale) {
            return Ok(false);
        }
        if is_at(&self.path, file.as_raw_fd()) {
            file::unlink(self.path.as_c_str()).map_err(failed)?;
        }
        Ok(true)
    }
}
