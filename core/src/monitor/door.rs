//! From the options of a daemon to a launch, and what a program that launches has in hand.

use super::claim::Claim;
use super::contention::Contender;
use super::executable;
use super::launch::{Launch, Sign};
use super::launcher::Launched;
use super::outcome::{Reason, Told};
use super::request::cancelling;
use super::settings::Settings;
use super::translate;
use crate::detach::Detach;
use crate::error::{Cause, Error, Failure, Step, Subject};
use crate::launch::{PreparedProgram, Program, not_executed, path_outside};
use crate::options::Options;
use crate::pidfile::{PidFile, PidFileLock};
use crate::procfs;
use crate::runtime_directory::{self, Prepared};
use crate::signals::Quiet;
use crate::streams::{self, Sources, Stream, Surroundings};
use crate::sys::c_buf::CBuf;
use crate::sys::signal::Signal;
use crate::sys::signalfd::Arrivals;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, fd, file};
use crate::sys::{identity, process};
use crate::{directories, privileges};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// The longest path of a Unix socket (unix(7)).
const LONGEST_SOCKET: usize = 107;

/// A program that is being launched: what [`Daemon::launch`](crate::Daemon::launch) returns.
///
/// [`confirm`](Self::confirm) commits the launch. Until then it is undone when this is dropped or this process ends: nothing is left of
/// it, no process, no pid file and no state file. The monitor makes sure of that, also where this process is killed.
///
/// ```no_run
/// use daemonctx::{Daemon, Program, Readiness};
/// use std::time::Duration;
///
/// daemonctx::become_monitor_if_asked();
/// let mut server = Program::new("/usr/sbin/hello");
/// server.readiness(Readiness::Notify);
/// let mut launching = Daemon::new().pid_file("/run/hello.pid").launch(&server)?;
/// while !launching.wait(Some(Duration::from_secs(1)))? {
///     println!("not ready yet");
/// }
/// println!("ready, PID {}", launching.confirm()?);
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[must_use = "a launch that is not confirmed is undone"]
pub struct Launching {
    launched: Launched,
    about: About,
    daemon: i32,
    failure: Option<Error>,
    /// A process of the failed launch cannot be killed. Its monitor stays, with everything that the launch has.
    is_stuck: bool,
    /// When the monitor has reported the outcome.
    overdue: Deadline,
    /// Removed here if there was no monitor that could.
    pid_file: Option<PidFileLock>,
    claim: Option<Claim>,
    /// Removed here only if neither guard nor monitor is left to.
    runtime_directory: Option<Prepared>,
}

/// What messages are about.
#[derive(Debug)]
struct About {
    path: CBuf,
    pid_file: Option<CBuf>,
    state_file: CBuf,
    root: Option<CBuf>,
    working: CBuf,
    timeout: Option<Duration>,
    /// What has not happened when the time is over.
    awaited: &'static str,
}

/// What the launcher holds until the monitor has it.
struct Ingredients {
    launch: Launch,
    about: About,
    pid_file: Option<PidFileLock>,
    claim: Claim,
    sources: Sources,
    runtime_directory: Option<Prepared>,
}

/// What this program gets when it launches itself again.
pub(crate) struct Relaunch<'a> {
    /// Descriptors besides those that the options name.
    pub(crate) descriptors: &'a [RawFd],
    /// The environment variable that has its PID.
    pub(crate) pid_variable: &'static CStr,
}

/// Launches a program. With `relaunch` it is this program again, which applies the options to itself.
///
/// # Errors
/// What can be checked before anything happens; another daemon has the name or the pid file.
pub(crate) fn launch(
    options: &Options,
    program: &Program,
    relaunch: Option<&Relaunch<'_>>,
) -> Result<Launching, Error> {
    if process::id() == 1 {
        let error = Error::os(Step::Start, Subject::Word("PID 1"), Errno::EPERM);
        return Err(error.note("a container ends with it, and so would the daemon: use run"));
    }
    if options.detach == Detach::No {
        let error = Error::os(Step::Detach, Subject::Nothing, Errno::EINVAL);
        return Err(error.note("a launched program is always detached: use exec"));
    }
    refuse_set_id()?;
    check_name(&options.program)?;
    if !procfs::is_own() {
        let error = Error::os(Step::Start, Subject::Word("/proc"), Errno::EPERM);
        return Err(error.note("it is another PID namespace's: mount one that is this one's"));
    }
    let found;
    let monitor = match &options.monitor {
        Some(monitor) => monitor,
        None => {
            found = executable::find()?;
            &found
        }
    };
    let Ingredients { launch, about, pid_file, claim, sources, runtime_directory } =
        prepare(options, program, relaunch)?;
    let begun = Launched::begin(monitor.as_c_str(), &launch);
    drop(sources);
    match begun {
        Ok(launched) => {
            const SLACK: Duration = Duration::from_secs(1);
            let overdue = Deadline::after(about.timeout.map(|timeout| timeout.saturating_add(SLACK)));
            let claim = Some(claim);
            let (daemon, failure, is_stuck) = (0, None, false);
            Ok(Launching { launched, about, daemon, failure, is_stuck, overdue, pid_file, claim, runtime_directory })
        }
        Err(errno) => {
            claim.release();
            Err(Error::about(Step::Execute, monitor.as_bytes(), errno).note("the monitor"))
        }
    }
}

