//! A control group of the daemon's own (cgroups(7), version 2): the kernel knows all that belongs to it, whatever it does.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the groups made here begin with.
const PREFIX: &str = "daemonctx-";

/// A control group that belongs to a daemon.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
}

/// While this lives, this process is in the group, and so is what it starts. Afterwards it is where it was.
pub(crate) struct Inside {
    group: Group,
    before: PathBuf,
}

impl Group {
    /// Makes a group below this process's own for the daemon `name`, where that can be done.
    pub(crate) fn make(name: &str) -> io::Result<Self> {
        let own = of_process(std::process::id())?;
        let safe: String = name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
        remove_empty(&own, &format!("{PREFIX}{safe}-"));
        let path = own.join(format!("{PREFIX}{safe}-{}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { path }),
        }
    }

    /// The group of the daemon `pid`, if it is one that was made for a daemon.
    pub(crate) fn of_daemon(pid: i32) -> Option<Self> {
        let path = of_process(u32::try_from(pid).ok()?).ok()?;
        // A daemon may have made groups of its own below.
        let group = path
            .ancestors()
            .find(|path| path.file_name().is_some_and(|it| it.as_bytes().starts_with(PREFIX.as_bytes())));
        group.map(|path| Self { path: path.to_owned() })
    }

    /// Puts this process into the group.
    pub(crate) fn enter(self) -> Result<Inside, (Self, io::Error)> {
        let moved = of_process(std::process::id()).and_then(|before| move_to(&self.path).map(|()| before));
        match moved {
            Ok(before) => Ok(Inside { group: self, before }),
            Err(error) => Err((self, error)),
        }
    }

    /// The processes in it and in the groups below.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        each_below(&self.path, &mut |path| {
            let list = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            found.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        });
        found
    }

    /// Removes it and the groups below; they are empty. What cannot be removed now, the next start of the daemon tries again.
    pub(crate) fn remove(self) {
        each_below(&self.path, &mut |path| drop(fs::remove_dir(path)));
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Inside {
    /// Leaves; what was started stays.
    pub(crate) fn leave(self) -> Group {
        // Where that fails, this process is about to end.
        let _ = move_to(&self.before);
        self.group
    }
}

fn move_to(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

/// Calls `each` on a group and all below, the lowest first.
fn each_below(group: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_below(&entry.path(), each);
        }
    }
    each(group);
}

/// Removes groups that daemons of this name have left; one with processes in it cannot be removed.
fn remove_empty(own: &Path, start: &str) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(start.as_bytes()) {
            Group { path: entry.path() }.remove();
        }
    }
}

/// The folder of a process's group.
fn of_process(pid: u32) -> io::Result<PathBuf> {
    let list = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = list.lines().find_map(|line| line.strip_prefix("0::"));
    let path = path.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    Ok(mount()?.join(path.trim_start_matches('/')))
}

/// Where control groups of version 2 are mounted.
fn mount() -> io::Result<PathBuf> {
    let list = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = list.lines().find_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        behind.starts_with("cgroup2 ").then(|| before.split(' ').nth(4)).flatten()
    });
    mount.map(PathBuf::from).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}
