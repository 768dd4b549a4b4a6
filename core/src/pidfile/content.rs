//! What a pid file says: one decimal PID.

use crate::sys::process::Pid;

/// Room for any PID and what surrounds it; what is longer holds none.
pub(super) const ROOM: usize = 64;

/// The highest PID that Linux ever gives (`PID_MAX_LIMIT`); proc(5) names it.
const HIGHEST: Pid = 1 << 22;

/// A decimal number and nothing else.
#[inline(never)]
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// What is in a pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Something that may be signalled.
    Pid(Pid),
    /// Nothing: a start has not come so far, or a daemon that could not remove the file has emptied it.
    Empty,
    /// A number that must not be signalled: 0 and 1, negative ones (a process group to kill(2)), one that no process can have.
    NoPid,
    /// Anything else.
    Garbage,
}

impl Content {
    pub(super) fn pid(self) -> Option<Pid> {
        match self {
            Self::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// Digits, with white space around them at most.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let text = bytes.trim_ascii();
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        if bytes.len() >= ROOM || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Self::Garbage;
        }
        match number(digits).map(Pid::try_from) {
            Some(Ok(pid)) if text == digits && (2..=HIGHEST).contains(&pid) => Self::Pid(pid),
            Some(Ok(_)) => Self::NoPid,
            _ => Self::Garbage,
        }
    }

    /// The same on the first line: programs that are not ours may write more below.
    pub(super) fn of_foreign(bytes: &[u8]) -> Self {
        match bytes.split_inclusive(|&byte| byte == b'\n').next() {
            Some(line) => Self::of(line),
            None => Self::Empty,
        }
    }
}

/// A PID as it is written: digits and a newline.
pub(super) fn format(pid: Pid) -> crate::line::Line {
    let mut line = crate::line::Line::new();
    line.push_number(i64::from(pid)).push(b"\n");
    line
}

#[cfg(test)]
mod tests {
    use super::Content::{self, Empty, Garbage, NoPid, Pid};

    #[test]
    fn what_is_a_pid() {
        for (text, pid) in [("2\n", 2), ("4711", 4711), (" 123 \n", 123), ("4194304\n", 4_194_304)] {
            assert_eq!(Content::of(text.as_bytes()), Pid(pid), "{text:?}");
            assert_eq!(Content::of_foreign(text.as_bytes()), Pid(pid), "{text:?}");
        }
        assert_eq!((Content::of(b"7\n/data\n"), Content::of_foreign(b"7\n/data\n")), (Garbage, Pid(7)));
    }

    #[test]
    fn what_is_none() {
        let long = "1".repeat(100);
        let none = [
            ("", Empty),
            ("0\n", NoPid),
            ("1\n", NoPid),
            ("-1\n", NoPid),
            ("-4711\n", NoPid),
            ("4194305\n", NoPid),
            ("2147483647\n", NoPid),
            ("2147483648\n", Garbage),
            ("99999999999999999999999\n", Garbage),
            ("\n", Garbage),
            ("-\n", Garbage),
            ("+7\n", Garbage),
            ("abc", Garbage),
            ("12 34", Garbage),
            ("0x10", Garbage),
            ("7\0", Garbage),
            ("٣", Garbage),
            (&long, Garbage),
        ];
        for (text, content) in none {
            assert_eq!(Content::of(text.as_bytes()), content, "{text:?}");
            assert_eq!(Content::of_foreign(text.as_bytes()), content, "{text:?}");
        }
    }
}
