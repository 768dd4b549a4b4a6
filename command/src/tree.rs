//! All that belongs to a daemon, and its end.
//!
//! What counts as the daemon's tree: the processes of its control group, where one was made for it; those below the process that
//! keeps them together, where there is one; those below the daemon itself, and those of its session. The last two miss a process
//! that has detached itself, which is what the first two are for. Who holds the pid file's lock proves nothing: a descriptor
//! can be passed to any process.

use crate::cgroup::Group;
use crate::holders;
use crate::process::{self, Process};
use crate::schedule::{Schedule, Step};
use daemonctx::PidFile;
use daemonctx::parts::Process as Held;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Sent after every signal, as systemd does (systemd.kill(5)): one that is stopped (SIGSTOP, or a terminal) follows none but SIGKILL
/// until it goes on, and that it is about to be cannot be seen. For any other it is nothing.
pub(crate) const GO_ON: i32 = libc::SIGCONT;

/// How long a process that keeps others may take to see that they are gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who forks and goes on is found when it is looked again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where to look for the processes of a daemon.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    group: Option<Group>,
    keeper: Option<Held>,
    /// Who is known to belong to it, held fast: a number alone could be somebody else's by the time that it is signalled.
    known: Vec<Held>,
    session: Option<i32>,
    daemon: Option<Held>,
}

impl Tree {
    /// What was made ready when the daemon was started, if anything was; with `all` also what can only be seen now. Looks at the
    /// daemon's own processes alone, so that the time until it is signalled does not depend on others.
    pub(crate) fn of(daemon: i32, file: &PidFile, all: bool) -> Self {
        let own = Process::read(daemon).filter(|process| !process.has_ended());
        let keeper = own.as_ref().and_then(holders::keeper_of);
        let mut tree = Self {
            group: Group::made_for(file.path(), daemon),
            keeper: keeper.and_then(open),
            daemon: open(daemon),
            ..Self::default()
        };
        if all {
            tree.session = own.as_ref().and_then(session_of);
            let below = process::descendants(daemon);
            let seen: Vec<_> = below.iter().copied().filter_map(Process::read).collect();
            tree.hold(&seen, &below.into_iter().collect());
        }
        tree
    }

    /// Once the daemon has ended: its keeper may not have been its parent yet, and has the lock of the pid file.
    pub(crate) fn find_keeper(&mut self, file: &PidFile) {
        if self.keeper.is_none() {
            self.keeper = holders::keeper_among(&holders::of(file)).and_then(|keeper| open(keeper.pid));
            self.announce_end();
        }
    }

    /// Of a daemon that has ended: its keeper and its control group may still be there.
    pub(crate) fn of_dead(file: &PidFile) -> Self {
        let holders = holders::of(file);
        let keeper = holders::keeper_among(&holders).and_then(|keeper| open(keeper.pid));
        let group = holders.iter().find_map(|holder| Group::made_for(file.path(), holder.pid));
        Self { group, keeper, ..Self::default() }
    }

    /// Whether there is anything besides the daemon itself to end.
    pub(crate) fn is_wanted(&self) -> bool {
        self.group.is_some() || self.keeper.is_some() || self.session.is_some() || !self.known.is_empty()
    }

    /// Has the process that keeps the others start nothing again. It may be stopped (SIGSTOP).
    pub(crate) fn announce_end(&self) {
        if let Some(keeper) = &self.keeper {
            // One that has ended starts nothing either.
            let _ = keeper.signal(libc::SIGTERM);
            let _ = keeper.signal(GO_ON);
        }
    }

