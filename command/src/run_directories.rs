//! Where pid files and state files of daemons are, and which daemons they name.

use crate::sys;
use daemonctx::{Error, Monitored};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where root's daemons have their pid files.
pub(crate) const ROOTS: &str = "/run";

/// The names of daemons, this user's and root's: those of pid files and of state files.
pub(crate) fn names() -> Vec<OsString> {
    let (folders, runs): (Vec<_>, Vec<_>) = directories().into_iter().unzip();
    let entries = folders.into_iter().chain(runtime_directory()).filter_map(|folder| std::fs::read_dir(folder).ok());
    let files = entries.flatten().flatten().map(|entry| PathBuf::from(entry.file_name()));
    let files = files.filter(|file| file.extension() == Some(OsStr::new("pid")));
    let mut names: Vec<_> = files.filter_map(|file| file.file_stem().map(OsStr::to_owned)).collect();
    let monitored = runs.iter().flat_map(|run| Monitored::list(run.as_deref()).unwrap_or_default());
    names.extend(monitored.map(|daemon| daemon.name().to_owned()));
    names
}

/// The daemons that this user has launched, by name.
pub(crate) fn own_daemons() -> Result<Vec<Monitored>, Error> {
    let mut daemons = Monitored::list(None)?;
    for directory in other_directories() {
        daemons.extend(Monitored::list(Some(&directory)).unwrap_or_default());
    }
    daemons.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(daemons)
}

/// Where daemons are looked for by name, in this order; with the directory of state files if it is not the usual one.
pub(crate) fn directories() -> Vec<(PathBuf, Option<PathBuf>)> {
    let others = other_directories().into_iter().chain((!sys::is_root()).then(|| PathBuf::from(ROOTS)));
    std::iter::once((own_directory(), None)).chain(others.map(|run| (run.clone(), Some(run)))).collect()
}

/// Where else this user's daemons are: one that cron(8) started had no XDG_RUNTIME_DIR, and the commands in a session have one, or the
/// other way round. Only directories that nobody else can write to.
pub(crate) fn other_directories() -> Vec<PathBuf> {
    const WRITTEN_BY_OTHERS: u32 = 0o022;
    if sys::is_root() {
        return Vec::new();
    }
    let user = sys::effective_user();
    let usual = std::fs::metadata(own_directory()).map(|found| (found.dev(), found.ino())).ok();
    let is_other = |path: &PathBuf| {
        std::fs::symlink_metadata(path).is_ok_and(|found| {
            let is_own = found.is_dir() && found.uid() == user && found.mode() & WRITTEN_BY_OTHERS == 0;
            is_own && Some((found.dev(), found.ino())) != usual
        })
    };
    [PathBuf::from(format!("/run/user/{user}")), fallback_directory()].into_iter().filter(is_other).collect()
}

/// Where the pid files of this user's daemons are, as docs/monitor.md says it of state files.
pub(crate) fn own_directory() -> PathBuf {
    if sys::is_root() {
        return PathBuf::from(ROOTS);
    }
    runtime_directory().unwrap_or_else(fallback_directory)
}

fn fallback_directory() -> PathBuf {
    PathBuf::from(format!("/tmp/daemonctx-{}", sys::effective_user()))
}

fn runtime_directory() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

pub(crate) fn pid_file_in(directory: &Path, name: &OsStr) -> PathBuf {
    directory.join([name, OsStr::new(".pid")].into_iter().collect::<OsString>())
}
