//! A program that is executed: what it gets, and execve(2).

use crate::error::{Error, Failure, Step, Subject};
use crate::option_errors::OptionErrors;
use crate::readiness::Readiness;
use crate::run_directory;
use crate::signals;
use crate::sys::c_buf::CBuf;
use crate::sys::process::{self, StringList};
use crate::sys::{Errno, Sys, environment, file, memory};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A program to execute, its arguments and its environment: the words are those of [`std::process::Command`].
///
/// [`Daemon::launch`](crate::Daemon::launch) launches it, [`Daemon::exec`](crate::Daemon::exec) replaces this process with it, and
/// [`parts::run`](crate::parts::run) runs it to its end. It begins with the signals of a fresh process: none is ignored or blocked.
///
/// As with `Command`, no method fails: an invalid path, argument or variable is the error of the call that executes the program.
///
/// ```no_run
/// use daemonctx::{Daemon, Program, Readiness};
///
/// daemonctx::become_monitor_if_asked();
/// let mut program = Program::new("/bin/sh");
/// program.args(["-c", "echo >&3; exec sleep 60 3>&-"]).env_remove("LANG").readiness(Readiness::Newline(3));
/// Daemon::new().launch(&program)?.confirm()?;
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[derive(Clone)]
pub struct Program {
    path: CBuf,
    /// What the program is called; its path unless set.
    name: Option<CBuf>,
    arguments: Vec<CBuf>,
    /// This process's environment is inherited, except for these.
    inherits: bool,
    variables: Vec<Variable>,
    readiness: Readiness,
    respawn: Option<Respawn>,
    errors: OptionErrors,
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
    text: CBuf,
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
        Ok(Self { text: CBuf::new(&bytes)?, name: name.len(), is_set: value.is_some() })
    }

    fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.text.as_bytes().get(..self.name).unwrap_or_default())
    }

    /// Whether `assignment` sets the same variable.
    fn covers(&self, assignment: &[u8]) -> bool {
        self.text.as_bytes().get(..=self.name).is_some_and(|start| assignment.starts_with(start))
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variables = |is_set| self.variables.iter().filter(move |variable| variable.is_set == is_set);
        let set: Vec<_> = variables(true).map(|variable| &variable.text).collect();
        let removed: Vec<_> = variables(false).map(Variable::name).collect();
        let mut debug = formatter.debug_struct("Program");
        debug.field("path", &self.path);
        if let Some(name) = &self.name {
            debug.field("arg0", name);
        }
        debug.field("args", &self.arguments);
        if !self.inherits {
            debug.field("env_clear", &true);
        }
        if !set.is_empty() {
            debug.field("envs", &set);
        }
        if !removed.is_empty() {
            debug.field("env_remove", &removed);
        }
        debug.field("readiness", &self.readiness);
        if let Some(respawn) = &self.respawn {
            debug.field("respawn", respawn);
        }
        if let Err(error) = self.errors.first() {
            debug.field("invalid", &error);
        }
        debug.finish()
    }
}

impl Program {
    /// The executable at `path`. A relative path is taken from this process's working directory, and `/proc/self/exe` is this program.
    /// With a chroot the path is inside it. `PATH` is not searched.
    ///
    /// Invalid: a path that is empty (ENOENT), too long (ENAMETOOLONG) or holds a NUL (EINVAL).
    pub fn new(path: impl AsRef<Path>) -> Self {
        let bytes = path.as_ref().as_os_str().as_bytes();
        let mut errors = OptionErrors::default();
        let path = errors.add(CBuf::path(bytes).map_err(|errno| Error::about(Step::Execute, bytes, errno)));
        Self {
            path: path.unwrap_or_default(),
            name: None,
            arguments: Vec::new(),
            inherits: true,
            variables: Vec::new(),
            readiness: Readiness::default(),
            respawn: None,
            errors,
        }
    }

