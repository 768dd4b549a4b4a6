//! The launcher's side: executes the monitor, sends it the launch message, hears what became of it.

use super::launch::Launch;
use super::outcome::{self, Outcome, Told};
use super::proc;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind};
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Pid, StringList};
use crate::sys::{Errno, Sys, environment, memory, spawn};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Names the socket to the launcher.
const VARIABLE: &CStr = c"DAEMONCTX_MONITOR";

/// The socket of a monitor that has just been executed, if this process is to be one. The variable may be in somebody's environment.
pub(crate) fn socket() -> Option<RawFd> {
    let named = environment::with(VARIABLE, crate::sys::parse_decimal).flatten();
    let fd = named.and_then(|fd| RawFd::try_from(fd).ok())?;
    file::status_of(fd).is_ok_and(|status| status.kind == Kind::Socket).then_some(fd)
}

/// A program that is being launched.
#[derive(Debug)]
pub(crate) struct Launched {
    outcome: Outcome,
    pub(crate) guard: Pid,
    /// There is nothing to undo: the guard was waited for, or the start is confirmed.
    is_over: bool,
}

impl Launched {
    /// Executes `monitor`, a program that calls [`run`](super::run) when there is a [`socket`].
    pub(crate) fn begin(monitor: &CStr, launch: &Launch) -> Sys<Self> {
        let (outcome, theirs) = outcome::line()?;
        let (mut arguments, mut environment) = (StringList::default(), StringList::default());
        let mut line = MessageBuf::new();
        line.push(b"daemonctx: ").push(launch.name.as_bytes());
        arguments.push(CBuf::new(line.as_bytes())?)?;
        arguments.finish()?;
        let mut line = MessageBuf::new();
        line.push(VARIABLE.to_bytes()).push(b"=").push_number(i64::from(theirs.as_raw_fd()));
        environment.push(CBuf::new(line.as_bytes())?)?;
        environment.finish()?;
        let mut inherited = Vec::new();
        launch.descriptors().chain([theirs.as_raw_fd()]).try_for_each(|fd| memory::push(&mut inherited, fd))?;
        let guard = spawn::spawn(monitor, &arguments, &environment, &inherited)?;
        drop(theirs);
        let launched = Self { outcome, guard, is_over: false };
        if let Err(errno) = launched.outcome.send(launch) {
            // So that a guard which waits for the rest does not wait for ever.
            launched.cancel();
            // One that is gone has said why, or nothing.
            return if errno == Errno::EPIPE { Ok(launched) } else { Err(errno) };
        }
        Ok(launched)
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.outcome.as_raw_fd()
    }

    /// Waits for what became of the start. One that came to nothing has left nothing.
    pub(crate) fn wait(&self) -> Told {
        self.outcome.receive()
    }

    /// Commits the start: the program stays, whatever becomes of this process. A launcher that ends with the start does so at once: what
    /// it does between can fail, and it can be killed.
    ///
    /// A service manager looks for the daemon among its own children when the launcher ends (systemd.service(5), `GuessMainPID=`). The
    /// monitor is one when the guard is gone, so that is waited for; not for long, as somebody may have stopped it.
    ///
    /// # Errors
    /// It has come to nothing meanwhile.
    pub(crate) fn confirm(&mut self) -> Result<(), Told> {
        const PATIENCE: Duration = Duration::from_secs(1);
        if !self.outcome.confirm() {
            return Err(self.wait());
        }
        self.is_over = true;
        if Process::open(self.guard).and_then(|guard| guard.wait(Some(PATIENCE))) == Ok(true) {
            process::wait(self.guard, false);
        }
        Ok(())
    }

    /// Undoes the start; [`wait`](Self::wait) waits until that is done.
    pub(crate) fn cancel(&self) {
        self.outcome.cancel();
        self.continue_stopped();
    }

    /// Sends SIGCONT to guard and monitor. One that was stopped would neither time out nor undo the start.
    pub(crate) fn continue_stopped(&self) {
        // A program that has waited for any child may have reaped the guard, and its number may be another's.
        if process::peek(self.guard, false).is_err() {
            return;
        }
        let _: Sys<()> = process::kill(self.guard, libc::SIGCONT);
        let _: Sys<()> = proc::for_each_child(self.guard, &mut |child| {
            // Opened before it is looked at: its number may be another's soon.
            let process = Process::open(child);
            if proc::stat(child).is_ok_and(|stat| stat.parent == self.guard) {
                let _: Sys<()> = process.and_then(|process| process.signal(libc::SIGCONT));
            }
        });
    }

    /// Undoes a start that was not confirmed, and waits for the guard, which is this process's child: nothing is left then.
    pub(crate) fn undo(&mut self) {
        if !self.is_over {
            self.is_over = true;
            self.cancel();
            process::wait(self.guard, true);
        }
    }
}

impl std::os::fd::AsFd for Launched {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.outcome.as_fd()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.undo();
    }
}
