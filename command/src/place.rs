//! Which daemon is meant: its name and its pid file.

use crate::answer::Failure;
use crate::options::{Program, Which};
use crate::{sys, values};
use daemonctx::PidFile;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where root's daemons have their pid files.
const ROOTS: &str = "/run";

/// A daemon by its name and its pid file.
pub(crate) struct Place {
    pub(crate) name: String,
    /// None where the daemon is to have none.
    pub(crate) pid_file: Option<PidFile>,
}

impl Place {
    /// Of a program that is to be started: called like it unless said otherwise.
    pub(crate) fn of_program(program: &Program) -> Result<Self, Failure> {
        let file_name = || program.words.first().and_then(|path| Path::new(path).file_name());
        let name = program.naming.name.as_deref().or_else(file_name).ok_or_else(|| misused("needs a PROGRAM"))?;
        let pid_file = match (&program.naming.pidfile, program.naming.no_pidfile) {
            (_, true) => None,
            (Some(path), _) => Some(PidFile::of_either_kind(path)?),
            (None, _) => Some(PidFile::of_either_kind(own(name)?)?),
        };
        Ok(Self { name: name.to_string_lossy().into_owned(), pid_file })
    }

    /// Of a daemon that is there: named, or known by its pid file.
    pub(crate) fn of_daemon(which: &Which) -> Result<(Self, PidFile), Failure> {
        let name = which.daemon.as_deref();
        let path = match (&which.pidfile, name) {
            (Some(path), _) => path.clone(),
            (None, Some(name)) => own_or_roots(name)?,
            (None, None) => return Err(misused("needs a NAME or --pidfile")),
        };
        let pid_file = PidFile::of_either_kind(path)?;
        let name = name.or_else(|| pid_file.path().file_stem()).unwrap_or_default().to_string_lossy().into_owned();
        Ok((Self { name, pid_file: Some(pid_file.clone()) }, pid_file))
    }
}

/// The names of pid files, this user's and root's.
pub(crate) fn names() -> Vec<OsString> {
    let directories = [Some(PathBuf::from(ROOTS)), own_directory()];
    let entries = directories.into_iter().flatten().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten();
    let files = entries.flatten().map(|entry| PathBuf::from(entry.file_name()));
    let names = files.filter(|file| file.extension() == Some(OsStr::new("pid")));
    names.filter_map(|file| file.file_stem().map(OsStr::to_owned)).collect()
}

/// Of one that this user starts.
fn own(name: &OsStr) -> Result<PathBuf, Failure> {
    let file = file_name(name)?;
    if sys::is_root() {
        return Ok(Path::new(ROOTS).join(file));
    }
    let own = own_directory().ok_or_else(|| misused("needs --pidfile: XDG_RUNTIME_DIR is not set"))?;
    Ok(own.join(file))
}

fn own_directory() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Of one that is there: this user's, and root's where there is none.
fn own_or_roots(name: &OsStr) -> Result<PathBuf, Failure> {
    let roots = Path::new(ROOTS).join(file_name(name)?);
    let own = own(name);
    if roots.exists() && !own.as_ref().is_ok_and(|own| own.exists()) { Ok(roots) } else { own }
}

/// A program's file name may be none that a daemon can have.
fn file_name(name: &OsStr) -> Result<OsString, Failure> {
    if !values::is_daemon_name(name) {
        return Err(misused("needs --name: the program's file name begins with a dot"));
    }
    Ok([name, OsStr::new(".pid")].into_iter().collect())
}

fn misused(why: &str) -> Failure {
    Failure::misused([why, "; see `daemonctx help`"].concat())
}