    /// Adds an argument, behind the program's name.
    ///
    /// Invalid: one that holds a NUL (EINVAL).
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        let bytes = arg.as_ref().as_bytes();
        let pushed = CBuf::new(bytes).and_then(|text| memory::push(&mut self.arguments, text));
        self.errors.add(pushed.map_err(|errno| Error::about(Step::Argument, bytes, errno)));
        self
    }

    /// Adds arguments, as [`arg`](Self::arg) does.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        args.into_iter().fold(self, |program, arg| program.arg(arg))
    }

    /// The program's name: its argument 0, which is its path unless set.
    ///
    /// Invalid: one that holds a NUL (EINVAL).
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        let bytes = arg.as_ref().as_bytes();
        let name = CBuf::new(bytes).map_err(|errno| Error::about(Step::ProgramName, bytes, errno));
        if let Some(name) = self.errors.replace(Step::ProgramName, name) {
            self.name = Some(name);
        }
        self
    }

    /// Sets an environment variable for the program.
    ///
    /// Invalid: a name that is empty or holds `=`, a NUL in name or value (EINVAL).
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.change_variable(name.as_ref().as_bytes(), Some(value.as_ref().as_bytes()))
    }

    /// Sets environment variables, as [`env`](Self::env) does.
    pub fn envs(&mut self, variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> &mut Self {
        variables.into_iter().fold(self, |program, (name, value)| program.env(name, value))
    }

    /// Removes an environment variable, set or inherited.
    ///
    /// Invalid: as for [`env`](Self::env).
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.change_variable(name.as_ref().as_bytes(), None)
    }

    /// Removes all environment variables that were set, and inherits none.
    pub fn env_clear(&mut self) -> &mut Self {
        self.inherits = false;
        self.variables.clear();
        self
    }

    fn change_variable(&mut self, name: &[u8], value: Option<&[u8]>) -> &mut Self {
        let changed = Variable::new(name, value).and_then(|variable| {
            self.variables.retain(|other| !other.covers(variable.text.as_bytes()));
            memory::push(&mut self.variables, variable)
        });
        self.errors.add(changed.map_err(|errno| Error::about(Step::Argument, name, errno)));
        self
    }

    /// When a launched program is ready; when it has run for 0.5 s unless set ([`Readiness::StillRunning`]).
    pub fn readiness(&mut self, readiness: Readiness) -> &mut Self {
        self.readiness = readiness;
        self
    }

    /// For C: takes out again what [`readiness`](Self::readiness) was given.
    #[doc(hidden)]
    pub fn take_readiness(&mut self) -> Readiness {
        std::mem::take(&mut self.readiness)
    }

    /// Restarts the program when it fails. Only [`Daemon::launch`](crate::Daemon::launch) can: other calls fail with EOPNOTSUPP.
    pub fn respawn(&mut self, respawn: Option<Respawn>) -> &mut Self {
        self.respawn = respawn;
        self
    }

    /// For language bindings: the error of a setter, which is forgotten.
    ///
    /// # Errors
    /// A setter was given an invalid value.
    #[doc(hidden)]
    pub fn take_option_error(&mut self) -> Result<(), Error> {
        self.errors.take()
    }

    /// What execve(2) takes. The path is resolved here, unless the program `has_root`, another root or working directory that it is seen
    /// from.
    pub(crate) fn prepare(&self, has_root: bool) -> Result<PreparedProgram, Error> {
        self.errors.first()?;
        let failed = |errno| Error::about(Step::Execute, self.path.as_bytes(), errno);
        let lists = self.arguments().and_then(|arguments| Ok((arguments, self.environment()?)));
        let (arguments, environment) = lists.map_err(failed)?;
        let path = if has_root { self.path.clone() } else { resolved(&self.path).map_err(failed)? };
        Ok(PreparedProgram { path, arguments, environment })
    }

    /// The same for a caller that restarts nothing.
    pub(crate) fn prepare_once(&self, has_root: bool) -> Result<PreparedProgram, Error> {
        if self.respawn.is_some() {
            return Err(Error::os(Step::Execute, Subject::Word("respawn"), Errno::EOPNOTSUPP).note("needs a monitor"));
        }
        self.prepare(has_root)
    }

    pub(crate) fn when_ready(&self) -> &Readiness {
        &self.readiness
    }

    pub(crate) fn respawns(&self) -> Option<Respawn> {
        self.respawn
    }

    fn arguments(&self) -> Sys<StringList> {
        let mut list = StringList::default();
        list.push(CBuf::new(self.name.as_ref().unwrap_or(&self.path).as_bytes())?)?;
        for argument in &self.arguments {
            list.push(CBuf::new(argument.as_bytes())?)?;
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
            list.push(CBuf::new(variable.text.as_bytes())?)?;
        }
        list.finish()?;
        Ok(list)
    }
}

