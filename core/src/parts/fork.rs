//! The two forks and little else: what daemon(3) should have been.
#![allow(unsafe_code, reason = "the first fork; its contract is the caller's")]

use crate::directories;
use crate::error::{Cause, Error, Failure, Step, Subject};
use crate::report::{self, Record};
use crate::session::{self, Forks, Side};
use crate::signals::{self, Quiet};
use crate::start::give_up;
use crate::streams::{self, Stream, Surroundings};
use crate::sys::c_buf::CBuf;
use crate::sys::{Sys, process};

/// Which process this is after [`fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forked {
    /// The program that called, with the daemon's PID.
    Starter(i32),
    /// The daemon.
    Daemon,
}

/// Forks a daemon: in a session without a terminal, which it does not lead; in `/`; with this umask; standard streams on
/// `/dev/null`; terminal stops (SIGTTIN, SIGTTOU, SIGTSTP) ignored. Everything else is as it was: other descriptors, signal
/// mask, dispositions, pid files (those stay with the starter).
///
/// The starter goes on when the daemon has come so far, with no child more than before.
///
/// ```no_run
/// use daemonctx::parts::{Forked, Handshake, fork};
///
/// let mut handshake = Handshake::new()?;
/// // SAFETY: there are no other threads.
/// match unsafe { fork(0o022)? } {
///     Forked::Starter(pid) => std::process::exit(handshake.wait(Some(pid), None)?),
///     Forked::Daemon => handshake.send(0)?,
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
///
/// # Errors
/// The step that failed, in whichever process; no process is left.
///
/// # Safety
/// Where other threads are alive, they do not exist in the daemon, and what they held stays locked there for ever: until it
/// runs another program the daemon may only call what is async-signal-safe, or what the C library has put right after the
/// fork (`malloc`, stdio).
pub unsafe fn fork(umask: u32) -> Result<Forked, Error> {
    let mut plan = Plan::new(umask)?;
    let (listener, reporter) = report::channel().map_err(|errno| Error::os(Step::Pipe, Subject::Nothing, errno))?;
    let quiet = Quiet::begin();
    // SAFETY: the child allocates nothing and takes no lock until it has reported; the caller keeps the rest.
    match unsafe { session::fork_daemon(plan.forks, None) } {
        Ok(Side::Daemon) => {
            drop(listener);
            if let Err(failure) = plan.apply() {
                give_up(&reporter, failure);
            }
            // A signal that has waited for this moment and ends the daemon does so before it is called one.
            drop(quiet);
            match reporter.send(&Record::Ready) {
                Ok(()) => Ok(Forked::Daemon),
                Err(errno) => give_up(&reporter, Failure::new(Step::Report, errno)),
            }
        }
        Ok(Side::Starter { leader, daemon }) => {
            drop(reporter);
            let heard = listener.receive();
            if heard != Ok(Some(Record::Ready)) {
                let _: Sys<()> = process::kill(-leader, libc::SIGKILL);
            }
            process::wait(leader, true);
            match heard {
                Ok(Some(Record::Ready)) => Ok(Forked::Starter(daemon)),
                Ok(Some(Record::Failed(failure))) => Err(plan.explain(failure)),
                Ok(_) => Err(Error::new(Step::Start, Subject::Pid(i64::from(daemon)), Cause::Lost)),
                Err(errno) => Err(plan.explain(Failure::new(Step::Report, errno))),
            }
        }
        Err(none) => Err(none.explain(|failure| plan.explain(failure))),
    }
}

/// What the daemon's half needs, checked and opened before.
struct Plan {
    forks: Forks,
    streams: streams::Plan,
    directories: directories::Plan,
}

impl Plan {
    fn new(umask: u32) -> Result<Self, Error> {
        let umask = umask as libc::mode_t;
        let root = CBuf::new(b"/").map_err(|errno| Error::os(Step::WorkingDirectory, Subject::Nothing, errno))?;
        Ok(Self {
            forks: Forks::find(),
            streams: streams::Plan::new(&[None, None, None], &Stream::null(), false, &Surroundings::default())?,
            directories: directories::Plan::new(umask, None, &root)?,
        })
    }

    fn apply(&mut self) -> Result<(), Failure> {
        self.streams.apply()?;
        self.directories.change_root()?;
        self.directories.enter()?;
        signals::ignore_terminal_stops()
    }

    fn explain(&self, failure: Failure) -> Error {
        let subject = match failure.step {
            Step::Signals => i32::try_from(failure.value).map_or(Subject::Nothing, Subject::Signal),
            step => self.directories.subject(step),
        };
        Error::os(failure.step, subject, failure.errno)
    }
}
