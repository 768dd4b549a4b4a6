//! Which file is executed when a program is named.

use crate::answer::{Failure, code};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Where execvp(3) looks when there is no `PATH`.
const USUAL: &str = "/bin:/usr/bin";

/// Finds the program `name` in `path`, which is what `PATH` is for it. Below a new root the path found is the one inside.
pub(crate) fn find(name: &OsStr, path: Option<&OsStr>, root: Option<&Path>) -> Result<PathBuf, Failure> {
    if name.as_bytes().contains(&b'/') {
        let Some(found) = absolute(Path::new(name), root)? else { return Err(not_found(name)) };
        return match look(&found, root) {
            Look::Executable => Ok(found),
            Look::Other => Err(not_executable(&found)),
            Look::Missing => Err(not_found(name)),
        };
    }
    let mut other = None;
    for directory in std::env::split_paths(path.unwrap_or(OsStr::new(USUAL))) {
        let Some(found) = absolute(&directory.join(name), root)? else { continue };
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
    let found = match root {
        Some(root) => outside(path, root),
        None => Ok(path.to_owned()),
    };
    match found.and_then(fs::metadata) {
        Ok(found) if found.is_file() && found.permissions().mode() & ANYBODY_EXECUTES != 0 => Look::Executable,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Look::Missing,
        // A directory that may not be searched, and whatever else execve(2) would stumble over.
        _ => Look::Other,
    }
}

/// What a path inside the new root is called from here. Links lead where they will lead inside: busybox's are absolute.
fn outside(path: &Path, root: &Path) -> io::Result<PathBuf> {
    /// As many as the kernel follows (path_resolution(7)).
    const LINKS: u32 = 40;
    let mut links = 0;
    let mut inside = PathBuf::new();
    let mut rest: Vec<OsString> = components(path);
    while let Some(name) = rest.pop() {
        if name == ".." {
            inside.pop();
            continue;
        }
        let here = root.join(&inside).join(&name);
        let Ok(target) = fs::read_link(&here) else {
            inside.push(name);
            continue;
        };
        links += 1;
        if links > LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        if target.has_root() {
            inside.clear();
        }
        rest.extend(components(&target));
    }
    Ok(root.join(inside))
}

/// The names in a path, the last first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.rev().map(|part| part.as_os_str().to_owned()).collect()
}

/// The daemon has another working directory. None where this process's own has been removed, and the path is relative to it.
fn absolute(path: &Path, root: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if root.is_some() {
        return Ok(Some(Path::new("/").join(path)));
    }
    match std::path::absolute(path) {
        Ok(path) => Ok(Some(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::of_system(path.to_string_lossy().into_owned(), &error)),
    }
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

#[cfg(test)]
mod tests {
    use super::{components, outside};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    #[test]
    fn links_lead_inside() {
        let root = std::env::temp_dir().join(format!("daemonctx-program-{}", std::process::id()));
        let made = std::fs::create_dir_all(root.join("usr/bin"))
            .and_then(|()| symlink("/usr/bin", root.join("bin")))
            .and_then(|()| symlink("/usr/bin/../bin/busybox", root.join("usr/bin/sh")))
            .and_then(|()| symlink("../../../../../etc/passwd", root.join("up")))
            .and_then(|()| symlink("/loop", root.join("loop")));
        assert!(made.is_ok());
        let of = |path: &str| outside(Path::new(path), &root).ok();
        assert_eq!(of("/bin/sh"), Some(root.join("usr/bin/busybox")));
        assert_eq!(of("/up"), Some(root.join("etc/passwd")));
        assert_eq!(of("/../../bin"), Some(root.join("usr/bin")));
        assert_eq!(of("/loop"), None);
        assert!(std::fs::remove_dir_all(&root).is_ok());
        assert_eq!(components(&PathBuf::from("/a/./../b")), ["b", "..", "a"]);
    }
}
