//! The starter after the fork: it does not leave until it knows.

use crate::error::{Cause, Error, Failure, Step, Subject};
use crate::plan::Plan;
use crate::procfs;
use crate::registry;
use crate::report::{Listener, Record, Reporter, Said};
use crate::signals;
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::identity::Uid;
use crate::sys::pidfd::{Process, STEP, has_ended};
use crate::sys::process::{self, Ended, Pid};
use crate::sys::signal::Signal;
use crate::sys::signalfd::Arrivals;
use crate::sys::time::{self, Deadline};
use crate::sys::{Sys, fd};
use std::os::fd::RawFd;
use std::time::Duration;

/// How long a daemon that is told to end may take.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// What became of a start.
#[allow(clippy::large_enum_variant, reason = "a box would have to be allocated between fork and report")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Ready,
    Failed(Failure),
    Said(Said),
    Ended(Ended),
    TimedOut,
    /// A person called it off.
    CalledOff(Signal),
}

/// The starter's view of a start under way. Neither allocates nor frees: a helper may run it in a forked child.
///
/// What comes from the daemon may come from a program without privileges: it is believed about the daemon alone, and a PID in it only
/// as far as [`could_signal`](Self::could_signal) says.
#[derive(Debug)]
pub(crate) struct Watch {
    listener: Option<Listener>,
    leader: Pid,
    daemon: Pid,
    process: Option<Process>,
    logger: Option<Pid>,
    timeout: Option<Duration>,
    /// The user that the daemon runs as.
    user: Uid,
    /// The line to the program that a helper watches for, where the start is off when that program is gone.
    caller: RawFd,
}

impl Watch {
    /// For a daemon whose leader has ended, so that it is this process's child. Where orphans cannot be adopted it is init's, and
    /// nothing but its number is known where there are no pidfds.
    pub(crate) fn new(listener: Listener, leader: Pid, daemon: Pid, plan: &Plan) -> Self {
        Self {
            listener: Some(listener),
            leader,
            daemon,
            process: Process::open(daemon).ok(),
            logger: None,
            timeout: plan.ready_timeout,
            user: plan.privileges.user(),
            caller: -1,
        }
    }

    /// After any outcome but [`Outcome::Ready`] nothing of the start is left: no process, no pid file.
    fn finish(&mut self, outcome: Outcome) {
        if matches!(outcome, Outcome::Ready) {
            process::wait(self.leader, true);
            return;
        }
        self.clear_away(outcome);
        registry::release_all();
    }

    /// Waits for the outcome and exits: with 0 if the daemon is ready, else with one line on stderr and a status that says
    /// what happened.
    pub(crate) fn leave(mut self, plan: &Plan, program: &[u8]) -> ! {
        let outcome = self.watch();
        self.finish(outcome);
        let Some(error) = outcome.explain(Some(self.daemon), plan) else { process::exit_now(0) };
        error.print(program);
        match outcome {
            Outcome::CalledOff(signal) => signals::die_by(signal),
            _ => process::exit_now(error.exit_status()),
        }
    }

    /// Waits for the outcome as a helper, whose caller has the daemon's PID. Where the caller `must_know`, its end cancels the start.
    pub(crate) fn follow(&mut self, teller: &Reporter, must_know: bool) -> Outcome {
        self.caller = if must_know { teller.as_raw_fd() } else { -1 };
        self.watch()
    }

    /// Reports the outcome to the caller, as a helper, when nothing is left of a start that failed. The daemon's PID, if it is ready.
    pub(crate) fn conclude(mut self, outcome: Outcome, teller: &Reporter) -> Option<Pid> {
        self.finish(outcome);
        // The end of the line says that no outcome was reported.
        let _: Sys<()> = teller.send(&outcome.as_record());
        matches!(outcome, Outcome::Ready).then_some(self.daemon)
    }

    fn watch(&mut self) -> Outcome {
        let deadline = Deadline::after(self.timeout);
        let called_off = Arrivals::of(signals::calls_off());
        loop {
            let found = match self.wait_for_news(deadline, &called_off) {
                News::Report => self.hear(),
                News::DaemonEnded => Some(self.last_words()),
                News::CalledOff(signal) => Some(Outcome::CalledOff(signal)),
                News::Nothing => None,
            };
            if let Some(outcome) = found.or_else(|| deadline.passed().then_some(Outcome::TimedOut)) {
                return outcome;
            }
        }
    }

