//! A child process for looks that may never end.
//!
//! What `/proc` shows of the descriptors of another process can block for as long as that process likes, and no signal ends it. An epoll(7)
//! descriptor is shown under the lock that epoll_wait(2) holds while it writes to memory, which may be a file of the process's own FUSE
//! server. And even the directory `/proc/PID/fd` takes hold of each file for a moment: if the process closes a file just then, its
//! release is left to whoever looks, and a file that such an epoll watches is released under the same lock. So a child looks. It holds
//! nothing open of this process's, and is left alone where it takes too long.
#![allow(unsafe_code, reason = "the fork")]

use crate::descriptors::Keep;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Forked, Pid};
use crate::sys::signal::{self, Set};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, fd, file};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Children that were left alone. There are never more, however often this process looks.
static STUCK: [Stuck; 8] = [const { Stuck { child: AtomicI32::new(FREE), target: AtomicI32::new(FREE) } }; 8];
const FREE: Pid = 0;

struct Stuck {
    child: AtomicI32,
    /// The process that it looks at.
    target: AtomicI32,
}

impl Stuck {
    fn is_free(&self) -> bool {
        self.child.load(Ordering::Relaxed) == FREE
    }
}

/// How long one process may delay a look at it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Has a child look at each process, and tells `take` what it says of it, or nothing of one that takes too long; `take` says whether to go
/// on. False where the deadline has passed before all were looked at.
///
/// `look` must be async-signal-safe (signal-safety(7)): the child has other threads' locks as they were. The program does not notice the
/// child: no SIGCHLD is sent, and wait(2) does not find it.
pub(crate) fn look_at_each(
    pids: &[Pid],
    deadline: Deadline,
    look: impl Fn(Pid) -> u8,
    take: &mut dyn FnMut(Pid, Option<u8>) -> bool,
) -> bool {
    let mut rest = pids;
    while let Some((next, after)) = rest.split_first().filter(|_| !deadline.passed()) {
        let (mut pids, mut goes_on) = (rest.iter(), true);
        let patience = deadline.remaining().map_or(PATIENCE, |remaining| remaining.min(PATIENCE));
        let looked = look_at_some(rest, patience, &look, &mut |said| {
            goes_on = pids.next().is_none_or(|pid| take(*pid, Some(said))) && !deadline.passed();
            goes_on
        });
        match looked {
            _ if !goes_on => return !deadline.passed(),
            Ok(looked) if looked > 0 => rest = rest.get(looked..).unwrap_or_default(),
            // The first one delays it, or no child can be made.
            _ if !take(*next, None) => return true,
            _ => rest = after,
        }
    }
    rest.is_empty()
}

/// The same of one, at any time.
///
/// # Errors
/// ETIMEDOUT: it takes longer than `patience`, or another child is still stuck at it. And those below.
pub(crate) fn look_at(pid: Pid, patience: Duration, look: impl Fn(Pid) -> u8) -> Sys<u8> {
    let mut answer = Err(Errno::ETIMEDOUT);
    forget_ended();
    if is_delayed_by(pid) {
        return answer;
    }
    look_at_some(&[pid], patience, look, &mut |said| {
        answer = Ok(said);
        false
    })?;
    answer
}

/// Of how many something was said before one took too long, or was not to be gone on with.
///
/// # Errors
/// No child can be made: EAGAIN when as many as may be are stuck; those of pipe(2) and clone(2).
fn look_at_some(
    pids: &[Pid],
    patience: Duration,
    look: impl Fn(Pid) -> u8,
    take: &mut dyn FnMut(u8) -> bool,
) -> Sys<usize> {
    forget_ended();
    if !STUCK.iter().any(Stuck::is_free) {
        return Err(Errno::EAGAIN);
    }
    let (answers, said) = fd::pipe()?;
    // No handler of the program's runs in the child.
    let mask = signal::set_mask(&Set::full());
    // SAFETY: the callers keep to what is async-signal-safe, and so does what else the child does.
    let forked = unsafe { process::fork_unnoticed() };
    if forked == Ok(Forked::Child) {
        say_each(pids, &said, look);
    }
    signal::set_mask(&mask);
    drop(said);
    let Forked::Parent(child) = forked? else { return Err(Errno::EIO) };
    let (taken, has_timed_out) = take_answers(pids.len(), patience, &answers, take);
    end(child, pids.get(taken).copied().filter(|_| has_timed_out));
    Ok(taken)
}

fn say_each(pids: &[Pid], said: &OwnedFd, look: impl Fn(Pid) -> u8) -> ! {
    process::rename(c"daemonctx-look");
    // Whoever waits for the end of a pipe, or for a lock, would wait for as long as the child is stuck.
    for fd in 0..fd::FIRST_OTHER {
        fd::close(fd);
    }
    let _: Sys<()> = file::change_directory(c"/");
    Keep::only(said.as_raw_fd());
    for pid in pids {
        if fd::write(said.as_raw_fd(), &[look(*pid)]) != Ok(1) {
            break;
        }
    }
    process::exit_now(0)
}

