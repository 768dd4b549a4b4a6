//! Signals: sets, masks, dispositions.

use super::Errno;
use super::process::Pid;
use super::{Sys, check};
use std::os::fd::RawFd;

/// `si_code` of a signal that a process has sent by kill(2); the libc crate lacks it for BSDs.
#[cfg(target_os = "linux")]
const SI_USER: libc::c_int = libc::SI_USER;
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
const SI_USER: libc::c_int = 0x10001;

/// A signal's number.
pub(crate) type Signal = libc::c_int;

/// The highest signal number there is room for; Linux has 64.
pub(crate) const LAST: Signal = 64;

/// Every signal number, those that cannot be caught included.
pub(crate) fn all() -> impl Iterator<Item = Signal> {
    1..=LAST
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct Set(libc::sigset_t);

impl Set {
    pub(crate) fn empty() -> Self {
        // SAFETY: `sigset_t` is a C struct of integers, for which all zeroes is a value; sigemptyset makes it the empty
        // set on systems where that differs.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            Self(set)
        }
    }

    pub(crate) fn full() -> Self {
        let mut set = Self::empty();
        // SAFETY: `set` is an initialised set.
        unsafe { libc::sigfillset(&raw mut set.0) };
        set
    }

    pub(crate) fn all_but(signal: Signal) -> Self {
        let mut set = Self::full();
        // SAFETY: `set` is an initialised set; a bad number is EINVAL.
        unsafe { libc::sigdelset(&raw mut set.0, signal) };
        set
    }

    /// Adds a signal; false for a number that is none, or one that the C library keeps for itself.
    pub(crate) fn add(&mut self, signal: Signal) -> bool {
        // SAFETY: `self` is an initialised set; a bad number is EINVAL.
        unsafe { libc::sigaddset(&raw mut self.0, signal) == 0 }
    }

    pub(super) fn as_ptr(&self) -> *const libc::sigset_t {
        &raw const self.0
    }

    #[cfg(target_vendor = "apple")]
    fn contains(&self, signal: Signal) -> bool {
        // SAFETY: `self` is an initialised set; a bad number is EINVAL.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }
}

/// Makes `set` this thread's signal mask and gives back what it was.
pub(crate) fn set_mask(set: &Set) -> Set {
    let mut before = Set::empty();
    // SAFETY: both sets are initialised. With SIG_SETMASK and valid sets pthread_sigmask cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set.0, &raw mut before.0) };
    before
}

/// This thread's signal mask.
pub(crate) fn mask() -> Set {
    let mut now = Set::empty();
    // SAFETY: the set is initialised; without a new one nothing is changed, and the call cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut now.0) };
    now
}

/// Makes `set` this thread's signal mask. A daemon that blocks all signals does not hear of anything, so the call's result counts.
pub(crate) fn replace_mask(set: &Set) -> Sys<()> {
    // SAFETY: the set is initialised.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set.0, std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(Errno::new(errno)),
    }
}

/// Takes a signal out of this thread's mask and gives back what that was; a number that is no signal changes nothing.
pub(crate) fn unblock(signal: Signal) -> Sys<Set> {
    let (mut set, mut before) = (Set::empty(), Set::empty());
    set.add(signal);
    // SAFETY: the sets are initialised.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set.0, &raw mut before.0) } {
        0 => Ok(before),
        errno => Err(Errno::new(errno)),
    }
}

/// Runs `work` in a signal handler: the code that was interrupted finds its errno as it was.
pub(crate) fn keeping_errno(work: impl FnOnce()) {
    let errno = super::last_errno();
    work();
    super::set_errno(errno);
}