    fn wait_for_news(&self, deadline: Deadline, called_off: &Arrivals) -> News {
        let report = self.listener.as_ref().map_or(-1, Listener::as_raw_fd);
        let process = self.process.as_ref().map_or(-1, Process::as_poll_descriptor);
        let blind = process < 0;
        let mut fds = [report, called_off.as_poll_descriptor(), process, self.caller].map(fd::readable);
        let patience = if blind { STEP } else { called_off.patience(deadline.poll_timeout()) };
        if fd::poll(&mut fds, patience) != Ok(true) {
            return match called_off.take() {
                Some(signal) => News::CalledOff(signal),
                None if blind => self.look_at_daemon(),
                None => News::Nothing,
            };
        }
        let [report, off, process, caller] = fds.map(|fd| fd.revents != 0);
        match (report, off, process) {
            _ if caller => News::CalledOff(libc::SIGPIPE),
            (true, ..) => News::Report,
            (_, true, ..) => called_off.take().map_or(News::Nothing, News::CalledOff),
            (.., true) => News::DaemonEnded,
            _ => News::Nothing,
        }
    }

    /// Without a pidfd to wait on: the line says nothing of a daemon that has closed it, or whose child holds it.
    fn look_at_daemon(&self) -> News {
        if has_ended(self.daemon) { News::DaemonEnded } else { News::Nothing }
    }

    /// Takes one record off the pipe; an outcome if it is one, or is no record that a daemon sends now.
    fn hear(&mut self) -> Option<Outcome> {
        match self.listener.as_ref().map_or(Ok(None), Listener::receive) {
            Ok(Some(Record::Logger(logger))) if self.logger.is_none() => {
                self.logger = Some(logger);
                None
            }
            Ok(Some(Record::Ready)) => Some(Outcome::Ready),
            Ok(Some(Record::Failed(failure))) => Some(Outcome::Failed(failure)),
            Ok(Some(Record::Said(said))) => Some(Outcome::Said(said)),
            Ok(Some(_)) => Some(Outcome::Failed(Failure::new(Step::Report, Errno::EBADMSG))),
            // What the daemon has said cannot be known any more, so it is not to stay, ready or not.
            Err(errno) => Some(Outcome::Failed(Failure::new(Step::Report, errno))),
            Ok(None) => {
                self.listener = None;
                None
            }
        }
    }

    /// The daemon has ended. What it wrote before is still in the pipe, also when a child of its own keeps that open.
    fn last_words(&mut self) -> Outcome {
        while let Some(listener) = &self.listener {
            if fd::poll(&mut [fd::readable(listener.as_raw_fd())], 0) != Ok(true) {
                break;
            }
            if let Some(outcome) = self.hear() {
                return outcome;
            }
        }
        Outcome::Ended(self.ended())
    }

    /// How the daemon has ended. It is a zombie, whose PID stays its own until all is cleared away. A tracer (strace) has its status
    /// first, and nothing tells when it lets go: it is not waited for longer than a moment.
    fn ended(&self) -> Ended {
        const MOMENT: Duration = Duration::from_secs(1);
        const PAUSE: Duration = Duration::from_millis(1);
        let deadline = Deadline::after(Some(MOMENT));
        loop {
            match process::peek(self.daemon, false) {
                Ok(Some(ended)) => return ended,
                Ok(None) if !deadline.passed() => time::pause(PAUSE),
                _ => return Ended::Unknown,
            }
        }
    }

    /// Ends what is left of a start that failed.
    ///
    /// The session leader is reaped last: until then its PID, which is also the number of the daemon's process group, cannot
    /// become anybody else's.
    fn clear_away(&self, outcome: Outcome) {
        // A process or group that cannot be signalled has ended.
        if outcome.leaves_daemon() {
            let _: Sys<()> = self.signal(libc::SIGTERM);
        }
        if !self.daemon_ends_within(GRACE) {
            let _: Sys<()> = self.signal(libc::SIGKILL);
            self.daemon_ends_within(GRACE);
        }
        let _: Sys<()> = process::kill(-self.leader, libc::SIGKILL);
        if let Some(logger) = self.logger {
            self.clear_away_logger(logger);
        }
        process::wait(self.daemon, false);
        process::wait(self.leader, true);
    }

