//! The options of a start, one method each: Python's types in, the core's setters called.

use crate::context::Context;
use crate::error::{misuse, raise};
use crate::fork::PendingStart;
use crate::pidfile::seconds;
use daemonctx::parts::{SignalStream, kept_unasked, opened};
use daemonctx::{Daemon, Detach, Facility, Fork, Groups, LogFile, Severity, SignalAction, Stream, Syslog};
use pyo3::prelude::*;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// A user or group: a name or a number.
#[derive(FromPyObject)]
pub(crate) enum Name {
    Number(u32),
    Text(OsString),
}

/// Where a standard stream leads: a descriptor or a file.
#[derive(FromPyObject)]
pub(crate) enum Target {
    Descriptor(RawFd),
    File(PathBuf),
}

/// A start in preparation.
#[pyclass(module = "daemonctx._native", unsendable)]
pub(crate) struct Builder {
    daemon: Daemon,
    /// The descriptors that it has been asked to keep.
    keep: Vec<RawFd>,
    keeps_all: bool,
}

#[pymethods]
impl Builder {
    #[new]
    fn new() -> PyResult<Self> {
        let mut daemon = Daemon::new();
        daemon.take_option_error().map_err(raise)?;
        // Python warns of the threads that it knows, and forks right beside those of libraries such as OpenBLAS.
        daemon.allow_threads(true);
        // It says it is ready when its own part of the start is done, also where the program need not.
        daemon.manual_ready(true).fork_hooks(before_fork, after_fork_in_starter);
        Ok(Self { daemon, keep: Vec::new(), keeps_all: false })
    }

    fn program_name(&mut self, name: OsString) -> PyResult<()> {
        self.daemon.program_name(name).take_option_error().map_err(raise)
    }

    fn working_directory(&mut self, directory: PathBuf) -> PyResult<()> {
        self.daemon.working_directory(directory).take_option_error().map_err(raise)
    }

    fn chroot_directory(&mut self, directory: PathBuf) -> PyResult<()> {
        self.daemon.chroot(directory).take_option_error().map_err(raise)
    }

    fn umask(&mut self, mask: u32) -> PyResult<()> {
        self.daemon.umask(mask).take_option_error().map_err(raise)
    }

    fn uid(&mut self, user: Name) -> PyResult<()> {
        let set = match user {
            Name::Number(uid) => self.daemon.user_id(uid),
            Name::Text(name) => self.daemon.user(name),
        };
        set.take_option_error().map_err(raise)
    }

    fn gid(&mut self, group: Name) -> PyResult<()> {
        let set = match group {
            Name::Number(gid) => self.daemon.group_id(gid),
            Name::Text(name) => self.daemon.group(name),
        };
        set.take_option_error().map_err(raise)
    }

    /// True for the user's own, False for none, None for what this process has.
    #[pyo3(signature = (own))]
    fn initgroups(&mut self, own: Option<bool>) {
        self.daemon.supplementary_groups(own.map_or(Groups::Keep, |own| if own { Groups::Own } else { Groups::None }));
    }

    /// Changes user and groups of this process now, which stays what it is.
    fn drop_privileges(&self) -> PyResult<()> {
        self.daemon.drop_privileges().map_err(raise)
    }

    fn prevent_core(&mut self, prevent: bool) {
        self.daemon.prevent_core(prevent);
    }

    fn detach_process(&mut self, detach: bool) {
        self.daemon.detach(if detach { Detach::Yes } else { Detach::No });
    }

    fn keep(&mut self, fd: RawFd) -> PyResult<()> {
        self.daemon.keep_descriptor(fd).take_option_error().map_err(raise)?;
        self.keep.push(fd);
        Ok(())
    }

    fn keep_all(&mut self) {
        self.daemon.keep_all_descriptors(true);
        self.keeps_all = true;
    }

    /// Leaves the signal mask as it is, and what signals do that are not set otherwise.
    fn keep_signals(&mut self) {
        self.daemon.keep_signals(true);
    }

    /// The descriptors above the standard streams that the daemon is going to have from this process.
    fn kept(&self) -> Vec<RawFd> {
        self.keep.iter().copied().chain(kept_unasked()).collect()
    }

    /// Those that this program has opened and the daemon is not going to have. Pid files that are taken in it get none of their numbers.
    fn closed(&self) -> Vec<RawFd> {
        if self.keeps_all {
            return Vec::new();
        }
        let kept = self.kept();
        opened().into_iter().filter(|fd| !kept.contains(fd)).collect()
    }

    #[pyo3(signature = (target))]
    fn stdin(&mut self, target: Option<Target>) -> PyResult<()> {
        self.daemon.stdin(stream(target)).take_option_error().map_err(raise)
    }

    #[pyo3(signature = (target))]
    fn stdout(&mut self, target: Option<Target>) -> PyResult<()> {
        self.daemon.stdout(stream(target)).take_option_error().map_err(raise)
    }

    #[pyo3(signature = (target))]
    fn stderr(&mut self, target: Option<Target>) -> PyResult<()> {
        self.daemon.stderr(stream(target)).take_option_error().map_err(raise)
    }

    /// A log file for stream 0, 1 or 2; the core refuses the first.
    #[pyo3(signature = (number, path, truncate, mode, user, group))]
    fn log_file(
        &mut self,
        number: RawFd,
        path: PathBuf,
        truncate: bool,
        mode: u32,
        user: Option<Name>,
        group: Option<Name>,
    ) -> PyResult<()> {
        let mut file = LogFile::new(path).truncate(truncate).mode(mode);
        if let Some(user) = user {
            file = file.user(user.into_text());
        }
        if let Some(group) = group {
            file = file.group(group.into_text());
        }
        self.stream(number, file.into())
    }

