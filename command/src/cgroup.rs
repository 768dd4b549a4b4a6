//! A control group of the daemon's own (cgroups(7), version 2): the kernel knows all that belongs to it, whatever it does.
//!
//! It is called `daemonctx-NAME-FILE-PID`: the daemon's name, for people; which pid file it has, because a daemon may start others,
//! which are in its group and are not it; and the PID of the command that made it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "daemonctx-";

/// A process that has ended counts for a moment longer, and nothing tells when that is over. Milliseconds.
const ROUNDS: u32 = 2000;

fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

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
    /// Makes a group below this process's own for a daemon, where that can be done.
    pub(crate) fn make(name: &str, pid_file: Option<&Path>) -> io::Result<Self> {
        let safe: String = name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
        let mark = pid_file.map_or_else(|| "0".to_owned(), mark);
        let own = home(of_process(std::process::id())?, &mark);
        remove_empty(&own, &mark);
        let path = own.join(format!("{PREFIX}{safe}-{mark}-{}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { path }),
        }
    }

    /// The group that was made for the daemon of this pid file, if `pid` is in it or in one below.
    pub(crate) fn made_for(pid_file: &Path, pid: i32) -> Option<Self> {
        let mark = mark(pid_file);
        let path = of_process(u32::try_from(pid).ok()?).ok()?;
        path.ancestors().find(|path| mark_of(path) == Some(&mark)).map(|path| Self { path: path.to_owned() })
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

    /// Kills all of it at one stroke, also what is being forked meanwhile (Linux 5.14); nothing where this very process is one of
    /// them.
    pub(crate) fn kill(&self) {
        if !self.has_this_process() {
            // Where that is not to be had, each is killed by itself.
            let _ = fs::write(self.path.join("cgroup.kill"), "1");
        }
    }

    fn has_this_process(&self) -> bool {
        of_process(std::process::id()).is_ok_and(|own| own.starts_with(&self.path))
    }

    /// Removes it and the groups below; they are empty but for this process, if it is the daemon's own that asks. False when
    /// somebody is in it.
    pub(crate) fn remove(&self) -> bool {
        if let Some(above) = self.path.parent().filter(|_| self.has_this_process()) {
            let _ = move_to(above);
        }
        for _ in 0..ROUNDS {
            match self.try_to_remove() {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => pause(),
                _ => return true,
            }
        }
        false
    }

    fn try_to_remove(&self) -> io::Result<()> {
        let mut removed = Ok(());
        each_below(&self.path, &mut |path| removed = fs::remove_dir(path));
        removed
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

/// Where the group goes. A daemon that restarts itself has its new group beside the old one, and not deeper each time.
fn home(own: PathBuf, mark: &str) -> PathBuf {
    let old = own.ancestors().find(|path| mark_of(path) == Some(mark));
    let above = old.and_then(Path::parent).map(Path::to_owned);
    above.unwrap_or(own)
}

/// What a group's name says about the pid file.
fn mark_of(group: &Path) -> Option<&str> {
    group.file_name()?.to_str()?.strip_prefix(PREFIX)?.split('-').nth(1)
}

/// A pid file in few letters (FNV-1a): the same for all paths that lead to its directory.
fn mark(pid_file: &Path) -> String {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let directory = pid_file.parent().and_then(|directory| fs::canonicalize(directory).ok());
    let path = match (directory, pid_file.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => pid_file.to_owned(),
    };
    let bytes = path.as_os_str().as_bytes().iter();
    format!("{:016x}", bytes.fold(BASIS, |mark, byte| (mark ^ u64::from(*byte)).wrapping_mul(PRIME)))
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

/// Removes groups that the daemon's former lives have left; one with processes in it cannot be removed.
fn remove_empty(own: &Path, mark: &str) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        if mark_of(&entry.path()) == Some(mark) {
            let _ = Group { path: entry.path() }.try_to_remove();
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

#[cfg(test)]
mod tests {
    use super::{home, mark};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_pid_file_by_whatever_way() {
        assert_eq!(mark(Path::new("/proc/../tmp/a.pid")), mark(Path::new("/tmp/a.pid")));
        assert_ne!(mark(Path::new("/tmp/a.pid")), mark(Path::new("/tmp/b.pid")));
        assert_eq!(mark(Path::new("/nonexistent/a.pid")), mark(Path::new("/nonexistent/a.pid")));
    }

    #[test]
    fn beside_the_old_one() {
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(home(path("/c/daemonctx-a-1-77/inner"), "1"), path("/c"));
        assert_eq!(home(path("/c/daemonctx-b-2-77"), "1"), path("/c/daemonctx-b-2-77"));
    }
}
