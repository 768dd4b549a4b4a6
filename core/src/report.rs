//! The line between daemon and starter: small records on a pipe.
//!
//! Each record is written in one piece shorter than `PIPE_BUF`, so it arrives whole or not at all (pipe(7)). End of file
//! without [`Record::Ready`] means that everybody who could have reported is gone.

use crate::error::{Failure, Step};
use crate::sys::Errno;
use crate::sys::process::{Ended, Pid};
use crate::sys::{Sys, fd, signal};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// POSIX promises 512 bytes in one piece.
const HEADER: usize = 16;
const MOST_TEXT: usize = 512 - HEADER;

/// How often a read that fails is tried again.
const TRIES: u8 = 3;

/// What is told to the starter.
#[allow(clippy::large_enum_variant, reason = "a box would have to be allocated between fork and report")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The session leader has forked; this is the daemon's PID.
    Forked(Pid),
    /// The daemon is ready, and this is its PID, too: the session leader may have been killed before it could tell.
    Ready(Pid),
    /// A step failed; the daemon is about to exit.
    Failed(Failure),
    /// The program gave up with a message of its own.
    Said(Said),
    /// What a program that starts its daemon by itself has to say ([`Handshake`](crate::parts::Handshake)).
    Value(i32),
    /// The daemon has made a process that passes on to syslog what it writes; this is that one's PID.
    Logger(Pid),
    /// For a starter that is told by a helper: how the daemon ended.
    Ended(Ended),
    /// For a starter that is told by a helper: the daemon was not ready in time, and is gone now.
    TimedOut,
}

/// A program's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: i32,
    text: [u8; MOST_TEXT],
    length: u16,
}

impl Said {
    /// Keeps as much of `message` as fits.
    pub(crate) fn new(status: i32, message: &[u8]) -> Self {
        let mut text = [0; MOST_TEXT];
        for (to, from) in text.iter_mut().zip(message) {
            *to = *from;
        }
        Self { status, text, length: message.len().min(MOST_TEXT) as u16 }
    }

    pub(crate) fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// A record as bytes: kind, step, length of the text (2), number (4), value (8), text.
struct Frame {
    kind: u8,
    step: u8,
    number: i32,
    value: i64,
}

impl Frame {
    const fn new(kind: u8, number: i32) -> Self {
        Self { kind, step: 0, number, value: 0 }
    }

    fn of(record: &Record) -> Self {
        match *record {
            Record::Forked(pid) => Self::new(0, pid),
            Record::Ready(pid) => Self::new(1, pid),
            Record::Failed(failure) => {
                Self { kind: 2, step: failure.step.number(), number: failure.errno.value(), value: failure.value }
            }
            Record::Said(said) => Self::new(3, said.status),
            Record::Ended(Ended::Exited(status)) => Self::new(4, status),
            Record::Ended(Ended::Killed(signal)) => Self::new(5, signal),
            Record::Ended(Ended::Unknown) => Self::new(6, 0),
            Record::TimedOut => Self::new(7, 0),
            Record::Value(value) => Self::new(8, value),
            Record::Logger(pid) => Self::new(9, pid),
        }
    }

    fn record(&self, text: &[u8]) -> Option<Record> {
        Some(match self.kind {
            0 => Record::Forked(self.number),
            1 => Record::Ready(self.number),
            2 => Record::Failed(Failure {
                step: Step::from_number(self.step)?,
                errno: Errno::new(self.number),
                value: self.value,
            }),
            3 => Record::Said(Said::new(self.number, text)),
            4 => Record::Ended(Ended::Exited(self.number)),
            5 => Record::Ended(Ended::Killed(self.number)),
            6 => Record::Ended(Ended::Unknown),
            7 => Record::TimedOut,
            8 => Record::Value(self.number),
            9 => Record::Logger(self.number),
            _ => return None,
        })
    }

    fn header(&self, text: usize) -> [u8; HEADER] {
        let [length_a, length_b] = (text as u16).to_ne_bytes();
        let [n0, n1, n2, n3] = self.number.to_ne_bytes();
        let [v0, v1, v2, v3, v4, v5, v6, v7] = self.value.to_ne_bytes();
        [self.kind, self.step, length_a, length_b, n0, n1, n2, n3, v0, v1, v2, v3, v4, v5, v6, v7]
    }