/// What happens when a signal arrives, whole, so that it can be put back.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    fn of(handler: libc::sighandler_t, flags: libc::c_int) -> Self {
        // SAFETY: `sigaction` is a C struct of integers and nullable pointers, for which all zeroes is a value.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        Self(action)
    }

    pub(crate) fn default() -> Self {
        Self::of(libc::SIG_DFL, 0)
    }

    pub(crate) fn ignore() -> Self {
        Self::of(libc::SIG_IGN, 0)
    }

    /// A handler for which interrupted system calls are restarted, and which no other signal interrupts: of several that are
    /// pending the kernel would otherwise run the last one's first. It runs on the thread's alternate stack where there is one:
    /// Go's threads have no room for it elsewhere.
    pub(crate) fn handler(handler: extern "C" fn(Signal)) -> Self {
        let mut action = Self::of(handler as *const () as libc::sighandler_t, libc::SA_RESTART | libc::SA_ONSTACK);
        action.0.sa_mask = Set::full().0;
        action
    }

    /// A handler that interrupts system calls.
    pub(crate) fn interrupting(handler: extern "C" fn(Signal)) -> Self {
        Self::of(handler as *const () as libc::sighandler_t, libc::SA_ONSTACK)
    }

    pub(crate) fn is_of(&self, handler: extern "C" fn(Signal)) -> bool {
        self.0.sa_sigaction == handler as *const () as libc::sighandler_t
    }

    pub(crate) fn is_handler(&self) -> bool {
        !self.is_ignore() && !self.is_default()
    }

    pub(crate) fn is_ignore(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_IGN
    }

    pub(crate) fn is_default(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_DFL
    }
}

/// What a signal does now; EINVAL for a number that is no signal a program may ask about.
pub(crate) fn disposition(signal: Signal) -> Sys<Disposition> {
    let mut now = Disposition::default();
    // SAFETY: `now` is a valid place for the result and nothing is changed.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now.0) })?;
    Ok(now)
}

/// Changes what a signal does and gives back what it did.
pub(crate) fn set_disposition(signal: Signal, new: &Disposition) -> Sys<Disposition> {
    let mut before = Disposition::default();
    // SAFETY: both are valid. The handlers installed here are async-signal-safe functions of this crate, or what the
    // program itself had installed before.
    check(unsafe { libc::sigaction(signal, &raw const new.0, &raw mut before.0) })?;
    Ok(before)
}

/// Gives the real-time signals that the C library keeps for its threads their default action, for a program that is about to be
/// executed: its own library sets them up again.
#[cfg(target_os = "linux")]
pub(crate) fn reset_reserved() {
    const RESERVED: std::ops::Range<libc::c_long> = 32..35;
    /// The kernel's own struct, on every architecture not longer than this; all zeroes is the default action.
    const DEFAULT: [usize; 8] = [0; 8];
    const SET_SIZE: usize = 8;
    for signal in RESERVED {
        let unwanted = std::ptr::null_mut::<usize>();
        // SAFETY: rt_sigaction reads one struct, and writes nothing where there is no place for it.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), unwanted, SET_SIZE) };
    }
}

/// Other systems have none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn reset_reserved() {}

/// Sends a signal to the calling thread.
pub(crate) fn raise(signal: Signal) {
    // SAFETY: raise takes a number.
    unsafe { libc::raise(signal) };
}

/// Which signals were ignored when this library was loaded; see [`ignored_at_load`].
///
/// Every program that is linked with this one pays for it, so it asks the kernel itself, stands where the loader has just been
/// (`.text.startup`), and touches no memory where there is nothing to remember.
mod at_load {
    use super::all;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Bit `n - 1` stands for signal `n`, as in the masks of `/proc/PID/status`.
    static IGNORED: AtomicU64 = AtomicU64::new(0);

    #[cfg_attr(target_os = "linux", unsafe(link_section = ".text.startup"))]
    extern "C" fn record() {
        let mut ignored = 0;
        for signal in all() {
            // SAFETY: `sigaction` is a C struct of integers and nullable pointers, for which all zeroes is a value.
            let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: `now` is a valid place for the result; nothing is set.
            let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
            if asked == 0 && now.sa_sigaction == libc::SIG_IGN {
                ignored |= 1_u64 << (signal - 1);
            }
        }
        if ignored != 0 {
            IGNORED.store(ignored, Ordering::Relaxed);
        }
    }

    // SAFETY: the loader calls the functions in this section once, before main or at the end of dlopen, when the C
    // library is ready. `record` only asks the kernel, which Miri does not have.
    #[used]
    #[cfg_attr(not(any(target_vendor = "apple", miri)), unsafe(link_section = ".init_array"))]
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
    static AT_LOAD: extern "C" fn() = record;

    pub(super) fn ignored(signal: super::Signal) -> bool {
        let bit = u32::try_from(signal - 1).ok().and_then(|shift| 1_u64.checked_shl(shift));
        bit.is_some_and(|bit| IGNORED.load(Ordering::Relaxed) & bit != 0)
    }
}

