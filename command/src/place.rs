//! Which daemon is meant: its name, its pid file, and where the state file of its monitor is.

use crate::answer::{Failure, code};
use crate::monitored::quoted;
use crate::options::{Program, Which};
use crate::run_directories::{ROOTS, directories, names, other_directories, own_directory, pid_file_in};
use crate::script;
use crate::{sys, values};
use daemonctx::{Error, Monitored, MonitoredState, PidFile};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A daemon by its name and its pid file.
pub(crate) struct Place {
    pub(crate) name: String,
    /// None where the daemon has none.
    pub(crate) pid_file: Option<PidFile>,
    /// Where its state file is, if not in this user's usual directory.
    run: Option<PathBuf>,
    /// The daemon was named, so it may be called otherwise.
    is_named: bool,
}

impl Place {
    /// Of a program that is to be started: called like it unless an option says otherwise.
    pub(crate) fn of_program(program: &Program) -> Result<Self, Failure> {
        let usual = || script::name(&program.words);
        let name = program.naming.name.clone().or_else(usual).ok_or_else(|| misused("needs a PROGRAM"))?;
        if !values::is_daemon_name(&name) {
            return Err(misused("needs --name: the program's file name begins with a dot"));
        }
        let in_directory = |directory: &Path, run| -> Result<Self, Failure> {
            let pid_file = match (&program.naming.pidfile, program.naming.no_pidfile) {
                (_, true) => None,
                (Some(path), _) => Some(PidFile::of_either_kind(path)?),
                (None, _) => Some(PidFile::of_either_kind(pid_file_in(directory, &name))?),
            };
            Ok(Self { name: name.to_string_lossy().into_owned(), pid_file, run, is_named: false })
        };
        let usual = in_directory(&own_directory(), None)?;
        for directory in other_directories() {
            let other = in_directory(&directory, Some(directory.clone()))?;
            // One that is alive counts, not what is recorded of one that has ended.
            if other.is_alive() && !usual.is_alive() {
                return Ok(other);
            }
        }
        Ok(usual)
    }

    /// Of a daemon that may be there: named, or known by its pid file.
    pub(crate) fn of_daemon(which: &Which) -> Result<Self, Failure> {
        match (&which.pidfile, &which.daemon) {
            (Some(path), name) => {
                let pid_file = PidFile::of_either_kind(path)?;
                let name = name.as_deref().or_else(|| pid_file.path().file_stem()).unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                let mut place = Self { name, pid_file: Some(pid_file), run: None, is_named: false };
                if !matches!(place.monitored(), Ok(Some(_))) {
                    let is_recorded = |run: &PathBuf| place.in_run(Some(run)).is_ok_and(|daemon| daemon.is_some());
                    place.run = other_directories().into_iter().find(is_recorded);
                }
                Ok(place)
            }
            (None, Some(name)) => Self::named(name),
            (None, None) => Err(misused("needs a NAME or --pidfile")),
        }
    }

    /// This user's daemon, or root's if this user has none of the name; by the usual pid file, or by any other. One that is there comes
    /// before one that has ended.
    pub(crate) fn named(name: &OsStr) -> Result<Self, Failure> {
        let place = |pid_file, run| Self { name: name.to_string_lossy().into_owned(), pid_file, run, is_named: true };
        let usual = |directory: &Path, run: Option<PathBuf>| -> Result<Self, Failure> {
            Ok(place(Some(PidFile::of_either_kind(pid_file_in(directory, name))?), run))
        };
        for may_have_ended in [false, true] {
            let is_meant = |daemon: &Monitored| may_have_ended || !has_ended(daemon);
            for (directory, run) in directories() {
                let usual = usual(&directory, run.clone())?;
                let found = usual.monitored().ok().flatten();
                if found.as_ref().is_some_and(|daemon| is_meant(daemon) && daemon.pid_file().is_none()) {
                    return Ok(place(None, run));
                }
                if found.as_ref().map_or_else(|| usual.has_pid_file_there(), is_meant) {
                    return Ok(usual);
                }
                let mut listed = Monitored::list(run.as_deref()).unwrap_or_default();
                listed.retain(|daemon| daemon.name() == name && is_meant(daemon));
                match listed.as_slice() {
                    [] => {}
                    [daemon] => {
                        let pid_file = daemon.pid_file().map(PidFile::of_either_kind).transpose()?;
                        return Ok(place(pid_file, run));
                    }
                    several => return Err(ambiguous(name, several)),
                }
            }
        }
        usual(&own_directory(), None)
    }

