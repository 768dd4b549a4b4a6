//! A program that is made a daemon without knowing of it: the last step of its start is execve(2).

use crate::error::{Error, Failure, Step, Subject};
use crate::pidfile;
use crate::readiness::{self, Readiness};
use crate::report::Reporter;
use crate::signals;
use crate::starter::Watch;
use crate::sys::process::{self, StringList};
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
    respawn: Option<Respawn>,
}

/// How a program is restarted that has failed: exited with another status than 0, or been killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Respawn {
    /// How long to wait before.
    pub delay: Duration,
    /// How often before giving up; any number of times where there is none.
    pub limit: Option<u32>,
    /// A program that has run for so long begins anew.
    pub settled: Duration,
}

impl Default for Respawn {
    /// After a second, five times, with a minute to begin anew.
    fn default() -> Self {
        Self { delay: Duration::from_secs(1), limit: Some(5), settled: Duration::from_secs(60) }
    }
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
        Ok(Self { path, arguments, inherits: true, variables, readiness, respawn: None })
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

    /// Restarts the program when it fails. Needs a monitor: [`Daemon::launch`](crate::Daemon::launch) fails with EOPNOTSUPP.
    pub fn respawn(&mut self, respawn: Option<Respawn>) -> &mut Self {
        self.respawn = respawn;
        self
    }

    /// Everything that is needed after the fork. Where there is none, nobody waits for readiness; a service manager that does
    /// is told by the program itself.
    pub(crate) fn prepare(&self, fork: bool) -> Result<Box<Plan>, Error> {
        if self.respawn.is_some() {
            return Err(Error::os(Step::Start, Subject::Word("respawn"), Errno::EOPNOTSUPP).note("needs a monitor"));
        }
        let readiness = self.readiness.as_ref().filter(|_| fork).unwrap_or(&Readiness::Executed);
        let failed = |errno| Error::os(Step::ReadyDescriptor, readiness.subject(), errno);
        let readiness = readiness::Plan::new(readiness).map_err(failed)?;
        let plan = self.lists(&readiness).and_then(|(arguments, environment)| {
            memory::boxed(Plan { path: self.path.clone(), arguments, environment, readiness })
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

/// A helper for programs that are launched: it looks for the program's own signs.
pub(crate) fn help(plan: &mut crate::plan::Plan, mut watch: Watch, teller: Reporter, must_know: bool) -> ! {
    if let Some(target) = &mut plan.target {
        target.let_go();
    }
    let outcome = watch.follow(&teller, plan.target.as_mut().map(|target| target.signs()), must_know);
    watch.conclude(outcome, &teller);
    process::exit_now(0)
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
}

#[derive(Debug)]
pub(crate) struct Plan {
    path: Text,
    arguments: StringList,
    environment: StringList,
    readiness: readiness::Plan,
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
}
