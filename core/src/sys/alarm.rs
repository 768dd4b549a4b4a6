//! A bound on system calls that have none.

use super::signal::{self, Disposition, Set, Signal};
use super::{Sys, check};

/// Microseconds between two interruptions.
const PERIOD: i32 = 50_000;

/// While this lives, a system call of this thread that waits where a signal can interrupt it is interrupted after 50 ms, and again every
/// 50 ms: a signal that comes before the wait is not the last one.
///
/// It takes SIGALRM and the process's real-time interval timer, so it is for processes of this library, not for a program's. Afterwards the
/// timer is off, and the rest as it was.
pub(crate) struct Interrupted {
    mask: Option<Set>,
    before: Option<Disposition>,
}

impl Interrupted {
    pub(crate) fn begin() -> Self {
        let before = signal::set_disposition(libc::SIGALRM, &Disposition::interrupting(ignore)).ok();
        let mask = signal::unblock(libc::SIGALRM).ok();
        // Without the handler the signal would end the process.
        if before.is_some() {
            let _: Sys<()> = set_timer(PERIOD);
        }
        Self { mask, before }
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        let _: Sys<()> = set_timer(0);
        if let Some(mask) = &self.mask {
            signal::set_mask(mask);
        }
        if let Some(before) = &self.before {
            let _: Sys<Disposition> = signal::set_disposition(libc::SIGALRM, before);
        }
    }
}

extern "C" fn ignore(_signal: Signal) {}

/// Fires every `microseconds`; never for 0.
fn set_timer(microseconds: i32) -> Sys<()> {
    let period = libc::timeval { tv_sec: 0, tv_usec: microseconds.into() };
    let timer = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: `timer` is valid for reads, and nothing is asked for.
    check(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) }).map(drop)
}
