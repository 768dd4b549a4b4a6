//! What a daemon is to be, and the door to its start.
#![allow(unsafe_code, reason = "declares the unsafe functions that fork; there is no unsafe operation of its own")]

use crate::context::Context;
use crate::detach::{Detach, Surroundings};
use crate::directories;
use crate::error::{Error, Failure, Step, Subject};
use crate::execution_check;
use crate::launch::Program;
#[cfg(doc)]
use crate::monitor::Monitored;
use crate::monitor::{self, Launching};
use crate::notify;
use crate::option_errors::OptionErrors;
use crate::options::{Hooks, Options};
use crate::pidfile::PidFile;
use crate::plan::Plan;
use crate::privileges::{self, Groups, Name};
use crate::relaunch::{self, Ends};
use crate::signals::SignalAction;
use crate::start::{self, Aside, Caller, Role};
use crate::starting::PendingStart;
use crate::stop::KillMode;
use crate::streams::{self, Stream};
use crate::sys::c_buf::CBuf;
use crate::sys::time::SHORTEST;
use crate::sys::{Errno, file, signal};
use crate::tie::Tie;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// The options of a daemon: set what differs from the defaults, then [`open`](Self::open).
///
/// Setters do not fail. The call that applies the options ([`open`](Self::open), [`fork`](Self::fork), [`launch`](Self::launch),
/// [`exec`](Self::exec), [`check`](Self::check), [`drop_privileges`](Self::drop_privileges)) reports the first option that is wrong,
/// before it does anything: an invalid value, which the setter's documentation lists, or one that the system refuses, such as an
/// unknown user or a missing directory. An option that is set again has its last value.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut daemon = daemonctx::Daemon::new();
/// daemon.pid_file("/run/hello.pid").user("nobody").manual_ready(true);
/// // SAFETY: there are no other threads, and no descriptor opened so far is used again.
/// let mut context = unsafe { daemon.open()? };
/// let port = std::net::TcpListener::bind("127.0.0.1:8080")?;
/// context.ready()?;
/// # drop(port);
/// # Ok(())
/// # }
/// ```
pub struct Daemon {
    options: Options,
    /// What setters were given that is invalid.
    errors: OptionErrors,
    plan: Option<Plan>,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.options.fmt(formatter)?;
        match self.errors.first() {
            Ok(()) => Ok(()),
            Err(error) => write!(formatter, " (invalid: {error})"),
        }
    }
}

/// Which process this is after [`Daemon::fork`].
///
/// ```no_run
/// use daemonctx::{Daemon, Fork};
///
/// let mut daemon = Daemon::new();
/// // SAFETY: there are no other threads, and no descriptor that is used again.
/// match unsafe { daemon.fork()? } {
///     Fork::Starter(mut starting) => {
///         starting.wait(None)?;
///         println!("{} is ready", starting.pid());
///     }
///     Fork::Daemon(_context) => std::thread::park(),
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[allow(clippy::large_enum_variant, reason = "it is made once and taken apart at once")]
#[derive(Debug)]
pub enum Fork {
    /// The program that goes on.
    Starter(PendingStart),
    /// The daemon.
    Daemon(Context),
}

fn checked<T>(step: Step, bytes: &[u8], value: Result<T, Errno>) -> Result<T, Error> {
    value.map_err(|errno| Error::about(step, bytes, errno))
}

fn path(step: Step, path: &Path) -> Result<CBuf, Error> {
    let bytes = path.as_os_str().as_bytes();
    checked(step, bytes, CBuf::path(bytes))
}

fn absolute(step: Step, path: &Path) -> Result<CBuf, Error> {
    let bytes = path.as_os_str().as_bytes();
    checked(step, bytes, file::absolute_path(bytes))
}

impl Default for Daemon {
    fn default() -> Self {
        Self::new()
    }
}

impl Daemon {
    /// A daemon with these defaults: working directory `/`, umask 022, no core files, standard streams on
    /// `/dev/null`, all other descriptors closed, detached unless a supervisor has done that; ready when
    /// [`open`](Self::open) is done, within 30 seconds; no pid file, the same user.
    #[must_use]
    pub fn new() -> Self {
        let mut errors = OptionErrors::default();
        Self { options: Options::new(&mut errors), errors, plan: None }
    }

    fn set<T>(&mut self, step: Step, value: Result<T, Error>, store: impl FnOnce(&mut Options, T)) -> &mut Self {
        if let Some(value) = self.errors.replace(step, value) {
            store(&mut self.options, value);
        }
        self
    }