    /// The logger is no member of the group. Nobody can write any more, so it ends when it has passed on what the daemon said last;
    /// one that cannot, because nobody takes it, is of no use.
    fn clear_away_logger(&self, logger: Pid) {
        let process = Process::open(logger).ok();
        let has_ended = ends_within(logger, process.as_ref(), GRACE);
        if self.could_signal(logger) {
            if !has_ended {
                let _: Sys<()> = process::kill(logger, libc::SIGKILL);
                ends_within(logger, process.as_ref(), GRACE);
            }
            process::wait(logger, false);
        }
    }

    /// Whether a process that the daemon has named is a child of this one, whose number is not reused before it is reaped, and runs as
    /// the daemon's user: the daemon itself may signal it then, and gains nothing by a false name.
    fn could_signal(&self, named: Pid) -> bool {
        process::peek(named, false).is_ok() && procfs::runs_as(named, self.user)
    }

    fn signal(&self, signal: Signal) -> Sys<()> {
        match &self.process {
            Some(process) => process.signal(signal),
            None => process::kill(self.daemon, signal),
        }
    }

    fn daemon_ends_within(&self, time: Duration) -> bool {
        ends_within(self.daemon, self.process.as_ref(), time)
    }
}

fn ends_within(child: Pid, process: Option<&Process>, time: Duration) -> bool {
    let by_number = Process::by_number(child);
    process.unwrap_or(&by_number).wait(Some(time)) == Ok(true)
}

enum News {
    Report,
    DaemonEnded,
    CalledOff(Signal),
    Nothing,
}

impl Outcome {
    /// The error that an outcome is; none if the daemon is ready.
    pub(crate) fn explain(self, daemon: Option<Pid>, plan: &Plan) -> Option<Error> {
        let subject = daemon.map_or(Subject::Word("session leader"), |daemon| Subject::Pid(i64::from(daemon)));
        match self {
            Self::Ready => None,
            Self::Failed(failure) => Some(plan.explain(failure)),
            Self::Said(said) => {
                let text = CBuf::new(said.text()).unwrap_or_default();
                Some(Error::new(Step::Start, Subject::Text(text), Cause::Said(said.status)))
            }
            Self::Ended(ended) => Some(Error::new(Step::Start, subject, Cause::of_end(ended))),
            Self::TimedOut => {
                let timeout = plan.ready_timeout.unwrap_or_default();
                Some(Error::os(Step::Ready, Subject::Time(timeout), Errno::ETIMEDOUT))
            }
            Self::CalledOff(signal) => Some(Error::os(Step::Start, Subject::Signal(signal), Errno::EINTR)),
        }
    }

    /// Whether the daemon may not know that it is over.
    fn leaves_daemon(self) -> bool {
        match self {
            Self::TimedOut | Self::CalledOff(_) => true,
            Self::Failed(failure) => matches!(failure.step, Step::Ready | Step::Report | Step::Start),
            _ => false,
        }
    }

    /// For a starter that a helper watches for.
    fn as_record(self) -> Record {
        match self {
            Self::Ready => Record::Ready,
            Self::Failed(failure) => Record::Failed(failure),
            Self::Said(said) => Record::Said(said),
            Self::Ended(ended) => Record::Ended(ended),
            Self::TimedOut => Record::TimedOut,
            Self::CalledOff(signal) => Record::Ended(Ended::Killed(signal)),
        }
    }

    /// What a helper told, read back; none for what is no outcome.
    pub(crate) fn from_record(record: Record) -> Option<Self> {
        match record {
            Record::Forked(_) | Record::Value(_) | Record::Logger(_) | Record::LeaderEnded(_) => None,
            Record::Ready => Some(Self::Ready),
            Record::Failed(failure) => Some(Self::Failed(failure)),
            Record::Said(said) => Some(Self::Said(said)),
            Record::Ended(ended) => Some(Self::Ended(ended)),
            Record::TimedOut => Some(Self::TimedOut),
        }
    }
}