/// The path as it is for other processes and in other directories: absolute, and without what `/proc/self` is for this process.
fn resolved(path: &CBuf) -> Sys<CBuf> {
    #[cfg(target_os = "linux")]
    if [&b"/proc/self/"[..], b"/proc/thread-self/"].iter().any(|own| path.as_bytes().starts_with(own)) {
        let mut room = memory::filled(0, crate::sys::c_buf::PATH_MAX)?;
        return match file::link_target(path.as_c_str(), &mut room) {
            Ok(target) => file::absolute_path(target),
            Err(Errno::EINVAL) => Ok(path.clone()),
            Err(errno) => Err(errno),
        };
    }
    file::absolute_path(path.as_bytes())
}

/// A program as execve(2) wants it. The environment must not change before it is executed.
#[derive(Debug)]
pub(crate) struct PreparedProgram {
    pub(crate) path: CBuf,
    pub(crate) arguments: StringList,
    pub(crate) environment: StringList,
}

impl PreparedProgram {
    /// Has this process become the program, with the signals of a fresh process. Returns only with the failure.
    pub(crate) fn execute(&self) -> Failure {
        signals::reset_all();
        Failure::new(Step::Execute, process::execute_with(self.path.as_c_str(), &self.arguments, &self.environment))
    }

    pub(crate) fn explain(&self, failure: Failure) -> Error {
        self.explain_in(None, failure)
    }

    /// The same of a program in another root.
    pub(crate) fn explain_in(&self, root: Option<&CBuf>, failure: Failure) -> Error {
        let error = Error::os(failure.step, Subject::Text(self.path.clone()), failure.errno);
        match path_outside(root, &self.path) {
            Ok(path) if failure.step == Step::Execute => not_executed(error, &path),
            _ => error,
        }
    }
}

/// What the path of a program in `root` is called from here.
pub(crate) fn path_outside(root: Option<&CBuf>, path: &CBuf) -> Sys<CBuf> {
    match root {
        Some(root) => run_directory::join(&[root.as_bytes(), b"/", path.as_bytes()]),
        None => CBuf::path(path.as_bytes()),
    }
}

/// Says of a failed execve(2) what its errno leaves open. `path` is where the program is for this process.
pub(crate) fn not_executed(error: Error, path: &CBuf) -> Error {
    match error.errno() {
        Some(libc::ENOENT) if file::status_behind(path.as_c_str()).is_ok() => error.note("its interpreter is missing"),
        Some(libc::ENOEXEC) => error.note("neither a binary for this machine nor a script with #!"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::Program;
    use crate::sys::process::StringList;

    fn texts(list: &StringList) -> Vec<String> {
        list.iter().map(|text| text.to_string_lossy().into_owned()).collect()
    }

    fn arguments(program: &Program) -> Option<Vec<String>> {
        program.prepare(false).ok().map(|prepared| texts(&prepared.arguments))
    }

    #[test]
    fn the_path_is_the_name_unless_set() {
        let mut program = Program::new("/bin/sh");
        program.arg("-c").args(["true", "x"]);
        assert_eq!(arguments(&program), Some(["/bin/sh", "-c", "true", "x"].map(str::to_owned).to_vec()));
        program.arg0("other");
        assert_eq!(arguments(&program), Some(["other", "-c", "true", "x"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_last_word_on_a_variable_counts() {
        let mut program = Program::new("/bin/sh");
        program.env("GONE", "1").env_clear().envs([("A", "1"), ("B", "2")]).env("A", "3").env_remove("B");
        let environment = program.prepare(false).map(|prepared| texts(&prepared.environment));
        assert_eq!(environment, Ok(vec!["A=3".to_owned()]));
    }

    #[test]
    fn the_first_invalid_value_is_reported() {
        let mut program = Program::new("");
        program.arg("a\0b").env("A=B", "1");
        let reported =
            |program: &Program| program.prepare(false).map(drop).map_err(|error| (error.step(), error.errno()));
        assert_eq!(reported(&program), Err((crate::Step::Execute, Some(libc::ENOENT))));
        program = Program::new("/bin/sh");
        program.arg0("a\0b").env("A=B", "1").arg0("right");
        assert_eq!(reported(&program), Err((crate::Step::Argument, Some(libc::EINVAL))));
        assert!(program.take_option_error().is_err() && program.prepare(false).is_ok());
    }
}
