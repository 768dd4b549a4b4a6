//! What may block for ever, done by a child within a time, and how much of others' text is shown.

use crate::sys;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long anything may take that another program or a file system does.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1500);

/// How many bytes of a command line, or of a line of a log, are shown.
pub(crate) const LINE: usize = 4096;

/// What a child writes; nothing where that takes too long.
pub(crate) fn read_in_child(work: impl FnOnce(UnixStream) -> io::Result<()>) -> Option<Vec<u8>> {
    let (text, is_whole) = read_what_comes(work);
    is_whole.then_some(text)
}

/// What a look in a child finds.
///
/// # Errors
/// Its own, or ETIMEDOUT where it takes too long.
pub(crate) fn look_in_child(look: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<Vec<u8>> {
    const FOUND: u8 = b'+';
    let said = read_in_child(|mut output| {
        let mut text = vec![FOUND];
        match look(&mut text) {
            Ok(()) => output.write_all(&text),
            Err(error) => output.write_all(error.raw_os_error().unwrap_or(libc::EIO).to_string().as_bytes()),
        }
    });
    let failed = io::Error::from_raw_os_error;
    let said = said.filter(|said| !said.is_empty()).ok_or_else(|| failed(libc::ETIMEDOUT))?;
    match said.split_first() {
        Some((&FOUND, found)) => Ok(found.to_vec()),
        _ => Err(failed(std::str::from_utf8(&said).ok().and_then(|errno| errno.parse().ok()).unwrap_or(libc::EIO))),
    }
}

/// What a child writes in time, and whether that is all.
pub(crate) fn read_what_comes(work: impl FnOnce(UnixStream) -> io::Result<()>) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let Ok(mut child) = sys::Forked::new(work) else { return (text, false) };
    let is_whole = read_within(&mut child.output, &mut text, usize::MAX);
    child.end(is_whole);
    (text, is_whole)
}

/// Reads until the writer has done; false where that takes too long. At least the last `most` bytes are kept.
pub(crate) fn read_within(output: &mut (impl Read + AsFd), text: &mut Vec<u8>, most: usize) -> bool {
    const ROOM: usize = 1 << 16;
    let deadline = Instant::now() + PATIENCE;
    let mut room = vec![0; ROOM];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || !sys::wait_readable(output.as_fd(), left) {
            return false;
        }
        match output.read(&mut room) {
            Ok(0) => return true,
            Ok(length) => text.extend_from_slice(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
        if text.len() > most.saturating_mul(2) {
            text.drain(..text.len() - most);
        }
    }
}

/// The beginning that is shown of a line, which ends with a whole character, and whether that is not all of it.
pub(crate) fn cut(line: &[u8]) -> (&[u8], bool) {
    const LONGEST: usize = 4;
    if line.len() <= LINE {
        return (line, false);
    }
    let is_begin = |end: &usize| line[*end] & 0xc0 != 0x80;
    let end = (LINE - LONGEST + 1..=LINE).rev().find(is_begin).unwrap_or(LINE);
    (&line[..end], true)
}

#[cfg(test)]
mod tests {
    use super::{LINE, cut};

    #[test]
    fn a_line_is_cut_between_characters() {
        let line = |letter: &str| letter.repeat(LINE).into_bytes();
        assert_eq!(cut(&line("x")), (&line("x")[..], false));
        assert_eq!(cut(&[line("x"), vec![b'y']].concat()), (&line("x")[..], true));
        assert_eq!(cut(&line("\u{20ac}")).0.len(), LINE - 1);
        assert_eq!(cut(&vec![0x80; LINE + 1]).0.len(), LINE);
    }
}
