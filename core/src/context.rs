//! The daemon's side of a start that has got so far.

use crate::error::{Cause, Error, Step, Subject};
use crate::guarded_fd::GuardedFd;
use crate::notify;
use crate::pidfile::PidFileLock;
use crate::plan::Plan;
use crate::report::{Record, Said};
use crate::start;
use crate::streams::{Place, Places};
use crate::sys::c_buf::CBuf;
use crate::sys::{Errno, Sys, fd};
use crate::tie::Tie;
use std::os::fd::{AsRawFd, RawFd};

/// A daemon that has been opened: what [`Daemon::open`](crate::Daemon::open) gives back in it.
///
/// Dropping it closes the line to the starter, but leaves the pid file to the end of the process.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut daemon = daemonctx::Daemon::new();
/// daemon.manual_ready(true);
/// // SAFETY: there are no other threads, and no descriptor that is used again.
/// let mut context = unsafe { daemon.open()? };
/// match std::net::TcpListener::bind("127.0.0.1:8080") {
///     Ok(port) => {
///         context.ready()?; // the starter leaves with 0
///         drop(port);
///     }
///     Err(why) => {
///         context.fail(69, format!("no port: {why}"))?; // it prints that, and leaves with 69
///         std::process::exit(69);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Context {
    program: CBuf,
    tie: Option<Tie>,
    late_stderr: Option<GuardedFd>,
    places: Places,
    ready_descriptor: Option<RawFd>,
    pid_file: Option<PidFileLock>,
    detached: bool,
    said: Option<Outcome>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("Context");
        debug.field("is_detached", &self.is_detached()).field("is_ready", &self.is_ready());
        if let Some(file) = &self.pid_file {
            debug.field("pid_file", file);
        }
        debug.finish()
    }
}

/// What the daemon has said of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ready,
    Failed,
}

const STDOUT: libc::c_int = 1;
const STDERR: libc::c_int = 2;

impl Context {
    /// Takes over what the daemon keeps of the plan. With automatic readiness this is the moment of the report.
    pub(crate) fn new(plan: &mut Plan, tie: Option<Tie>, program: CBuf) -> Self {
        let mut context = Self {
            program,
            detached: tie.is_some(),
            tie,
            late_stderr: plan.streams.take_late().map(GuardedFd::new),
            places: plan.streams.take_places(),
            ready_descriptor: plan.ready_descriptor.take(),
            pid_file: plan.pid_file.take(),
            said: None,
        };
        if plan.manual_ready {
            context.tie.iter_mut().for_each(Tie::guard);
            context.late_stderr.iter_mut().for_each(GuardedFd::guard);
        } else {
            context.tell_all().unwrap_or_else(|_| start::vanish());
        }
        context
    }

    /// Whether this process was forked off its starter.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Whether the starter knows that the daemon is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.said == Some(Outcome::Ready)
    }

    /// Says that the daemon is ready: standard error is switched to where it was meant to go, the starter leaves with 0, and
    /// a service manager that asked for it (`NOTIFY_SOCKET`) is told. With automatic readiness, and when called again, it
    /// does nothing.
    ///
    /// # Errors
    /// Standard error cannot be switched. Or the starter is gone, killed before it knew (EPIPE): whoever ran it was told that
    /// the start failed, so the daemon should end. EALREADY after [`fail`](Self::fail).
    pub fn ready(&mut self) -> Result<(), Error> {
        match self.said {
            Some(Outcome::Ready) => return Ok(()),
            Some(Outcome::Failed) => return Err(Error::os(Step::Start, Subject::Nothing, Errno::EALREADY)),
            None => {}
        }
        if let Some(late) = self.late_stderr.take() {
            let switched = late.check().and_then(|late| fd::connect(late, STDERR));
            switched.map_err(|errno| Error::os(Step::Stderr, Subject::Nothing, errno))?;
        }
        self.tell_all().map_err(|errno| Error::os(Step::Report, Subject::Word("starter"), errno))
    }

    /// Tells the starter first: one that was killed meanwhile has told its caller nothing good, and nobody else must be told
    /// otherwise.
    fn tell_all(&mut self) -> Sys<()> {
        let starter = self.tie.take().map(Tie::report_ready).transpose()?;
        self.said = Some(Outcome::Ready);
        notify::ready();
        if let Some(starter) = starter {
            starter.let_go();
        }
        if let Some(descriptor) = self.ready_descriptor.take() {
            notify::newline(descriptor);
        }
        Ok(())
    }

    /// Says that the daemon cannot become ready, and why: the starter prints `message` behind the program's name and leaves
    /// with `status`. The caller should end the process then; one that stays is killed after five seconds. A process that did
    /// not detach prints the line itself.
    ///
    /// # Errors
    /// EINVAL when `status` is not between 1 and 255; EALREADY when the daemon has said before that it is ready or has failed; EPIPE
    /// when the starter is gone.
    pub fn fail(&mut self, status: i32, message: impl AsRef<[u8]>) -> Result<(), Error> {
        self.fail_with(status, message.as_ref())
    }

    fn fail_with(&mut self, status: i32, message: &[u8]) -> Result<(), Error> {
        if !(1..=255).contains(&status) {
            return Err(Error::os(Step::Argument, Subject::Number(i64::from(status)), Errno::EINVAL));
        }
        if self.said.is_some() {
            return Err(Error::os(Step::Start, Subject::Nothing, Errno::EALREADY));
        }
        self.said = Some(Outcome::Failed);
        match self.tie.take() {
            Some(tie) => {
                let told = tie.send(&Record::Said(Said::new(status, message)));
                told.map_err(|errno| Error::os(Step::Report, Subject::Word("starter"), errno))
            }
            None => {
                let words = Subject::Text(CBuf::new(Said::new(status, message).text()).unwrap_or_default());
                Error::new(Step::Start, words, Cause::Said(status)).print(self.program.as_bytes());
                Ok(())
            }
        }
    }

    /// Opens the files again that standard output and standard error go to, by their paths: what a daemon does when its log
    /// files have been moved away, mostly on SIGHUP. A file is appended to, and made like the first one where there is none. The
    /// switch is a single step, so nothing that other threads write is lost. Streams that go elsewhere stay, and so do
    /// duplicates that the program has made.
    ///
    /// The daemon's own rights, root directory and paths count: one that has changed its user may be refused, and below a
    /// chroot a file outside it is ENOENT. With manual readiness standard error goes to the new file at [`ready`](Self::ready).
    ///
    /// # Errors
    /// A file cannot be opened; its stream goes on with the old one, and the other stream is done all the same. Where both fail
    /// it is standard output's error.
    pub fn reopen_streams(&mut self) -> Result<(), Error> {
        let [output, error] = &self.places;
        let output = output.as_ref().map_or(Ok(()), |place| switch(place, Step::Stdout, STDOUT));
        let error = match (error, &mut self.late_stderr) {
            (None, _) => Ok(()),
            (Some(place), Some(late)) => place.open_again(Step::Stderr).map(|opened| {
                *late = GuardedFd::new(opened);
                late.guard();
            }),
            (Some(place), None) => switch(place, Step::Stderr, STDERR),
        };
        output.and(error)
    }

    /// Removes the pid file and gives up its lock. The end of the process does it too.
    pub fn close(&mut self) {
        drop(self.pid_file.take());
    }
}

fn switch(place: &Place, step: Step, number: libc::c_int) -> Result<(), Error> {
    let opened = place.open_again(step)?;
    fd::connect(opened.as_raw_fd(), number).map_err(|errno| Error::os(step, Subject::Nothing, errno))
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(lock) = self.pid_file.take() {
            lock.keep();
        }
    }
}
