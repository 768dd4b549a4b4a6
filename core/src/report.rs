//! The lines of a start: records of a fixed size, each line with one sender.
//!
//! A record is written in one piece that is not longer than `PIPE_BUF`, so it arrives whole (pipe(7)): whatever else is on a line
//! is no record. What a sender may send is decided by the reader of its line, not here.

use crate::error::{Failure, Step};
use crate::guarded_fd::GuardedFd;
use crate::sys::Errno;
use crate::sys::process::{Ended, Pid};
use crate::sys::{Sys, fd, signal};
use std::os::fd::{OwnedFd, RawFd};

/// POSIX promises 512 bytes in one piece.
const RECORD: usize = 512;
const HEADER: usize = 16;
const MOST_TEXT: usize = RECORD - HEADER;

/// How often a read that fails is repeated.
const TRIES: u8 = 3;

/// A message of a start.
#[allow(clippy::large_enum_variant, reason = "a box would have to be allocated between fork and report")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// From a session leader, never from a daemon: the daemon's PID.
    Forked(Pid),
    /// The daemon is ready.
    Ready,
    /// A step failed; the daemon is about to exit.
    Failed(Failure),
    /// The program gave up with a message of its own.
    Said(Said),
    /// What a program that starts its daemon by itself has to say ([`Handshake`](crate::parts::Handshake)).
    Value(i32),
    /// The daemon claims that this process passes its output on to syslog.
    Logger(Pid),
    /// From a helper: how the daemon ended.
    Ended(Ended),
    /// From a helper: the daemon was not ready in time, and is gone now.
    TimedOut,
    /// From a helper: there is no daemon, because the session leader ended so.
    LeaderEnded(Ended),
}

/// A program's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: i32,
    text: [u8; MOST_TEXT],
    length: u16,
}

impl Said {
    /// Keeps as much of `message` as fits; a NUL, which ends no message, as another control character.
    pub(crate) fn new(status: i32, message: &[u8]) -> Self {
        let mut text = [0; MOST_TEXT];
        for (to, from) in text.iter_mut().zip(message) {
            *to = (*from).max(1);
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
            Record::Ready => Self::new(1, 0),
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
            Record::LeaderEnded(Ended::Killed(signal)) => Self::new(10, signal),
            Record::LeaderEnded(_) => Self::new(11, 0),
        }
    }

    fn record(&self, text: &[u8]) -> Option<Record> {
        Some(match self.kind {
            0 => Record::Forked(self.number),
            1 => Record::Ready,
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
            10 => Record::LeaderEnded(Ended::Killed(self.number)),
            11 => Record::LeaderEnded(Ended::Unknown),
            _ => return None,
        })
    }

