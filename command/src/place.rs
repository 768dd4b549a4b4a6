//! Which daemon is meant: its name and its pid file.

use crate::answer::Failure;
use crate::arguments::Arguments;
use crate::sys;
use daemonctx::PidFile;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
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
    pub(crate) fn of_program(arguments: &Arguments) -> Result<Self, Failure> {
        let program = arguments.operands.first().ok_or_else(|| arguments.misused("needs a PROGRAM"))?;
        let name = match arguments.get("name") {
            Some(name) => name,
            None => Path::new(program).file_name().ok_or_else(|| arguments.misused("needs a PROGRAM"))?,
        };
        let pid_file = if arguments.has("no-pidfile") { None } else { Some(pid_file(arguments, Some(name), own)?) };
        Ok(Self { name: name.to_string_lossy().into_owned(), pid_file })
    }

    /// Of a daemon that is there: named, or known by its pid file.
    pub(crate) fn of_daemon(arguments: &Arguments) -> Result<(Self, PidFile), Failure> {
        if arguments.operands.len() > 1 {
            return Err(arguments.misused("needs one NAME"));
        }
        let name = arguments.operands.first().map(|name| name.as_os_str());
        let pid_file = pid_file(arguments, name, own_or_roots)?;
        let name = name.or_else(|| pid_file.path().file_stem()).unwrap_or_default().to_string_lossy().into_owned();
        Ok((Self { name, pid_file: Some(pid_file.clone()) }, pid_file))
    }
}

/// Where a daemon of some name has its pid file.
type Usual = fn(&Arguments, &OsStr) -> Result<PathBuf, Failure>;

fn pid_file(arguments: &Arguments, name: Option<&OsStr>, usual: Usual) -> Result<PidFile, Failure> {
    let path = match (arguments.get("pidfile"), name) {
        (Some(path), _) => PathBuf::from(path),
        (None, Some(name)) => usual(arguments, name)?,
        (None, None) => return Err(arguments.misused("needs a NAME or --pidfile")),
    };
    PidFile::of_either_kind(path).map_err(Failure::from)
}

/// Of one that this user starts.
fn own(arguments: &Arguments, name: &OsStr) -> Result<PathBuf, Failure> {
    let file = file_name(arguments, name)?;
    if sys::is_root() {
        return Ok(Path::new(ROOTS).join(file));
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = own.ok_or_else(|| arguments.misused("needs --pidfile: XDG_RUNTIME_DIR is not set"))?;
    Ok(own.join(file))
}

/// Of one that is there: this user's, and root's where there is none.
fn own_or_roots(arguments: &Arguments, name: &OsStr) -> Result<PathBuf, Failure> {
    let roots = Path::new(ROOTS).join(file_name(arguments, name)?);
    let own = own(arguments, name);
    if roots.exists() && !own.as_ref().is_ok_and(|own| own.exists()) { Ok(roots) } else { own }
}

fn file_name(arguments: &Arguments, name: &OsStr) -> Result<OsString, Failure> {
    let is_name = !name.is_empty() && !name.as_bytes().contains(&b'/') && !name.as_bytes().starts_with(b".");
    if !is_name {
        return Err(arguments.misused(&format!("{}: a name, or --pidfile", name.to_string_lossy())));
    }
    Ok([name, OsStr::new(".pid")].into_iter().collect())
}