/// How many were taken, and whether the next one was waited for in vain.
fn take_answers(
    count: usize,
    patience: Duration,
    answers: &OwnedFd,
    take: &mut dyn FnMut(u8) -> bool,
) -> (usize, bool) {
    let mut taken = 0;
    while taken < count {
        let deadline = Deadline::after(Some(patience));
        match fd::poll(&mut [fd::readable(answers.as_raw_fd())], deadline.poll_timeout()) {
            Ok(true) => {}
            polled => return (taken, polled == Ok(false)),
        }
        let mut room = [0; 256];
        let said = fd::read(answers.as_raw_fd(), &mut room).unwrap_or(0);
        if said == 0 {
            break;
        }
        for answer in room.iter().take(said) {
            taken += 1;
            if !take(*answer) {
                return (taken, false);
            }
        }
    }
    (taken, false)
}

/// Kills the child, if it has not ended by itself, and takes its status. One that is stuck, at `target`, does not hear of it before it is
/// let go.
fn end(child: Pid, target: Option<Pid>) {
    const PATIENCE: Duration = Duration::from_millis(50);
    const PAUSE: Duration = Duration::from_millis(1);
    let _: Sys<()> = process::kill(child, libc::SIGKILL);
    let deadline = Deadline::after(Some(PATIENCE));
    // Not where there is no descriptor for it: who only knows its number cannot wait for such a child.
    let process = Process::open(child).ok().filter(|process| process.as_poll_descriptor() >= 0);
    while process::wait_unnoticed(child).is_none() {
        if deadline.passed() {
            return remember(child, target.unwrap_or(FREE));
        }
        if process.as_ref().is_none_or(|process| process.wait(deadline.remaining()).is_err()) {
            time::pause(PAUSE);
        }
    }
}

/// Where there is no place left it stays a zombie until this process ends.
fn remember(child: Pid, target: Pid) {
    for place in &STUCK {
        if place.child.compare_exchange(FREE, child, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return place.target.store(target, Ordering::Relaxed);
        }
    }
}

/// Takes the status of those that were let go; one that was remembered by the parent of this process is no child of its own.
fn forget_ended() {
    for place in &STUCK {
        let child = place.child.load(Ordering::Relaxed);
        if child != FREE && process::wait_unnoticed(child).is_some() {
            place.target.store(FREE, Ordering::Relaxed);
            let _: Result<Pid, Pid> = place.child.compare_exchange(child, FREE, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Whether a child of this process is one that was left alone.
pub(crate) fn is_stuck(child: Pid) -> bool {
    STUCK.iter().any(|place| place.child.load(Ordering::Relaxed) == child)
}

/// Whether a child, of this process or of the one that forked it, was stuck at `target` when a look began. Another look would be as well.
pub(crate) fn is_delayed_by(target: Pid) -> bool {
    STUCK.iter().any(|place| !place.is_free() && place.target.load(Ordering::Relaxed) == target)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Errno, Pid, STUCK, Stuck, forget_ended, look_at, look_at_each};
    use crate::sys::file;
    use crate::sys::time::{self, Deadline};

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    #[cfg_attr(miri, ignore = "processes")]
    fn a_child_says_what_it_sees_and_holds_nothing() {
        let open = |pid: Pid| {
            let mut count = 0_u8;
            let each = &mut |_, name: &[u8]| count += u8::from(!name.starts_with(b"."));
            let listed = file::for_each_name(c"/proc/self/fd", each);
            if listed.is_ok() { count + pid as u8 } else { u8::MAX }
        };
        let mut said = Vec::new();
        let is_all = look_at_each(&[0, 1, 2], Deadline::after(Some(LONG)), open, &mut |pid, answer| {
            said.push((pid, answer));
            true
        });
        // The descriptors of the directory itself and of the pipe.
        assert_eq!((is_all, said), (true, vec![(0, Some(2)), (1, Some(3)), (2, Some(4))]));
    }

    #[test]
    #[cfg_attr(miri, ignore = "processes")]
    fn who_takes_too_long_is_left_alone_and_waited_for_later() {
        const FOREVER: Duration = Duration::from_secs(1000);
        let look = |pid: Pid| loop {
            if pid != 1 {
                return 7;
            }
            time::pause(FOREVER);
        };
        assert_eq!(look_at(1, Duration::from_millis(1), look), Err(Errno::ETIMEDOUT));
        let mut said = Vec::new();
        look_at_each(&[0, 1, 2], Deadline::after(Some(LONG)), look, &mut |_, answer| {
            said.push(answer);
            true
        });
        assert_eq!(said, [Some(7), None, Some(7)]);
        let deadline = Deadline::after(Some(LONG));
        while !STUCK.iter().all(Stuck::is_free) && !deadline.passed() {
            time::pause(Duration::from_millis(1));
            forget_ended();
        }
        assert!(!deadline.passed());
    }
}
