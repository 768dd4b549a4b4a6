//! The session leader: a process that is there to be left behind.
//!
//! The daemon is in a session without a terminal, and does not lead it, so that it can never get one. That takes a process between
//! starter and daemon.
#![allow(unsafe_code, reason = "the two forks; their contract is Daemon::open's")]

use crate::error::{Cause, Error, Failure, Step, Subject};
use crate::report::{self, Listener, Record, Reporter};
use crate::sys::leader::{Borrowing, Lead};
use crate::sys::process::{self, Ended, Forked, Pid, SecondFork};
use crate::sys::{Errno, Sys};

/// How to fork twice, found out before the first.
#[derive(Clone, Copy)]
pub(crate) struct Forks {
    borrowing: Option<Borrowing>,
    second: SecondFork,
}

impl Forks {
    pub(crate) fn find() -> Self {
        Self { borrowing: Borrowing::find(), second: SecondFork::find() }
    }

    /// One more fork, in the daemon.
    pub(crate) fn second(self) -> SecondFork {
        self.second
    }
}

/// Which process this is after both forks.
pub(crate) enum Side {
    /// With the session leader, which has ended and is not reaped, and the daemon.
    Starter {
        leader: Pid,
        daemon: Pid,
    },
    Daemon,
}

/// Why there is no daemon. No process is left.
#[derive(Clone, Copy)]
pub(crate) enum NoDaemon {
    Failed(Failure),
    LeaderEnded(Ended),
}

impl NoDaemon {
    /// The error that it is; `failed` knows what a step was about.
    pub(crate) fn explain(self, failed: impl FnOnce(Failure) -> Error) -> Error {
        match self {
            Self::Failed(failure) => failed(failure),
            Self::LeaderEnded(ended) => {
                let cause = if let Ended::Killed(signal) = ended { Cause::Killed(signal) } else { Cause::Lost };
                Error::new(Step::Start, Subject::Word("session leader"), cause)
            }
        }
    }

    /// For a helper's caller.
    pub(crate) fn as_record(self) -> Record {
        match self {
            Self::Failed(failure) => Record::Failed(failure),
            Self::LeaderEnded(ended) => Record::LeaderEnded(ended),
        }
    }
}

/// Forks a session leader, which forks the daemon, reports its PID and exits. Returns in the starter and in the daemon.
///
/// The leader reports on a line of its own, which the daemon closes here: a daemon that has dropped its privileges cannot name
/// another process in its place. Where a helper starts it, the leader reports to the `caller` first: a helper that is killed
/// cannot do it any more, and a caller without the PID could not end the daemon.
///
/// # Errors
/// In the starter: the first fork, or what the leader failed at.
///
/// # Safety
/// No signal reaches this thread. The rest is the contract of [`Daemon::open`](crate::Daemon::open).
pub(crate) unsafe fn fork_daemon(forks: Forks, caller: Option<&Reporter>) -> Result<Side, NoDaemon> {
    let failed = |step| move |errno| NoDaemon::Failed(Failure::new(step, errno));
    let (listener, reporter) = report::channel().map_err(failed(Step::Pipe))?;
    // SAFETY: the caller keeps the contract.
    let forked = unsafe { fork_leader(forks, Leader { reporter: &reporter, caller, second: None }) };
    drop(reporter);
    match forked.map_err(failed(Step::Fork))? {
        Forked::Child => Ok(Side::Daemon),
        Forked::Parent(leader) => meet(leader, &listener),
    }
}

/// Returns in the starter and in the daemon.
///
/// # Safety
/// As for [`fork_daemon`].
unsafe fn fork_leader(forks: Forks, mut leader: Leader<'_>) -> Sys<Forked> {
    match forks.borrowing {
        // SAFETY: there is one thread, that no signal reaches, and a leader does nothing but what is below.
        Some(borrowing) => unsafe { borrowing.fork(&mut leader) },
        None => {
            // SAFETY: the child allocates nothing and takes no lock until it has reported; the caller keeps the rest.
            let forked = unsafe { process::fork() }?;
            if forked == Forked::Child {
                leader.second = Some(forks.second);
                leader.lead();
            }
            Ok(forked)
        }
    }
}

/// Waits for the leader's end, which makes the daemon a child of a starter that adopts orphans. The leader stays a zombie: until it
/// is reaped, its PID remains the number of the daemon's session and group.
fn meet(leader: Pid, listener: &Listener) -> Result<Side, NoDaemon> {
    let ended = process::peek(leader, true);
    let none = match listener.receive_now() {
        Ok(Some(Record::Forked(daemon))) => return Ok(Side::Starter { leader, daemon }),
        Ok(Some(Record::Failed(failure))) => NoDaemon::Failed(failure),
        Ok(_) => NoDaemon::LeaderEnded(ended.ok().flatten().unwrap_or(Ended::Unknown)),
        Err(errno) => NoDaemon::Failed(Failure::new(Step::Report, errno)),
    };
    end_group(leader);
    Err(none)
}

/// Kills and reaps what there may be of a start without a known daemon. Without its leader the daemon is all there is of the
/// group, whose number cannot be reused before the leader is reaped.
fn end_group(leader: Pid) {
    // What cannot be signalled has ended.
    let _: Sys<()> = process::kill(leader, libc::SIGKILL);
    let _: Sys<Option<Ended>> = process::peek(leader, true);
    let _: Sys<()> = process::kill(-leader, libc::SIGKILL);
    while !matches!(process::wait(-leader, true), None | Some(Ended::Unknown)) {}
}

struct Leader<'a> {
    reporter: &'a Reporter,
    caller: Option<&'a Reporter>,
    /// For one with memory of its own, in which the C library's locks have been put right by the first fork.
    second: Option<SecondFork>,
}

impl Lead for Leader<'_> {
    /// Changes nothing but what the kernel knows: the memory may be the starter's. Only the daemon comes back.
    fn lead(&mut self) {
        if let Err(errno) = process::new_session() {
            self.fail(Step::Session, errno);
        }
        let forked = match self.second {
            // SAFETY: this is the only thread, and the handlers that put the C library's locks right have been called for the first fork.
            Some(fork) => unsafe { fork.fork() },
            // SAFETY: the starter had no other thread, and the caller keeps the rest.
            None => unsafe { process::fork() },
        };
        match forked {
            Ok(Forked::Child) => {}
            Ok(Forked::Parent(daemon)) => {
                if let Err(errno) = self.report(&Record::Forked(daemon)) {
                    self.fail(Step::Report, errno);
                }
                process::exit_now(0)
            }
            Err(errno) => self.fail(Step::SecondFork, errno),
        }
    }
}

impl Leader<'_> {
    /// A caller that is gone needs no answer.
    fn report(&self, record: &Record) -> Sys<()> {
        match self.caller.map_or(Ok(()), |caller| caller.send(record)) {
            Ok(()) | Err(Errno::EPIPE) => self.reporter.send(record),
            failed => failed,
        }
    }

    /// The pid file is the starter's to remove: here it might be removed in its name.
    fn fail(&self, step: Step, errno: Errno) -> ! {
        // Without the record the leader's end says that there is no daemon.
        let _: Sys<()> = self.reporter.send(&Record::Failed(Failure::new(step, errno)));
        process::exit_now(1)
    }
}
