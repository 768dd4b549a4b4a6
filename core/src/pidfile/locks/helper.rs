//! A child process for a look that may never end.
//!
//! What `/proc` shows of a process can block for as long as that process likes, and no signal ends it: an epoll(7) descriptor is shown under
//! the lock that epoll_wait(2) holds while it writes to memory, which may be a file of the process's own FUSE server. So a child
//! looks. It holds nothing of this process's but its memory, and is left alone where it takes too long.
#![allow(unsafe_code, reason = "the fork")]

use crate::descriptors;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Ended, Forked, Pid};
use crate::sys::signal::{self, Set};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Children that were left alone. There are never more, however often this process looks.
static STUCK: [AtomicI32; 8] = [const { AtomicI32::new(FREE) }; 8];
const FREE: Pid = 0;

/// What `work` says in a child. It must be async-signal-safe (signal-safety(7)): the child has other threads' locks as
/// they were.
///
/// The program does not notice the child: no SIGCHLD is sent, and wait(2) does not find it.
///
/// # Errors
/// ETIMEDOUT: it takes longer than `patience`. EAGAIN: as many as may be are stuck. EIO: the child was killed. And those of clone(2).
pub(super) fn ask(patience: Duration, work: impl FnOnce() -> u8) -> Sys<u8> {
    forget_ended();
    if STUCK.iter().all(|place| place.load(Ordering::Relaxed) != FREE) {
        return Err(Errno::EAGAIN);
    }
    // No handler of the program's runs in the child.
    let mask = signal::set_mask(&Set::full());
    // SAFETY: the caller keeps to what is async-signal-safe, and so does what else the child does.
    let forked = unsafe { process::fork_unnoticed() };
    if forked == Ok(Forked::Child) {
        process::rename(c"daemonctx-look");
        // Whoever waits for the end of a pipe, or for a lock, would wait for as long as the child is stuck.
        descriptors::close_all();
        process::exit_now(libc::c_int::from(work()));
    }
    signal::set_mask(&mask);
    match forked? {
        Forked::Parent(child) => answer(child, Deadline::after(Some(patience))),
        Forked::Child => Err(Errno::EIO),
    }
}

/// Waits for the child's end. One that takes too long is killed, but does not hear of it before it is let go.
fn answer(child: Pid, deadline: Deadline) -> Sys<u8> {
    const PAUSE: Duration = Duration::from_millis(1);
    // Not where there is no descriptor for it: who only knows its number cannot wait for such a child.
    let process = Process::open(child).ok().filter(|process| process.as_poll_descriptor() >= 0);
    loop {
        if process.as_ref().is_none_or(|process| process.wait(deadline.remaining()).is_err()) {
            time::pause(PAUSE);
        }
        match process::wait_unnoticed(child) {
            Some(Ended::Exited(status)) => return u8::try_from(status).map_err(|_| Errno::EIO),
            Some(_) => return Err(Errno::EIO),
            None if deadline.passed() => {
                let _: Sys<()> = process::kill(child, libc::SIGKILL);
                remember(child);
                return Err(Errno::ETIMEDOUT);
            }
            None => {}
        }
    }
}

/// Where there is no place left it stays a zombie until this process ends.
fn remember(child: Pid) {
    let _ = STUCK.iter().any(|place| place.compare_exchange(FREE, child, Ordering::Relaxed, Ordering::Relaxed).is_ok());
}

/// Takes the status of those that were let go; one that was remembered by the parent of this process is no child of its own.
fn forget_ended() {
    for place in &STUCK {
        let child = place.load(Ordering::Relaxed);
        if child != FREE && process::wait_unnoticed(child).is_some() {
            let _: Result<Pid, Pid> = place.compare_exchange(child, FREE, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Errno, FREE, Ordering, STUCK, ask, forget_ended};
    use crate::sys::file;
    use crate::sys::time::{self, Deadline};

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    #[cfg_attr(miri, ignore = "processes")]
    fn a_child_says_what_it_sees_and_holds_nothing() {
        let open = || {
            let mut count = 0_u8;
            let listed =
                file::for_each_name(c"/proc/self/fd", &mut |_, name| count += u8::from(!name.starts_with(b".")));
            if listed.is_ok() { count } else { u8::MAX }
        };
        // The descriptor of the directory itself.
        assert_eq!(ask(PATIENCE, open), Ok(1));
    }

    #[test]
    #[cfg_attr(miri, ignore = "processes")]
    fn who_takes_too_long_is_left_alone_and_waited_for_later() {
        const FOREVER: Duration = Duration::from_secs(1000);
        let never = || loop {
            time::pause(FOREVER);
        };
        assert_eq!(ask(Duration::from_millis(1), never), Err(Errno::ETIMEDOUT));
        let deadline = Deadline::after(Some(PATIENCE));
        while STUCK.iter().any(|place| place.load(Ordering::Relaxed) != FREE) && !deadline.passed() {
            time::pause(Duration::from_millis(1));
            forget_ended();
        }
        assert!(!deadline.passed());
    }
}
