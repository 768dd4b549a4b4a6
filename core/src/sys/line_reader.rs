//! Lines, put together from what is read in pieces.

use crate::sys::{Sys, fd, memory};
use std::os::fd::RawFd;

/// What has been read of a line that has not ended.
pub(crate) struct LineReader<'a> {
    buffer: &'a mut [u8],
    filled: usize,
}

impl<'a> LineReader<'a> {
    /// A line that is longer than `buffer` is handed over in pieces.
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, filled: 0 }
    }

    /// Reads once, and hands over each line that is not empty, with whether it has ended: the last of all may have not. False
    /// when there is nothing more to come. A NUL ends a line too.
    pub(crate) fn read(&mut self, from: RawFd, each: &mut dyn FnMut(&[u8], bool)) -> Sys<bool> {
        let got = fd::read(from, self.buffer.get_mut(self.filled..).unwrap_or_default())?;
        let all = self.filled + got;
        let text = self.buffer.get(..all).unwrap_or_default();
        // The rest after the last end of a line waits for more, unless there is none to come or no room.
        let whole = match text.iter().rposition(|byte| ends_line(*byte)) {
            _ if got == 0 => all,
            Some(end) => end + 1,
            None if all == self.buffer.len() => all,
            None => 0,
        };
        for line in text.get(..whole).unwrap_or_default().split(|byte| ends_line(*byte)) {
            if !line.is_empty() {
                each(line, got != 0);
            }
        }
        self.filled = memory::move_to_front(self.buffer, whole..all);
        Ok(got != 0)
    }

    /// Hands over what there is of a line whose rest is never going to come.
    pub(crate) fn end(&mut self, each: &mut dyn FnMut(&[u8], bool)) {
        let filled = std::mem::take(&mut self.filled);
        if filled > 0 {
            each(self.buffer.get(..filled).unwrap_or_default(), false);
        }
    }
}

fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | 0)
}
