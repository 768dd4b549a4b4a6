//! The socket between launcher and monitor: first the launch message, then what became of it.

use super::fields::{self, HEADER};
use super::launch::Launch;
use crate::error::{Failure, Step};
use crate::sys::channel::{self, Peeked, Way};
use crate::sys::process::{Ended, Pid};
use crate::sys::{Errno, Sys, fd, memory};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// What the launcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Ready(Pid),
    Failed { reason: Reason, is_stuck: bool },
}

/// Why a start came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Step(Failure),
    /// The program, which had this PID.
    Ended(Pid, Ended),
    SignLost,
    TimedOut,
    Cancelled,
    Stopped,
    /// The monitor was killed.
    Lost,
}

/// The launcher's only byte after the message.
const CONFIRM: u8 = b'c';

/// kind, stuck, step, unused, number (4), value (8).
const FRAME: usize = 16;

fn encode(told: Told) -> [u8; FRAME] {
    let (kind, stuck, step, number, value) = match told {
        Told::Ready(pid) => (0, false, 0, pid, 0),
        Told::Failed { reason, is_stuck } => {
            let (kind, step, number, value) = match reason {
                Reason::Step(failure) => (1, failure.step.number(), failure.errno.value(), failure.value),
                Reason::Ended(pid, Ended::Exited(status)) => (2, 0, status, i64::from(pid)),
                Reason::Ended(pid, Ended::Killed(signal)) => (3, 0, signal, i64::from(pid)),
                Reason::Ended(pid, Ended::Unknown) => (4, 0, 0, i64::from(pid)),
                Reason::SignLost => (5, 0, 0, 0),
                Reason::TimedOut => (6, 0, 0, 0),
                Reason::Cancelled => (7, 0, 0, 0),
                Reason::Stopped => (8, 0, 0, 0),
                Reason::Lost => (9, 0, 0, 0),
            };
            (kind, is_stuck, step, number, value)
        }
    };
    let [n0, n1, n2, n3] = number.to_ne_bytes();
    let [v0, v1, v2, v3, v4, v5, v6, v7] = value.to_ne_bytes();
    [kind, u8::from(stuck), step, 0, n0, n1, n2, n3, v0, v1, v2, v3, v4, v5, v6, v7]
}

fn decode(frame: [u8; FRAME]) -> Option<Told> {
    let [kind, stuck, step, _, n0, n1, n2, n3, v0, v1, v2, v3, v4, v5, v6, v7] = frame;
    let number = i32::from_ne_bytes([n0, n1, n2, n3]);
    let value = i64::from_ne_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
    let ended = |how| Pid::try_from(value).ok().map(|pid| Reason::Ended(pid, how));
    let reason = match kind {
        0 => return Some(Told::Ready(number)),
        1 => Reason::Step(Failure { step: Step::from_number(step)?, errno: Errno::new(number), value }),
        2 => ended(Ended::Exited(number))?,
        3 => ended(Ended::Killed(number))?,
        4 => ended(Ended::Unknown)?,
        5 => Reason::SignLost,
        6 => Reason::TimedOut,
        7 => Reason::Cancelled,
        8 => Reason::Stopped,
        9 => Reason::Lost,
        _ => return None,
    };
    Some(Told::Failed { reason, is_stuck: stuck != 0 })
}

/// What the launcher has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Confirmed,
    Gone,
}

/// The end of guard and monitor.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