    /// The name that begins the starter's line; the program's own unless set.
    ///
    /// Invalid: an empty name, or a NUL (EINVAL).
    pub fn program_name(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let bytes = name.as_ref().as_bytes();
        let name = if bytes.is_empty() { Err(Errno::EINVAL) } else { CBuf::new(bytes) };
        self.set(Step::ProgramName, checked(Step::ProgramName, bytes, name), |options, name| options.program = name)
    }

    /// The working directory, `/` unless set. With a [`chroot`](Self::chroot) it is inside it and must be absolute;
    /// otherwise a relative path is taken from the starter's working directory. The daemon's user enters it, and must be allowed to.
    ///
    /// Invalid: an empty path (ENOENT), one that is too long (ENAMETOOLONG), a NUL (EINVAL).
    pub fn working_directory(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        let directory = path(Step::WorkingDirectory, directory.as_ref());
        self.set(Step::WorkingDirectory, directory, |options, directory| options.working = directory)
    }

    /// A new root directory (chroot(2)); needs CAP_SYS_CHROOT. Pid file and log files are opened before and so named by their
    /// paths outside.
    ///
    /// Invalid: as for [`working_directory`](Self::working_directory).
    pub fn chroot(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        let directory = path(Step::Chroot, directory.as_ref());
        self.set(Step::Chroot, directory, |options, directory| options.root = Some(directory))
    }

    /// The file mode creation mask, 022 unless set.
    ///
    /// Invalid: more than 0777 (EINVAL).
    pub fn umask(&mut self, mask: u32) -> &mut Self {
        const PERMISSIONS: u32 = 0o777;
        let mask = if mask > PERMISSIONS {
            Err(Error::os(Step::Umask, Subject::Mode(mask), Errno::EINVAL))
        } else {
            Ok(mask as libc::mode_t)
        };
        self.set(Step::Umask, mask, |options, mask| options.umask = mask)
    }

    /// The user to run as, by name, or by number where nobody has that name. Unless a [`group`](Self::group) is set, its
    /// group in the user database comes with it.
    ///
    /// Invalid: an empty name, or a NUL (EINVAL).
    pub fn user(&mut self, user: impl AsRef<OsStr>) -> &mut Self {
        let bytes = user.as_ref().as_bytes();
        self.set_user(checked(Step::User, bytes, Name::new(bytes)))
    }

    /// The user to run as, by number. It need not be in the user database, but needs a group then.
    ///
    /// Invalid: -1 (EINVAL), which the kernel takes as "no change".
    pub fn user_id(&mut self, uid: u32) -> &mut Self {
        self.set_user(number(Step::User, uid))
    }

    fn set_user(&mut self, user: Result<Name, Error>) -> &mut Self {
        self.set(Step::User, user, |options, user| options.privileges.user = Some(user))
    }

    /// The group to run as, by name, or by number where no group has that name.
    ///
    /// Invalid: as for [`user`](Self::user).
    pub fn group(&mut self, group: impl AsRef<OsStr>) -> &mut Self {
        let bytes = group.as_ref().as_bytes();
        self.set_group(checked(Step::Group, bytes, Name::new(bytes)))
    }

    /// The group to run as, by number.
    ///
    /// Invalid: as for [`user_id`](Self::user_id).
    pub fn group_id(&mut self, gid: u32) -> &mut Self {
        self.set_group(number(Step::Group, gid))
    }

    fn set_group(&mut self, group: Result<Name, Error>) -> &mut Self {
        self.set(Step::Group, group, |options, group| options.privileges.group = Some(group))
    }

    /// The supplementary groups to run with when the user changes; [`Groups::Own`] unless set.
    pub fn supplementary_groups(&mut self, groups: Groups) -> &mut Self {
        self.options.privileges.groups = groups;
        self
    }

    /// Whether programs that the daemon runs may gain privileges by set-user-ID bits and file capabilities (Linux,
    /// `PR_SET_NO_NEW_PRIVS`); they may unless set.
    pub fn no_new_privileges(&mut self, forbid: bool) -> &mut Self {
        self.options.privileges.no_new_privileges = forbid;
        self
    }

    /// Sets user, group and supplementary groups of this process now, as a start does: in all its threads, irrevocably and verified.
    /// No other option is applied. For servers that bind their ports first.
    ///
    /// # Errors
    /// An option is invalid, or the user or group does not exist: nothing has changed. A later step or the verification failed: the
    /// process may have lost some of its privileges and must exit.
    pub fn drop_privileges(&self) -> Result<(), Error> {
        self.errors.first()?;
        let mut plan = privileges::Plan::new(&self.options.privileges)?;
        plan.apply(false).map_err(|Failure { step, errno, value }| Error::os(step, plan.subject(step, value), errno))
    }

