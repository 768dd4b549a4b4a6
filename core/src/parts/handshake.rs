//! One number from the daemon to its starter: how its initialisation went.

use crate::error::{Cause, Error, Step, Subject};
use crate::report::{self, Listener, Record, Reporter};
use crate::sys::Errno;
use crate::sys::fd;
use crate::sys::pidfd::{self, Process};
use crate::sys::time::Deadline;
use std::os::fd::RawFd;
use std::time::Duration;

/// A promise made before a fork: the daemon sends one number, the starter waits for it. After the fork both have both ends;
/// whoever waits or sends gives the other one's up.
#[derive(Debug)]
pub struct Handshake {
    listener: Option<Listener>,
    reporter: Option<Reporter>,
}

impl Handshake {
    /// Makes the two ends, close-on-exec.
    ///
    /// # Errors
    /// pipe(2).
    pub fn new() -> Result<Self, Error> {
        let channel = report::channel().map_err(|errno| Error::os(Step::Pipe, Subject::Nothing, errno))?;
        let (mut listener, mut reporter) = channel;
        // The program runs.
        listener.guard();
        reporter.guard();
        Ok(Self { listener: Some(listener), reporter: Some(reporter) })
    }

    /// Gives up the starter's end, unless `kept` has it, and says which descriptor a daemon must not close before it has sent.
    pub fn sender(&mut self, kept: &[RawFd]) -> Option<RawFd> {
        self.listener = self.listener.take().filter(|listener| kept.contains(&listener.as_raw_fd()));
        self.reporter.as_ref().map(Reporter::as_raw_fd)
    }

    /// Whether a number can still be waited for: false after [`sender`](Self::sender).
    #[must_use]
    pub fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// Waits for the number; not longer than `timeout` (`None`: any time). The end of `daemon`, where its PID is given, is
    /// noticed at once even when a child of it lives on with the descriptor.
    ///
    /// # Errors
    /// ETIMEDOUT, or EINTR when a signal was handled: it may be waited again. EBADF in the daemon, or the program has closed the descriptor. Or, without an errno, that everybody is gone who could have sent.
    pub fn wait(&mut self, daemon: Option<i32>, timeout: Option<Duration>) -> Result<i32, Error> {
        // Otherwise the end of the pipe would never come: this process itself could still write.
        self.reporter = None;
        let Some(listener) = &self.listener else { return Err(Error::os(Step::Ready, Subject::Nothing, Errno::EBADF)) };
        let deadline = Deadline::after(timeout);
        let failed = |errno| Error::os(Step::Ready, Subject::Time(timeout.unwrap_or_default()), errno);
        if listener.is_closed() {
            return Err(failed(Errno::EBADF));
        }
        let process = daemon.map(Process::open);
        let mut gone = matches!(process, Some(Err(Errno::ESRCH)));
        let end = process.as_ref().and_then(|process| process.as_ref().ok()).map_or(-1, Process::as_poll_descriptor);
        let blind = end < 0 && daemon.is_some();
        loop {
            let mut fds = [listener.as_raw_fd(), end].map(fd::readable);
            let look = if blind { pidfd::next_look() } else { Deadline::after(None) };
            let patience = if gone { 0 } else { deadline.or(look).poll_timeout() };
            let polled = fd::poll_unless_interrupted(&mut fds, patience).map_err(failed)?;
            let heard = polled && fds.first().is_some_and(|fd| fd.revents != 0);
            if heard {
                return match listener.receive().map_err(failed)? {
                    Some(Record::Value(value)) => Ok(value),
                    _ => Err(lost(daemon)),
                };
            }
            // What it wrote before its end is in the pipe by now.
            if gone {
                return Err(lost(daemon));
            }
            gone = polled || blind && daemon.is_some_and(pidfd::has_ended);
            if !gone && deadline.passed() {
                return Err(failed(Errno::ETIMEDOUT));
            }
        }
    }

    /// Sends the number.
    ///
    /// # Errors
    /// EPIPE when the starter is gone; no SIGPIPE comes with it. EBADF in the starter, or the program has closed the descriptor.
    pub fn send(mut self, value: i32) -> Result<(), Error> {
        // Otherwise there would always be somebody to read: this process itself.
        self.listener = None;
        let sent = self.reporter.as_ref().map_or(Err(Errno::EBADF), |reporter| reporter.send(&Record::Value(value)));
        sent.map_err(|errno| Error::os(Step::Report, Subject::Number(i64::from(value)), errno))
    }
}

fn lost(daemon: Option<i32>) -> Error {
    Error::new(Step::Start, daemon.map_or(Subject::Word("daemon"), |pid| Subject::Pid(i64::from(pid))), Cause::Lost)
}
