//! The process that stays with a launched program where that was asked for: it keeps what the program leaves behind together,
//! and starts it again when it fails.
//!
//! It is the start's helper, gone on. As a subreaper it inherits every process of the daemon that has lost its parent, so all of
//! them are its descendants, whatever session they are in. It holds the pid file's lock; that is how it is known from others.
//! SIGTERM tells it that the daemon is to end: nothing is started again. It leaves when no process is left.
//!
//! It allocates, which the start itself never does: after a fork in a program with threads that is well where the C library's own
//! fork puts `malloc` right, as glibc's does.
#![allow(unsafe_code, reason = "it forks, as start.rs does")]

use crate::descriptors::Keep;
use crate::null_device;
use crate::options::Options;
use crate::pidfile;
use crate::plan::Plan;
use crate::start::{Role, beget};
use crate::starter::Outcome;
use crate::streams::{self, Stream, Surroundings};
use crate::sys::process::{self, Ended, Pid};
use crate::sys::signal::Set;
use crate::sys::signalfd::Arrivals;
use crate::sys::time::{self, Deadline};
use crate::sys::{Sys, fd, file};
use crate::text::{Text, c_text};
use crate::{readiness, report};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How a program is started again that has failed: exited with another status than 0, or been killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Respawn {
    /// How long to wait before.
    pub delay: Duration,
    /// How often before giving up; always where there is none.
    pub limit: Option<u32>,
    /// A program that has run for so long begins anew.
    pub settled: Duration,
}

impl Default for Respawn {
    /// After a second, five times, with a minute to begin anew.
    fn default() -> Self {
        Self { delay: Duration::from_secs(1), limit: Some(5), settled: Duration::from_secs(60) }
    }
}

/// What it takes to start the program again.
#[derive(Debug)]
pub(crate) struct Again {
    respawn: Respawn,
    wanted: [Option<Stream>; 3],
    program: Text,
    root: Option<Text>,
}

impl Again {
    pub(crate) fn new(respawn: Respawn, options: &Options) -> Self {
        let (wanted, program, root) = (options.streams.clone(), options.program.clone(), options.root.clone());
        Self { respawn, wanted, program, root }
    }

    /// The streams, opened again: a log file may have been moved away meanwhile.
    fn streams(&self) -> Option<streams::Plan> {
        let surroundings = Surroundings { program: self.program.as_bytes(), root: self.root.as_ref() };
        streams::Plan::new(&self.wanted, &Stream::null(), false, &surroundings).ok()
    }
}

fn again(plan: &Plan) -> Option<&Again> {
    plan.target.as_ref().and_then(|target| target.again())
}

/// Stays until the last process of the daemon has ended.
pub(crate) fn stay(plan: &mut Plan, daemon: Pid) -> ! {
    let mut keeper = Keeper { daemon: Some(daemon), begun: time::monotonic(), failures: 0, is_over: false };
    if let Ok(signals) = detach(plan) {
        while keeper.watch(&signals) {
            keeper.begin_again(plan, &signals);
        }
    }
    pidfile::release_all();
    process::exit_now(0)
}

/// Nothing is kept from whoever started it: no directory, no stream, no descriptor but what another start of the program takes.
fn detach(plan: &Plan) -> Sys<Arrivals> {
    process::rename(c_text!("daemonctx-keep"));
    file::change_directory(c_text!("/"))?;
    let mut keep = Keep::default();
    let again = again(plan).is_some();
    for fd in pidfile::descriptors().chain(plan.keep.iter().filter(|_| again)) {
        keep.add(fd)?;
    }
    let null = null_device::open()?;
    for standard in fd::STANDARD {
        fd::connect(null.as_raw_fd(), standard)?;
    }
    // Dropped by the next, like everything else that is not kept.
    std::mem::forget(null);
    let _: Result<(), _> = keep.close_others();
    let mut wanted = Set::empty();
    for signal in [libc::SIGCHLD, libc::SIGTERM] {
        wanted.add(signal);
    }
    Ok(Arrivals::of(wanted))
}

struct Keeper {
    /// The program's own process, while there is one.
    daemon: Option<Pid>,
    begun: Duration,
    failures: u32,
    /// Asked to end, or done.
    is_over: bool,
}

impl Keeper {
    /// Waits for what happens; true when the program is to be started again, false when nothing is left to do.
    fn watch(&mut self, signals: &Arrivals) -> bool {
        loop {
            let failed = self.reap();
            if failed && !self.is_over {
                return true;
            }
            if self.daemon.is_none() {
                self.is_over = true;
                if !process::has_children() {
                    return false;
                }
            }
            self.hear(signals, Deadline::after(None));
        }
    }

    /// Takes the next signal, if one comes in time.
    fn hear(&mut self, signals: &Arrivals, deadline: Deadline) {
        let _: Sys<bool> =
            fd::poll(&mut [fd::readable(signals.as_poll_descriptor())], signals.patience(deadline.poll_timeout()));
        self.is_over |= signals.take() == Some(libc::SIGTERM);
    }

    /// Waits for every child that has ended; true when the program is among them, and has failed.
    fn reap(&mut self) -> bool {
        let mut failed = false;
        while let Some((pid, ended)) = process::wait_any() {
            if self.daemon == Some(pid) {
                self.daemon = None;
                failed = ended != Ended::Exited(0);
            }
        }
        failed
    }

    /// Starts again until that succeeds, has been tried often enough, or the daemon is to end.
    fn begin_again(&mut self, plan: &mut Plan, signals: &Arrivals) {
        while self.daemon.is_none() && !self.is_over {
            let respawn = again(plan).map(|again| again.respawn);
            self.is_over = respawn.is_none_or(|respawn| !self.may_begin(respawn, signals));
            if !self.is_over {
                self.begin(plan);
            }
        }
    }

    /// Counts a failure, and lets the delay pass.
    fn may_begin(&mut self, respawn: Respawn, signals: &Arrivals) -> bool {
        if time::monotonic().saturating_sub(self.begun) >= respawn.settled {
            self.failures = 0;
        }
        self.failures += 1;
        let deadline = Deadline::after(Some(respawn.delay));
        while !self.is_over && !deadline.passed() {
            self.hear(signals, deadline);
        }
        !self.is_over && respawn.limit.is_none_or(|limit| self.failures <= limit)
    }

    fn begin(&mut self, plan: &mut Plan) {
        self.begun = time::monotonic();
        match start(plan) {
            Some((Outcome::Ready, daemon)) => self.daemon = daemon,
            // The signal has come while only the start looked for it.
            Some((Outcome::CalledOff(_), _)) => self.is_over = true,
            _ => {}
        }
    }
}

/// Starts the program again; with its PID. Nobody waits for its readiness any more.
fn start(plan: &mut Plan) -> Option<(Outcome, Option<Pid>)> {
    let (listener, reporter) = report::channel().ok()?;
    plan.streams = again(plan)?.streams()?;
    plan.keep(reporter.as_raw_fd()).ok()?;
    plan.keep_for_streams().ok()?;
    // SAFETY: the child is another program in the end, or gone; see also above on what allocates.
    match unsafe { beget(plan, (listener, reporter)) } {
        Ok(Role::Starter(watch)) => Some(watch.outcome(&mut readiness::Plan::Time(Duration::ZERO))),
        _ => None,
    }
}
