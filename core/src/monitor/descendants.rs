//! Signals to everything that descends from this process.
//!
//! A descendant that asked for the stop can be spared. Then it is left out, and so is what is below it.

use super::leftovers::Identity;
use super::proc;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys};
use std::time::Duration;

/// How many processes one pass reaches. The next pass reaches others.
const MOST: usize = 512;
/// How long processes that are forked meanwhile are looked for. SIGKILL is sent again at the next round.
const LONGEST: Duration = Duration::from_millis(100);

/// A process, its parent when it was found, and when it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    pid: Pid,
    parent: Pid,
    group: Pid,
    session: Pid,
    start: u64,
    has_ended: bool,
}

impl Found {
    fn of(pid: Pid, parent: Pid) -> Option<Self> {
        let stat = proc::stat(pid).ok().filter(|stat| stat.parent == parent)?;
        let (group, session) = (stat.group, stat.session);
        Some(Self { pid, parent, group, session, start: stat.start, has_ended: stat.has_ended() })
    }

    fn identity(self) -> Identity {
        Identity { pid: self.pid, start: self.start }
    }

    /// The process group, where nobody but descendants of this process can be in it. A session was made by a descendant or by this
    /// process, but for the one that this process was started in: that has others.
    fn group_of_descendants(self) -> Option<Pid> {
        let is_own_session = self.session != process::session(0) || process::leads_session();
        Some(self.group).filter(|group| is_own_session && *group > 1 && *group != process::group())
    }

    /// Whether its number still is its own: once it is reaped another process can get it, and children of that are not ours.
    fn is_same(self) -> bool {
        proc::stat(self.pid).is_ok_and(|stat| stat.start == self.start)
    }
}

struct Tree {
    found: [Found; MOST],
    length: usize,
    spared: Option<Identity>,
}

impl Tree {
    fn empty(spared: Option<Identity>) -> Self {
        Self { found: [Found::default(); MOST], length: 0, spared }
    }

    /// All descendants, parents first.
    fn look(spared: Option<Identity>) -> Sys<Self> {
        let mut tree = Self::empty(spared);
        // Of this process its children must be known; another may have ended.
        tree.add_children(process::id())?;
        let mut next = 0;
        while let Some(parent) = tree.found.get(next).copied().filter(|_| next < tree.length) {
            let length = tree.length;
            let listed = tree.add_children(parent.pid);
            if listed.is_err() || !parent.is_same() {
                tree.length = length;
            }
            next += 1;
        }
        Ok(tree)
    }

    fn add_children(&mut self, parent: Pid) -> Sys<()> {
        proc::for_each_child(parent, &mut |child| {
            let Some(slot) = self.found.get_mut(self.length) else { return };
            if let Some(found) = Found::of(child, parent).filter(|found| self.spared != Some(found.identity())) {
                *slot = found;
                self.length += 1;
            }
        })
    }

    fn iter(&self) -> impl Iterator<Item = Found> {
        self.found.into_iter().take(self.length)
    }

    fn contains(&self, wanted: Found) -> bool {
        self.iter().any(|found| found.identity() == wanted.identity())
    }
}

/// Sends a signal to a process if it is still the one that was found: a child of the same parent, or an orphan that came to this
/// process.
fn send(found: Found, signal: Signal) {
    let process = match Process::open(found.pid) {
        Ok(process) => process,
        Err(Errno::ESRCH) => return,
        Err(_) => Process::by_number(found.pid),
    };
    let is_same = proc::stat(found.pid)
        .is_ok_and(|stat| stat.start == found.start && (stat.parent == found.parent || stat.parent == process::id()));
    // A filter of system calls may know kill(2) alone.
    if is_same && matches!(process.signal(signal), Err(Errno::ENOSYS | Errno::EPERM)) {
        let _: Sys<()> = process::kill(found.pid, signal);
    }
}

/// Calls `each` on this process's descendants until it says true; whether it has.
pub(super) fn any(mut each: impl FnMut(Pid) -> bool) -> bool {
    Tree::look(None).is_ok_and(|tree| tree.iter().any(|found| each(found.pid)))
}

/// Whether this process is an ancestor of another.
pub(super) fn is_one(pid: Pid) -> bool {
    is_below(pid, process::id())
}

