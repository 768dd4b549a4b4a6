//! Signals one after the other, through a descriptor, for select(2) and poll(2): the self-pipe.
//!
//! A handler that runs at any moment may do next to nothing; so it only writes down which signal came, and the program's main
//! loop reads that when it has time. There is one queue in a process, because there is one handler for each signal.
//!
//! ```no_run
//! use daemonctx::parts::signal_queue;
//!
//! signal_queue::catch(15)?;
//! // poll(2) on signal_queue::descriptor(), and then:
//! while let Some(signal) = signal_queue::next()? {
//!     println!("got {signal}");
//! }
//! # Ok::<(), daemonctx::Error>(())
//! ```
//!
//! No signal that the kernel delivers is lost, and none that it delivers twice is merged: what finds no room in the pipe is
//! counted until there is some. Signals of one kind keep their number, signals of different kinds their order as long as the
//! pipe (16,384 by default) has room.
//!
//! The pipe is close-on-exec. A child of fork(2) shares it with its parent, until it runs another program.

use crate::error::{Error, Step, Subject};
use crate::sys::Errno;
use crate::sys::signal::{self, Disposition, Signal};
use crate::sys::{Sys, fd};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

const NONE: RawFd = -1;
const KINDS: usize = signal::LAST as usize + 1;

static READ: AtomicI32 = AtomicI32::new(NONE);
static WRITE: AtomicI32 = AtomicI32::new(NONE);
/// What is not in the pipe yet, by signal, and all together.
static WAITING: [AtomicU32; KINDS] = [const { AtomicU32::new(0) }; KINDS];
static ALL_WAITING: AtomicU32 = AtomicU32::new(0);
/// How many have come that ask a program to end.
static ENDINGS: AtomicU32 = AtomicU32::new(0);

/// The signals by which a person or a service manager asks a program to end.
pub(crate) const ENDS: [Signal; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Makes the queue, if there is none yet. [`catch`] does so by itself.
///
/// # Errors
/// pipe(2).
pub fn open() -> Result<(), Error> {
    if descriptor().is_some() {
        return Ok(());
    }
    let made = fd::pipe().and_then(|(read, write)| {
        fd::set_nonblocking(read.as_raw_fd(), true)?;
        fd::set_nonblocking(write.as_raw_fd(), true)?;
        Ok((read, write))
    });
    let (read, write) = made.map_err(|errno| Error::os(Step::Pipe, Subject::Nothing, errno))?;
    WAITING.iter().chain([&ALL_WAITING]).for_each(|count| count.store(0, Ordering::Relaxed));
    READ.store(read.into_raw_fd(), Ordering::Relaxed);
    WRITE.store(write.into_raw_fd(), Ordering::Release);
    Ok(())
}

/// Queues `signal` from now on, and unblocks it in this thread. System calls that it interrupts are restarted (`SA_RESTART`).
///
/// # Errors
/// EINVAL for what is no signal or cannot be caught; pipe(2).
pub fn catch(signal: i32) -> Result<(), Error> {
    open()?;
    let caught = signal::set_disposition(signal, &Disposition::handler(caught));
    caught.map(drop).map_err(|errno| Error::os(Step::Signals, Subject::Signal(signal), errno))?;
    signal::unblock(signal);
    Ok(())
}

/// Takes the next signal; `None` when there is none now.
///
/// # Errors
/// EBADF without a queue.
pub fn next() -> Result<Option<i32>, Error> {
    let failed = |errno| Error::os(Step::Signals, Subject::Nothing, errno);
    let descriptor = descriptor().ok_or_else(|| failed(Errno::EBADF))?;
    let mut number = [0; size_of::<Signal>()];
    match fd::read(descriptor, &mut number) {
        Ok(read) if read == number.len() => {
            while ALL_WAITING.load(Ordering::Acquire) > 0 && move_one_up() {}
            Ok(Some(Signal::from_ne_bytes(number)))
        }
        Ok(_) => Err(failed(Errno::EIO)),
        Err(Errno::EAGAIN) => Ok(take_waiting()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Becomes readable when there is a signal to take; `None` without a queue.
#[must_use]
pub fn descriptor() -> Option<RawFd> {
    Some(READ.load(Ordering::Acquire)).filter(|fd| *fd != NONE)
}

/// The descriptors that must stay open for the queue to work.
pub(crate) fn descriptors() -> impl Iterator<Item = RawFd> {
    [&READ, &WRITE].into_iter().map(|fd| fd.load(Ordering::Acquire)).filter(|fd| *fd != NONE)
}

/// Gives the queue up, with all that is in it. Signals that were caught do nothing from now on, until they are caught again.
pub fn close() {
    for end in [&WRITE, &READ] {
        let descriptor = end.swap(NONE, Ordering::AcqRel);
        if descriptor != NONE {
            fd::close(descriptor);
        }
    }
}

/// How often this process has been asked to end since it began, as far as it queues these signals.
pub(crate) fn endings() -> u32 {
    ENDINGS.load(Ordering::Relaxed)
}

extern "C" fn caught(signal: Signal) {
    signal::keeping_errno(|| {
        if ENDS.contains(&signal) {
            ENDINGS.fetch_add(1, Ordering::Relaxed);
        }
        if write(signal) == Err(Errno::EAGAIN) {
            add_waiting(signal);
            // The pipe may have been read empty just now: then nobody would look for what waits, unless there is something
            // to read again.
            move_one_up();
        }
    });
}

fn write(signal: Signal) -> Sys<()> {
    match WRITE.load(Ordering::Acquire) {
        NONE => Err(Errno::EBADF),
        descriptor => fd::write(descriptor, &signal.to_ne_bytes()).map(drop),
    }
}

fn add_waiting(signal: Signal) {
    if let Some(count) = usize::try_from(signal).ok().and_then(|signal| WAITING.get(signal)) {
        count.fetch_add(1, Ordering::Relaxed);
        ALL_WAITING.fetch_add(1, Ordering::Release);
    }
}

fn take_waiting() -> Option<Signal> {
    if ALL_WAITING.load(Ordering::Acquire) == 0 {
        return None;
    }
    let one_less = |count: &AtomicU32| {
        count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
    };
    let signal = WAITING.iter().position(one_less)?;
    ALL_WAITING.fetch_sub(1, Ordering::AcqRel);
    Signal::try_from(signal).ok()
}

/// Moves one signal from those that wait to the pipe; false when there is none or no room.
fn move_one_up() -> bool {
    let Some(signal) = take_waiting() else { return false };
    let moved = write(signal).is_ok();
    if !moved {
        add_waiting(signal);
    }
    moved
}
