//! A program that is launched again as its own daemon: nothing is forked from it, so threads and descriptors do not matter.
//!
//! The starter is the launcher of a monitor, whose program is the same executable with the same arguments. That program runs to the
//! same call, finds [`Ends`] in its environment and applies the options. Two pipes lead back to the starter, one for standard error
//! until the daemon is ready, one for the reason that it gives for a failure.

use crate::activation;
use crate::error::{Cause, Error, Step, Subject};
use crate::launch::Program;
use crate::monitor::{self, Launching, Relaunch};
use crate::notify;
use crate::options::Options;
use crate::readiness::Readiness;
use crate::report::{self, Listener, Record, Reporter, Said};
use crate::signals::{self, Quiet};
use crate::starter::GRACE;
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::signal::{self, Signal};
use crate::sys::signalfd::Arrivals;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, environment, fd, process, stdio};
use std::convert::Infallible;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Has the PID of the relaunched program. Its children inherit the variable, but have other PIDs.
const PID: &CStr = c"DAEMONCTX_RELAUNCHED_PID";
/// Has the numbers of [`Ends`].
const ENDS: &CStr = c"DAEMONCTX_RELAUNCHED";

/// What a relaunched program has of its start.
pub(crate) struct Ends {
    /// Leads to the starter's standard error.
    stderr: OwnedFd,
    reporter: Reporter,
    /// A newline on this descriptor tells the monitor that the daemon is ready.
    ready: RawFd,
}

impl Ends {
    /// None if this process is not a relaunched program.
    ///
    /// # Errors
    /// EALREADY: they were taken before.
    pub(crate) fn take() -> Result<Option<Self>, Error> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        // The caller of a set-user-ID program chooses the environment.
        if process::is_set_id() || activation::is_meant(PID) != Some(true) {
            return Ok(None);
        }
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(Error::bad_handle(true));
        }
        let ends = environment::with(ENDS, numbers).flatten().ok_or(Errno::EINVAL).and_then(Self::take_over);
        ends.map(Some).map_err(|errno| Error::about(Step::Handle, ENDS.to_bytes(), errno))
    }

    fn take_over([stderr, reporter, ready]: [RawFd; 3]) -> Sys<Self> {
        fd::set_close_on_exec(ready)?;
        Ok(Self { stderr: fd::take_over(stderr)?, reporter: Reporter::from(fd::take_over(reporter)?), ready })
    }

    /// What the program writes to standard error from now on is the starter's. Before, it would be shown twice.
    pub(crate) fn connect(&self) -> Result<(), Error> {
        const STDERR: RawFd = 2;
        let connected = fd::connect(self.stderr.as_raw_fd(), STDERR);
        connected.map_err(|errno| Error::os(Step::Stderr, Subject::Nothing, errno))
    }

    pub(crate) fn ready(&self) -> RawFd {
        self.ready
    }

    pub(crate) fn into_reporter(self) -> Reporter {
        self.reporter
    }

    /// Has the starter report the error, and exits.
    pub(crate) fn give_up(&self, error: &Error) -> ! {
        let said = error.with_message(|message| Said::new(error.exit_status(), message));
        // Without the record the starter reports how this process ended.
        let _: Sys<()> = self.reporter.send(&Record::Said(said));
        process::exit_now(error.exit_status())
    }
}

/// Three numbers with commas between.
fn numbers(text: &[u8]) -> Option<[RawFd; 3]> {
    let mut numbers = text.split(|byte| *byte == b',').map(|number| {
        crate::sys::parse_decimal(number)
            .and_then(|number| RawFd::try_from(number).ok())
            .filter(|fd| *fd >= fd::FIRST_OTHER)
    });
    let three = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(three)
}

/// Launches this program again, waits until the daemon is ready and exits, as the starter of an ordinary start does.
///
/// # Errors
/// What fails before there is a daemon.
pub(crate) fn start(options: &Options) -> Result<Infallible, Error> {
    let failed = |errno| Error::os(Step::Pipe, Subject::Nothing, errno);
    let (output, stderr) = fd::pipe().map_err(failed)?;
    let (listener, reporter) = report::channel().map_err(failed)?;
    let ends = [stderr.as_raw_fd(), reporter.as_raw_fd()];
    // A number that no other descriptor of the daemon has.
    let ready = options.kept_on_exec()?.iter().chain(ends).max().unwrap_or(fd::FIRST_OTHER) + 1;
    stdio::flush_output();
    let program = this_program(options, ends, ready)?;
    let quiet = Quiet::begin();
    let launching = monitor::launch(options, &program, Some(&Relaunch { descriptors: &ends, pid_variable: PID }))?;
    drop((stderr, reporter));
    quiet.leave_as_it_is();
    Starter { launching, output: Some(output), listener: Some(listener), said: None }.leave(options)
}

