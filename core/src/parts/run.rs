//! Runs a program to its end, and passes on each line that it writes.
#![allow(unsafe_code, reason = "the fork; its child runs another program and nothing else")]

use crate::descriptors::Keep;
use crate::error::{Error, Failure, Step, Subject};
use crate::launch::{PreparedProgram, Program};
use crate::null_device;
use crate::report::{self, Record, Reporter};
use crate::signal_queue;
use crate::sys::c_buf::CBuf;
use crate::sys::line_reader::LineReader;
use crate::sys::process::{self, Ended, Forked, Pid};
use crate::sys::signal::{self, Set};
use crate::sys::{Errno, Sys, fd, file, memory};
use std::convert::Infallible;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

/// A line that a program has written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputLine<'a> {
    /// Without its end.
    pub text: &'a [u8],
    /// Whether it had one: the last line of all may have none.
    pub is_ended: bool,
}

impl std::fmt::Debug for OutputLine<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("OutputLine");
        debug.field("text", &String::from_utf8_lossy(self.text)).field("is_ended", &self.is_ended).finish()
    }
}

/// Longer lines are handed over in pieces.
const LONGEST_LINE: usize = 32 * 1024;
const UMASK: libc::mode_t = 0o022;

/// Runs a program for a daemon, in an environment as an administrator's shell has it: umask 022, default signals, none blocked, standard
/// input on `/dev/null` and no other descriptor of this process. Its working directory is `directory`, or else that of this process.
///
/// `each_line` gets each line that the program writes to standard output or standard error, without its end. A NUL ends a line, too. The last
/// line may have no end; empty lines are skipped. [`Program::readiness`] means nothing here.
///
/// Returns when the program has exited and all processes that inherited its output have closed that. Signals that arrive meanwhile
/// stay pending or are handled as usual. When [`signal_queue`](crate::parts::signal_queue) gets SIGTERM, SIGINT or SIGQUIT a second time,
/// the program, which hangs then, is sent SIGTERM.
///
/// ```
/// use daemonctx::{Program, parts};
///
/// let mut lines = Vec::new();
/// let status = parts::run(Program::new("/bin/sh").args(["-c", "echo out; echo err >&2; umask"]), None, |line| {
///     lines.push(String::from_utf8_lossy(line.text).into_owned());
/// })?;
/// assert!(status.success());
/// assert_eq!(lines, ["out", "err", "0022"]);
/// # Ok::<(), daemonctx::Error>(())
/// ```
///
/// # Errors
/// The program or the directory is invalid. A step before execve(2), or that, failed: the program has not run.
/// [`Step::WaitForProgram`] with ECHILD: SIGCHLD is ignored, or a handler has waited for the program.
pub fn run(
    program: &Program,
    directory: Option<&Path>,
    mut each_line: impl FnMut(OutputLine<'_>),
) -> Result<ExitStatus, Error> {
    let directory = directory.map(checked).transpose()?;
    let prepared = program.prepare_once(true)?;
    let failed = |step, errno| Error::about(step, prepared.path.as_bytes(), errno);
    let unprepared = |errno| failed(Step::Pipe, errno);
    let null = null_device::open_for(Step::Stdin)?;
    let child = Child::new(&prepared, directory.as_ref(), null).map_err(unprepared)?;
    let mut buffer = memory::filled(0, LONGEST_LINE).map_err(unprepared)?;
    let (listener, reporter) = report::channel().map_err(unprepared)?;
    // No handler of this program runs in the child: it would act, or write to a queue, in the parent's name.
    let mask = signal::set_mask(&Set::full());
    // SAFETY: the child allocates nothing and takes no lock until it is another program.
    let forked = unsafe { process::fork() };
    if matches!(forked, Ok(Forked::Child)) {
        let Err(failure) = child.become_program(&reporter);
        let _: Sys<()> = reporter.send(&Record::Failed(failure));
        process::exit_now(1);
    }
    let mut patience = Patience::new(mask);
    let pid = match forked {
        Ok(Forked::Parent(pid)) => pid,
        forked => return Err(Error::os(Step::Fork, Subject::Nothing, forked.err().unwrap_or(Errno::EAGAIN))),
    };
    drop(reporter);
    let output = child.into_output();
    let reported = listener.receive();
    let read = split(&output, &mut buffer, &mut patience, pid, &mut each_line);
    drop(output);
    drop(patience);
    let ended = process::wait(pid, true).unwrap_or(Ended::Unknown);
    if let Ok(Some(Record::Failed(Failure { step, errno, .. }))) = reported {
        return Err(match &directory {
            Some(directory) if step == Step::ChangeDirectory => Error::about(step, directory.as_bytes(), errno),
            _ => failed(step, errno),
        });
    }
    read.map_err(|errno| failed(Step::ReadOutput, errno))?;
    match ended {
        Ended::Exited(code) => Ok(ExitStatus::from_raw(code << 8)),
        Ended::Killed(signal) => Ok(ExitStatus::from_raw(signal)),
        Ended::Unknown => Err(failed(Step::WaitForProgram, Errno::ECHILD)),
    }
}

fn checked(directory: &Path) -> Result<CBuf, Error> {
    let bytes = directory.as_os_str().as_bytes();
    CBuf::path(bytes).map_err(|errno| Error::about(Step::ChangeDirectory, bytes, errno))
}

/// What the child needs, made before the fork.
struct Child<'a> {
    program: &'a PreparedProgram,
    directory: Option<&'a CBuf>,
    null: OwnedFd,
    output: OwnedFd,
    input: OwnedFd,
}

