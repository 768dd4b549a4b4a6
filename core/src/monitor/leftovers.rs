//! The processes of a daemon, looked for from outside: below its monitor, and where that was killed.
//!
//! Without a monitor nothing but proof counts. The program is known by its identity. While it lives, its descendants and all members of
//! its session are the daemon's: the monitor or the program made that session, and only descendants are in it. When it has ended, the
//! members of its process group in the monitor's session are, if they began while the monitor was known to live, and their descendants:
//! both numbers may have been given again since to another session and a group of it. A descendant that left both for a session of its
//! own is not found, nor is one that began later.

use super::proc;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, memory};
use std::time::Duration;

/// A process that no other can be mistaken for, on this boot and in this PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: Pid,
    pub(super) start: u64,
}

impl Identity {
    /// The process, held by a descriptor before it is compared; none if it has ended.
    pub(super) fn open(self) -> Sys<Option<Process>> {
        let process = match Process::open(self.pid) {
            Ok(process) => process,
            Err(Errno::ESRCH | Errno::EINVAL) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        match proc::stat(self.pid) {
            Ok(stat) => Ok((stat.start == self.start && !stat.has_ended()).then_some(process)),
            Err(Errno::ESRCH) => Ok(None),
            // Hidden (proc(5), hidepid=2), if it has not gone meanwhile.
            Err(Errno::ENOENT) if process::kill(self.pid, 0) == Err(Errno::EPERM) => Err(Errno::EACCES),
            Err(Errno::ENOENT) if proc::is_there() => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn is_alive(self) -> bool {
        self.open().is_ok_and(|process| process.is_some())
    }

    fn signal(self, signal: Signal) {
        if let Ok(Some(process)) = self.open() {
            // A filter of system calls may know kill(2) alone.
            if matches!(process.signal(signal), Err(Errno::ENOSYS)) {
                let _: Sys<()> = process::kill(self.pid, signal);
            }
        }
    }
}

/// All living processes below `ancestor`. What is listed as children of a number counts only if the number still is the parent's
/// own afterwards.
pub(super) fn descendants_of(ancestor: Identity) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    let mut parent = Some(ancestor);
    let mut next = 0;
    while let Some(above) = parent {
        let length = found.len();
        let listed = proc::for_each_child(above.pid, &mut |child| {
            let stat = proc::stat(child).ok().filter(|stat| stat.parent == above.pid && !stat.has_ended());
            let child = stat.map(|stat| Identity { pid: child, start: stat.start });
            if let Some(child) = child.filter(|child| !found.contains(child)) {
                add(&mut found, child);
            }
        });
        if listed.is_err() || proc::stat(above.pid).map(|stat| stat.start) != Ok(above.start) {
            found.truncate(length);
        }
        parent = found.get(next).copied();
        next += 1;
    }
    found
}

/// What a monitor that was killed has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftovers {
    pub(super) monitor: Identity,
    pub(super) program: Option<Identity>,
    /// When the monitor lived for sure, in clock ticks since boot; 0 where that is not known.
    pub(super) lived: u64,
}

impl Leftovers {
    /// The processes that are alive, the program first.
    pub(super) fn find(&self) -> Vec<Identity> {
        let Some(program) = self.program else { return Vec::new() };
        if !program.is_alive() {
            return self.group_of(program.pid);
        }
        let mut all = Vec::new();
        add(&mut all, program);
        let session = proc::stat(program.pid).map_or(0, |stat| stat.session);
        let below = descendants_of(program);
        let beside = members(|stat| session > 1 && stat.session == session && stat.start >= self.monitor.start);
        for one in below.into_iter().chain(beside) {
            if !all.contains(&one) {
                add(&mut all, one);
            }
        }
        // A session of another, if the program ended meanwhile.
        if program.is_alive() { all } else { self.group_of(program.pid) }
    }

    /// A session's number is no other process's for as long as it has a member, but afterwards.
    fn group_of(&self, program: Pid) -> Vec<Identity> {
        let session = self.monitor.pid;
        if proc::stat(session).is_ok_and(|stat| stat.start != self.monitor.start) {
            return Vec::new();
        }
        let began = self.monitor.start..self.lived;
        let mut all = members(|stat| stat.session == session && stat.group == program && began.contains(&stat.start));
        let (mut below, count) = (0, all.len());
        while let Some(&member) = all.get(below).filter(|_| below < count) {
            for one in descendants_of(member) {
                if !all.contains(&one) {
                    add(&mut all, one);
                }
            }
            below += 1;
        }
        all
    }

    /// Ends all: by `signal` to the program, SIGTERM to the others and SIGKILL after `timeout`; by SIGKILL at once without a signal.
    /// With `spares` the program alone. False if processes are left at `deadline`.
    pub(super) fn end(&self, signal: Option<Signal>, timeout: Duration, spares: bool, deadline: Deadline) -> bool {
        let patience = Deadline::after(Some(timeout)).or(deadline);
        let mut left = Left { of: self, spares, known: Vec::new() };
        // Those that have sessions of their own are found only while the program lives.
        left.look();
        if let (Some(program), Some(signal)) = (self.program, signal) {
            program.signal(signal);
            program.signal(libc::SIGCONT);
            wait_for(patience, || !program.is_alive());
        }
        if signal.is_some() {
            for one in left.look().iter().filter(|one| Some(**one) != self.program) {
                one.signal(libc::SIGTERM);
                one.signal(libc::SIGCONT);
            }
            wait_for(patience, || left.look().is_empty());
        }
        wait_for(deadline, || {
            left.look().iter().for_each(|one| one.signal(libc::SIGKILL));
            left.look().is_empty()
        })
    }
}

/// What is being ended.
struct Left<'a> {
    of: &'a Leftovers,
    spares: bool,
    known: Vec<Identity>,
}

impl Left<'_> {
    fn look(&mut self) -> &[Identity] {
        let mut found = Vec::new();
        match self.of.program.filter(|_| self.spares) {
            Some(program) => add(&mut found, program),
            None if self.spares => {}
            None => found = self.of.find(),
        }
        // Whoever asks from inside is spared, as by a monitor.
        for one in found.into_iter().filter(|one| one.pid != process::id()) {
            if !self.known.contains(&one) {
                add(&mut self.known, one);
            }
        }
        self.known.retain(|one| one.is_alive());
        &self.known
    }
}

/// Without memory it is missed this time.
fn add(found: &mut Vec<Identity>, one: Identity) {
    let _: Sys<()> = memory::push(found, one);
}

fn wait_for(deadline: Deadline, mut holds: impl FnMut() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(10);
    loop {
        if holds() {
            return true;
        }
        if deadline.passed() {
            return false;
        }
        time::pause(STEP);
    }
}

fn members(belongs: impl Fn(&crate::procfs::Stat) -> bool) -> Vec<Identity> {
    let mut found = Vec::new();
    let _: Sys<()> = proc::for_each_process(&mut |pid, stat| {
        if belongs(stat) && !stat.has_ended() {
            add(&mut found, Identity { pid, start: stat.start });
        }
    });
    found
}