/// Whether `signal` was ignored when this library was loaded: before `main` for a program linked with it, so by whoever
/// started the program (nohup, a parent that does not care for its children), not by the program itself.
pub(crate) fn ignored_at_load(signal: Signal) -> bool {
    at_load::ignored(signal)
}

/// Writes once, so that a broken pipe is EPIPE only.
pub(crate) fn write_without_broken_pipe(fd: std::os::fd::RawFd, bytes: &[u8]) -> Sys<usize> {
    without_broken_pipe(&mut || super::fd::write(fd, bytes))
}

/// Calls `write`, whose EPIPE comes without the signal: SIGPIPE is taken back (it belongs to the thread that wrote, so blocking it
/// here and waiting for it cannot take another thread's).
pub(super) fn without_broken_pipe(write: &mut dyn FnMut() -> Sys<usize>) -> Sys<usize> {
    let mut pipe = Set::empty();
    pipe.add(libc::SIGPIPE);
    let mut before = Set::empty();
    // SAFETY: both sets are initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe.0, &raw mut before.0) };
    let result = write();
    // Also where the program blocks it. One that waited there is taken as well: two that are pending are one (signal(7)).
    if matches!(result, Err(Errno::EPIPE)) {
        take_pending(&pipe);
    }
    // SAFETY: the set is the one this thread had a moment ago.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before.0, std::ptr::null_mut()) };
    result
}

/// How often it is tried to take a signal that would end this process.
#[cfg(not(target_vendor = "apple"))]
const TRIES: u32 = 2;

/// Takes one pending signal of `set`, which must be blocked, if there is one.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn take_pending(set: &Set) -> Option<Signal> {
    take_pending_from(set).map(|(signal, _)| signal)
}

/// The same, with the process that sent it by kill(2) or pidfd_send_signal(2), if it did. The kernel says so, not the sender.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn take_pending_from(set: &Set) -> Option<(Signal, Option<Pid>)> {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `siginfo_t` is a C struct of integers and unions of them, for which all zeroes is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    for _ in 0..TRIES {
        // SAFETY: set and time are valid, and `info` is a valid place for the result.
        let taken = unsafe { libc::sigtimedwait(&raw const set.0, &raw mut info, &raw const now) };
        if taken > 0 {
            // SAFETY: a signal of kill(2) has the field; in others it is not looked at.
            let sender = (info.si_code == SI_USER).then(|| unsafe { info.si_pid() });
            return Some((taken, sender.filter(|sender| *sender > 0)));
        }
    }
    None
}

/// The same without sigtimedwait(2).
#[cfg(target_vendor = "apple")]
pub(super) fn take_pending(set: &Set) -> Option<Signal> {
    let mut pending = Set::empty();
    // SAFETY: `pending` is a valid place for the result.
    unsafe { libc::sigpending(&raw mut pending.0) };
    if !all().any(|signal| set.contains(signal) && pending.contains(signal)) {
        return None;
    }
    let mut taken = 0;
    // SAFETY: the set is valid and one of it pending, so this does not wait.
    (unsafe { libc::sigwait(&raw const set.0, &raw mut taken) } == 0).then_some(taken)
}

/// The same; who sent it is not known here.
#[cfg(target_vendor = "apple")]
pub(super) fn take_pending_from(set: &Set) -> Option<(Signal, Option<Pid>)> {
    take_pending(set).map(|signal| (signal, None))
}

/// Waits until `fd` is readable with `mask` as the signal mask meanwhile; false when a handler has run first. A signal that
/// only `mask` lets through is never missed: it arrives in here or not at all (pselect(2)).
pub(crate) fn readable_unless_signalled(fd: RawFd, mask: &Set) -> Sys<bool> {
    let mut fd = super::fd::readable(fd);
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: one entry, no time limit, and an initialised set.
    let ready = check(unsafe { libc::ppoll(&raw mut fd, 1, std::ptr::null(), mask.as_ptr()) });
    #[cfg(target_vendor = "apple")]
    let ready = {
        // Without ppoll: what arrives between the two calls is seen at the next.
        let before = set_mask(mask);
        // SAFETY: one entry.
        let ready = check(unsafe { libc::poll(&raw mut fd, 1, -1) });
        set_mask(&before);
        ready
    };
    match ready {
        Err(Errno::EINTR) => Ok(false),
        ready => ready.map(|ready| ready > 0),
    }
}
