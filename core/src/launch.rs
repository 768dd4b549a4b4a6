//! A program that is made a daemon without knowing of it: the last step of its start is execve(2).

use crate::error::{Error, Failure, Step, Subject};
use crate::readiness::Readiness;
use crate::signals;
use crate::sys::process::{self, StringList};
use crate::sys::{Errno, Sys, environment, file, memory};
use crate::text::Text;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A program for [`Daemon::launch`](crate::Daemon::launch) or [`Daemon::exec`](crate::Daemon::exec): what to execute, with which
/// arguments and environment, and when it is ready.
///
/// It begins with the signals of a fresh process: nothing is ignored or blocked.
///
/// ```no_run
/// use daemonctx::{Daemon, Executable, Readiness};
///
/// daemonctx::become_monitor_if_asked();
/// let mut program = Executable::new("/bin/sh")?;
/// program.argument("sh")?.argument("-c")?.argument("echo >&3; exec sleep 60 3>&-")?;
/// program.readiness(Readiness::Newline(3)).without_variable("LANG")?;
/// Daemon::new()?.launch(&program)?.confirm()?;
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Executable {
    path: Text,
    arguments: Vec<Text>,
    /// The starter's environment goes along, but for these.
    inherits: bool,
    variables: Vec<Variable>,
    readiness: Readiness,
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
    /// The executable at `path`, by which it is called, too, unless [`argument`](Self::argument) says otherwise. A relative path is
    /// taken from this process's working directory, and `/proc/self/exe` is this program. With a chroot the path is inside it. `PATH`
    /// is not searched.
    ///
    /// # Errors
    /// ENOENT: empty. ENAMETOOLONG. EINVAL: it holds a NUL.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        let path = Text::path(bytes).map_err(|errno| Error::about(Step::Execute, bytes, errno))?;
        let (arguments, variables) = (Vec::new(), Vec::new());
        Ok(Self { path, arguments, inherits: true, variables, readiness: Readiness::default(), respawn: None })
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

    /// When the program is ready; when it has run for 0.5 s unless set ([`Readiness::StillRunning`]).
    pub fn readiness(&mut self, readiness: Readiness) -> &mut Self {
        self.readiness = readiness;
        self
    }

    /// For C: takes out again what [`readiness`](Self::readiness) was given.
    #[doc(hidden)]
    pub fn take_readiness(&mut self) -> Readiness {
        std::mem::take(&mut self.readiness)
    }

    /// Restarts the program when it fails; [`Daemon::exec`](crate::Daemon::exec) cannot, and fails with EOPNOTSUPP.
    pub fn respawn(&mut self, respawn: Option<Respawn>) -> &mut Self {
        self.respawn = respawn;
        self
    }

    /// What is executed, below another root directory or not.
    pub(crate) fn program(&self, has_root: bool) -> Result<Program, Error> {
        let failed = |errno| Error::about(Step::Execute, self.path.as_bytes(), errno);
        let lists = self.arguments().and_then(|arguments| Ok((arguments, self.environment()?)));
        let (arguments, environment) = lists.map_err(failed)?;
        let path = if has_root { self.path.clone() } else { resolved(&self.path).map_err(failed)? };
        Ok(Program { path, arguments, environment })
    }

    pub(crate) fn when_ready(&self) -> &Readiness {
        &self.readiness
    }

    pub(crate) fn respawns(&self) -> Option<Respawn> {
        self.respawn
    }

    fn arguments(&self) -> Sys<StringList> {
        let mut list = StringList::default();
        for argument in &self.arguments {
            list.push(Text::new(argument.as_bytes())?)?;
        }
        if self.arguments.is_empty() {
            list.push(Text::new(self.path.as_bytes())?)?;
        }
        list.finish()?;
        Ok(list)
    }

    fn environment(&self) -> Sys<StringList> {
        let mut list = StringList::default();
        if self.inherits {
            environment::for_each(|assignment, place| {
                let is_changed = self.variables.iter().any(|variable| variable.covers(assignment));
                if is_changed { Ok(()) } else { list.push_borrowed(place) }
            })?;
        }
        for variable in self.variables.iter().filter(|variable| variable.is_set) {
            list.push(Text::new(variable.text.as_bytes())?)?;
        }
        list.finish()?;
        Ok(list)
    }
}

/// The path as it is for other processes and in other directories: absolute, and without what `/proc/self` is for this process.
fn resolved(path: &Text) -> Sys<Text> {
    #[cfg(target_os = "linux")]
    if [&b"/proc/self/"[..], b"/proc/thread-self/"].iter().any(|own| path.as_bytes().starts_with(own)) {
        let mut room = memory::filled(0, crate::text::PATH_MAX)?;
        return match file::link_target(path.as_c_str(), &mut room) {
            Ok(target) => Text::absolute_path(target),
            Err(Errno::EINVAL) => Ok(path.clone()),
            Err(errno) => Err(errno),
        };
    }
    Text::absolute_path(path.as_bytes())
}

/// A program as execve(2) wants it. The environment must not change before it is executed.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: Text,
    pub(crate) arguments: StringList,
    pub(crate) environment: StringList,
}

impl Program {
    /// Has this process become the program, with the signals of a fresh process. Returns only with the failure.
    pub(crate) fn execute(&self) -> Failure {
        signals::reset_all();
        Failure::new(Step::Execute, process::execute_with(self.path.as_c_str(), &self.arguments, &self.environment))
    }

    pub(crate) fn explain(&self, failure: Failure) -> Error {
        let error = Error::os(failure.step, Subject::Text(self.path.clone()), failure.errno);
        if failure.step == Step::Execute { not_executed(error, &self.path) } else { error }
    }
}

/// Says of a failed execve(2) what its errno leaves open. `path` is where the program is for this process.
pub(crate) fn not_executed(error: Error, path: &Text) -> Error {
    match error.errno() {
        Some(libc::ENOENT) if file::status_behind(path.as_c_str()).is_ok() => error.note("its interpreter is missing"),
        Some(libc::ENOEXEC) => error.note("neither a binary for this machine nor a script with #!"),
        _ => error,
    }
}