    /// Whether core files are forbidden (`RLIMIT_CORE` 0), as they may hold secrets; they are unless set.
    pub fn prevent_core(&mut self, prevent: bool) -> &mut Self {
        self.options.prevent_core = prevent;
        self
    }

    /// Whether [`open`](Self::open) and [`fork`](Self::fork) may detach a process that has other threads; they may not unless this is set.
    ///
    /// fork(2) gives the daemon the calling thread alone. What the others had locked stays locked for good, and what they were to do is not
    /// done: a runtime that has threads of its own (tokio, Go, Node, the JVM) hangs or crashes. Start such a program before its
    /// runtime begins, or as a program of its own by [`launch`](Self::launch). This is for programs that know what their threads do.
    pub fn allow_threads(&mut self, allow: bool) -> &mut Self {
        self.options.allow_threads = allow;
        self
    }

    /// Whether to detach; [`Detach::Auto`] unless set.
    pub fn detach(&mut self, detach: Detach) -> &mut Self {
        self.options.detach = detach;
        self
    }

    /// Keeps a descriptor open in the daemon. Its close-on-exec flag stays as it is.
    ///
    /// Invalid: a negative number (EBADF).
    pub fn keep_descriptor(&mut self, fd: RawFd) -> &mut Self {
        let kept = self.options.keep.add(fd);
        self.errors.add(kept.map_err(|errno| Error::os(Step::KeepDescriptor, Subject::Number(i64::from(fd)), errno)));
        self
    }

    /// The same for anything that has a descriptor.
    ///
    /// Invalid: as for [`keep_descriptor`](Self::keep_descriptor).
    pub fn keep(&mut self, file: &impl AsRawFd) -> &mut Self {
        self.keep_descriptor(file.as_raw_fd())
    }

    /// Keeps all descriptors open that are open at the start, for a runtime with pipes of its own; false unless set. A program that is
    /// launched or executed gets those without the close-on-exec flag.
    ///
    /// A daemon that keeps a pipe of its starter's has who reads that pipe wait for it.
    pub fn keep_all_descriptors(&mut self, keep: bool) -> &mut Self {
        self.options.keep_all = keep;
        self
    }

    /// Where standard input comes from.
    ///
    /// Invalid: a path as for [`working_directory`](Self::working_directory), a negative descriptor (EBADF), what can only be written to
    /// (EINVAL).
    pub fn stdin(&mut self, stream: impl Into<Stream>) -> &mut Self {
        self.stream(0, stream.into())
    }

    /// Where standard output goes: a [`Stream`], a [`LogFile`](crate::LogFile) or [`Syslog`](crate::Syslog).
    ///
    /// Invalid: as for [`stdin`](Self::stdin), and an invalid value of the log file or of syslog.
    pub fn stdout(&mut self, stream: impl Into<Stream>) -> &mut Self {
        self.stream(1, stream.into())
    }

    /// Where standard error goes. With [`manual_ready`](Self::manual_ready) it goes there only when the daemon is ready; until
    /// then it is the starter's, so that what goes wrong is seen by whoever started the program.
    ///
    /// Invalid: as for [`stdout`](Self::stdout).
    pub fn stderr(&mut self, stream: impl Into<Stream>) -> &mut Self {
        self.stream(2, stream.into())
    }

    fn stream(&mut self, number: usize, stream: Stream) -> &mut Self {
        let step = streams::STEPS.get(number).copied().unwrap_or(Step::Stdin);
        self.set(step, streams::checked(step, stream), |options, stream| {
            if let Some(slot) = options.streams.get_mut(number) {
                *slot = Some(stream);
            }
        })
    }

    /// What a signal is to do in the daemon. Signals that nothing is said about keep what the program has installed since it
    /// began; SIGTSTP, SIGTTIN and SIGTTOU are ignored; what was ignored when the program began goes back to the default;
    /// and where there is a pid file, SIGTERM, SIGINT and SIGHUP remove it before they end the daemon.
    ///
    /// Invalid: a number that is no signal, or SIGKILL or SIGSTOP (EINVAL).
    pub fn signal(&mut self, signal: i32, action: SignalAction) -> &mut Self {
        let set = self.options.signals.set(signal, action);
        self.errors.add(set);
        self
    }