    /// Whether something is there to be found: a recorded daemon, or a pid file.
    fn is_there(&self) -> bool {
        matches!(self.monitored(), Ok(Some(_))) || self.has_pid_file_there()
    }

    fn has_pid_file_there(&self) -> bool {
        self.pid_file.as_ref().is_some_and(PidFile::exists)
    }

    fn is_alive(&self) -> bool {
        let is_lost = |daemon: &Monitored| daemon.state() == MonitoredState::Lost && daemon.processes().is_empty();
        matches!(self.monitored(), Ok(Some(daemon)) if !has_ended(&daemon) && !is_lost(&daemon))
    }

    /// Whether it is this user's, and not root's that this user sees.
    pub(crate) fn is_own(&self) -> bool {
        sys::is_root() || self.run.as_deref() != Some(Path::new(ROOTS))
    }

    /// The options by which a start means this daemon.
    pub(crate) fn naming_options(&self) -> String {
        let name = ["--name ", &quoted(&self.name)].concat();
        match self.path() {
            None => [&name, " --no-pidfile"].concat(),
            Some(_) if self.has_usual_pid_file() || self.run.is_some() => name,
            Some(path) => [&name, " --pidfile ", &quoted(&path)].concat(),
        }
    }

    /// The directory for the state file, if it is not this user's usual one.
    pub(crate) fn run(&self) -> Option<&Path> {
        self.run.as_deref()
    }

    /// The daemon, if a monitor of this boot and PID namespace has written its state file.
    pub(crate) fn monitored(&self) -> Result<Option<Monitored>, Error> {
        self.in_run(self.run.as_deref())
    }

    /// Whether it has a monitor that this user may neither see nor signal (proc(5), `hidepid`).
    pub(crate) fn has_hidden_monitor(&self) -> bool {
        let path = self.pid_file.as_ref().map(PidFile::path);
        let is_hidden = |run| {
            let found = Monitored::find(&self.name, path, run);
            found.is_err_and(|error| error.errno() == Some(libc::EACCES))
        };
        is_hidden(self.run()) || path.is_some() && is_hidden(Some(Path::new(ROOTS)))
    }

    fn in_run(&self, run: Option<&Path>) -> Result<Option<Monitored>, Error> {
        let path = self.pid_file.as_ref().map(PidFile::path);
        match Monitored::find(&self.name, path, run) {
            // Another user's, another boot's, or another PID namespace's: what its pid file says counts.
            Err(error) if matches!(error.errno(), Some(libc::EXDEV | libc::EPERM | libc::EACCES | libc::EBADMSG)) => {
                Ok(None)
            }
            found => found,
        }
    }

    /// Whether its name alone means it: its pid file is where those of this user's daemons are.
    pub(crate) fn has_usual_pid_file(&self) -> bool {
        let usual = pid_file_in(&own_directory(), OsStr::new(&self.name));
        self.pid_file.as_ref().is_some_and(|file| file.path() == usual)
    }

    pub(crate) fn has_pid_file(&self, path: &Path) -> bool {
        let absolute = std::path::absolute(path);
        self.pid_file.as_ref().zip(absolute.ok()).is_some_and(|(file, path)| file.path() == path)
    }

    pub(crate) fn path(&self) -> Option<String> {
        self.pid_file.as_ref().map(|file| file.path().to_string_lossy().into_owned())
    }

    /// Names like the one that was given, where no daemon has that.
    pub(crate) fn similar(&self) -> Option<String> {
        const ALIKE: f64 = 0.8;
        if !self.is_named || self.is_there() {
            return None;
        }
        let likeness = |name: &str| strsim::jaro(&self.name, name);
        let names = names().into_iter().filter_map(|name| name.into_string().ok());
        let names = names.filter(|name| *name != self.name && likeness(name) >= ALIKE);
        names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
    }
}

fn has_ended(daemon: &Monitored) -> bool {
    matches!(daemon.state(), MonitoredState::Ended | MonitoredState::GaveUp)
}

/// Two programs of the same file name, with a pid file each.
fn ambiguous(name: &OsStr, daemons: &[Monitored]) -> Failure {
    let files = daemons.iter().filter_map(|daemon| Some(daemon.pid_file()?.to_string_lossy().into_owned()));
    let files = files.collect::<Vec<_>>().join(", ");
    let why = format!("{} daemons have this name; choose one by --pidfile: {files}", daemons.len());
    Failure::new(code::NOT_CONFIGURED, why).of(&name.to_string_lossy())
}

fn misused(why: &str) -> Failure {
    Failure::misused([why, "; see `daemonctx help`"].concat())
}
