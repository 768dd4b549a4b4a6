//! Who holds a pid file's lock, where the daemon that it names does not.

use crate::process::{self, Process};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a process that stays with a daemon is called (the library's `keeper`).
const KEEPER: &[u8] = b"daemonctx-keep";

pub(crate) fn is_keeper(process: &Process) -> bool {
    process.name == KEEPER
}

/// The processes that hold it, as far as that may be seen.
pub(crate) fn of(file: &Path) -> Vec<Process> {
    let mut found = Process::all();
    found.retain(|process| holds(process.pid, file) == Some(true));
    found
}

/// The daemon's keeper: its parent, if that holds the file. Directly after the start it is not called so yet; where nobody may see
/// what it holds, the name has to do.
pub(crate) fn keeper_of(daemon: &Process, file: &Path) -> Option<i32> {
    let parent = Process::read(daemon.parent)?;
    let keeps = holds(parent.pid, file).unwrap_or_else(|| is_keeper(&parent));
    keeps.then_some(parent.pid)
}

/// Whether a process has this very file open, and a lock on it; none where that may not be known.
fn holds(pid: i32, file: &Path) -> Option<bool> {
    let file = fs::symlink_metadata(file).ok()?;
    for entry in fs::read_dir(process::path(pid, "fd")).ok()?.flatten() {
        let is_it = fs::metadata(entry.path()).is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()));
        let Some(number) = entry.file_name().to_str().filter(|_| is_it).map(str::to_owned) else { continue };
        let info = fs::read(process::path(pid, &["fdinfo/", &number].concat())).unwrap_or_default();
        if is_locked(&info) {
            return Some(true);
        }
    }
    Some(false)
}

/// From a line such as `lock: 1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF` (proc(5)).
fn is_locked(info: &[u8]) -> bool {
    let has = |line: &[u8], wanted: &[u8]| process::words(line).any(|word| word == wanted);
    info.split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"lock:") && has(line, b"FLOCK") && has(line, b"WRITE"))
}

#[cfg(test)]
mod tests {
    use super::is_locked;

    #[test]
    fn locks() {
        assert!(is_locked(b"pos:\t0\nflags:\t02\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n"));
        assert!(!is_locked(b"pos:\t0\nlock:\t1: FLOCK  ADVISORY  READ 359 00:13:11691 0 EOF\n"));
        assert!(!is_locked(b"pos:\t0\nlock:\t1: POSIX  ADVISORY  WRITE 359 00:13:11691 0 EOF\n"));
    }
}
