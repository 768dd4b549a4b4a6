//! A start under way, seen from a program that goes on.

use crate::error::{Cause, Error, Step, Subject};
use crate::pidfile::PidFile;
use crate::plan::Plan;
use crate::report::{Listener, Record};
use crate::session::NoDaemon;
use crate::signals::{self, Quiet};
use crate::start::Listeners;
use crate::starter::{GRACE, Outcome};
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Ended, Pid};
use crate::sys::signal::Signal;
use crate::sys::signalfd::Arrivals;
use crate::sys::time::Deadline;
use crate::sys::{Sys, fd};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A daemon that is being started: what [`Daemon::fork`](crate::Daemon::fork) gives back in the program that goes on.
///
/// Dropping it does not end the start. The helper process that watches it stays a child of this program until it is waited for, here or
/// by wait(2).
///
/// ```no_run
/// use daemonctx::{Daemon, Fork};
/// use std::time::Duration;
///
/// let mut daemon = Daemon::new();
/// daemon.manual_ready(true);
/// // SAFETY: there are no other threads, and no descriptor that is used again.
/// match unsafe { daemon.fork()? } {
///     Fork::Starter(mut starting) => {
///         while !starting.wait(Some(Duration::from_millis(100)))? {
///             println!("{} is not ready yet", starting.pid());
///         }
///     }
///     Fork::Daemon(mut context) => context.ready()?,
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[must_use = "whether the daemon is ready is known by waiting for it"]
pub struct PendingStart {
    /// The helper's; the daemon's when the helper was killed before it reported the outcome.
    listener: Listener,
    /// The daemon's, until then.
    spare: Option<Listener>,
    helper_reports: bool,
    /// When a daemon whose helper was killed must be ready.
    deadline: Deadline,
    helper: Pid,
    daemon: Pid,
    process: Option<Process>,
    outcome: Option<Option<Error>>,
    plan: Plan,
}

/// How long a starter waits, in milliseconds, for a daemon that is ready to have told everybody else.
const TELLING: libc::c_int = 5_000;

impl std::fmt::Debug for PendingStart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PendingStart").field("pid", &self.pid()).finish()
    }
}

impl PendingStart {
    pub(crate) fn new(lines: Listeners, helper: Pid, plan: Plan) -> Self {
        let Listeners { helper: listener, daemon } = lines;
        let deadline = Deadline::after(None);
        let spare = Some(daemon);
        Self { listener, spare, helper_reports: true, deadline, helper, daemon: 0, process: None, outcome: None, plan }
    }

    /// Waits for the daemon's PID, or for the error that came before there was one.
    pub(crate) fn met(mut self) -> Result<Self, Error> {
        self.hear();
        if self.daemon != 0 {
            // The program goes on.
            self.listener.guard();
            self.spare.iter_mut().for_each(Listener::guard);
            return Ok(self);
        }
        match self.outcome.take().flatten() {
            Some(error) => Err(error),
            None => Err(self.end(Cause::Lost)),
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
            let patience = deadline.or(self.deadline).poll_timeout();
            let is_closed = self.listener.is_closed();
            if is_closed || fd::poll(&mut [fd::readable(self.listener.as_raw_fd())], patience) == Ok(true) {
                self.hear();
            } else if !self.is_too_late() && deadline.passed() {
                return Ok(false);
            }
        }
        self.result().map(|()| true)
    }

    /// Waits until the daemon is ready, or until SIGINT, SIGQUIT or SIGTERM cancels the start, where they are not ignored. The signal is
    /// taken, and the daemon is terminated.
    ///
    /// # Errors
    /// The start failed, or was cancelled ([`Error::signal`]); nothing is left of it.
    pub fn wait_unless_cancelled(&mut self) -> Result<(), Error> {
        let quiet = Quiet::begin();
        let called_off = self.watch();
        drop(quiet);
        match called_off {
            Some(signal) => Err(Outcome::CalledOff(signal).explain(None, &self.plan).unwrap_or_else(Self::lost)),
            None => self.result(),
        }
    }

    /// What the starter does that leaves when it knows: with 0, and not before the daemon has told everybody, or with one line on
    /// standard error and a status that says what happened. Signals are blocked.
    pub(crate) fn leave(mut self, program: &[u8]) -> ! {
        let called_off = self.watch();
        let Err(error) = self.result() else {
            if let Some(daemon) = &self.spare {
                // It reports, or has ended.
                let _: Sys<bool> = fd::poll(&mut [fd::readable(daemon.as_raw_fd())], TELLING);
            }
            process::exit_now(0)
        };
        let off = called_off.and_then(|signal| Outcome::CalledOff(signal).explain(None, &self.plan));
        off.as_ref().unwrap_or(&error).print(program);
        match called_off {
            Some(signal) => signals::die_by(signal),
            None => process::exit_now(error.exit_status()),
        }
    }

