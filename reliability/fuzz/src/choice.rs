//! Bytes as choices: the first byte decides what comes next, and when there are none left everything is 0.

use std::ffi::{CString, c_int, c_long};

/// What is left of an input.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// One of `count` things.
    pub fn one_of(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// So many bytes, or what is left.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Small numbers mostly, and those at which something changes.
    pub fn number(&mut self) -> c_int {
        const EDGES: [c_int; 12] =
            [-1, c_int::MIN, c_int::MAX, 0o1777, 64, 65, 255, 256, 1023, 1024, 65_536, -2_147_483_647];
        match self.byte() {
            byte @ 0..200 => c_int::from(byte % 40) - 2,
            byte @ 200..248 => EDGES[usize::from(byte) % EDGES.len()],
            _ => c_int::from_le_bytes(std::array::from_fn(|_| self.byte())),
        }
    }

    pub fn long(&mut self) -> c_long {
        match self.byte() {
            byte @ 0..128 => c_long::from(byte % 4),
            byte @ 128..160 => -c_long::from(byte),
            160..180 => c_long::MAX,
            180..200 => c_long::MIN,
            _ => c_long::from(self.number()),
        }
    }

    /// NULL, one of the words that mean something, or any text.
    pub fn text(&mut self, words: &[&str]) -> Option<CString> {
        let choice = self.byte();
        if choice < 16 {
            return None;
        }
        if choice < 200 {
            return CString::new(words[usize::from(choice) % words.len()]).ok();
        }
        let length = if choice == 255 { 5000 } else { usize::from(self.byte()) };
        let bytes = if choice == 255 { vec![b'x'; length] } else { self.bytes(length).to_vec() };
        CString::new(bytes.into_iter().filter(|byte| *byte != 0).collect::<Vec<u8>>()).ok()
    }
}