    /// Everything that is alive, this process and the one that keeps the others excepted.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        self.look(&Process::all())
    }

    fn look(&self, everybody: &[Process]) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        let keeper = self.keeper.iter().filter(|keeper| is_alive(keeper)).map(Held::pid);
        let known: BTreeSet<_> = self.known.iter().filter(|process| is_alive(process)).map(Held::pid).collect();
        for ancestor in keeper.clone().chain(known.iter().copied()) {
            found.extend(below(everybody, ancestor));
        }
        found.extend(known);
        // Read after the others: who is listed here and began when `everybody` says belongs to it. One that is not among them has
        // been forked meanwhile.
        found.extend(self.group.iter().flat_map(Group::processes));
        found.extend(
            self.keeper.iter().filter(|keeper| is_alive(keeper)).flat_map(|keeper| process::children(keeper.pid())),
        );
        found.extend(self.in_session(everybody));
        let is_dead = |pid: &i32| everybody.iter().any(|process| process.pid == *pid && process.has_ended());
        let excepted: Vec<_> = keeper.chain([own_pid()]).collect();
        found.into_iter().filter(|pid| !excepted.contains(pid) && !is_dead(pid)).collect()
    }

    /// Once the daemon's session is empty its number may become that of another, whose leader then is alive.
    fn in_session(&self, everybody: &[Process]) -> Vec<i32> {
        let Some(session) = self.session else { return Vec::new() };
        let is_daemon = self.daemon.as_ref().is_some_and(|daemon| daemon.pid() == session && is_alive(daemon));
        let members = everybody.iter().filter(|process| process.session == session && !process.has_ended());
        let members: Vec<_> = members.map(|process| process.pid).collect();
        if is_daemon || !members.contains(&session) { members } else { Vec::new() }
    }

    /// Takes hold of processes that were just seen: of those that are still the same.
    fn hold(&mut self, everybody: &[Process], pids: &BTreeSet<i32>) {
        self.known.retain(is_alive);
        for seen in everybody.iter().filter(|process| pids.contains(&process.pid)) {
            let is_held = self.known.iter().any(|process| process.pid() == seen.pid);
            let process = if is_held { None } else { open(seen.pid) };
            let is_same = || Process::read(seen.pid).is_some_and(|now| now.began == seen.began);
            self.known.extend(process.filter(|_| is_same()));
        }
    }

    /// Ends what is left, by the schedule; what is there still when that is done is given back.
    ///
    /// A process that is signalled may fork before it ends, so it is looked again until nothing is found.
    pub(crate) fn end(&mut self, schedule: &Schedule) -> BTreeSet<i32> {
        for step in &schedule.0 {
            let left = self.end_by(*step);
            if left.is_empty() {
                return left;
            }
        }
        self.processes()
    }

    fn end_by(&mut self, step: Step) -> BTreeSet<i32> {
        let deadline = step.wait.map(|wait| Instant::now() + wait);
        let mut told = BTreeSet::new();
        loop {
            let everybody = Process::all();
            let left = self.look(&everybody);
            if left.is_empty() {
                return left;
            }
            self.hold(&everybody, &left);
            // Again and again: while it starts the program, the same signal calls only that start off.
            self.announce_end();
            if step.signal == libc::SIGKILL {
                self.group.iter().for_each(Group::kill);
                self.keeper.iter().for_each(kill_children);
            }
            for process in self.known.iter().filter(|process| left.contains(&process.pid())) {
                if told.insert(process.pid()) {
                    // One that may not be signalled is still there at the end, and named.
                    let _ = process.signal(step.signal);
                    let _ = process.signal(GO_ON);
                }
            }
            if !wait_for_one(&self.known, deadline) {
                return left;
            }
        }
    }

    /// Waits for the process that keeps the others, which leaves when they are gone, and removes the control group. Who is there
    /// all the same is given back: it may have started some again, and one that is forked behind the back of who looks through
    /// `/proc` is not seen.
    pub(crate) fn clear_away(&mut self) -> BTreeSet<i32> {
        let left = self.keeper.as_ref().map_or_else(BTreeSet::new, |keeper| self.wait_for(keeper));
        if left.is_empty() && self.group.as_ref().is_some_and(|group| !group.remove()) {
            return self.processes();
        }
        left
    }

    fn wait_for(&self, keeper: &Held) -> BTreeSet<i32> {
        if below(&Process::all(), keeper.pid()).contains(&own_pid()) {
            // It would wait for this very process. There is nobody else to keep.
            let _ = keeper.signal(libc::SIGKILL);
        }
        let begun = Instant::now();
        while keeper.wait(Some(LOOK_AGAIN)).is_ok_and(|ended| !ended) {
            let again = self.processes();
            if !again.is_empty() {
                return again;
            }
            if begun.elapsed() > PATIENCE {
                // There is nothing left for it to keep.
                let _ = keeper.signal(libc::SIGKILL);
            }
            self.announce_end();
        }
        BTreeSet::new()
    }
}

/// Kills the children of the process that keeps the others. One that forks and ends, again and again, faster than all of `/proc`
/// can be looked through, is among them each time.
fn kill_children(keeper: &Held) {
    const ROUNDS: u32 = 200;
    for _ in 0..ROUNDS {
        let mut found = false;
        for pid in process::children(keeper.pid()).into_iter().filter(|pid| *pid != own_pid()) {
            let child = open(pid).filter(|_| Process::read(pid).is_some_and(|now| now.parent == keeper.pid()));
            found |= child.is_some_and(|child| child.signal(libc::SIGKILL).is_ok());
        }
        if !found {
            return;
        }
    }
}

fn open(pid: i32) -> Option<Held> {
    Held::open(pid).ok().flatten()
}

fn is_alive(process: &Held) -> bool {
    process.wait(Some(Duration::ZERO)).is_ok_and(|ended| !ended)
}

/// The daemon's session, where that is its own: it leads it, or the leader is gone and all are of one group, as a start leaves it.
/// Another session is somebody's who may have started other things in it.
fn session_of(own: &Process) -> Option<i32> {
    let leader_lives = || Process::read(own.session).is_some_and(|leader| !leader.has_ended());
    let is_own = own.session == own.pid || group_of(own.pid) == Some(own.session) && !leader_lives();
    Some(own.session).filter(|session| *session > 1 && is_own)
}

/// Its process group.
fn group_of(pid: i32) -> Option<i32> {
    const FIELD: usize = 2;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_whitespace().nth(FIELD)?.parse().ok()
}

/// Everybody below a process.
fn below(everybody: &[Process], ancestor: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::from([ancestor]);
    loop {
        let before = found.len();
        let is_child = |process: &&Process| found.contains(&process.parent);
        let children: Vec<_> = everybody.iter().filter(is_child).map(|process| process.pid).collect();
        found.extend(children);
        if found.len() == before {
            found.remove(&ancestor);
            return found;
        }
    }
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// Waits until the first of them has ended; false when the time has come.
fn wait_for_one(processes: &[Held], deadline: Option<Instant>) -> bool {
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
