//! A program that is made a daemon without knowing of it: the last step of its start is execve(2).

use crate::error::{Error, Failure, Step, Subject};
use crate::keeper::{self, Again, Respawn};
use crate::options::Options;
use crate::pidfile;
use crate::readiness::{self, Readiness};
use crate::report::Reporter;
use crate::signals;
use crate::starter::{Outcome, Watch};
use crate::sys::process::{self, Pid, StringList};
use crate::sys::{Errno, Sys, environment, memory};
use crate::text::Text;
use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::time::Duration;

/// A program to be started as a daemon by [`Daemon::launch`](crate::Daemon::launch): what to execute, with which arguments and
/// environment, and when it is ready.
///
/// It begins with the signals of a fresh process: nothing is ignored or blocked.
///
/// ```
/// use daemonctx::{Daemon, Detach, Executable, Readiness};
///
/// let mut program = Executable::new("/bin/sh")?;
/// program.argument("sh")?.argument("-c")?.argument("echo >&3; exec sleep 0.1 3>&-")?;
/// program.readiness(Readiness::Newline(3)).without_variable("LANG")?;
/// let mut daemon = Daemon::new()?;
/// let mut starting = daemon.detach(Detach::Yes).launch(&program)?;
/// assert!(starting.wait(None)?);
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Executable {
    path: Text,
    arguments: Vec<Text>,
    /// The starter's environment goes along, but for these.
    inherits: bool,
    variables: Vec<Variable>,
    /// The door has a default of its own.
    readiness: Option<Readiness>,
    keeps: bool,
    respawn: Option<Respawn>,
}

#[derive(Clone, Debug)]
struct Variable {
    /// `NAME=VALUE`, or `NAME=` of one that is to be gone.
    text: Text,
    name: usize,
    is_set: bool,
}

impl Variable {
    fn new(name: &[u8], value: Option<&[u8]>) -> Sys<Self> {
        if name.is_empty() || name.contains(&b'=') {
            return Err(Errno::EINVAL);
        }
        let mut bytes = Vec::new();
        memory::extend(&mut bytes, name)?;
        memory::push(&mut bytes, b'=')?;
        memory::extend(&mut bytes, value.unwrap_or_default())?;
        Ok(Self { text: Text::new(&bytes)?, name: name.len(), is_set: value.is_some() })
    }

    /// Whether `assignment` sets the same variable.
    fn covers(&self, assignment: &[u8]) -> bool {
        self.text.as_bytes().get(..=self.name).is_some_and(|start| assignment.starts_with(start))
    }
}

