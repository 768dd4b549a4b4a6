//! All that belongs to a daemon, and its end.
//!
//! What counts as the daemon's tree: the processes of its control group, where one was made for it; those below the process that
//! keeps them together, where there is one; those below the daemon itself; and those of its session. The last two miss a process
//! that has detached itself, which is what the first two are for.

use crate::cgroup::Group;
use crate::schedule::Schedule;
use daemonctx::parts::Process;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What /proc says about who a process belongs to.
#[derive(Clone, Copy, Debug)]
struct Kin {
    pid: i32,
    parent: i32,
    session: i32,
    is_dead: bool,
}

/// Where to look for the processes of a daemon.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    group: Option<Group>,
    keeper: Option<Process>,
    /// Known before its daemon ended.
    known: BTreeSet<i32>,
    session: Option<i32>,
}

impl Tree {
    /// What was made ready when the daemon was started, if anything was; with `all` also what can only be seen now.
    pub(crate) fn of(daemon: i32, pid_file: &Path, all: bool) -> Self {
        let everybody = everybody();
        let own = everybody.iter().find(|kin| kin.pid == daemon);
        let keeper = own.map(|kin| kin.parent).filter(|parent| keeps(*parent, pid_file));
        let mut tree = Self {
            group: Group::of_daemon(daemon),
            keeper: keeper.and_then(|pid| Process::open(pid).ok().flatten()),
            ..Self::default()
        };
        if all {
            tree.known = below(&everybody, daemon);
            // A session whose leader lives is somebody's who may have started other things in it.
            let leader_lives =
                |session| session != daemon && everybody.iter().any(|kin| kin.pid == session && !kin.is_dead);
            tree.session = own.map(|kin| kin.session).filter(|session| *session > 1 && !leader_lives(*session));
        }
        tree
    }

    /// Of a daemon that has ended and left processes that hold its pid file.
    pub(crate) fn of_holders(pid_file: &Path, all: bool) -> Self {
        let holders = holders(pid_file);
        let keeper = holders.iter().copied().find(|pid| keeps(*pid, pid_file));
        let group = holders.iter().find_map(|pid| Group::of_daemon(*pid));
        let keeper = keeper.and_then(|pid| Process::open(pid).ok().flatten());
        let known = if all { holders } else { BTreeSet::new() };
        Self { group, keeper, known, session: None }
    }

    /// Whether there is anything besides the daemon itself to end.
    pub(crate) fn is_wanted(&self) -> bool {
        self.group.is_some() || self.keeper.is_some() || self.session.is_some() || !self.known.is_empty()
    }

    /// Has the process that keeps the others start nothing again.
    pub(crate) fn announce_end(&self) {
        if let Some(keeper) = &self.keeper {
            // One that has ended starts nothing either.
            let _ = keeper.signal(libc::SIGTERM);
        }
    }

    /// Everything that is alive, this process excepted.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        let everybody = everybody();
        let mut found = BTreeSet::new();
        if let Some(keeper) = &self.keeper {
            found.extend(below(&everybody, keeper.pid()));
        }
        found.extend(self.group.iter().flat_map(Group::processes));
        found.extend(everybody.iter().filter(|kin| Some(kin.session) == self.session).map(|kin| kin.pid));
        found.extend(self.known.iter().flat_map(|pid| below(&everybody, *pid)));
        found.extend(&self.known);
        let is_alive = |pid: &i32| everybody.iter().any(|kin| kin.pid == *pid && !kin.is_dead);
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let keeper = self.keeper.as_ref().map_or(0, Process::pid);
        found.into_iter().filter(|pid| *pid != own && *pid != keeper && is_alive(pid)).collect()
    }

    /// Ends what is left, by the schedule; what is there still when that is done is given back.
    ///
    /// A process that is signalled may fork before it ends, so it is looked again until nothing is found.
    pub(crate) fn end(&self, schedule: &Schedule) -> BTreeSet<i32> {
        for step in &schedule.0 {
            let deadline = step.wait.map(|wait| Instant::now() + wait);
            let mut told = BTreeSet::new();
            loop {
                let left = self.processes();
                if left.is_empty() {
                    return left;
                }
                let processes: Vec<_> = left.iter().filter_map(|pid| Process::open(*pid).ok().flatten()).collect();
                for process in processes.iter().filter(|process| told.insert(process.pid())) {
                    // One that may not be signalled is still there at the end, and named.
                    let _ = process.signal(step.signal);
                }
                if !wait_for_one(&processes, deadline) {
                    break;
                }
            }
        }
        self.processes()
    }

    /// Waits for the process that keeps the others, which leaves when they are gone, and removes the control group.
    pub(crate) fn clear_away(self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        if let Some(keeper) = &self.keeper {
            let _ = keeper.wait(Some(PATIENCE));
        }
        if let Some(group) = self.group {
            group.remove();
        }
    }
}

/// Waits until the first of them has ended; false when the time has come.
fn wait_for_one(processes: &[Process], deadline: Option<Instant>) -> bool {
    /// One that forks and goes on is found when it is looked again.
    const LOOK_AGAIN: Duration = Duration::from_millis(200);
    let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
    if left == Some(Duration::ZERO) {
        return false;
    }
    let wait = left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
    match processes.first() {
        Some(process) => drop(process.wait(Some(wait))),
        None => std::thread::yield_now(),
    }
    true
}

/// Everybody below a process.
fn below(everybody: &[Kin], ancestor: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::from([ancestor]);
    loop {
        let before = found.len();
        let children: Vec<_> = everybody.iter().filter(|kin| found.contains(&kin.parent)).map(|kin| kin.pid).collect();
        found.extend(children);
        if found.len() == before {
            found.remove(&ancestor);
            return found;
        }
    }
}

fn everybody() -> Vec<Kin> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| kin(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn kin(pid: i32) -> Option<Kin> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    let mut fields = rest.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (parent, _group, session) = (number()?, number()?, number()?);
    Some(Kin { pid, parent, session, is_dead })
}

/// Whether a process is one that stays with a daemon: it is called so, and has the daemon's pid file open.
fn keeps(pid: i32, pid_file: &Path) -> bool {
    let named = fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"daemonctx-keep\n");
    named && has_open(pid, pid_file)
}

fn has_open(pid: i32, path: &Path) -> bool {
    let Ok(wanted) = fs::metadata(path) else { return false };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::metadata(entry.path()).ok())
        .any(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
}

/// Who has the pid file open, as far as this user may see.
pub(crate) fn holders(pid_file: &Path) -> BTreeSet<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let alive = everybody().into_iter().filter(|kin| !kin.is_dead && kin.pid != own);
    alive.map(|kin| kin.pid).filter(|pid| has_open(*pid, pid_file)).collect()
}
