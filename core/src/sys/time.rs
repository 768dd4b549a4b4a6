//! Clocks and deadlines.

use std::time::Duration;

fn clock(id: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the result. A clock that exists cannot fail; one that does not leaves zero.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0)).saturating_add(Duration::from_nanos(nanoseconds))
}

/// Time since an arbitrary point; never set back.
pub(crate) fn monotonic() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

/// Time since 1970, as files are stamped with.
pub(crate) fn realtime() -> Duration {
    clock(libc::CLOCK_REALTIME)
}

/// A time that is not later than what the kernel stamps a file with that changes from now on.
#[cfg(target_os = "linux")]
pub(crate) fn stamp() -> Duration {
    clock(libc::CLOCK_REALTIME_COARSE)
}

/// The same where the clock of the stamps cannot be read: it is set forward at least that often.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stamp() -> Duration {
    const COARSEST: Duration = Duration::from_millis(100);
    clock(libc::CLOCK_REALTIME).saturating_sub(COARSEST)
}

/// Time since the machine was booted, sleep included: the clock of the start times in `/proc/PID/stat`.
#[cfg(target_os = "linux")]
pub(crate) fn since_boot() -> Duration {
    clock(libc::CLOCK_BOOTTIME)
}

/// Ticks a second in `/proc/PID/stat`.
#[cfg(target_os = "linux")]
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes a number and has no other requirement.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|&ticks| ticks > 0).unwrap_or(100)
}

/// Lets `duration` pass, or less when a signal arrives.
#[allow(deprecated, reason = "of musl's time_t libc says that it will be longer")]
pub(crate) fn pause(duration: Duration) {
    let wait = libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos() as _,
    };
    // SAFETY: `wait` is a valid timespec and the remainder is not asked for.
    unsafe { libc::nanosleep(&raw const wait, std::ptr::null_mut()) };
}

/// A point in monotonic time, in nanoseconds, or never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<u64>);

/// Five centuries at the most.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

impl Deadline {
    /// `timeout` from now; `None` never comes.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.map(|timeout| nanoseconds(monotonic()).saturating_add(nanoseconds(timeout))))
    }

    /// What poll(2) wants: milliseconds left, rounded up so that it never returns early; -1 for never.
    pub(crate) fn poll_timeout(self) -> libc::c_int {
        let Some(end) = self.0 else { return -1 };
        let left = end.saturating_sub(nanoseconds(monotonic()));
        libc::c_int::try_from(left.div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
    }

    /// The time until then, none for ever.
    pub(crate) fn remaining(self) -> Option<Duration> {
        self.0.map(|end| Duration::from_nanos(end.saturating_sub(nanoseconds(monotonic()))))
    }

    /// Whichever comes first.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0.into_iter().chain(other.0).min())
    }

    /// This one put off to `later`, but not beyond `latest`. One that never comes stays.
    pub(crate) fn put_off(self, later: Self, latest: Self) -> Self {
        Self(self.0.map(|end| end.max(later.or(latest).0.unwrap_or(end))))
    }

    pub(crate) fn passed(self) -> bool {
        self.0.is_some_and(|end| nanoseconds(monotonic()) >= end)
    }
}