/// Whether a process is an ancestor of another.
pub(super) fn is_below(mut pid: Pid, ancestor: Pid) -> bool {
    /// PIDs that are reused meanwhile may make a circle.
    const DEPTH: u32 = 4096;
    (0..DEPTH).find_map(|_| match proc::stat(pid) {
        Ok(stat) if stat.parent == ancestor => Some(true),
        Ok(stat) if stat.parent > 1 => {
            pid = stat.parent;
            None
        }
        _ => Some(false),
    }) == Some(true)
}

/// The identity of a descendant; none of a process that is no descendant or has ended.
pub(super) fn identity(pid: Pid) -> Option<Identity> {
    let start = |pid| proc::stat(pid).ok().filter(|stat| !stat.has_ended()).map(|stat| stat.start);
    let before = start(pid).filter(|_| is_one(pid))?;
    (start(pid) == Some(before)).then_some(Identity { pid, start: before })
}

/// Whether `spared` is the only child. Ended children must have been waited for: a process whose parent has ended becomes a child
/// before that parent can be waited for, so none is missed.
pub(super) fn is_only_child(spared: Identity) -> bool {
    let (mut count, mut is_there) = (0_u32, false);
    let listed = proc::for_each_child(process::id(), &mut |child| {
        count = count.saturating_add(1);
        is_there |= Found::of(child, process::id()).is_some_and(|found| found.identity() == spared);
    });
    listed.is_ok() && count == 1 && is_there
}

/// Sends SIGTERM to every descendant, and SIGCONT, without which one that is stopped would not notice. Takes the status of orphans that have
/// ended, but not that of `program`.
///
/// # Errors
/// There is no `/proc` to find them in.
pub(super) fn terminate(spared: Option<Identity>, program: Option<Pid>) -> Sys<()> {
    signal_all(&[libc::SIGTERM, libc::SIGCONT], spared, program)
}

/// Kills every descendant. In all else as [`terminate`].
///
/// Of a chain of processes, each forked by one that exits at once, none may live until it is found. A process group is killed at
/// once, with what is being forked in it.
///
/// # Errors
/// As for [`terminate`].
pub(super) fn kill(spared: Option<Identity>, program: Option<Pid>) -> Sys<()> {
    signal_all(&[libc::SIGKILL], spared, program)
}

/// Sends signals to every descendant once, also to those that are forked meanwhile, or change their parent.
fn signal_all(signals: &[Signal], spared: Option<Identity>, program: Option<Pid>) -> Sys<()> {
    let kills_groups = spared.is_none() && signals == [libc::SIGKILL];
    let deadline = Deadline::after(Some(LONGEST));
    let mut before = Tree::empty(spared);
    while !deadline.passed() {
        reap(program, kills_groups, deadline);
        let tree = Tree::look(spared)?;
        let mut news = false;
        for found in tree.iter().filter(|found| !before.contains(*found)) {
            news = true;
            if !found.has_ended {
                signals.iter().for_each(|signal| send(found, *signal));
            }
        }
        if !news {
            break;
        }
        before = tree;
    }
    Ok(())
}

/// Takes the status of children that have ended, but not that of `program`. Programs that fork without pause would fill the table of
/// processes with them, and their schedulers leave this process hardly any time.
///
/// With `kills_groups` it sends SIGKILL to the process groups of these children first: until a child is waited for, the number of its
/// group is not given to another.
fn reap(program: Option<Pid>, kills_groups: bool, deadline: Deadline) {
    let mut killed = 0;
    while !deadline.passed() {
        let Some(child) = process::ended_child() else { return };
        let group = Found::of(child, process::id()).and_then(Found::group_of_descendants);
        if let Some(group) = group.filter(|group| kills_groups && *group != killed) {
            signal_group(group, libc::SIGKILL);
            killed = group;
        }
        if Some(child) == program || process::wait(child, false).is_none() {
            return;
        }
    }
}

/// A whole process group. Without `/proc` that is all that can be reached of a life.
pub(super) fn signal_group(group: Pid, signal: Signal) {
    if group > 1 {
        let _: Result<(), Errno> = process::kill(-group, signal);
    }
}