    /// A pid file: locked by the daemon for its life, removed at its end. Another daemon that holds it ends this start.
    ///
    /// Invalid: as for [`PidFile::new`].
    pub fn pid_file(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.set(Step::PidFile, PidFile::new(path), |options, file| options.pid_file = Some(file))
    }

    /// The same for a file that is known already, of whichever kind.
    pub fn pid_file_from(&mut self, file: &PidFile) -> &mut Self {
        self.set(Step::PidFile, Ok(file.clone()), |options, file| options.pid_file = Some(file))
    }

    /// A directory of the daemon's own for its pid file and sockets, as systemd's `RuntimeDirectory=` (systemd.exec(5)). The
    /// starter makes it, mode 0755, for the user and group that the daemon runs as, so that a daemon without privileges can
    /// remove its pid file there. It is removed when the start fails, or the daemon ends and may remove it, if it is empty. A
    /// relative path is made absolute.
    ///
    /// Invalid: as for [`working_directory`](Self::working_directory). The start fails with EPERM if the directory belongs to another user,
    /// or if other users can write to the directory above it.
    pub fn runtime_directory(&mut self, path: impl AsRef<Path>) -> &mut Self {
        let directory = absolute(Step::RuntimeDirectory, path.as_ref());
        self.set(Step::RuntimeDirectory, directory, |options, directory| options.runtime_directory = Some(directory))
    }

    /// A descriptor on which the daemon says that it is ready, beside all other ways: a newline is written to it, and it is
    /// closed. That is how s6 and its like want it (`notification-fd`).
    ///
    /// Invalid: a negative number (EBADF).
    pub fn ready_descriptor(&mut self, fd: RawFd) -> &mut Self {
        let descriptor = if fd < 0 {
            Err(Error::os(Step::ReadyDescriptor, Subject::Number(i64::from(fd)), Errno::EBADF))
        } else {
            Ok(fd)
        };
        self.set(Step::ReadyDescriptor, descriptor, |options, fd| options.ready_descriptor = Some(fd))
    }

    /// Whether the daemon itself says when it is ready, by [`Context::ready`], instead of being ready when `open` is done.
    pub fn manual_ready(&mut self, manual: bool) -> &mut Self {
        self.options.manual_ready = manual;
        self
    }

    /// How long the daemon may take until it is ready, `None` for as long as it wants; 30 seconds unless set. One that takes
    /// longer is ended (SIGTERM, five seconds later SIGKILL), and the starter leaves with 124.
    ///
    /// Invalid: zero (EINVAL). Less than a millisecond is a millisecond.
    pub fn ready_timeout(&mut self, timeout: Option<Duration>) -> &mut Self {
        let timeout = if timeout == Some(Duration::ZERO) {
            Err(Error::os(Step::ReadyTimeout, Subject::Time(Duration::ZERO), Errno::EINVAL))
        } else {
            Ok(timeout.map(|timeout| timeout.max(SHORTEST)))
        };
        self.set(Step::ReadyTimeout, timeout, |options, timeout| options.ready_timeout = timeout)
    }

    /// The executable that becomes the monitor of a launched program: one that calls
    /// [`become_monitor_if_asked`](crate::become_monitor_if_asked) first of all. A relative path is made absolute.
    ///
    /// Unless set it is, in this order:
    /// 1. this very program, if it has called that function;
    /// 2. `daemonctx-monitor` in the directory of the shared library that this code is in, or in `../libexec/daemonctx` seen from
    ///    there;
    /// 3. the same for the directory of this program;
    /// 4. `daemonctx-monitor` in `LIBEXECDIR/daemonctx`, where `make` was given that, `/usr/local/libexec/daemonctx` or
    ///    `/usr/libexec/daemonctx`.
    ///
    /// `PATH` is not searched. For root, only a file counts that nobody else can write or replace.
    ///
    /// Invalid: as for [`working_directory`](Self::working_directory).
    pub fn monitor(&mut self, executable: impl AsRef<Path>) -> &mut Self {
        let executable = absolute(Step::Execute, executable.as_ref());
        self.set(Step::Execute, executable, |options, executable| options.monitor = Some(executable))
    }

    /// Where the state files of launched daemons are: in `daemonctx` below this directory, which is made. Unless set, that is `/run`
    /// for root, else `XDG_RUNTIME_DIR`, else a directory of the user's own below `/tmp`. [`Monitored::find`] has to be given the same.
    ///
    /// Invalid: as for [`working_directory`](Self::working_directory).
    pub fn state_directory(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        let directory = absolute(Step::StateDirectory, directory.as_ref());
        self.set(Step::StateDirectory, directory, |options, directory| options.state_directory = Some(directory))
    }