/// The daemon is found by its name, which is a part of file names.
fn check_name(name: &CBuf) -> Result<(), Error> {
    let bytes = name.as_bytes();
    if !bytes.contains(&b'/') && !bytes.starts_with(b".") {
        return Ok(());
    }
    let error = Error::os(Step::ProgramName, Subject::Text(name.clone()), Errno::EINVAL);
    Err(error.note("a launched daemon's has no slash and no leading dot"))
}

/// Checks what a launch adds to a start: that the program can say that it is ready.
///
/// # Errors
/// The launch would fail with the same.
pub(crate) fn check_readiness(options: &Options, program: &Program) -> Result<(), Error> {
    let wanted = program.when_ready();
    let pid_file = options.pid_file.as_ref().map(PidFile::text);
    translate::check_sign(&options.kept_on_exec()?, pid_file, wanted)?;
    translate::readiness(wanted).map(drop).map_err(|errno| Error::os(Step::Ready, wanted.subject(), errno))
}

/// A monitor would refuse to be one: the caller of such a program is another user, who chooses what it does.
fn refuse_set_id() -> Result<(), Error> {
    let differ = |ids: Sys<identity::Ids>| ids.is_ok_and(|ids| ids.real != ids.effective);
    if !differ(identity::user_ids()) && !differ(identity::group_ids()) {
        return Ok(());
    }
    let error = Error::os(Step::Start, Subject::Word("set-user-ID program"), Errno::EPERM);
    Err(error.note("real and effective ids differ"))
}

fn prepare(options: &Options, program: &Program, relaunch: Option<&Relaunch<'_>>) -> Result<Ingredients, Error> {
    let failed = |step, subject: Subject| move |errno| Error::os(step, subject, errno);
    let privileges = privileges::Plan::new(&options.privileges)?;
    let (owner, mut ids) = (privileges.owner(), privileges.into_ids());
    let mut directories = directories::Plan::new(options.umask, options.root.as_ref(), &options.working)?;
    let mut keep = options.kept_on_exec()?;
    if let Some(relaunch) = relaunch {
        ids = privileges::Ids::default();
        directories = directories::Plan::new(options.umask, None, &here()?)?;
        let kept = relaunch.descriptors.iter().try_for_each(|fd| keep.add(*fd));
        kept.map_err(failed(Step::KeepDescriptor, Subject::Nothing))?;
    }
    let pid_path = options.pid_file.as_ref().map(|file| file.text().clone());
    translate::check_sign(&keep, pid_path.as_ref(), program.when_ready())?;
    let PreparedProgram { path, arguments, environment } = program.prepare(directories.root().is_some())?;
    let wanted = program.when_ready();
    let (ready, sign) = translate::readiness(wanted).map_err(failed(Step::Ready, wanted.subject()))?;
    let own = relaunch.map(|relaunch| relaunch.pid_variable);
    let (pid_variables, environment) =
        translate::variables(&environment, &sign, own).map_err(failed(Step::Execute, Subject::Nothing))?;
    let surroundings = Surroundings { program: options.program.as_bytes(), root: directories.root() };
    let mut streams = streams::Plan::new(&options.streams, &Stream::null(), false, &surroundings)?;
    let outputs = relaunch.map(|_| streams.outputs());
    if relaunch.is_some() {
        streams = streams::Plan::new(&streams::inherited(&options.streams), &Stream::null(), false, &surroundings)?;
    }
    let mut about = About {
        path: path.clone(),
        pid_file: pid_path.clone(),
        state_file: CBuf::default(),
        root: directories.root().cloned(),
        working: directories.working().clone(),
        timeout: options.ready_timeout,
        awaited: if relaunch.is_some() { "" } else { wanted.awaited() },
    };
    let run = options.state_directory.as_ref();
    let contender = Contender { options, arguments: &arguments, pid_file: pid_path.as_ref(), run };
    let claim = contender.take()?;
    about.state_file = claim.state_file.clone();
    let taken = take(options, directories.root(), owner).and_then(|(runtime_directory, pid_file)| {
        let sources = streams.sources().map_err(|failure| about.explain(failure))?;
        Ok((runtime_directory, pid_file, sources))
    });
    let (runtime_directory, pid_file, mut sources) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            claim.release();
            return Err(error);
        }
    };
    let settings = Settings {
        ready,
        start_timeout: options.ready_timeout,
        stop_timeout: options.stop.timeout,
        kill_mode: options.stop.kill_mode,
        respawn: program.respawns(),
    };
    // Another root has no such path, and a long one is none of a socket: the abstract name does.
    let has_path = sign == Sign::Notify && about.root.is_none() && claim.notify.as_bytes().len() <= LONGEST_SOCKET;
    let is_made = runtime_directory.as_ref().is_some_and(|directory| directory.is_made);
    let outputs = outputs.unwrap_or_else(|| std::mem::take(&mut sources.outputs));
    let lock = pid_file.as_ref().and_then(PidFileLock::descriptor);
    let launch = Launch {
        name: options.program.clone(),
        path,
        arguments,
        environment,
        pid_variables,
        settings,
        sign,
        streams: sources.streams.each_ref().map(|source| source.as_ref().map(AsRawFd::as_raw_fd)),
        keep,
        umask: options.umask,
        root: about.root.clone(),
        working: about.working.clone(),
        prevent_core: options.prevent_core && relaunch.is_none(),
        ids,
        pid_file: pid_path.filter(|_| lock.is_some()),
        lock,
        state_file: claim.state_file.clone(),
        claim: Some((claim.path.clone(), claim.as_raw_fd())),
        stop_signal: options.stop.signal,
        notify: has_path.then(|| claim.notify.clone()),
        runtime_directory: options.runtime_directory.clone().filter(|_| is_made),
        logger: sources.logger(),
        outputs,
    };
    Ok(Ingredients { launch, about, pid_file, claim, sources, runtime_directory })
}