impl<'a> Child<'a> {
    fn new(program: &'a PreparedProgram, directory: Option<&'a CBuf>, null: OwnedFd) -> Sys<Self> {
        let (output, input) = fd::pipe()?;
        Ok(Self { program, directory, null, output, input })
    }

    /// The end to read from; the other is closed.
    fn into_output(self) -> OwnedFd {
        self.output
    }

    /// Only comes back when it cannot.
    fn become_program(&self, reporter: &Reporter) -> Result<Infallible, Failure> {
        let connect =
            |from: &OwnedFd, to, step| fd::connect(from.as_raw_fd(), to).map_err(|errno| Failure::new(step, errno));
        connect(&self.null, 0, Step::Stdin)?;
        connect(&self.input, 1, Step::Stdout)?;
        connect(&self.input, 2, Step::Stderr)?;
        Keep::only(reporter.as_raw_fd());
        signal::set_mask(&Set::empty());
        file::set_umask(UMASK);
        if let Some(directory) = self.directory {
            let changed = file::change_directory(directory.as_c_str());
            changed.map_err(|errno| Failure::new(Step::ChangeDirectory, errno))?;
        }
        Err(self.program.execute())
    }
}

/// While this lives, signals that ask this process to end arrive only where it waits, so that none is overlooked.
struct Patience {
    mask: Set,
    endings: u32,
}

impl Patience {
    /// With the mask to put back at the end.
    fn new(mask: Set) -> Self {
        let mut without_ends = mask;
        for signal in signal_queue::ENDS {
            without_ends.add(signal);
        }
        signal::set_mask(&without_ends);
        Self { mask, endings: signal_queue::endings() }
    }

    /// Waits until there is something to read. Asked to end once the program may go on, asked again it has to end too.
    fn wait(&mut self, output: &OwnedFd, program: Pid) -> Sys<()> {
        const ONCE: u32 = 1;
        while !signal::readable_unless_signalled(output.as_raw_fd(), &self.mask)? {
            let asked = signal_queue::endings().wrapping_sub(self.endings);
            if asked > ONCE {
                self.endings = self.endings.wrapping_add(asked - ONCE);
                process::kill(program, libc::SIGTERM)?;
            }
        }
        Ok(())
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        signal::set_mask(&self.mask);
    }
}

/// Reads until nobody can write any more, and hands over what is between the ends of lines.
fn split(
    output: &OwnedFd,
    buffer: &mut [u8],
    patience: &mut Patience,
    program: Pid,
    each_line: &mut impl FnMut(OutputLine<'_>),
) -> Sys<()> {
    let mut lines = LineReader::new(buffer);
    let mut each = |text: &[u8], is_ended| each_line(OutputLine { text, is_ended });
    loop {
        patience.wait(output, program)?;
        if !lines.read(output.as_raw_fd(), &mut each)? {
            return Ok(());
        }
    }
}
