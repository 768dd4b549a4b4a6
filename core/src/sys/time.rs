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

/// The shortest time that is not zero where times count in milliseconds: less would be none, which is another thing.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

/// For the command: a time such as `500ms`, `5s`, `0.5`, `1m` or `2h`; a plain number is seconds. What is less than a millisecond and not zero
/// is a millisecond. Times of thirty years and more are taken for mistakes.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    const LONGEST: u64 = 1_000_000_000;
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let unit = UNITS.iter().find_map(|(unit, milliseconds)| Some((text.strip_suffix(unit)?, *milliseconds)));
    let (number, milliseconds) = unit.unwrap_or((text, 1000));
    let mut parts = number.as_bytes().splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if whole.is_empty() && fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let is_zero = whole.iter().chain(fraction).all(|digit| *digit == b'0');
    let whole = if whole.is_empty() { 0 } else { crate::sys::parse_decimal(whole).filter(|whole| *whole < LONGEST)? };
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let fraction = digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    // A number of units, in billionths.
    let units = u128::from(whole) * 1_000_000_000 + u128::from(fraction);
    let nanoseconds = units * u128::from(milliseconds) / 1000;
    let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok().filter(|seconds| *seconds < LONGEST)?;
    let time = Duration::new(seconds, (nanoseconds % 1_000_000_000) as u32);
    Some(if is_zero { time } else { time.max(SHORTEST) })
}

/// The time since the machine was booted in clock ticks, rounded down as in `/proc/PID/stat`.
#[cfg(target_os = "linux")]
pub(crate) fn boot_ticks() -> u64 {
    let (now, per_second) = (since_boot(), ticks_per_second());
    let whole = now.as_secs().saturating_mul(per_second);
    whole.saturating_add(u64::from(now.subsec_nanos()).saturating_mul(per_second) / 1_000_000_000)
}

/// Elsewhere no process is known by it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn boot_ticks() -> u64 {
    0
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

#[cfg(test)]
mod tests {
    use super::{Duration, parse_duration};

    #[test]
    fn times_have_units() {
        let milliseconds = |text| parse_duration(text).map(|time| time.as_millis());
        for (text, expected) in [
            ("5", 5000),
            ("0.5", 500),
            (".25s", 250),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("2h", 7_200_000),
            ("0", 0),
            ("999999999", 999_999_999_000),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
        for text in ["0.0004s", "0.000000001", "0.0000000001s", "0.1ms", "0.00000000000000000001h", "1ms"] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(1)), "{text}");
        }
        for text in ["0.000", "0ms", ".0", "00h"] {
            assert_eq!(parse_duration(text), Some(Duration::ZERO), "{text}");
        }
        for text in ["", ".", "s", "ms", "-1", "1e3", "1 s", "1000000000", "1000000h", "inf", "5d", "1.2.3", "\u{661}"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
