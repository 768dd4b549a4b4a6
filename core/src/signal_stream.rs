//! Some signals of this process, one after the other, through a descriptor of their own.
//!
//! For language bindings and parts of programs that share a process with others: any number of streams at once, each signal in
//! one of them at most, and what the signals did before is put back at the end. [`signal_queue`](super::signal_queue) is for
//! programs whose main loop takes all signals, for good.
//!
//! A stream goes along with the daemon that [`Daemon::open`](crate::Daemon::open) makes of its process. Every other child of a
//! fork is without: its signals do what they did before, and its parent hears nothing of them.

use crate::error::{Error, Step, Subject};
use crate::signal_queue::{KINDS, Queue};
use crate::sys::Errno;
use crate::sys::signal::{self, Disposition, Signal};
use crate::sys::{Sys, memory, process};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// As many streams as there can be: one for each signal.
const PLACES: usize = KINDS;
/// Not a place's number.
const NOBODYS: usize = 0;

struct Place {
    taken: AtomicBool,
    /// How many streams it has been. One that remembers another number has been given up in a forked child.
    generation: AtomicU32,
    queue: Queue,
}

struct Route {
    /// One more than the number of the place.
    place: AtomicUsize,
    /// What the signal did before. Written only while the signal has no handler or is blocked, so that the handler may read it.
    before: AtomicPtr<Disposition>,
}

static STREAMS: [Place; PLACES] =
    [const { Place { taken: AtomicBool::new(false), generation: AtomicU32::new(0), queue: Queue::new() } }; PLACES];

static ENDS: [AtomicI32; 2 * PLACES] = [const { AtomicI32::new(0) }; 2 * PLACES];

static ROUTES: [Route; KINDS] =
    [const { Route { place: AtomicUsize::new(NOBODYS), before: AtomicPtr::new(std::ptr::null_mut()) } }; KINDS];

/// The process whose streams these are; [`ANY`] while they change hands.
static OWNER: AtomicI32 = AtomicI32::new(ANY);
const ANY: process::Pid = 0;

/// How many handlers run, in whatever thread.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Signals that are caught for as long as this lives.
///
/// ```no_run
/// use daemonctx::parts::SignalStream;
///
/// let stream = SignalStream::new(&[15, 1])?;
/// // poll(2) on stream.descriptor(), and then:
/// while let Some(signal) = stream.next()? {
///     println!("got {signal}");
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
///
/// None that the kernel delivers is lost, none that it delivers twice is merged; see [`signal_queue`](crate::parts::signal_queue). All
/// of it may be used by any thread.
pub struct SignalStream {
    place: usize,
    generation: u32,
}

impl std::fmt::Debug for SignalStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SignalStream").field("descriptor", &self.descriptor()).finish()
    }
}

impl SignalStream {
    /// Catches `signals` from now on, and unblocks them in this thread. System calls that they interrupt are restarted
    /// (`SA_RESTART`).
    ///
    /// # Errors
    /// EBUSY for a signal that another stream has; EINVAL for what is no signal or cannot be caught; pipe(2). Nothing is
    /// changed then.
    pub fn new(signals: &[i32]) -> Result<Self, Error> {
        let failed = |errno| Error::os(Step::Signals, Subject::Nothing, errno);
        prepare().map_err(failed)?;
        let free = |place: &Place| !place.taken.swap(true, Ordering::AcqRel);
        let place = STREAMS.iter().position(free).ok_or_else(|| failed(Errno::EMFILE))?;
        let stream = Self { place, generation: STREAMS.get(place).map_or(0, Place::generation) };
        if let Some(place) = stream.place() {
            place.queue.open()?;
            ends_of(stream.place).zip(place.queue.descriptors()).for_each(|(end, fd)| end.store(fd, Ordering::Release));
        }
        // Dropping the stream puts back what is caught so far.
        for &signal in signals {
            stream.catch(signal)?;
        }
        Ok(stream)
    }

    fn catch(&self, signal: Signal) -> Result<(), Error> {
        let failed = |errno| Error::os(Step::Signals, Subject::Signal(signal), errno);
        let route = route(signal).ok_or_else(|| failed(Errno::EINVAL))?;
        match route.place.compare_exchange(NOBODYS, self.place + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {}
            Err(taken) if taken == self.place + 1 => return Ok(()),
            Err(_) => return Err(failed(Errno::EBUSY).note("another stream has it")),
        }
        route.begin(signal).map_err(|errno| {
            route.place.store(NOBODYS, Ordering::Release);
            failed(errno)
        })?;
        let _: Sys<signal::Set> = signal::unblock(signal);
        Ok(())
    }

    /// Takes the next signal; `None` when there is none now.
    ///
    /// # Errors
    /// EBADF after a fork that it did not go along with.
    pub fn next(&self) -> Result<Option<i32>, Error> {
        match self.place() {
            Some(place) => place.queue.next(),
            None => Err(Error::os(Step::Signals, Subject::Nothing, Errno::EBADF)),
        }
    }

    /// Becomes readable when there is a signal to take; `None` after a fork that the stream did not go along with.
    #[must_use]
    pub fn descriptor(&self) -> Option<RawFd> {
        self.place().and_then(|place| place.queue.descriptor())
    }

    /// Whether a stream has `signal`.
    #[must_use]
    pub fn has(signal: i32) -> bool {
        route(signal).is_some_and(|route| route.place.load(Ordering::Acquire) != NOBODYS)
    }

