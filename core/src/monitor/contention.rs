//! A launch under a name that another launch has, or had: it waits for what is under way, refuses to start beside what runs, and ends
//! first what it is told to take over.

use super::claim::Claim;
use super::monitored::{Monitored, MonitoredState};
use super::request::cancelling;
use crate::error::{Cause, Error, Step, Subject};
use crate::options::Options;
use crate::run_directory;
use crate::signals::Quiet;
use crate::sys::c_buf::CBuf;
use crate::sys::process::StringList;
use crate::sys::signalfd::Arrivals;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, fd, memory};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A launch that wants a name.
pub(super) struct Contender<'a> {
    pub(super) options: &'a Options,
    pub(super) arguments: &'a StringList,
    pub(super) pid_file: Option<&'a CBuf>,
    pub(super) run: Option<&'a CBuf>,
}

/// What to do about the daemon that was found.
enum Course {
    /// Nothing of it is left.
    Begin,
    /// Look again in a moment.
    Wait,
    /// End what is left of it first.
    End,
    Refuse(Cause),
}

fn failed(errno: Errno) -> Error {
    let error = Error::os(Step::PidFile, Subject::Word("state file"), errno);
    if errno == Errno::EPERM { error.note("its directory is not this user's alone") } else { error }
}

impl Contender<'_> {
    /// Takes the name, once it is free.
    ///
    /// # Errors
    /// What runs under the name stays; the wait took too long, or a signal cancelled it.
    pub(super) fn take(&self) -> Result<Claim, Error> {
        let limit = Deadline::after(self.options.ready_timeout);
        let mut wait = None;
        loop {
            if let Some(claim) = self.attempt(limit)? {
                return Ok(claim);
            }
            wait.get_or_insert_with(Wait::begin).pause()?;
            if limit.passed() {
                let time = Subject::Time(self.options.ready_timeout.unwrap_or_default());
                return Err(Error::os(Step::Ready, time, Errno::ETIMEDOUT)
                    .note("another launch, a restart or a stop is under way"));
            }
        }
    }

    fn attempt(&self, limit: Deadline) -> Result<Option<Claim>, Error> {
        let claim = Claim::take(self.options.program.as_bytes(), self.pid_file, self.run).map_err(failed)?;
        let is_free = self.is_free(claim.is_some(), limit);
        if let (Some(claim), Ok(false) | Err(_)) = (&claim, &is_free) {
            claim.release();
        }
        is_free.map(|is_free| claim.filter(|_| is_free))
    }

    /// Whether nothing is in the way. A lock on the name that this launch has does not tell: somebody may have removed its file.
    fn is_free(&self, has_name: bool, limit: Deadline) -> Result<bool, Error> {
        let path =
            run_directory::state_file(self.options.program.as_bytes(), self.pid_file, self.run).map_err(failed)?;
        let found = match Monitored::read(path) {
            Ok(found) => found,
            // Of another boot, or spoiled.
            Err(_) if has_name => None,
            Err(error) if error.errno() == Some(Errno::EXDEV.value()) => return Err(self.refusal(Cause::Unseen)),
            Err(error) => return Err(error),
        };
        let Some(found) = found else { return Ok(has_name) };
        match self.course(&found, has_name) {
            Course::Begin => Ok(true),
            Course::Wait => Ok(false),
            Course::End => found.end_for_successor(limit).map(|()| false),
            Course::Refuse(_) if !self.is_same_command(&found) => Err(other_command(&found)),
            Course::Refuse(cause) => Err(self.refusal(cause)),
        }
    }

    fn course(&self, found: &Monitored, has_name: bool) -> Course {
        let end_or = |cause| if self.options.stop.takes_over { Course::End } else { Course::Refuse(cause) };
        let first = || found.find_processes().first().map(|one| one.pid);
        match found.state() {
            MonitoredState::Ended | MonitoredState::GaveUp if has_name => Course::Begin,
            MonitoredState::Unmonitored | MonitoredState::Lost if has_name => {
                first().map_or(Course::Begin, |pid| end_or(Cause::Unmonitored(pid)))
            }
            _ if !found.is_confirmed() => Course::Wait,
            MonitoredState::Left => first().map_or(Course::Wait, |pid| end_or(Cause::Descendant(pid))),
            MonitoredState::Waiting => Course::Refuse(Cause::Held(None)),
            // A program that is dead in the file is about to be replaced there by what comes next.
            MonitoredState::Running if found.has_program() => Course::Refuse(Cause::Held(found.pid())),
            _ => Course::Wait,
        }
    }

    fn is_same_command(&self, found: &Monitored) -> bool {
        found.words().map(OsStrExt::as_bytes).eq(self.arguments.iter().map(std::ffi::CStr::to_bytes))
    }

    fn refusal(&self, cause: Cause) -> Error {
        Error::new(Step::PidFile, Subject::Text(self.options.program.clone()), cause)
    }
}

/// Says what runs, as a shell would show it without quotes.
fn other_command(found: &Monitored) -> Error {
    let mut line = Vec::new();
    let joined = found.words().try_for_each(|word| {
        let space: &[u8] = if line.is_empty() { b"" } else { b" " };
        memory::extend(&mut line, space)?;
        memory::extend(&mut line, word.as_bytes())
    });
    let command = joined.and_then(|()| CBuf::new(&line)).unwrap_or_default();
    let pid = found.pid().unwrap_or_else(|| found.monitor_pid());
    Error::new(Step::PidFile, Subject::Text(command), Cause::OtherCommand(pid))
}

/// Signals that cancel a launch end the wait, also where they are blocked.
struct Wait {
    signals: Arrivals,
    _quiet: Quiet,
}

impl Wait {
    fn begin() -> Self {
        let quiet = Quiet::begin();
        Self { signals: Arrivals::of(cancelling()), _quiet: quiet }
    }

    fn pause(&self) -> Result<(), Error> {
        const STEP: Duration = Duration::from_millis(20);
        let patience = Deadline::after(Some(STEP)).poll_timeout();
        let mut fds = [fd::readable(self.signals.as_poll_descriptor())];
        let _: Sys<bool> = fd::poll(&mut fds, self.signals.patience(patience));
        match self.signals.take() {
            Some(signal) => Err(Error::os(Step::Start, Subject::Signal(signal), Errno::EINTR)),
            None => Ok(()),
        }
    }
}
