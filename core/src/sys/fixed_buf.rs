//! Text put together in place: no allocation, no `core::fmt`.
//!
//! It is what error messages are made of on all roads: the starter's line, C's error text, Rust's `Display`.

use crate::sys::{Errno, Sys};
use std::ffi::CStr;

/// A line of a message. Longer than the longest path with everything that is said about it.
pub(crate) type MessageBuf = FixedBuf<{ 4096 + 512 }>;

/// Text in a fixed buffer. What does not fit is cut off.
pub(crate) struct FixedBuf<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> FixedBuf<ROOM> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; ROOM], length: 0 }
    }

    /// The text for a system call, up to the first NUL; ENAMETOOLONG where there is no room for the NUL at its end.
    pub(crate) fn as_c_str(&self) -> Sys<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::ENAMETOOLONG)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, text: &[u8]) -> &mut Self {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(text) {
            *to = *from;
        }
        self.length = self.length.saturating_add(text.len()).min(ROOM);
        self
    }

    /// Appends text from outside, with `?` for what is not printable: the line must stay one line, and may be shown on a terminal.
    pub(crate) fn push_printable(&mut self, text: &[u8]) -> &mut Self {
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                let character = if is_printable(character) { character } else { '?' };
                self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            // Other encodings have letters here, but some terminals take these bytes for control characters.
            for &byte in chunk.invalid() {
                self.push(&[if matches!(byte, 0x80..=0x9f) { b'?' } else { byte }]);
            }
        }
        self
    }

    pub(crate) fn push_number(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.push(b"-");
        }
        self.push_unsigned(number.unsigned_abs())
    }

    pub(crate) fn push_unsigned(&mut self, number: u64) -> &mut Self {
        const DIGITS: usize = 20;
        let mut digits = [0; DIGITS];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(DIGITS - used..).unwrap_or_default())
    }

    /// A mode as it is written in the shell: octal with a leading zero.
    pub(crate) fn push_octal(&mut self, number: u32) -> &mut Self {
        let digits = (32 - number.leading_zeros()).div_ceil(3);
        self.push(b"0");
        for digit in (0..digits).rev() {
            self.push(&[b'0' + (number >> (3 * digit) & 7) as u8]);
        }
        self
    }
}

/// For the command: whether a character shows, and changes nothing about how others show. Not printable are control characters
/// (C0, DEL and C1), line separators, and what Unicode shows as nothing (Default_Ignorable_Code_Point) or uses to turn the direction
/// of text. The selectors of a variant (U+FE00 to U+FE0F) belong to the character before them.
#[doc(hidden)]
#[must_use]
pub const fn is_printable(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::{FixedBuf, MessageBuf};
    use crate::sys::Errno;

    fn line(fill: impl FnOnce(&mut MessageBuf)) -> String {
        let mut line = MessageBuf::new();
        fill(&mut line);
        String::from_utf8(line.as_bytes().to_vec()).unwrap_or_default()
    }

    #[test]
    fn numbers() {
        for number in [0, 1, 9, 10, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(
                line(|line| {
                    line.push_number(number);
                }),
                number.to_string()
            );
        }
    }

    #[test]
    fn modes() {
        for (mode, text) in [(0, "0"), (0o22, "022"), (0o777, "0777"), (0o1000, "01000")] {
            assert_eq!(
                line(|line| {
                    line.push_octal(mode);
                }),
                text
            );
        }
    }

    #[test]
    fn control_characters_do_not_break_the_line() {
        assert_eq!(
            line(|line| {
                line.push_printable(b"a\nb\x1b[c");
            }),
            "a?b?[c"
        );
    }

    #[test]
    fn invisible_and_turning_characters_are_replaced() {
        let text =
            "é€😀 \u{9b}1m\u{7f}\u{61c}\u{200b}\u{202e}\u{2060}\u{2069}\u{feff}\u{fffb}\u{e0001}\u{e0041}\u{e007f}";
        assert_eq!(
            line(|line| {
                line.push_printable(text.as_bytes());
            }),
            "é€😀 ?1m???????????"
        );
        let mut line = MessageBuf::new();
        line.push_printable(b"\x9b2J \xe9 \xe2\x80");
        assert_eq!(line.as_bytes(), b"?2J \xe9 \xe2?");
    }

    #[test]
    fn what_shows_as_nothing_is_not_printable() {
        let invisible = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{180f}\u{3164}\u{ffa0}\u{fff0}\
                         \u{1bca0}\u{1d17a}\u{e0000}\u{e0100}\u{e0fff}";
        assert_eq!(invisible.chars().find(|&character| super::is_printable(character)), None);
        let beside = "\u{ac}\u{ae}\u{34e}\u{350}\u{61b}\u{115e}\u{1161}\u{17b3}\u{17b6}\u{180a}\u{1810}\u{3163}\u{3165}\u{ff9f}\
                      \u{ffa1}\u{fe0f}\u{fffc}\u{1bc9f}\u{1d17b}\u{dffff}\u{e1000}";
        assert_eq!(beside.chars().find(|&character| !super::is_printable(character)), None);
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let mut text = FixedBuf::<4>::new();
        text.push(b"abc");
        assert_eq!(text.as_c_str(), Ok(c"abc"));
        text.push(b"de");
        assert_eq!((text.as_bytes(), text.as_c_str()), (&b"abcd"[..], Err(Errno::ENAMETOOLONG)));
    }
}