impl Executable {
    /// The executable at `path`, by which it is called, too, unless [`argument`](Self::argument) says otherwise. With a chroot
    /// the path is inside it. `PATH` is not searched.
    ///
    /// # Errors
    /// ENOENT: empty. ENAMETOOLONG. EINVAL: it holds a NUL.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        let path = Text::path(bytes).map_err(|errno| Error::about(Step::Execute, bytes, errno))?;
        let readiness = None;
        let (arguments, variables) = (Vec::new(), Vec::new());
        Ok(Self { path, arguments, inherits: true, variables, readiness, keeps: false, respawn: None })
    }

    /// Adds an argument; the first is what the program is called.
    ///
    /// # Errors
    /// EINVAL: it holds a NUL. ENOMEM.
    pub fn argument(&mut self, argument: impl AsRef<OsStr>) -> Result<&mut Self, Error> {
        let bytes = argument.as_ref().as_bytes();
        let pushed = Text::new(bytes).and_then(|text| memory::push(&mut self.arguments, text));
        pushed.map_err(|errno| Error::about(Step::Argument, bytes, errno))?;
        Ok(self)
    }

    /// Sets an environment variable for the program.
    ///
    /// # Errors
    /// EINVAL: the name is empty or holds `=`, or there is a NUL in either. ENOMEM.
    pub fn variable(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Result<&mut Self, Error> {
        self.change_variable(name.as_ref().as_bytes(), Some(value.as_ref().as_bytes()))
    }

    /// Takes an environment variable away from the program.
    ///
    /// # Errors
    /// As for [`variable`](Self::variable).
    pub fn without_variable(&mut self, name: impl AsRef<OsStr>) -> Result<&mut Self, Error> {
        self.change_variable(name.as_ref().as_bytes(), None)
    }

    fn change_variable(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<&mut Self, Error> {
        let failed = |errno| Error::about(Step::Argument, name, errno);
        let variable = Variable::new(name, value).map_err(failed)?;
        self.variables.retain(|other| !other.covers(variable.text.as_bytes()));
        memory::push(&mut self.variables, variable).map_err(failed)?;
        Ok(self)
    }

    /// Whether the program inherits this process's environment, but for the variables named here; it does unless set.
    pub fn inherit_environment(&mut self, inherit: bool) -> &mut Self {
        self.inherits = inherit;
        self
    }

    /// When the program is ready; [`Readiness::Executed`] unless set, and with a monitor [`Readiness::StillRunning`] for 0.5 s.
    pub fn readiness(&mut self, readiness: Readiness) -> &mut Self {
        self.readiness = Some(readiness);
        self
    }

    /// Whether a process stays that keeps the daemon's together: every process that the program leaves behind is its descendant,
    /// whatever session that is in, and it leaves when there is none. It holds the pid file, too, and removes it then.
    ///
    /// Where orphans cannot be adopted (Linux before 3.4, other systems) the start fails: ENOSYS.
    pub fn keep_together(&mut self, keep: bool) -> &mut Self {
        self.keeps = keep;
        self
    }

    /// Has the program started again when it fails, by a process that stays for that and does what
    /// [`keep_together`](Self::keep_together) says. SIGTERM to that process ends it.
    pub fn respawn(&mut self, respawn: Option<Respawn>) -> &mut Self {
        self.respawn = respawn;
        self
    }

    /// Whether the start's helper stays.
    pub(crate) fn is_kept(&self) -> bool {
        self.keeps || self.respawn.is_some()
    }

    /// Everything that is needed after the fork. Where there is none, nobody waits for readiness; a service manager that does
    /// is told by the program itself.
    pub(crate) fn prepare(&self, fork: bool, options: &Options) -> Result<Box<Plan>, Error> {
        if fork && self.is_kept() && process::adopts_orphans().is_err() {
            return Err(Error::os(Step::Start, Subject::Word("subreaper"), Errno::ENOSYS));
        }
        let readiness = self.readiness.as_ref().filter(|_| fork).unwrap_or(&Readiness::Executed);
        let failed = |errno| Error::os(Step::ReadyDescriptor, readiness.subject(), errno);
        let readiness = readiness::Plan::new(readiness).map_err(failed)?;
        let plan = self.lists(&readiness).and_then(|(arguments, environment)| {
            let again = self.respawn.map(|respawn| Again::new(respawn, options));
            memory::boxed(Plan { path: self.path.clone(), arguments, environment, readiness, again })
        });
        plan.map_err(|errno| Error::about(Step::Execute, self.path.as_bytes(), errno))
    }

    /// What is executed, for the launch message.
    pub(crate) fn program(&self) -> Sys<(Text, StringList, StringList)> {
        let (arguments, environment) = self.lists(&readiness::Plan::new(&Readiness::Executed)?)?;
        Ok((self.path.clone(), arguments, environment))
    }

    pub(crate) fn when_ready(&self) -> Readiness {
        /// A port that is taken, or a file that is missing, shows within that time.
        const DEFAULT: Duration = Duration::from_millis(500);
        self.readiness.clone().unwrap_or(Readiness::StillRunning(DEFAULT))
    }

    pub(crate) fn respawns(&self) -> Option<Respawn> {
        self.respawn
    }

    fn lists(&self, readiness: &readiness::Plan) -> Sys<(StringList, StringList)> {
        let mut arguments = StringList::default();
        for argument in &self.arguments {
            arguments.push(Text::new(argument.as_bytes())?)?;
        }
        if self.arguments.is_empty() {
            arguments.push(Text::new(self.path.as_bytes())?)?;
        }
        arguments.finish()?;
        Ok((arguments, self.environment(readiness.socket_name())?))
    }

    fn environment(&self, notify_socket: Option<&[u8]>) -> Sys<StringList> {
        let own = notify_socket.map(|name| Variable::new(b"NOTIFY_SOCKET", Some(name))).transpose()?;
        let mut list = StringList::default();
        if self.inherits {
            environment::for_each(|assignment, place| {
                let changed = self.variables.iter().chain(&own).any(|variable| variable.covers(assignment));
                if changed { Ok(()) } else { list.push_borrowed(place) }
            })?;
        }
        let said = self.variables.iter().filter(|variable| variable.is_set);
        for variable in said.filter(|it| !own.as_ref().is_some_and(|own| own.covers(it.text.as_bytes()))).chain(&own) {
            list.push(Text::new(variable.text.as_bytes())?)?;
        }
        list.finish()?;
        Ok(list)
    }
}

/// A helper for programs that are launched: it looks for the program's own signs, and stays where that is wanted.
pub(crate) fn help(plan: &mut crate::plan::Plan, mut watch: Watch, teller: Reporter, must_know: bool) -> ! {
    if let Some(target) = &mut plan.target {
        target.let_go();
    }
    let outcome = watch.follow(&teller, plan.target.as_mut().map(|target| target.signs()), must_know);
    match outcome {
        Outcome::Ready if plan.helper_stays => stay(plan, watch, teller),
        _ => watch.conclude(outcome, &teller),
    };
    process::exit_now(0)
}

/// Settles before it reports: a supervisor process that cannot stay must not leave behind a daemon that is called started.
fn stay(plan: &mut crate::plan::Plan, watch: Watch, teller: Reporter) -> Option<Pid> {
    let settled = keeper::settle(plan);
    let outcome =
        settled.as_ref().map_or_else(|errno| Outcome::Failed(Failure::new(Step::Start, *errno)), |_| Outcome::Ready);
    let daemon = watch.conclude(outcome, &teller)?;
    drop(teller);
    keeper::stay(plan, daemon, &settled.ok()?)
}

/// What a start ends in when the daemon is another program. Behind a trait, so that a library which launches nothing does not
/// contain what it takes.
pub(crate) trait Target: std::fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    /// The daemon's last step: comes back with the failure when it cannot.
    fn execute(&self) -> Failure;

    /// A descriptor that the daemon keeps until then.
    fn kept(&self) -> Option<RawFd>;

    /// How whoever watches finds out whether the program is ready.
    fn signs(&mut self) -> &mut readiness::Plan;

    /// Nothing of the program's is held here any more, so that its end can be seen.
    fn let_go(&mut self);

    /// Closes the socket on which the program says that it is ready.
    fn close_socket(&mut self);

    fn subject(&self) -> Subject;

    /// What it takes to start the program again, where that is wanted.
    fn again(&self) -> Option<&Again>;
}

#[derive(Debug)]
pub(crate) struct Plan {
    path: Text,
    arguments: StringList,
    environment: StringList,
    readiness: readiness::Plan,
    again: Option<Again>,
}

impl Target for Plan {
    fn execute(&self) -> Failure {
        if let Err(failure) = self.readiness.apply() {
            return failure;
        }
        if let Err(errno) = pidfile::keep_on_exec() {
            return Failure::new(Step::PidFile, errno);
        }
        signals::reset_all();
        Failure::new(Step::Execute, process::execute_with(self.path.as_c_str(), &self.arguments, &self.environment))
    }

    fn kept(&self) -> Option<RawFd> {
        self.readiness.kept()
    }

    fn signs(&mut self) -> &mut readiness::Plan {
        &mut self.readiness
    }

    fn let_go(&mut self) {
        self.readiness.listen();
    }

    fn close_socket(&mut self) {
        self.readiness.close_socket();
    }

    fn subject(&self) -> Subject {
        Subject::Text(self.path.clone())
    }

    fn again(&self) -> Option<&Again> {
        self.again.as_ref()
    }
}
