//! Moments and spans of time, as people and programs read them.

use crate::sys;
use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Seconds since 1970, so long ago.
pub(crate) fn before_now(ago: Duration) -> Option<i64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(now.checked_sub(ago)?.as_secs()).ok()
}

/// `Fri 2025-11-21 10:39:04 UTC`, on the local clock.
pub(crate) fn local(seconds: i64) -> Option<String> {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let time = sys::local_time(seconds)?;
    let day = DAYS.get(time.weekday)?;
    Some([*day, " ", &date(&time), " ", &clock(&time), " ", &time.zone].concat().trim_end().to_owned())
}

/// `2025-11-21T10:39:04+00:00` (RFC 3339), on the local clock.
pub(crate) fn rfc3339(seconds: i64) -> Option<String> {
    let time = sys::local_time(seconds)?;
    let sign = if time.offset < 0 { "-" } else { "+" };
    let minutes = time.offset.abs() / 60;
    Some([&date(&time), "T", &clock(&time), sign, &two(minutes / 60), ":", &two(minutes % 60)].concat())
}

fn date(time: &sys::LocalTime) -> String {
    [time.year.to_string(), two(time.month), two(time.day)].join("-")
}

fn clock(time: &sys::LocalTime) -> String {
    [two(time.hour), two(time.minute), two(time.second)].join(":")
}

fn two(number: i64) -> String {
    let digits = number.to_string();
    if digits.len() < 2 { ["0", &digits].concat() } else { digits }
}

/// The two largest units: `12 s`, `3 min 12 s`, `1 day 4 h`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let two_units = |large: u64, large_name: &str, small: u64, small_name: &str| {
        [(seconds / large).to_string().as_str(), large_name, (seconds % large / small).to_string().as_str(), small_name]
            .join(" ")
    };
    match seconds {
        0..MINUTE => [&seconds.to_string(), " s"].concat(),
        MINUTE..HOUR => two_units(MINUTE, "min", 1, "s"),
        HOUR..DAY => two_units(HOUR, "h", MINUTE, "min"),
        _ => two_units(DAY, if seconds < 2 * DAY { "day" } else { "days" }, HOUR, "h"),
    }
}

/// The same with hundredths where they count: `0.04 s`.
pub(crate) fn exact_span(time: Duration) -> String {
    if time.as_secs() >= MINUTE {
        return span(time);
    }
    let hundredths = i64::from(time.subsec_millis() / 10);
    [&time.as_secs().to_string(), ".", &two(hundredths), " s"].concat()
}

/// `512 B`, `12.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNIT: u64 = 1024;
    const NAMES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < UNIT {
        return [&bytes.to_string(), " B"].concat();
    }
    let mut unit = UNIT;
    let mut names = NAMES.iter();
    let mut name = names.next();
    while let (Some(next), true) = (names.clone().next(), bytes / unit >= UNIT) {
        (unit, name) = (unit * UNIT, Some(next));
        names.next();
    }
    let tenths = bytes / unit * 10 + bytes % unit * 10 / unit;
    let point = if tenths < 1000 { [".", &(tenths % 10).to_string()].concat() } else { String::new() };
    [&(tenths / 10).to_string(), &point, " ", name.unwrap_or(&"")].concat()
}

#[cfg(test)]
mod tests {
    use super::{exact_span, size, span};
    use std::time::Duration;

    #[test]
    fn spans() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 0 s"),
            (3599, "59 min 59 s"),
            (7260, "2 h 1 min"),
            (90_000, "1 day 1 h"),
            (172_800, "2 days 0 h"),
        ];
        for (seconds, shown) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), shown);
        }
        assert_eq!(exact_span(Duration::from_millis(2049)), "2.04 s");
        assert_eq!(exact_span(Duration::from_millis(61_049)), "1 min 1 s");
    }

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (104_857, "102 KiB"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(size(bytes), shown);
        }
    }
}