    /// Syslog for stream 0, 1 or 2; facility and severity by their numbers.
    #[pyo3(signature = (number, identity, facility, severity))]
    fn syslog(
        &mut self,
        number: RawFd,
        identity: Option<OsString>,
        facility: u8,
        severity: Option<u8>,
    ) -> PyResult<()> {
        let mut syslog = Syslog::new();
        if let Some(identity) = identity {
            syslog = syslog.identity(identity);
        }
        if let Some(facility) = Facility::from_number(facility) {
            syslog = syslog.facility(facility);
        }
        if let Some(severity) = severity.and_then(Severity::from_number) {
            syslog = syslog.severity(severity);
        }
        self.stream(number, syslog.into())
    }

    fn signal_default(&mut self, signal: i32) -> PyResult<()> {
        self.signal(signal, SignalAction::Default)
    }

    fn signal_ignore(&mut self, signal: i32) -> PyResult<()> {
        self.signal(signal, SignalAction::Ignore)
    }

    fn signal_keep(&mut self, signal: i32) -> PyResult<()> {
        self.signal(signal, SignalAction::Keep)
    }

    fn runtime_directory(&mut self, path: PathBuf) -> PyResult<()> {
        self.daemon.runtime_directory(path).take_option_error().map_err(raise)
    }

    fn pidfile(&mut self, path: PathBuf) -> PyResult<()> {
        self.daemon.pid_file(path).take_option_error().map_err(raise)
    }

    fn ready_descriptor(&mut self, fd: RawFd) -> PyResult<()> {
        self.daemon.ready_descriptor(fd).take_option_error().map_err(raise)?;
        self.keep.push(fd);
        Ok(())
    }

    fn ready_timeout(&mut self, timeout: Option<f64>) -> PyResult<()> {
        let timeout = timeout.map(seconds).transpose()?;
        self.daemon.ready_timeout(timeout).take_option_error().map_err(raise)
    }

    /// Starts. Comes back in the daemon only; the starter leaves with the truth.
    fn open(&mut self, py: Python<'_>) -> PyResult<Context> {
        refuse_subinterpreter(py)?;
        // SAFETY: the interpreter is told around the fork, so its locks are right in the daemon; descriptors that Python
        // objects own are the program's to list, as with every daemonizer for Python, and Python checks what it is told
        // to use.
        let context = unsafe { self.daemon.open_unflushed() }.map_err(raise)?;
        in_daemon(py, context)
    }

    /// Starts, and comes back in both: with a `Context` in the daemon, with a `PendingStart` in the starter.
    fn fork(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        refuse_subinterpreter(py)?;
        // SAFETY: as for `open`.
        match unsafe { self.daemon.fork_unflushed() }.map_err(raise)? {
            Fork::Daemon(context) => Ok(Py::new(py, in_daemon(py, context)?)?.into_any()),
            Fork::Starter(starting) => Ok(Py::new(py, PendingStart::new(starting))?.into_any()),
        }
    }
}

impl Builder {
    fn stream(&mut self, number: RawFd, stream: Stream) -> PyResult<()> {
        let set = match number {
            0 => self.daemon.stdin(stream),
            1 => self.daemon.stdout(stream),
            _ => self.daemon.stderr(stream),
        };
        set.take_option_error().map_err(raise)
    }

    /// What a queue of signals has stays its own: Python's part of the start sets what is to be done after it.
    fn signal(&mut self, signal: i32, action: SignalAction) -> PyResult<()> {
        let action = if SignalStream::has(signal) { SignalAction::Keep } else { action };
        self.daemon.signal(signal, action).take_option_error().map_err(raise)
    }
}

impl Name {
    /// Text that is a number is one where nobody has that name.
    fn into_text(self) -> OsString {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Text(text) => text,
        }
    }
}

/// The other interpreters of a process do not survive a fork, and none but the main one may fork.
fn refuse_subinterpreter(py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread has an interpreter, as `py` says, and the calls only look at it.
    let interpreter = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if interpreter == 0 { Ok(()) } else { Err(misuse(py, "open failed: not the main interpreter of this process")) }
}

/// What the interpreter has to do in the daemon, before anything else.
fn in_daemon(py: Python<'_>, context: daemonctx::Context) -> PyResult<Context> {
    if context.is_detached() {
        // SAFETY: this is the child of the fork that `before_fork` prepared for, with the GIL held, and the first
        // Python that runs in it.
        unsafe { pyo3::ffi::PyOS_AfterFork_Child() };
    }
    // A callback of os.register_at_fork cannot raise, but a signal may have arrived.
    py.check_signals()?;
    Ok(Context::new(context))
}

/// None for `/dev/null`, also below inetd.
fn stream(target: Option<Target>) -> Stream {
    match target {
        None => Stream::null(),
        Some(Target::Descriptor(fd)) => Stream::descriptor(fd),
        Some(Target::File(path)) => Stream::file(path),
    }
}

/// Takes the interpreter's locks and runs `os.register_at_fork(before=…)`.
fn before_fork() {
    // SAFETY: `Builder::open` and `fork` hold the GIL.
    unsafe { pyo3::ffi::PyOS_BeforeFork() };
}

/// Gives the interpreter's locks back and runs `os.register_at_fork(after_in_parent=…)`.
fn after_fork_in_starter() {
    // SAFETY: `Builder::open` and `fork` hold the GIL, and `before_fork` has run.
    unsafe { pyo3::ffi::PyOS_AfterFork_Parent() };
}
