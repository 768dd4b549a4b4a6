//! Which file is executed when a program is named.

use crate::answer::{Failure, code};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where execvp(3) looks when there is no `PATH`.
const USUAL: &str = "/bin:/usr/bin";

/// Finds the program `name` in `path`, which is what `PATH` is for it. Below a new root the path found is the one inside.
pub(crate) fn find(name: &OsStr, path: Option<&OsStr>, root: Option<&Path>) -> Result<PathBuf, Failure> {
    if name.as_bytes().contains(&b'/') {
        let found = absolute(Path::new(name), root)?;
        return match look(&found, root) {
            Look::Executable => Ok(found),
            Look::Other => Err(not_executable(&found)),
            Look::Missing => Err(not_found(name)),
        };
    }
    let mut other = None;
    for directory in std::env::split_paths(path.unwrap_or(OsStr::new(USUAL))) {
        let found = absolute(&directory.join(name), root)?;
        match look(&found, root) {
            Look::Executable => return Ok(found),
            Look::Other => other = Some(found),
            Look::Missing => {}
        }
    }
    Err(other.map_or_else(|| not_found(name), |found| not_executable(&found)))
}

enum Look {
    Executable,
    Other,
    Missing,
}

/// Whether the daemon's user may execute it is seen when it tries.
fn look(path: &Path, root: Option<&Path>) -> Look {
    const ANYBODY_EXECUTES: u32 = 0o111;
    match outside(path, root).metadata() {
        Ok(found) if found.is_file() && found.permissions().mode() & ANYBODY_EXECUTES != 0 => Look::Executable,
        Ok(_) => Look::Other,
        Err(_) => Look::Missing,
    }
}

/// What a path inside the new root is called from here.
fn outside(path: &Path, root: Option<&Path>) -> PathBuf {
    match root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

/// The daemon has another working directory.
fn absolute(path: &Path, root: Option<&Path>) -> Result<PathBuf, Failure> {
    if root.is_some() {
        return Ok(Path::new("/").join(path));
    }
    std::path::absolute(path)
        .map_err(|error| Failure::new(code::FAILED, format!("{}: {error}", path.to_string_lossy())))
}

fn not_found(name: &OsStr) -> Failure {
    Failure::new(code::NOT_INSTALLED, format!("{}: no such program", name.to_string_lossy()))
}

fn not_executable(path: &Path) -> Failure {
    Failure::new(code::NOT_PERMITTED, format!("{}: not executable", path.to_string_lossy()))
}

/// The value that `PATH` will have for the program.
pub(crate) fn search_path(set: &[(OsString, OsString)], inherits: bool) -> Option<OsString> {
    let said = set.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    said.or_else(|| std::env::var_os("PATH").filter(|_| inherits))
}
