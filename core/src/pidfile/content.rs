//! What a pid file says: one decimal PID.

use crate::sys::process::Pid;

/// Room for any PID and what surrounds it; a file that is longer is no pid file.
pub(super) const ROOM: usize = 64;

/// The highest PID that Linux ever gives (`PID_MAX_LIMIT`); proc(5) names it.
const HIGHEST: u64 = 1 << 22;

/// A decimal number and nothing else.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The PID in a pid file: digits, with white space around them at most. Anything that must not be signalled is none:
/// nothing, words, 0 and 1, negative numbers (a process group to kill(2)), numbers that no process can have.
pub(crate) fn parse(bytes: &[u8]) -> Option<Pid> {
    if bytes.len() >= ROOM {
        return None;
    }
    let pid = number(bytes.trim_ascii()).filter(|pid| (2..=HIGHEST).contains(pid))?;
    Pid::try_from(pid).ok()
}

/// A PID as it is written: digits and a newline.
pub(super) fn format(pid: Pid) -> crate::line::Line {
    let mut line = crate::line::Line::new();
    line.push_number(i64::from(pid)).push(b"\n");
    line
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_a_pid() {
        for (text, pid) in [("2\n", 2), ("4711", 4711), (" 123 \n", 123), ("4194304\n", 4_194_304)] {
            assert_eq!(parse(text.as_bytes()), Some(pid), "{text:?}");
        }
    }

    #[test]
    fn what_is_none() {
        let long = "1".repeat(100);
        for text in
            ["", "\n", "0\n", "1\n", "-1\n", "-4711\n", "+7\n", "abc", "12 34", "0x10", "4194305\n", "7\0", "٣", &long]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
