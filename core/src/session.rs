//! The session leader: a process that is there to be left behind.
//!
//! The daemon is in a session without a terminal, and does not lead it, so that it can never get one. That takes a process between
//! starter and daemon.
#![allow(unsafe_code, reason = "the two forks; their contract is Daemon::open's")]

use crate::error::{Failure, Step};
use crate::report::{Record, Reporter};
use crate::sys::Sys;
use crate::sys::leader::{Borrowing, Lead};
use crate::sys::process::{self, Forked, SecondFork};

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

/// Forks a session leader, which forks the daemon, tells its PID and leaves. Comes back in the starter, with the leader's PID,
/// and in the daemon. A leader that fails reports and leaves.
///
/// # Errors
/// The first fork's, in the starter.
///
/// # Safety
/// No signal reaches this thread. The rest is the contract of [`Daemon::open`](crate::Daemon::open).
#[inline(never)]
pub(crate) unsafe fn beget(forks: Forks, reporter: &Reporter) -> Sys<Forked> {
    match forks.borrowing {
        // SAFETY: there is one thread, that no signal reaches, and a leader does nothing but what is below.
        Some(borrowing) => unsafe { borrowing.fork(&mut Leader { reporter, second: None }) },
        None => {
            // SAFETY: the child allocates nothing and takes no lock until it has reported; the caller keeps the rest.
            let forked = unsafe { process::fork() }?;
            if forked == Forked::Child {
                Leader { reporter, second: Some(forks.second) }.lead();
            }
            Ok(forked)
        }
    }
}

struct Leader<'a> {
    reporter: &'a Reporter,
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
                let _: Sys<()> = self.reporter.send(&Record::Forked(daemon));
                process::exit_now(0)
            }
            Err(errno) => self.fail(Step::SecondFork, errno),
        }
    }
}

impl Leader<'_> {
    /// The pid file is the starter's to remove: here it might be removed in its name.
    fn fail(&self, step: Step, errno: crate::sys::Errno) -> ! {
        let _: Sys<()> = self.reporter.send(&Record::Failed(Failure::new(step, errno)));
        process::exit_now(1)
    }
}