/// This process's working directory.
fn here() -> Result<CBuf, Error> {
    file::absolute_path(b".").map_err(|errno| Error::os(Step::WorkingDirectory, Subject::Word("."), errno))
}

/// Makes and locks what is the daemon's alone.
fn take(
    options: &Options,
    root: Option<&CBuf>,
    owner: (Option<u32>, Option<u32>),
) -> Result<(Option<Prepared>, Option<PidFileLock>), Error> {
    let directory = options.runtime_directory.as_ref();
    let directory = directory.map(|path| runtime_directory::prepare(path, owner)).transpose()?;
    let pid_file = options.pid_file.as_ref().map(|file| file.lock(root)).transpose()?;
    Ok((directory, pid_file))
}

impl std::fmt::Debug for Launching {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Launching").field("program", &self.about.path).field("pid", &self.pid()).finish()
    }
}

impl Launching {
    /// The daemon's PID, once [`wait`](Self::wait) has found it ready.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        (self.daemon != 0).then_some(self.daemon)
    }

    /// Waits until the program is ready: true then, false when `timeout` (`None`: any time) has passed first. The outcome stays:
    /// asking again gives the same.
    ///
    /// # Errors
    /// The launch failed; nothing is left of it.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let deadline = Deadline::after(timeout);
        while self.daemon == 0 && self.failure.is_none() {
            let next = deadline.or(self.overdue);
            if fd::poll(&mut [fd::readable(self.launched.as_raw_fd())], next.poll_timeout()) == Ok(true) {
                self.hear();
            } else if deadline.passed() {
                return Ok(false);
            }
            self.continue_overdue();
        }
        self.result().map(|()| true)
    }

    /// Waits until the program is ready, or until SIGINT, SIGQUIT, SIGTERM or SIGHUP cancels the launch, where they are not ignored. The
    /// signal is taken.
    ///
    /// # Errors
    /// The launch failed, or was cancelled ([`Error::signal`]); nothing is left of it.
    pub fn wait_unless_cancelled(&mut self) -> Result<(), Error> {
        let quiet = Quiet::begin();
        let cancelled = self.watch();
        drop(quiet);
        if let Some(signal) = cancelled {
            self.fail(Error::os(Step::Start, Subject::Signal(signal), Errno::EINTR));
        }
        self.result()
    }

    fn watch(&mut self) -> Option<Signal> {
        let signals = Arrivals::of(cancelling());
        loop {
            let mut fds = [self.launched.as_raw_fd(), signals.as_poll_descriptor()].map(fd::readable);
            let _: Sys<bool> = fd::poll(&mut fds, signals.patience(self.overdue.poll_timeout()));
            self.continue_overdue();
            if let Some(signal) = signals.take() {
                self.undo();
                return Some(signal);
            }
            if fds.iter().take(1).any(|fd| fd.revents != 0) {
                self.hear();
                return None;
            }
        }
    }

    /// A monitor that has not reported the outcome by then may have been stopped.
    fn continue_overdue(&mut self) {
        if self.overdue.passed() {
            self.overdue = Deadline::after(None);
            self.launched.continue_stopped();
        }
    }

    /// Waits for the outcome.
    pub(crate) fn hear(&mut self) {
        let told = self.launched.wait();
        self.take(told);
    }

    /// Cancels the launch, and returns when nothing is left of it.
    pub(crate) fn undo(&mut self) {
        self.launched.cancel();
        loop {
            match self.launched.wait() {
                // It was on its way; what comes behind it is that nothing is left.
                Told::Ready(_) => {}
                Told::Failed { is_stuck, .. } => return self.leave_if(is_stuck),
            }
        }
    }

    /// The monitor removes pid file and name when the process has ended after all.
    fn leave_if(&mut self, is_stuck: bool) {
        if is_stuck {
            self.is_stuck = true;
            self.leave_all();
        }
    }

    /// Everything is the monitor's.
    fn leave_all(&mut self) {
        if let Some(file) = self.pid_file.take() {
            file.abandon();
        }
        self.claim = None;
        self.leave_runtime_directory();
    }

    fn fail(&mut self, error: Error) {
        let error = if self.is_stuck { error.note("a process of it cannot be killed, and is left") } else { error };
        self.failure = Some(error);
    }

    /// Waits until the program is ready, and commits the launch: the daemon stays, whatever becomes of this process. Returns its PID.
    ///
    /// # Errors
    /// The launch failed; nothing is left of it.
    pub fn confirm(mut self) -> Result<i32, Error> {
        self.commit()
    }

    /// Undoes the launch, as dropping it does, and returns when nothing is left.
    pub fn cancel(self) {}

    fn commit(&mut self) -> Result<i32, Error> {
        self.wait(None)?;
        if let Err(told) = self.launched.confirm() {
            self.take(told);
            self.result()?;
        }
        self.leave_all();
        Ok(self.daemon)
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Ready(daemon) => self.daemon = daemon,
            Told::Failed { reason, is_stuck } => {
                if reason != Reason::Lost {
                    self.leave_runtime_directory();
                }
                self.leave_if(is_stuck);
                self.fail(self.about.error(reason));
            }
        }
    }

    /// It is the monitor's to remove.
    fn leave_runtime_directory(&mut self) {
        if let Some(directory) = self.runtime_directory.take() {
            directory.keep();
        }
    }

    fn result(&self) -> Result<(), Error> {
        self.failure.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Drop for Launching {
    fn drop(&mut self) {
        if self.claim.is_some() {
            self.undo();
        }
        if let Some(claim) = self.claim.take() {
            // While the name is this process's.
            self.launched.undo();
            self.pid_file = None;
            self.runtime_directory = None;
            claim.release();
        }
    }
}

impl AsFd for Launching {
    /// Becomes readable when the outcome is known.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.launched.as_fd()
    }
}