    fn parse(header: [u8; HEADER]) -> (Self, usize) {
        let [kind, step, length_a, length_b, n0, n1, n2, n3, v0, v1, v2, v3, v4, v5, v6, v7] = header;
        let number = i32::from_ne_bytes([n0, n1, n2, n3]);
        let value = i64::from_ne_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
        (Self { kind, step, number, value }, usize::from(u16::from_ne_bytes([length_a, length_b])))
    }
}

/// The daemon's end.
#[derive(Debug)]
pub(crate) struct Reporter(OwnedFd);

/// The starter's end.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

pub(crate) fn channel() -> Sys<(Listener, Reporter)> {
    let (read, write) = fd::pipe()?;
    Ok((Listener(read), Reporter(write)))
}

impl Reporter {
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sends a record; EPIPE when nobody listens any more, without the signal.
    pub(crate) fn send(&self, record: &Record) -> Sys<()> {
        let text = match record {
            Record::Said(said) => said.text(),
            _ => &[],
        };
        let mut bytes = [0; HEADER + MOST_TEXT];
        let header = Frame::of(record).header(text.len());
        for (to, from) in bytes.iter_mut().zip(header.iter().chain(text)) {
            *to = *from;
        }
        let bytes = bytes.get(..HEADER + text.len()).unwrap_or_default();
        match signal::write_without_broken_pipe(self.as_raw_fd(), bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(Errno::EIO),
        }
    }
}

impl std::os::fd::AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener {
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Waits for the next record; `None` at end of file, and for anything that is no record.
    ///
    /// # Errors
    /// read(2): what was said, if anything, is lost, and whoever said it lives on.
    pub(crate) fn receive(&self) -> Sys<Option<Record>> {
        let mut header = [0; HEADER];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let (frame, length) = Frame::parse(header);
        let mut text = [0; MOST_TEXT];
        match text.get_mut(..length) {
            Some(text) => Ok(if self.fill(text)? { frame.record(text) } else { None }),
            None => Ok(None),
        }
    }

    fn fill(&self, buffer: &mut [u8]) -> Sys<bool> {
        let (mut rest, mut tries) = (buffer, TRIES);
        while !rest.is_empty() {
            match fd::read(self.as_raw_fd(), rest) {
                Ok(0) => return Ok(false),
                Ok(got) => rest = rest.get_mut(got..).unwrap_or_default(),
                // What has been said is still there: before a daemon has to end for it, it is asked for again.
                Err(_) if tries > 0 => tries -= 1,
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, Said, channel};
    use crate::error::{Failure, Step};
    use crate::sys::Errno;
    use crate::sys::process::Ended;

    #[test]
    #[cfg_attr(miri, ignore = "sigemptyset(3)")]
    fn records_arrive_as_they_were_sent() {
        let (listener, reporter) = channel().unwrap_or_else(|errno| unreachable!("{errno:?}"));
        let failure = Failure { step: Step::SetUser, errno: Errno::EPERM, value: -7 };
        let records = [
            Record::Forked(4711),
            Record::Ready(4711),
            Record::Failed(failure),
            Record::Said(Said::new(3, b"the port is taken")),
            Record::Said(Said::new(4, &[b'x'; 2000])),
            Record::Ended(Ended::Exited(5)),
            Record::Ended(Ended::Killed(9)),
            Record::Ended(Ended::Unknown),
            Record::TimedOut,
            Record::Value(-3),
            Record::Logger(4712),
        ];
        for record in records {
            assert_eq!(reporter.send(&record), Ok(()));
            assert_eq!(listener.receive(), Ok(Some(record)));
        }
        drop(reporter);
        assert_eq!(listener.receive(), Ok(None));
    }

    #[test]
    #[cfg_attr(miri, ignore = "sigemptyset(3)")]
    fn nobody_listening_is_an_error_and_no_signal() {
        let (listener, reporter) = channel().unwrap_or_else(|errno| unreachable!("{errno:?}"));
        drop(listener);
        assert_eq!(reporter.send(&Record::Ready(1)), Err(Errno::EPIPE));
    }
}