impl Line {
    pub(super) fn of(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Receives the launch message. Allocates.
    ///
    /// # Errors
    /// As for [`Launch::decode`].
    pub(super) fn receive(&self) -> Sys<Launch> {
        let mut header = [0; HEADER];
        self.fill(&mut header)?;
        let mut message = memory::filled(0, fields::announced(header)?)?;
        let (start, rest) = message.split_first_chunk_mut().ok_or(Errno::EPROTO)?;
        *start = header;
        self.fill(rest)?;
        Launch::decode(&message)
    }

    fn fill(&self, mut room: &mut [u8]) -> Sys<()> {
        while !room.is_empty() {
            match fd::read(self.as_raw_fd(), room)? {
                0 => return Err(Errno::EPROTO),
                got => room = room.get_mut(got..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// A launcher that cannot be told finds the line at its end, and this end does too.
    pub(super) fn tell(&self, told: Told) {
        if channel::send(self.as_raw_fd(), &encode(told)) != Ok(FRAME) {
            let _: Sys<()> = channel::shut_down(self.as_raw_fd(), Way::Both);
        }
    }

    /// Looks what the launcher has said, and leaves it there: the guard may have to look as well.
    pub(super) fn heard(&self) -> Heard {
        match channel::peek(self.as_raw_fd()) {
            Peeked::Nothing => Heard::Nothing,
            Peeked::Byte(CONFIRM) => Heard::Confirmed,
            Peeked::Byte(_) | Peeked::End => Heard::Gone,
        }
    }

    /// From now on the launcher cannot confirm; whether it has before.
    pub(super) fn close_to_confirmation(&self) -> bool {
        let _: Sys<()> = channel::shut_down(self.as_raw_fd(), Way::Receiving);
        self.heard() == Heard::Confirmed
    }
}

/// The launcher's end.
#[derive(Debug)]
pub(crate) struct Outcome(OwnedFd);

/// The two ends of a line.
pub(crate) fn line() -> Sys<(Outcome, OwnedFd)> {
    let (ours, theirs) = channel::pair()?;
    Ok((Outcome(ours), theirs))
}

impl std::os::fd::AsFd for Outcome {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Outcome {
    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sends the launch message.
    pub(crate) fn send(&self, launch: &Launch) -> Sys<()> {
        let message = launch.encode()?;
        let mut rest = message.as_slice();
        while !rest.is_empty() {
            let sent = channel::send(self.as_raw_fd(), rest)?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for what became of the start. A line that ends without a word is a guard and a monitor that were killed.
    pub(crate) fn receive(&self) -> Told {
        let lost = Told::Failed { reason: Reason::Lost, is_stuck: false };
        let mut frame = [0; FRAME];
        let mut room = frame.as_mut_slice();
        while !room.is_empty() {
            match fd::read(self.as_raw_fd(), room) {
                Ok(0) | Err(_) => return lost,
                Ok(got) => room = room.get_mut(got..).unwrap_or_default(),
            }
        }
        decode(frame).unwrap_or(lost)
    }

    /// Commits the start; false when it has come to nothing meanwhile, or does now: [`receive`](Self::receive) explains.
    pub(crate) fn confirm(&self) -> bool {
        let is_sent = channel::send(self.as_raw_fd(), &[CONFIRM]) == Ok(1);
        if !is_sent {
            self.cancel();
        }
        is_sent
    }

    /// Undoes the start; [`receive`](Self::receive) waits until that is done.
    pub(crate) fn cancel(&self) {
        let _: Sys<()> = channel::shut_down(self.as_raw_fd(), Way::Sending);
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Told, decode, encode};
    use crate::error::{Failure, Step};
    use crate::sys::Errno;
    use crate::sys::process::Ended;

    #[test]
    fn what_is_told_arrives() {
        let failure = Failure { step: Step::Execute, errno: Errno::ENOENT, value: -3 };
        let reasons = [
            Reason::Step(failure),
            Reason::Ended(4711, Ended::Exited(7)),
            Reason::Ended(4711, Ended::Killed(9)),
            Reason::Ended(4711, Ended::Unknown),
            Reason::SignLost,
            Reason::TimedOut,
            Reason::Cancelled,
            Reason::Stopped,
            Reason::Lost,
        ];
        assert_eq!(decode(encode(Told::Ready(4711))), Some(Told::Ready(4711)));
        for (reason, is_stuck) in reasons.into_iter().flat_map(|reason| [(reason, false), (reason, true)]) {
            let told = Told::Failed { reason, is_stuck };
            assert_eq!(decode(encode(told)), Some(told));
        }
        assert_eq!(decode([255; 16]), None);
    }
}
