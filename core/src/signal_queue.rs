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

/// Pipes are made above the standard streams. All zeroes cost a library nothing.
const NONE: RawFd = 0;
pub(crate) const KINDS: usize = signal::LAST as usize + 1;

/// A pipe, and what finds no room in it.
pub(crate) struct Queue {
    read: AtomicI32,
    write: AtomicI32,
    /// What is not in the pipe yet, by signal, and all together.
    waiting: [AtomicU32; KINDS],
    all_waiting: AtomicU32,
}

static SHARED: Queue = Queue::new();
/// How many have come that ask a program to end.
static ENDINGS: AtomicU32 = AtomicU32::new(0);

/// The signals by which a person or a service manager asks a program to end.
pub(crate) const ENDS: [Signal; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Makes the queue, if there is none yet. [`catch`] does so by itself.
///
/// # Errors
/// pipe(2).
pub fn open() -> Result<(), Error> {
    SHARED.open()
}

/// Queues `signal` from now on, and unblocks it in this thread. System calls that it interrupts are restarted (`SA_RESTART`).
///
/// # Errors
/// EINVAL for what is no signal or cannot be caught; pipe(2).
pub fn catch(signal: i32) -> Result<(), Error> {
    open()?;
    let caught = signal::set_disposition(signal, &Disposition::handler(caught));
    caught.map(drop).map_err(|errno| Error::os(Step::Signals, Subject::Signal(signal), errno))?;
    let _: Sys<signal::Set> = signal::unblock(signal);
    Ok(())
}

/// Takes the next signal; `None` when there is none now.
///
/// # Errors
/// EBADF without a queue.
pub fn next() -> Result<Option<i32>, Error> {
    SHARED.next()
}

/// Becomes readable when there is a signal to take; `None` without a queue.
#[must_use]
pub fn descriptor() -> Option<RawFd> {
    SHARED.descriptor()
}

/// The descriptors that must stay open for the queue to work.
pub(crate) fn descriptors() -> impl Iterator<Item = RawFd> {
    SHARED.descriptors()
}

/// Gives the queue up, with all that is in it. Signals that were caught do nothing from now on, until they are caught again.
pub fn close() {
    SHARED.close();
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
        SHARED.put(signal);
    });
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            read: AtomicI32::new(NONE),
            write: AtomicI32::new(NONE),
            waiting: [const { AtomicU32::new(0) }; KINDS],
            all_waiting: AtomicU32::new(0),
        }
    }

    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.descriptor().is_some() {
            return Ok(());
        }
        let made = fd::pipe().and_then(|(read, write)| {
            fd::set_nonblocking(read.as_raw_fd(), true)?;
            fd::set_nonblocking(write.as_raw_fd(), true)?;
            Ok((read, write))
        });
        let (read, write) = made.map_err(|errno| Error::os(Step::Pipe, Subject::Nothing, errno))?;
        self.waiting.iter().chain([&self.all_waiting]).for_each(|count| count.store(0, Ordering::Relaxed));
        self.read.store(read.into_raw_fd(), Ordering::Relaxed);
        self.write.store(write.into_raw_fd(), Ordering::Release);
        Ok(())
    }

    pub(crate) fn next(&self) -> Result<Option<i32>, Error> {
        let failed = |errno| Error::os(Step::Signals, Subject::Nothing, errno);
        let descriptor = self.descriptor().ok_or_else(|| failed(Errno::EBADF))?;
        let mut number = [0; size_of::<Signal>()];
        match fd::read(descriptor, &mut number) {
            Ok(read) if read == number.len() => {
                while self.all_waiting.load(Ordering::Acquire) > 0 && self.move_one_up() {}
                Ok(Some(Signal::from_ne_bytes(number)))
            }
            Ok(_) => Err(failed(Errno::EIO)),
            Err(Errno::EAGAIN) => Ok(self.take_waiting()),
            Err(errno) => Err(failed(errno)),
        }
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        Some(self.read.load(Ordering::Acquire)).filter(|fd| *fd != NONE)
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [&self.read, &self.write].into_iter().map(|fd| fd.load(Ordering::Acquire)).filter(|fd| *fd != NONE)
    }

    pub(crate) fn close(&self) {
        [&self.write, &self.read].into_iter().for_each(Self::close_end);
    }

    fn close_end(end: &AtomicI32) {
        let descriptor = end.swap(NONE, Ordering::AcqRel);
        if descriptor != NONE {
            fd::close(descriptor);
        }
    }

    /// The handler's part.
    pub(crate) fn put(&self, signal: Signal) {
        if self.send(signal) == Err(Errno::EAGAIN) {
            self.add_waiting(signal);
            // The pipe may have been read empty just now: then nobody would look for what waits, unless there is something
            // to read again.
            self.move_one_up();
        }
    }

    fn send(&self, signal: Signal) -> Sys<()> {
        match self.write.load(Ordering::Acquire) {
            NONE => Err(Errno::EBADF),
            descriptor => fd::write(descriptor, &signal.to_ne_bytes()).map(drop),
        }
    }

    fn add_waiting(&self, signal: Signal) {
        if let Some(count) = usize::try_from(signal).ok().and_then(|signal| self.waiting.get(signal)) {
            count.fetch_add(1, Ordering::Relaxed);
            self.all_waiting.fetch_add(1, Ordering::Release);
        }
    }

    fn take_waiting(&self) -> Option<Signal> {
        if self.all_waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let one_less = |count: &AtomicU32| {
            count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
        };
        let signal = self.waiting.iter().position(one_less)?;
        self.all_waiting.fetch_sub(1, Ordering::AcqRel);
        Signal::try_from(signal).ok()
    }

    /// Moves one signal from those that wait to the pipe; false when there is none or no room.
    fn move_one_up(&self) -> bool {
        let Some(signal) = self.take_waiting() else { return false };
        let moved = self.send(signal).is_ok();
        if !moved {
            self.add_waiting(signal);
        }
        moved
    }
}