impl About {
    fn error(&self, reason: Reason) -> Error {
        let start = |word, cause| Error::new(Step::Start, Subject::Word(word), cause);
        match reason {
            Reason::Step(failure) => self.explain(failure),
            Reason::Ended(pid, ended) => Error::new(Step::Start, Subject::Pid(i64::from(pid)), Cause::of_end(ended)),
            Reason::SignLost => Error::os(Step::Ready, Subject::Nothing, Errno::EPIPE).note("closed without a newline"),
            Reason::TimedOut => {
                let time = Subject::Time(self.timeout.unwrap_or_default());
                Error::os(Step::Ready, time, Errno::ETIMEDOUT).note(self.awaited)
            }
            Reason::Cancelled => start("program", Cause::Os(Errno::ECANCELED)),
            Reason::Stopped => start("program", Cause::Os(Errno::ECANCELED)).note("stopped"),
            Reason::Lost => start("monitor", Cause::Lost),
        }
    }

    fn explain(&self, Failure { step, errno, value }: Failure) -> Error {
        let text = |text: &CBuf| Subject::Text(text.clone());
        let subject = match step {
            Step::Execute => text(&self.path),
            Step::StateDirectory => text(&self.state_file),
            Step::PidFile => self.pid_file.as_ref().map_or(Subject::Nothing, text),
            Step::ChangeRoot => self.root.as_ref().map_or(Subject::Nothing, text),
            Step::ChangeDirectory => text(&self.working),
            Step::KeepDescriptor | Step::ReadyDescriptor => Subject::Number(value),
            _ => Subject::Nothing,
        };
        let error = Error::os(step, subject, errno);
        match (step, errno) {
            (Step::PidFile, Errno::ESTALE) => error.note("another file has taken its place"),
            (Step::Execute, _) => match path_outside(self.root.as_ref(), &self.path) {
                Ok(path) => not_executed(error, &path),
                Err(_) => error,
            },
            _ => error,
        }
    }
}
