//! Another program run to its end, with what it writes handed over line by line.
#![allow(unsafe_code, reason = "the fork; its child runs another program and nothing else")]

use crate::descriptors::Keep;
use crate::error::{Error, Failure, Step, Subject};
use crate::lines::Lines;
use crate::null_device;
use crate::parts::signal_queue;
use crate::report::{self, Record, Reporter};
use crate::signals;
use crate::sys::process::{self, ArgumentList, Ended, Forked, Pid};
use crate::sys::signal::{self, Set};
use crate::sys::{Errno, Sys, fd, file, memory};
use crate::text::Text;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

/// A program to run for a daemon: in surroundings as an administrator's shell has them (umask 022, default signals, nothing
/// blocked), with standard input on `/dev/null` and no other descriptor of the daemon's.
///
/// ```
/// use daemonctx::parts::Program;
///
/// let mut program = Program::new("/bin/sh")?;
/// program.argument("sh")?.argument("-c")?.argument("echo out; echo err >&2; umask")?;
/// let mut lines = Vec::new();
/// let status = program.run(|line| lines.push(String::from_utf8_lossy(line.text).into_owned()))?;
/// assert!(status.success());
/// assert_eq!(lines, ["out", "err", "0022"]);
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[derive(Debug)]
pub struct Program {
    path: Text,
    arguments: Vec<Text>,
    directory: Option<Text>,
}

/// A line that a program has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputLine<'a> {
    /// Without its end.
    pub text: &'a [u8],
    /// Whether it had one: the last line of all may have none.
    pub is_ended: bool,
}

/// Longer lines are handed over in pieces.
const LONGEST_LINE: usize = 32 * 1024;
const UMASK: libc::mode_t = 0o022;

impl Program {
    /// The executable at `path`, without arguments. The environment is not searched.
    ///
    /// # Errors
    /// A path that is empty, too long or holds a NUL.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        let path = Text::path(bytes).map_err(|errno| Error::about(Step::Execute, bytes, errno))?;
        Ok(Self { path, arguments: Vec::new(), directory: None })
    }

    /// Adds an argument; the first is what the program is to take for its name.
    ///
    /// # Errors
    /// A NUL in it, or no memory.
    pub fn argument(&mut self, argument: impl AsRef<OsStr>) -> Result<&mut Self, Error> {
        let bytes = argument.as_ref().as_bytes();
        let pushed = Text::new(bytes).and_then(|text| memory::push(&mut self.arguments, text));
        pushed.map_err(|errno| Error::about(Step::Argument, bytes, errno))?;
        Ok(self)
    }

    /// The directory that the program runs in; without it that of this process.
    ///
    /// # Errors
    /// A path that is empty, too long or holds a NUL.
    pub fn directory(&mut self, path: impl AsRef<Path>) -> Result<&mut Self, Error> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        let path = Text::path(bytes).map_err(|errno| Error::about(Step::ChangeDirectory, bytes, errno))?;
        self.directory = Some(path);
        Ok(self)
    }

    /// Runs the program. What it writes to standard output and standard error is handed to `each_line`, without the line's
    /// end; a last line that has none is handed over as well, empty ones are not. A NUL ends a line too.
    ///
    /// Comes back when the program has ended and everybody who has inherited its output has closed that. Signals that
    /// arrive meanwhile are neither taken nor lost. When this process is asked to end ([`signal_queue`] has
    /// SIGTERM, SIGINT or SIGQUIT) and asked again, the program gets SIGTERM: it hangs, and is in the way.
    ///
    /// # Errors
    /// The step before or at execve(2) that failed: the program has not run. [`Step::WaitForProgram`] with ECHILD when somebody
    /// else has taken its status: SIGCHLD is ignored, or a handler waits for every child.
    pub fn run(&self, mut each_line: impl FnMut(OutputLine<'_>)) -> Result<ExitStatus, Error> {
        let unprepared = |errno| self.failed(Step::Pipe, errno);
        let null = null_device::open_for(Step::Stdin)?;
        let child = Child::new(self, null).map_err(unprepared)?;
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
        let failed = listener.receive();
        let read = split(&output, &mut buffer, &mut patience, pid, &mut each_line);
        drop(output);
        drop(patience);
        let ended = process::wait(pid, true).unwrap_or(Ended::Unknown);
        if let Ok(Some(Record::Failed(failure))) = failed {
            return Err(self.explain(failure));
        }
        read.map_err(|errno| self.failed(Step::ReadOutput, errno))?;
        match ended {
            Ended::Exited(code) => Ok(ExitStatus::from_raw(code << 8)),
            Ended::Killed(signal) => Ok(ExitStatus::from_raw(signal)),
            Ended::Unknown => Err(self.failed(Step::WaitForProgram, Errno::ECHILD)),
        }
    }

    fn failed(&self, step: Step, errno: Errno) -> Error {
        Error::about(step, self.path.as_bytes(), errno)
    }

    fn explain(&self, failure: Failure) -> Error {
        match (failure.step, &self.directory) {
            (Step::ChangeDirectory, Some(directory)) => Error::about(failure.step, directory.as_bytes(), failure.errno),
            (step, _) => self.failed(step, failure.errno),
        }
    }
}

/// What the child needs, made before the fork.
struct Child<'a> {
    program: &'a Program,
    arguments: ArgumentList<'a>,
    null: OwnedFd,
    output: OwnedFd,
    input: OwnedFd,
}

impl<'a> Child<'a> {
    fn new(program: &'a Program, null: OwnedFd) -> Sys<Self> {
        let arguments = ArgumentList::new(&program.arguments)?;
        let (output, input) = fd::pipe()?;
        Ok(Self { program, arguments, null, output, input })
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
        signals::reset_all();
        signal::set_mask(&Set::empty());
        file::set_umask(UMASK);
        if let Some(directory) = &self.program.directory {
            let changed = file::change_directory(directory.as_c_str());
            changed.map_err(|errno| Failure::new(Step::ChangeDirectory, errno))?;
        }
        Err(Failure::new(Step::Execute, process::execute(self.program.path.as_c_str(), &self.arguments)))
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
        while !fd::readable_unless_signalled(output.as_raw_fd(), &self.mask)? {
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
    let mut lines = Lines::new(buffer);
    let mut each = |text: &[u8], is_ended| each_line(OutputLine { text, is_ended });
    loop {
        patience.wait(output, program)?;
        if !lines.read(output.as_raw_fd(), &mut each)? {
            return Ok(());
        }
    }
}
