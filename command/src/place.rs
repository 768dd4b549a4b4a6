//! Which daemon is meant: its name, its pid file, and where the state file of its monitor is.

use crate::answer::{Failure, code};
use crate::options::{Program, Which};
use crate::script;
use crate::{sys, values};
use daemonctx::{Error, Monitored, MonitoredState, PidFile};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where root's daemons have their pid files.
const ROOTS: &str = "/run";

/// A daemon by its name and its pid file.
pub(crate) struct Place {
    pub(crate) name: String,
    /// None where the daemon has none.
    pub(crate) pid_file: Option<PidFile>,
    /// Where its state file is, if not this user's directory.
    run: Option<&'static Path>,
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
        let pid_file = match (&program.naming.pidfile, program.naming.no_pidfile) {
            (_, true) => None,
            (Some(path), _) => Some(PidFile::of_either_kind(path)?),
            (None, _) => Some(PidFile::of_either_kind(pid_file_in(&own_directory(), &name))?),
        };
        Ok(Self { name: name.to_string_lossy().into_owned(), pid_file, run: None, is_named: false })
    }

    /// Of a daemon that may be there: named, or known by its pid file.
    pub(crate) fn of_daemon(which: &Which) -> Result<Self, Failure> {
        match (&which.pidfile, &which.daemon) {
            (Some(path), name) => {
                let pid_file = PidFile::of_either_kind(path)?;
                let name = name.as_deref().or_else(|| pid_file.path().file_stem()).unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                Ok(Self { name, pid_file: Some(pid_file), run: None, is_named: false })
            }
            (None, Some(name)) => Self::named(name),
            (None, None) => Err(misused("needs a NAME or --pidfile")),
        }
    }

    /// This user's daemon, or root's if this user has none of the name; by the usual pid file, or by any other. One that is there comes
    /// before one that has ended.
    fn named(name: &OsStr) -> Result<Self, Failure> {
        let of = |directory: &Path, run| -> Result<Self, Failure> {
            let pid_file = Some(PidFile::of_either_kind(pid_file_in(directory, name))?);
            Ok(Self { name: name.to_string_lossy().into_owned(), pid_file, run, is_named: true })
        };
        let own = of(&own_directory(), None)?;
        let roots = of(Path::new(ROOTS), Some(Path::new(ROOTS)))?;
        for may_have_ended in [false, true] {
            let is_meant = |daemon: &Monitored| may_have_ended || !has_ended(daemon);
            if own.is_there(is_meant) {
                return Ok(own);
            }
            for run in [None, Some(Path::new(ROOTS))] {
                let mut listed = Monitored::list(run).unwrap_or_default();
                listed.retain(|daemon| daemon.name() == name && is_meant(daemon));
                match listed.as_slice() {
                    [] => {}
                    [daemon] => {
                        let pid_file = daemon.pid_file().map(PidFile::of_either_kind).transpose()?;
                        return Ok(Self { pid_file, run, ..own });
                    }
                    several => return Err(ambiguous(name, several)),
                }
            }
            if roots.is_there(is_meant) {
                return Ok(roots);
            }
        }
        Ok(own)
    }

    fn is_there(&self, is_meant: impl Fn(&Monitored) -> bool) -> bool {
        match self.monitored() {
            Ok(Some(daemon)) => is_meant(&daemon),
            _ => self.pid_file.as_ref().is_some_and(PidFile::exists),
        }
    }

    /// The daemon, if a monitor of this boot and PID namespace has written its state file.
    pub(crate) fn monitored(&self) -> Result<Option<Monitored>, Error> {
        let path = self.pid_file.as_ref().map(PidFile::path);
        match Monitored::find(&self.name, path, self.run) {
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
        if !self.is_named || self.is_there(|_| true) {
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

/// The names of daemons, this user's and root's: those of pid files and of state files.
pub(crate) fn names() -> Vec<OsString> {
    let directories = [Some(PathBuf::from(ROOTS)), runtime_directory(), Some(own_directory())];
    let entries = directories.into_iter().flatten().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten();
    let files = entries.flatten().map(|entry| PathBuf::from(entry.file_name()));
    let files = files.filter(|file| file.extension() == Some(OsStr::new("pid")));
    let mut names: Vec<_> = files.filter_map(|file| file.file_stem().map(OsStr::to_owned)).collect();
    let monitored = [None, Some(Path::new(ROOTS))].into_iter().flat_map(|run| Monitored::list(run).unwrap_or_default());
    names.extend(monitored.map(|daemon| daemon.name().to_owned()));
    names
}

/// Where the pid files of this user's daemons are, as docs/monitor.md says it of state files.
fn own_directory() -> PathBuf {
    if sys::is_root() {
        return PathBuf::from(ROOTS);
    }
    runtime_directory().unwrap_or_else(|| PathBuf::from(format!("/tmp/daemonctx-{}", sys::effective_user())))
}

fn runtime_directory() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

fn pid_file_in(directory: &Path, name: &OsStr) -> PathBuf {
    directory.join([name, OsStr::new(".pid")].into_iter().collect::<OsString>())
}

fn misused(why: &str) -> Failure {
    Failure::misused([why, "; see `daemonctx help`"].concat())
}
