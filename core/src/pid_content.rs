//! The content of a pid file: one decimal PID and a newline.

use crate::sys::parse_decimal;
use crate::sys::process::Pid;

/// What is read of a pid file. A longer file is not a pid file.
pub(crate) const ROOM: usize = 1024;

/// The highest PID that Linux ever gives (`PID_MAX_LIMIT`, proc(5)).
const HIGHEST: Pid = 1 << 22;

/// What is in a pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A PID that may be signalled.
    Pid(Pid),
    /// Nothing: a start has not written its PID yet, or was killed before it could.
    Empty,
    /// A number that no daemon has: 0, 1, or more than any PID.
    NoProcess,
    /// Anything else. The file is not a pid file.
    Other,
}

impl Content {
    pub(crate) fn pid(self) -> Option<Pid> {
        match self {
            Self::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// Digits, with a newline behind them or none.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if bytes.is_empty() {
            Self::Empty
        } else if bytes.len() >= ROOM || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            Self::Other
        } else {
            Self::of_digits(digits)
        }
    }

    /// The first line as libdaemon 0.14 reads it, by strtol(3): blanks and a sign may stand before the number, nothing behind it. A
    /// number that no `pid_t` can have is none.
    pub(crate) fn of_libdaemon(bytes: &[u8]) -> Self {
        let Some(line) = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().filter(|_| !bytes.is_empty()) else {
            return Self::Empty;
        };
        let (is_negative, digits) = match line.trim_ascii_start() {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        match parse_decimal(digits).map(Pid::try_from) {
            Some(Ok(_)) if is_negative => Self::NoProcess,
            Some(Ok(_)) => Self::of_digits(digits),
            _ => Self::Other,
        }
    }

    fn of_digits(digits: &[u8]) -> Self {
        match parse_decimal(digits).map(Pid::try_from) {
            Some(Ok(pid)) if (2..=HIGHEST).contains(&pid) => Self::Pid(pid),
            _ => Self::NoProcess,
        }
    }
}

/// A PID as it is written: digits and a newline.
pub(crate) fn format(pid: Pid) -> crate::sys::fixed_buf::MessageBuf {
    let mut line = crate::sys::fixed_buf::MessageBuf::new();
    line.push_number(i64::from(pid)).push(b"\n");
    line
}

#[cfg(test)]
mod tests {
    use super::Content::{self, Empty, NoProcess, Other, Pid};

    #[test]
    fn digits_with_or_without_a_newline_are_a_pid() {
        for (text, pid) in [("2\n", 2), ("4711\n", 4711), ("123", 123), ("0004711\n", 4711), ("4194304\n", 4_194_304)] {
            assert_eq!(Content::of(text.as_bytes()), Pid(pid), "{text:?}");
            assert_eq!(Content::of_libdaemon(text.as_bytes()), Pid(pid), "{text:?}");
        }
    }

    #[test]
    fn any_other_number_names_no_process() {
        for text in ["0\n", "1\n", "4194305\n", "2147483647\n"] {
            assert_eq!(Content::of(text.as_bytes()), NoProcess, "{text:?}");
            assert_eq!(Content::of_libdaemon(text.as_bytes()), NoProcess, "{text:?}");
        }
        for text in ["2147483648\n", "99999999999999999999999\n", &"9".repeat(100)] {
            assert_eq!(Content::of(text.as_bytes()), NoProcess, "{text:?}");
            assert_eq!(Content::of_libdaemon(text.as_bytes()), Other, "{text:?}");
        }
        assert_eq!(Content::of(b""), Empty);
    }

    #[test]
    fn anything_else_is_not_a_pid_file() {
        let long = "1".repeat(5000);
        let texts = [
            "\n",
            "-1\n",
            "-\n",
            "+7\n",
            "abc",
            "12 34",
            "0x10",
            "7\0",
            "٣",
            " 7\n",
            "7 \n",
            "7\r\n",
            "7\n\n",
            "7\n7\n",
            "12345 # comment\n",
            "server { listen 80; }\n",
            "[section]\nkey = 1\n",
            &long,
        ];
        for text in texts {
            assert_eq!(Content::of(text.as_bytes()), Other, "{text:?}");
        }
    }

    #[test]
    fn libdaemon_reads_the_first_line() {
        for text in ["  7\n", "7\r\n", "7\nby hand\n", "+7\n", " +7"] {
            assert_eq!(Content::of_libdaemon(text.as_bytes()), Pid(7), "{text:?}");
        }
        assert_eq!(Content::of_libdaemon(b"-4711\n"), NoProcess);
        for text in ["\n", "7 \n", "+ 7\n", "+-7\n", "--7\n", "7 and more\n", "0x10\n", "garbage"] {
            assert_eq!(Content::of_libdaemon(text.as_bytes()), Other, "{text:?}");
        }
    }
}