    /// After something else has been set for a signal that a stream has: the stream has it again, and at the stream's end the
    /// signal does what was set. The caller has it blocked meanwhile, so that none goes astray.
    ///
    /// # Errors
    /// EINVAL where no stream has it.
    pub fn catch_again(signal: i32) -> Result<(), Error> {
        let route = route(signal).filter(|_| Self::has(signal)).ok_or(Errno::EINVAL);
        let again = route.and_then(|route| route.begin(signal));
        again.map_err(|errno| Error::os(Step::Signals, Subject::Signal(signal), errno))
    }

    /// None in a child that it did not go along to: the place is another stream's by now, or nobody's.
    fn place(&self) -> Option<&'static Place> {
        STREAMS.get(self.place).filter(|place| place.generation() == self.generation)
    }
}

impl Drop for SignalStream {
    /// Has the signals do again what they did before, unless somebody else has changed that meanwhile. What has come and not
    /// been taken is forgotten.
    fn drop(&mut self) {
        if self.place().is_none() {
            return;
        }
        for (signal, route) in numbered().filter(|(_, route)| route.leads_to(self.place)) {
            route.finish(signal);
        }
        // The descriptor's number may be anybody's in a moment, and a handler in another thread just about to write to it.
        while RUNNING.load(Ordering::SeqCst) > 0 {
            std::hint::spin_loop();
        }
        free(self.place);
    }
}

fn free(number: usize) {
    for end in ends_of(number) {
        end.store(0, Ordering::Release);
    }
    if let Some(place) = STREAMS.get(number) {
        place.generation.fetch_add(1, Ordering::AcqRel);
        place.queue.close();
        place.taken.store(false, Ordering::Release);
    }
}

fn ends_of(number: usize) -> impl Iterator<Item = &'static AtomicI32> {
    ENDS.iter().skip(2 * number).take(2)
}

impl Place {
    fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Route {
    fn leads_to(&self, place: usize) -> bool {
        self.place.load(Ordering::Acquire) == place + 1
    }

    fn before(&self) -> Option<&Disposition> {
        memory::borrow(self.before.load(Ordering::Acquire))
    }

    fn begin(&self, signal: Signal) -> Sys<()> {
        // First, as the handler may be in need of it at once.
        self.remember(&signal::disposition(signal)?)?;
        signal::set_disposition(signal, &Disposition::handler(arrived)).map(drop)
    }

    fn remember(&self, before: &Disposition) -> Sys<()> {
        let old = self.before.swap(memory::leak(*before)?, Ordering::AcqRel);
        memory::reclaim(old);
        Ok(())
    }

    fn finish(&self, signal: Signal) {
        self.restore(signal);
        self.place.store(NOBODYS, Ordering::SeqCst);
    }

    /// Async-signal-safe.
    fn restore(&self, signal: Signal) {
        let ours = signal::disposition(signal).is_ok_and(|now| now.is_of(arrived));
        if let Some(before) = self.before().filter(|_| ours) {
            let _: Sys<Disposition> = signal::set_disposition(signal, before);
        }
    }
}

fn route(signal: Signal) -> Option<&'static Route> {
    usize::try_from(signal).ok().filter(|signal| *signal > 0).and_then(|signal| ROUTES.get(signal))
}

fn numbered() -> impl Iterator<Item = (Signal, &'static Route)> {
    signal::all().filter_map(|signal| route(signal).map(|route| (signal, route)))
}

extern "C" fn arrived(signal: Signal) {
    signal::keeping_errno(|| {
        // Before it is looked whose the signal is: whoever ends the stream waits for this.
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let owner = OWNER.load(Ordering::Acquire);
        if owner == ANY || owner == process::id() {
            let place = route(signal).map(|route| route.place.load(Ordering::SeqCst)).filter(|place| *place != NOBODYS);
            if let Some(place) = place.and_then(|place| STREAMS.get(place - 1)) {
                place.queue.put(signal);
            }
        } else if let Some(route) = route(signal) {
            // A child so young that `in_forked_child` has not run, or one that shares this memory (vfork). The signal comes
            // again as soon as this has returned.
            route.restore(signal);
            signal::raise(signal);
        }
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    });
}

fn prepare() -> Sys<()> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    OWNER.store(process::id(), Ordering::Release);
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let installed = process::at_fork_in_child(in_forked_child);
    if installed.is_err() {
        INSTALLED.store(false, Ordering::Release);
    }
    installed
}

extern "C" fn in_forked_child() {
    // Those that ran did so in threads that this process does not have.
    RUNNING.store(0, Ordering::SeqCst);
    if OWNER.load(Ordering::Acquire) == ANY {
        return;
    }
    for (signal, route) in numbered().filter(|(signal, _)| SignalStream::has(*signal)) {
        route.finish(signal);
    }
    let taken = |(number, place): (usize, &Place)| place.taken.load(Ordering::Acquire).then_some(number);
    STREAMS.iter().enumerate().filter_map(taken).for_each(free);
}

/// The descriptors that the streams need, once more: every program that starts a daemon looks here, whether it has streams or not.
pub(crate) fn ends() -> impl Iterator<Item = RawFd> {
    ENDS.iter().map(|end| end.load(Ordering::Acquire)).filter(|end| *end > 0)
}

/// Before the forks of a start: the streams are going to be the daemon's.
pub(crate) fn inherit_all() {
    OWNER.store(ANY, Ordering::Release);
}

/// In the daemon before it gets signals, or in a starter that starts none after all: the streams are this process's.
pub(crate) fn stay() {
    OWNER.store(process::id(), Ordering::Release);
}
