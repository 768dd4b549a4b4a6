//! A start under way, seen from a program that goes on.

use crate::error::{Cause, Error, Step, Subject};
use crate::plan::Plan;
use crate::report::{Listener, Record};
use crate::starter::Outcome;
use crate::sys::fd;
use crate::sys::process::{self, Pid};
use crate::sys::time::Deadline;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A daemon that is being started: what [`Daemon::fork`](crate::Daemon::fork) gives back in the program that goes on.
///
/// Dropping it does not end the start. The helper process that watches it stays a child of this program until it is waited
/// for, here or by wait(2).
pub struct Starting {
    listener: Listener,
    helper: Pid,
    daemon: Pid,
    outcome: Option<Option<Error>>,
    plan: Plan,
}

impl std::fmt::Debug for Starting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Starting").field("daemon", &self.daemon).finish_non_exhaustive()
    }
}

impl Starting {
    /// Waits for the daemon's PID, or for the error that came before there was one.
    pub(crate) fn new(listener: Listener, helper: Pid, plan: Plan) -> Result<Self, Error> {
        let mut starting = Self { listener, helper, daemon: 0, outcome: None, plan };
        if let Some(Record::Forked(daemon)) = starting.listener.receive().map(|record| starting.note(record)) {
            starting.daemon = daemon;
            return Ok(starting);
        }
        starting.finish();
        match starting.outcome.take().flatten() {
            Some(error) => Err(error),
            None => Err(starting.lost()),
        }
    }

    /// The daemon's PID.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.daemon
    }

    /// Waits until the daemon is ready: true then, false when `timeout` (`None`: any time) has passed first. The outcome
    /// stays: asking again gives the same.
    ///
    /// # Errors
    /// The start failed; nothing is left of it.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let deadline = Deadline::after(timeout);
        while self.outcome.is_none() {
            if fd::poll(&mut [fd::readable(self.listener.as_raw_fd())], deadline.poll_timeout()) == Ok(true) {
                match self.listener.receive() {
                    Some(record) => drop(self.note(record)),
                    None => self.outcome = Some(Some(self.lost())),
                }
                self.finish();
            } else if deadline.passed() {
                return Ok(false);
            }
        }
        match &self.outcome {
            Some(Some(error)) => Err(error.clone()),
            _ => Ok(true),
        }
    }

    /// Keeps what a record says about the outcome.
    fn note(&mut self, record: Record) -> Record {
        if let Some(outcome) = Outcome::from_record(record) {
            let daemon = (self.daemon != 0).then_some(self.daemon);
            self.outcome = Some(outcome.explain(daemon, &self.plan));
        }
        record
    }

    fn lost(&self) -> Error {
        Error::new(Step::Start, Subject::Pid(i64::from(self.daemon)), Cause::Lost)
    }

    /// The helper has said its last and leaves.
    fn finish(&mut self) {
        process::wait(self.helper, true);
    }
}

impl AsFd for Starting {
    /// Becomes readable when the outcome is known.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