    fn header(&self, text: &[u8]) -> [u8; HEADER] {
        let [length_a, length_b] = (text.len() as u16).to_ne_bytes();
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

/// The end to send from.
#[derive(Debug)]
pub(crate) struct Reporter(GuardedFd);

/// The end to read from.
#[derive(Debug)]
pub(crate) struct Listener(GuardedFd);

pub(crate) fn channel() -> Sys<(Listener, Reporter)> {
    let (read, write) = fd::pipe()?;
    Ok((Listener(GuardedFd::new(read)), Reporter(GuardedFd::new(write))))
}

impl From<OwnedFd> for Reporter {
    fn from(write: OwnedFd) -> Self {
        Self(GuardedFd::new(write))
    }
}

impl Reporter {
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// The program runs from now on: see [`GuardedFd`].
    pub(crate) fn guard(&mut self) {
        self.0.guard();
    }

    /// Sends a record; EPIPE when nobody listens any more, without the signal; EBADF when the program has closed the descriptor.
    pub(crate) fn send(&self, record: &Record) -> Sys<()> {
        let text = match record {
            Record::Said(said) => said.text(),
            _ => &[],
        };
        let mut bytes = [0; RECORD];
        let header = Frame::of(record).header(text);
        for (to, from) in bytes.iter_mut().zip(header.iter().chain(text)) {
            *to = *from;
        }
        match signal::write_without_broken_pipe(self.0.check()?, &bytes)? {
            RECORD => Ok(()),
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

    /// The program runs from now on: see [`GuardedFd`].
    pub(crate) fn guard(&mut self) {
        self.0.guard();
    }

    /// Whether the program has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.check().is_err()
    }

    /// Waits for the next record; `None` at end of file.
    ///
    /// # Errors
    /// EBADMSG: what has come is no record. Or read(2)'s.
    pub(crate) fn receive(&self) -> Sys<Option<Record>> {
        let mut bytes = [0; RECORD];
        match self.read(&mut bytes)? {
            0 => Ok(None),
            RECORD => parse(&bytes).map(Some).ok_or(Errno::EBADMSG),
            _ => Err(Errno::EBADMSG),
        }
    }

    /// The next record, if it is there already; `None` also at end of file.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub(crate) fn receive_now(&self) -> Sys<Option<Record>> {
        let look = || fd::poll_unless_interrupted(&mut [fd::readable(self.as_raw_fd())], 0);
        if (0..TRIES).find_map(|_| look().ok()).ok_or(Errno::EIO)? { self.receive() } else { Ok(None) }
    }

    /// A read that fails takes nothing off the line, so it is repeated before a daemon has to end for it.
    fn read(&self, bytes: &mut [u8]) -> Sys<usize> {
        let mut tries = TRIES;
        loop {
            match fd::read(self.0.check()?, bytes) {
                Err(_) if tries > 0 => tries -= 1,
                read => return read,
            }
        }
    }
}

fn parse(bytes: &[u8; RECORD]) -> Option<Record> {
    let (header, text) = bytes.split_first_chunk()?;
    let (frame, length) = Frame::parse(*header);
    frame.record(text.get(..length)?)
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
            Record::Ready,
            Record::Failed(failure),
            Record::Said(Said::new(3, b"the port is taken")),
            Record::Said(Said::new(4, &[b'x'; 2000])),
            Record::Ended(Ended::Exited(5)),
            Record::Ended(Ended::Killed(9)),
            Record::Ended(Ended::Unknown),
            Record::TimedOut,
            Record::Value(-3),
            Record::Logger(4712),
            Record::LeaderEnded(Ended::Killed(9)),
            Record::LeaderEnded(Ended::Unknown),
        ];
        for record in records {
            assert_eq!(reporter.send(&record), Ok(()));
            assert_eq!(listener.receive(), Ok(Some(record)));
        }
        drop(reporter);
        assert_eq!(listener.receive(), Ok(None));
    }

    #[test]
    fn a_nul_does_not_end_a_message() {
        assert_eq!(Said::new(3, b"a\0b").text(), b"a\x01b");
    }

    #[test]
    #[cfg_attr(miri, ignore = "sigemptyset(3)")]
    fn nobody_listening_is_an_error_and_no_signal() {
        let (listener, reporter) = channel().unwrap_or_else(|errno| unreachable!("{errno:?}"));
        drop(listener);
        assert_eq!(reporter.send(&Record::Ready), Err(Errno::EPIPE));
    }

    #[test]
    #[cfg_attr(miri, ignore = "sigemptyset(3)")]
    fn what_is_no_record_is_an_error() {
        let mut unknown_kind = [0; super::RECORD];
        let mut too_long = [0; super::RECORD];
        unknown_kind.first_mut().into_iter().for_each(|kind| *kind = u8::MAX);
        too_long.iter_mut().skip(2).take(2).for_each(|length| *length = u8::MAX);
        for bytes in [&b"x"[..], &[0; super::RECORD - 1], &unknown_kind, &too_long] {
            let (listener, reporter) = channel().unwrap_or_else(|errno| unreachable!("{errno:?}"));
            assert_eq!(crate::sys::fd::write(reporter.as_raw_fd(), bytes), Ok(bytes.len()));
            assert_eq!(listener.receive(), Err(Errno::EBADMSG), "{bytes:?}");
        }
    }
}