    /// The signal that asks a launched program to end, SIGTERM unless set.
    ///
    /// Invalid: a number that is no signal (EINVAL).
    pub fn stop_signal(&mut self, signal: i32) -> &mut Self {
        let signal = if (1..=signal::LAST).contains(&signal) {
            Ok(signal)
        } else {
            Err(Error::os(Step::StopSignal, Subject::Signal(signal), Errno::EINVAL))
        };
        self.set(Step::StopSignal, signal, |options, signal| options.stop.signal = signal)
    }

    /// How long a launched program and its descendants may take to end before SIGKILL, 5 seconds unless set.
    pub fn stop_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.options.stop.timeout = timeout;
        self
    }

    /// Which processes a stop of a launched program ends, [`KillMode::Tree`] unless set.
    pub fn kill_mode(&mut self, mode: KillMode) -> &mut Self {
        self.options.stop.kill_mode = mode;
        self
    }

    /// Whether a launch first ends what is left under its name: by a monitor that was killed, or by a program that ended without its
    /// descendants. Unless set, the launch fails with [`ErrorKind::AlreadyRunning`](crate::ErrorKind::AlreadyRunning).
    pub fn take_over(&mut self, take_over: bool) -> &mut Self {
        self.options.stop.takes_over = take_over;
        self
    }

    /// Checks what can be without leaving a trace: users and groups, directories, descriptors to keep, the files of the standard
    /// streams, the system log where a stream leads there, and that nobody holds the pid file. Nothing is made, so a start may fail all the same.
    ///
    /// # Errors
    /// As those of [`open`](Self::open) before anything happens.
    pub fn check(&self) -> Result<(), Error> {
        self.check_options()?;
        self.check_pid_file()
    }

    /// The same for a daemon that [`launch`](Self::launch) or [`exec`](Self::exec) makes of `program`. A child of this process takes the
    /// daemon's root, directory and privileges, and looks whether execve(2) would succeed: whether the program, the interpreters of a script
    /// and the loader of a binary are there and may be executed, and are of a kind that the kernel executes. Nothing is executed.
    ///
    /// # Errors
    /// As those of `launch` before the program runs.
    pub fn check_program(&self, program: &Program) -> Result<(), Error> {
        self.check_options()?;
        monitor::check_readiness(&self.options, program)?;
        execution_check::check(&self.options, program)?;
        self.check_pid_file()
    }

    fn check_options(&self) -> Result<(), Error> {
        self.errors.first()?;
        let options = &self.options;
        privileges::Plan::new(&options.privileges)?;
        directories::Plan::new(options.umask, options.root.as_ref(), &options.working)?;
        options.kept()?;
        streams::check_targets(&options.streams, options.root.as_ref())
    }

    fn check_pid_file(&self) -> Result<(), Error> {
        self.options.pid_file.as_ref().map_or(Ok(()), PidFile::check_free)
    }

    /// For language bindings, whose setters fail: the error of the setter called last.
    ///
    /// # Errors
    /// A setter was given an invalid value. The option keeps its value, and the error is not reported again.
    #[doc(hidden)]
    pub fn take_option_error(&mut self) -> Result<(), Error> {
        self.errors.take()
    }

    /// For language bindings: leaves the signal mask as it is, and what signals do that [`signal`](Self::signal) does not name. What would
    /// end the daemon by default still removes its pid file.
    #[doc(hidden)]
    pub fn keep_signals(&mut self, keep: bool) -> &mut Self {
        self.options.keep_signals = keep;
        self
    }

    /// For language bindings: functions to run directly before the first fork, when everything has been checked, and directly
    /// after it in the starter, also when the fork failed. Where nothing is forked, neither runs. The daemon's own is the
    /// caller's to run when [`open_unflushed`](Self::open_unflushed) returns there.
    #[doc(hidden)]
    pub fn fork_hooks(&mut self, before: fn(), in_starter: fn()) -> &mut Self {
        self.options.hooks = Hooks { before: Some(before), in_starter: Some(in_starter) };
        self
    }

    /// Starts the daemon. Only the daemon comes back from it: the starter waits until the daemon is ready and leaves then by
    /// `_exit(0)`, or prints one line on standard error and leaves with the status of [`Error::exit_status`]. While it waits,
    /// SIGINT, SIGQUIT and SIGTERM cancel the start.
    ///
    /// What standard output has buffered is written out before, here and in the C library; atexit handlers do not run in the
    /// starter.
    ///
    /// # Errors
    /// In the starter: what was checked before the forks, or one of the forks. No process is left then, and it can be tried
    /// again with other options. In a process that does not detach: any step. EALREADY when called a second time.
    ///
    /// # Safety
    /// * Where other threads are alive, they do not exist in the daemon, and locks they held are never released there: no code
    ///   that the daemon runs may wait for one. The C library's own are put right by fork(2). Rust's standard library holds one
    ///   while a thread begins or ends, and takes it in [`std::process::exit`].
    /// * All descriptors above 2 that are not kept are closed in the daemon: no value that owns one may be used or dropped
    ///   there (I/O safety, [`std::os::fd`]).
    pub unsafe fn open(&mut self) -> Result<Context, Error> {
        flush_rust();
        // SAFETY: the caller keeps the contract.
        unsafe { self.open_unflushed() }
    }

    /// The same without writing out Rust's own buffer of standard output, for programs in other languages.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    ///
    /// # Safety
    /// As for [`open`](Self::open).
    #[doc(hidden)]
    pub unsafe fn open_unflushed(&mut self) -> Result<Context, Error> {
        let plan = Self::prepare(&mut self.plan, &self.options, &self.errors)?;
        if plan.detach && notify::is_wanted() {
            // SAFETY: the caller keeps the contract.
            return unsafe { self.open_with_helper() };
        }
        // SAFETY: the caller keeps the contract.
        match unsafe { start::start(plan) } {
            Ok(Role::Starter(watch)) => watch.leave(plan, self.options.program.as_bytes()),
            Ok(Role::Daemon(tie)) => {
                // Nothing is allocated before the report, so the name is moved.
                let program = std::mem::take(&mut self.options.program);
                Ok(Context::new(plan, tie, program))
            }
            Err(error) => {
                self.plan = None;
                Err(error)
            }
        }
    }

    /// Below a service manager that wants to be told which process its service is: it has to hear that while the starter is
    /// still there, and has to find the daemon among its own children then, and not among the starter's.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    ///
    /// # Safety
    /// As for [`open`](Self::open).
    unsafe fn open_with_helper(&mut self) -> Result<Context, Error> {
        // SAFETY: the caller keeps the contract.
        match unsafe { self.begin(Caller::Leaves) }? {
            Fork::Daemon(context) => Ok(context),
            Fork::Starter(starting) => starting.leave(self.options.program.as_bytes()),
        }
    }

    /// Starts the daemon from a program that goes on, like fork(2): it comes back in both. A helper process between them does
    /// what otherwise the starter does, so the daemon is no child of this program.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and in the starter also what fails before the daemon has a PID.
    ///
    /// # Safety
    /// As for [`open`](Self::open).
    pub unsafe fn fork(&mut self) -> Result<Fork, Error> {
        flush_rust();
        // SAFETY: the caller keeps the contract.
        unsafe { self.fork_unflushed() }
    }

    /// Launches this program again as the daemon: the safe [`open`](Self::open), for crates that forbid `unsafe` and for programs that
    /// have threads. As from `open`, only the daemon returns from it.
    ///
    /// This process, the starter, launches the same executable with the same arguments, environment and working directory, waits until
    /// the daemon is ready and exits. The new process runs to this call, which applies the options and returns. So what the program
    /// does before it is done in both processes: read the command line and the configuration before, bind ports, open files and start
    /// threads after.
    ///
    /// ```no_run
    /// #![forbid(unsafe_code)]
    ///
    /// use daemonctx::Daemon;
    /// use std::net::TcpListener;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     daemonctx::become_monitor_if_asked(); // first of all
    ///     let mut daemon = Daemon::new();
    ///     daemon.pid_file("/run/hello.pid").manual_ready(true);
    ///     let mut context = daemon.relaunch()?;
    ///     // Only the daemon gets here.
    ///     let listener = TcpListener::bind("127.0.0.1:8080")?;
    ///     context.ready()?;
    /// #   drop(listener);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// * The program is also the daemon's monitor, as for [`launch`](Self::launch): it calls
    ///   [`become_monitor_if_asked`](crate::become_monitor_if_asked) before it reads its arguments. Where `relaunch` is the first call of
    ///   `main` that is done by it.
    /// * Standard output leads to `/dev/null` and standard error, too, until this call, so that nothing is shown twice. From then on
    ///   standard error is the starter's until the daemon is ready.
    /// * There is one daemon for a name, as for `launch`. [`PidFile`], [`Monitored`] and the command `daemonctx` find and stop it.
    ///   The monitor removes the pid file, not [`Context::close`].
    /// * Only the signals of [`signal`](Self::signal) are set; SIGTERM ends the daemon unless it handles it.
    /// * Where a supervisor wants the program in the foreground ([`Detach::Auto`]), and with [`Detach::No`], this process becomes the
    ///   daemon. All descriptors stay open then.
    ///
    /// # Errors
    /// In the starter as for `launch`. In the daemon EALREADY when called a second time; what else fails there is reported by the starter.
    /// In the foreground as for `open`.
    pub fn relaunch(&mut self) -> Result<Context, Error> {
        crate::monitor::become_monitor_if_asked();
        if let Some(ends) = Ends::take()? {
            let program = self.options.program.clone();
            return match self.apply(&ends) {
                Ok(plan) => Ok(Context::new(plan, Some(Tie::with_starter(ends.into_reporter())), program)),
                Err(error) => ends.give_up(&error),
            };
        }
        if self.plan.is_some() {
            return Err(Error::bad_handle(true));
        }
        self.errors.first()?;
        flush_rust();
        if Surroundings::look().detaches(self.options.detach) {
            match relaunch::start(&self.options)? {}
        }
        let plan = self.plan.insert(Plan::staying(&self.options)?);
        match start::stay(plan) {
            Ok(_) => Ok(Context::new(plan, None, std::mem::take(&mut self.options.program))),
            Err(error) => {
                self.plan = None;
                Err(error)
            }
        }
    }

    /// Launches another program as a daemon, from a program that goes on. A monitor stays with it: a small process that knows all of its
    /// descendants, keeps its pid file and state file, restarts it ([`Program::respawn`]) and stops it ([`Monitored::stop`]).
    ///
    /// The launch is undone unless it is confirmed, so a program that is launched is either known to be ready or gone:
    ///
    /// ```standalone_crate
    /// use daemonctx::{Daemon, Error, Monitored, Program, StopRequest};
    ///
    /// fn main() -> Result<(), Error> {
    ///     // First of all: this program is its own monitor.
    ///     daemonctx::become_monitor_if_asked();
    ///     let folder = std::env::temp_dir().join(format!("daemonctx-{}", std::process::id()));
    /// #   std::fs::create_dir(&folder).expect("a folder");
    ///     let mut program = Program::new("/bin/sleep");
    ///     program.arg("60");
    ///     let mut daemon = Daemon::new();
    ///     daemon.program_name("nap").pid_file(folder.join("nap.pid")).state_directory(&folder);
    ///
    ///     let pid = daemon.launch(&program)?.confirm()?;
    ///
    ///     let nap = Monitored::find("nap", Some(&folder.join("nap.pid")), Some(&folder))?.expect("it was launched");
    ///     assert_eq!(nap.pid(), Some(pid));
    ///     nap.stop(StopRequest::Terminate, None)?;
    /// #   std::fs::remove_dir_all(&folder).expect("a folder");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// A launched program is always detached, whatever supervises this process. [`signal`](Self::signal),
    /// [`manual_ready`](Self::manual_ready) and [`ready_descriptor`](Self::ready_descriptor) are for programs that use this library, and
    /// mean nothing here: the program begins with the signals of a fresh process, and [`Program::readiness`] says when it is ready.
    /// Sockets that a service manager has passed on are passed on.
    ///
    /// There is one daemon for a name. While another launch is under way, this one waits for its outcome, and while a daemon is
    /// stopped, until it is gone; no longer than the [`ready_timeout`](Self::ready_timeout). SIGINT, SIGQUIT, SIGTERM and SIGHUP end the
    /// wait.
    ///
    /// # Errors
    /// What can be checked before anything happens. [`ErrorKind::AlreadyRunning`](crate::ErrorKind::AlreadyRunning): the daemon runs
    /// with the same command line. [`ErrorKind::NameTaken`](crate::ErrorKind::NameTaken): another command line runs under the name.
    /// EPERM for PID 1: a container ends with it, and so would the daemon. EINVAL with [`Detach::No`]: [`exec`](Self::exec) does that.
    /// EPERM where `/proc` is that of another PID namespace: the daemon would not be known by it. ENOENT: no
    /// [`monitor`](Self::monitor) is found.
    pub fn launch(&self, program: &Program) -> Result<Launching, Error> {
        self.errors.first()?;
        crate::monitor::launch(&self.options, program, None)
    }

    /// Makes this process the daemon, without forking, and executes the program in it. Returns only the error; this process may be
    /// changed then, and is to exit.
    ///
    /// For programs that run below a supervisor. Readiness is between the program and that: `NOTIFY_SOCKET` and the sockets that a
    /// service manager has passed on are passed on. The program inherits the lock of the pid file, and begins with the signals of a
    /// fresh process. Nobody removes the pid file when the program ends: it is stale then, which the next start finds out.
    ///
    /// ```no_run
    /// use daemonctx::{Daemon, Program};
    ///
    /// let program = Program::new("/usr/sbin/hello");
    /// let error = Daemon::new().pid_file("/run/hello.pid").exec(&program);
    /// eprintln!("hello: {error}");
    /// std::process::exit(error.exit_status());
    /// # #[allow(unreachable_code)]
    /// # Ok::<(), daemonctx::Error>(())
    /// ```
    #[must_use = "exec returns only if it fails"]
    pub fn exec(&self, program: &Program) -> Error {
        self.try_exec(program).map_or_else(|error| error, |never| match never {})
    }

    fn try_exec(&self, program: &Program) -> Result<Infallible, Error> {
        flush_rust();
        self.errors.first()?;
        let program = program.prepare_once(self.options.root.is_some())?;
        let mut plan = Plan::in_place(&self.options)?;
        Err(start::execute(&mut plan, &program))
    }

    /// The same without writing out Rust's own buffer of standard output, for programs in other languages.
    ///
    /// # Errors
    /// As for [`fork`](Self::fork).
    ///
    /// # Safety
    /// As for [`open`](Self::open).
    #[doc(hidden)]
    pub unsafe fn fork_unflushed(&mut self) -> Result<Fork, Error> {
        Self::prepare(&mut self.plan, &self.options, &self.errors)?;
        // SAFETY: the caller keeps the contract.
        match unsafe { self.begin(Caller::Returns) }? {
            Fork::Starter(starting) => starting.met().map(Fork::Starter),
            daemon => Ok(daemon),
        }
    }

    /// Makes this process, which was relaunched, the daemon. Pid file and runtime directory are the monitor's.
    fn apply(&mut self, ends: &Ends) -> Result<&mut Plan, Error> {
        ends.connect()?;
        self.errors.first()?;
        self.options.pid_file = None;
        self.options.runtime_directory = None;
        self.options.ready_descriptor = Some(ends.ready());
        let plan = self.plan.insert(Plan::staying(&self.options)?);
        start::stay(plan).map(|_| plan)
    }

    /// Starts what has been prepared, with a helper.
    ///
    /// # Errors
    /// As for [`fork`](Self::fork).
    ///
    /// # Safety
    /// As for [`open`](Self::open).
    unsafe fn begin(&mut self, caller: Caller) -> Result<Fork, Error> {
        let Some(plan) = &mut self.plan else { return Err(Error::bad_handle(false)) };
        // SAFETY: the caller keeps the contract.
        match unsafe { start::start_aside(plan, caller) } {
            Ok(Aside::Daemon(tie)) => {
                let program = std::mem::take(&mut self.options.program);
                Ok(Fork::Daemon(Context::new(plan, tie, program)))
            }
            Ok(Aside::Starter(lines, helper)) => match self.plan.take() {
                // The builder can be used again: this process has opened nothing.
                Some(plan) => Ok(Fork::Starter(PendingStart::new(lines, helper, plan))),
                None => Err(Error::bad_handle(true)),
            },
            Err(error) => {
                self.plan = None;
                Err(error)
            }
        }
    }

    /// Makes the plan and puts it where it stays: freeing it is not for the daemon to do before it has reported.
    fn prepare<'a>(
        slot: &'a mut Option<Plan>,
        options: &Options,
        errors: &OptionErrors,
    ) -> Result<&'a mut Plan, Error> {
        if slot.is_some() {
            return Err(Error::bad_handle(true));
        }
        errors.first()?;
        Ok(slot.insert(Plan::new(options)?))
    }
}

fn number(step: Step, id: u32) -> Result<Name, Error> {
    if id == u32::MAX {
        return Err(Error::os(step, Subject::Number(-1), Errno::EINVAL));
    }
    Ok(Name::Number(id))
}

/// So that it appears once. Text that cannot be written is no reason not to start.
fn flush_rust() {
    use std::io::Write;
    let _ = std::io::stdout().flush();
}