    /// Waits for the outcome. The helper is passed on what calls the start off, and that is given back if the start has failed.
    fn watch(&mut self) -> Option<Signal> {
        let signals = Arrivals::of(signals::calls_off());
        let mut called_off = None;
        while self.outcome.is_none() {
            let mut fds = [self.listener.as_raw_fd(), signals.as_poll_descriptor()].map(fd::readable);
            let patience = if self.listener.is_closed() { 0 } else { self.deadline.poll_timeout() };
            let _: Sys<bool> = fd::poll(&mut fds, signals.patience(patience));
            let [heard, off] = fds.map(|fd| fd.revents != 0);
            let heard = heard || self.listener.is_closed();
            if off || !heard {
                let signal = signals.take();
                self.cancel(signal);
                called_off = signal.or(called_off);
            }
            if heard && self.outcome.is_none() {
                self.hear();
            } else if self.outcome.is_none() {
                self.is_too_late();
            }
        }
        called_off.filter(|_| self.result().is_err())
    }

    /// The helper ends the start; without one this process does.
    fn cancel(&mut self, signal: Option<Signal>) {
        if signal.is_some() && !self.helper_reports {
            let lost = self.end(Cause::Lost);
            self.conclude(Some(lost));
        } else {
            self.pass_on(signal);
        }
    }

    fn pass_on(&self, signal: Option<Signal>) {
        if let Some(signal) = signal {
            // A program that has waited for any child may have reaped it, and its number may be another's.
            if process::peek(self.helper, false).is_ok() {
                // One that cannot be signalled has ended, and its line says so.
                let _: Sys<()> = process::kill(self.helper, signal);
            }
        }
    }

    /// Takes the next record off the line, and keeps what it says.
    fn hear(&mut self) {
        let heard = self.listener.receive();
        let news = if self.helper_reports { self.hear_helper(heard) } else { Some(self.hear_daemon(heard)) };
        if let Some(outcome) = news {
            self.conclude(outcome);
        }
    }

    /// The outcome, if the helper reports one or never will.
    fn hear_helper(&mut self, heard: Sys<Option<Record>>) -> Option<Option<Error>> {
        match heard {
            Ok(Some(Record::Forked(daemon))) if self.daemon == 0 => {
                self.daemon = daemon;
                // It is the session leader's child or the helper's, and its number nobody else's.
                self.process = Process::open(daemon).ok();
                None
            }
            Ok(Some(Record::LeaderEnded(ended))) => {
                Some(Some(NoDaemon::LeaderEnded(ended).explain(|failure| self.plan.explain(failure))))
            }
            Ok(None) if self.daemon != 0 && self.spare.is_some() => {
                self.turn_to_daemon();
                None
            }
            Ok(record) => Some(match record.and_then(Outcome::from_record) {
                Some(outcome) => outcome.explain((self.daemon != 0).then_some(self.daemon), &self.plan),
                None => Some(self.end(Cause::Lost)),
            }),
            Err(errno) => Some(Some(self.end(Cause::Os(errno)))),
        }
    }

    /// The helper was killed before it reported the outcome. A daemon that has become ready meanwhile reports that itself.
    fn turn_to_daemon(&mut self) {
        if let Some(daemon) = self.spare.take() {
            self.listener = daemon;
            self.helper_reports = false;
            self.deadline = Deadline::after(self.plan.ready_timeout);
        }
    }

    /// A daemon is believed one thing. Everything else comes from a program that does not keep to this library, or is the line's end.
    fn hear_daemon(&mut self, heard: Sys<Option<Record>>) -> Option<Error> {
        match heard {
            Ok(Some(Record::Ready)) => None,
            Ok(_) => Some(self.end(Cause::Lost)),
            Err(errno) => Some(self.end(Cause::Os(errno))),
        }
    }

    /// Ends a start whose deadline nobody else watches any more; true if that has passed.
    fn is_too_late(&mut self) -> bool {
        let too_late = self.deadline.passed();
        if too_late {
            let lost = self.end(Cause::Lost);
            self.conclude(Some(Outcome::TimedOut.explain(Some(self.daemon), &self.plan).unwrap_or(lost)));
        }
        too_late
    }

    fn conclude(&mut self, outcome: Option<Error>) {
        self.outcome = Some(outcome);
        process::wait(self.helper, true);
    }

    /// No outcome was reported and none will be: tear down what is left of the start.
    fn end(&mut self, cause: Cause) -> Error {
        self.pass_on(Some(libc::SIGTERM));
        let _: Sys<Option<Ended>> = process::peek(self.helper, true);
        if let Some(daemon) = &self.process {
            // A daemon that cannot be signalled has ended.
            let _: Sys<()> = daemon.signal(libc::SIGTERM);
            if daemon.wait(Some(GRACE)) != Ok(true) {
                let _: Sys<()> = daemon.signal(libc::SIGKILL);
                let _: Sys<bool> = daemon.wait(Some(GRACE));
            }
        }
        if let Some(path) = self.plan.pid_file_path.take() {
            PidFile::clear_away(path);
        }
        Error::new(Step::Start, Subject::Word("daemon"), cause)
    }

    fn result(&self) -> Result<(), Error> {
        match &self.outcome {
            Some(Some(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn lost() -> Error {
        Error::new(Step::Start, Subject::Word("daemon"), Cause::Lost)
    }
}

impl AsFd for PendingStart {
    /// Becomes readable when the outcome is known.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