/// The same executable, with the same arguments.
fn this_program(options: &Options, [stderr, reporter]: [RawFd; 2], ready: RawFd) -> Result<Program, Error> {
    let path = if options.monitor.is_none() { monitor::own_executable() } else { process::executable().ok() };
    let Some(path) = path else {
        return Err(Error::os(Step::Execute, Subject::Word("this program"), Errno::ENOENT));
    };
    let mut program = Program::new(path.as_path());
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        program.arg0(name);
    }
    let mut numbers = MessageBuf::new();
    numbers.push_number(i64::from(stderr)).push(b",").push_number(i64::from(reporter));
    numbers.push(b",").push_number(i64::from(ready));
    let name = |name: &'static CStr| OsStr::from_bytes(name.to_bytes());
    program.args(arguments).env_remove(name(PID)).env(name(ENDS), OsStr::from_bytes(numbers.as_bytes()));
    program.readiness(Readiness::Newline(ready));
    Ok(program)
}

/// The starter, once the daemon is being launched. Signals are blocked.
struct Starter {
    launching: Launching,
    /// What the daemon writes to standard error until it is ready.
    output: Option<OwnedFd>,
    listener: Option<Listener>,
    said: Option<Said>,
}

impl Starter {
    /// Exits with 0 if the daemon is ready, else with one line on standard error and a status that says what happened.
    fn leave(mut self, options: &Options) -> ! {
        let cancelled = self.watch();
        while self.output.is_some() && self.has_output() {
            self.relay();
        }
        self.hear();
        let Self { launching, said, .. } = self;
        let error = match (cancelled, said) {
            (Some(signal), _) => {
                drop(launching);
                Error::os(Step::Start, Subject::Signal(signal), Errno::EINTR)
            }
            (None, Some(said)) => {
                drop(launching);
                let words = Subject::Text(CBuf::new(said.text()).unwrap_or_default());
                Error::new(Step::Start, words, Cause::Said(said.status))
            }
            (None, None) => match launching.confirm() {
                Ok(_) => {
                    if let Some(descriptor) = options.ready_descriptor {
                        notify::newline(descriptor);
                    }
                    process::exit_now(0)
                }
                Err(error) => error,
            },
        };
        error.print(options.program.as_bytes());
        match cancelled {
            Some(signal) => signals::die_by(signal),
            None => process::exit_now(error.exit_status()),
        }
    }

    /// Waits for the outcome. A daemon that has given a reason for its failure and does not exit is terminated.
    fn watch(&mut self) -> Option<Signal> {
        let signals = Arrivals::of(monitor::cancelling());
        let mut grace = Deadline::after(None);
        loop {
            let output = self.output.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            let listener = self.listener.as_ref().map_or(-1, Listener::as_raw_fd);
            let outcome = self.launching.as_fd().as_raw_fd();
            let mut fds = [outcome, signals.as_poll_descriptor(), output, listener].map(fd::readable);
            let _: Sys<bool> = fd::poll(&mut fds, signals.patience(grace.poll_timeout()));
            let [outcome, _, output, heard] = fds.map(|fd| fd.revents != 0);
            if let Some(signal) = signals.take() {
                self.launching.undo();
                return Some(signal);
            }
            if output {
                self.relay();
            }
            if heard && self.hear() {
                grace = Deadline::after(Some(GRACE));
            }
            if outcome {
                self.launching.hear();
                return None;
            }
            if grace.passed() {
                self.launching.undo();
                return None;
            }
        }
    }

    /// Takes the daemon's reason, if it has sent one.
    fn hear(&mut self) -> bool {
        let Some(listener) = &self.listener else { return false };
        match listener.receive_now() {
            Ok(Some(Record::Said(said))) => self.said = Some(said),
            // Readiness is the monitor's to report. Anything else comes from a program that does not keep to this library.
            Ok(Some(Record::Ready)) => return false,
            _ => {}
        }
        self.listener = None;
        self.said.is_some()
    }

    fn has_output(&self) -> bool {
        let output = self.output.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        fd::poll(&mut [fd::readable(output)], 0) == Ok(true)
    }

    /// Passes on what the daemon has written. What standard error does not take at once is lost: nobody must wait for who reads it.
    fn relay(&mut self) {
        const STDERR: RawFd = 2;
        /// What fits where poll(2) finds room (pipe(7)).
        const PIECE: usize = 4096;
        let mut room = [0; PIECE];
        let output = self.output.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        match fd::read(output, &mut room) {
            Ok(0) | Err(_) => self.output = None,
            Ok(length) if fd::poll(&mut [fd::writable(STDERR)], 0) == Ok(true) => {
                let text = room.get(..length).unwrap_or_default();
                let _: Sys<usize> = signal::write_without_broken_pipe(STDERR, text);
            }
            Ok(_) => {}
        }
    }
}
