//! Whether the daemon could execute its program. A child takes the daemon's root, directory and privileges, and follows the program to its
//! interpreters as execve(2) does. Nothing is executed.
#![allow(unsafe_code, reason = "the fork; the child makes system calls and nothing else")]

use crate::binfmt::{self, Format, Formats, HEAD};
use crate::directories;
use crate::error::{Error, Failure, Step, Subject};
use crate::launch::{PreparedProgram, Program};
use crate::options::Options;
use crate::privileges;
use crate::report::{self, Record};
use crate::signals::Quiet;
use crate::sys::fixed_buf::FixedBuf;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Forked, Pid};
use crate::sys::{Errno, Sys, fd, file};
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// # Errors
/// The start of `program` would fail with the same.
pub(crate) fn check(options: &Options, program: &Program) -> Result<(), Error> {
    let failed = |step| move |errno| Error::os(step, Subject::Nothing, errno);
    let mut privileges = privileges::Plan::new(&options.privileges)?;
    let directories = directories::Plan::new(options.umask, options.root.as_ref(), &options.working)?;
    let program = program.prepare(directories.root().is_some())?;
    let formats = Formats::find().map_err(failed(Step::Execute))?;
    let (listener, reporter) = report::channel().map_err(failed(Step::Pipe))?;
    let quiet = Quiet::begin();
    // SAFETY: the child makes system calls only: it does not matter what other threads hold.
    match unsafe { process::fork() } {
        Ok(Forked::Child) => {
            if let Err(failure) = look(&directories, &mut privileges, &program, &formats) {
                // Nobody else can be told.
                let _: Result<(), Errno> = reporter.send(&Record::Failed(failure));
            }
            process::exit_now(0)
        }
        Ok(Forked::Parent(child)) => {
            drop(reporter);
            // A dead file system may keep the child for good. Then nothing is known.
            let is_readable = fd::poll(&mut [fd::readable(listener.as_raw_fd())], PATIENCE) == Ok(true);
            let said = if is_readable { listener.receive() } else { Ok(None) };
            end(child);
            drop(quiet);
            match said {
                Ok(Some(Record::Failed(failure))) => Err(explain(failure, &directories, &privileges, &program)),
                _ => Ok(()),
            }
        }
        Err(errno) => Err(failed(Step::Fork)(errno)),
    }
}

/// Milliseconds that the look may take.
const PATIENCE: libc::c_int = 5_000;

/// Takes the child's status; of one that SIGKILL does not end it is left.
fn end(child: Pid) {
    const PATIENCE: Duration = Duration::from_millis(100);
    let _: Sys<()> = process::kill(child, libc::SIGKILL);
    if Process::open(child).and_then(|process| process.wait(Some(PATIENCE))) != Ok(false) {
        process::wait(child, true);
    }
}

fn explain(
    failure: Failure,
    directories: &directories::Plan,
    privileges: &privileges::Plan,
    program: &PreparedProgram,
) -> Error {
    let Failure { step, errno, value } = failure;
    match step {
        Step::Execute => program.explain_in(directories.root(), failure),
        Step::ChangeRoot | Step::ChangeDirectory => Error::os(step, directories.subject(step), errno),
        _ => Error::os(step, privileges.subject(step, value), errno),
    }
}

/// The child's part, in the order of a start.
fn look(
    directories: &directories::Plan,
    privileges: &mut privileges::Plan,
    program: &PreparedProgram,
    formats: &Formats,
) -> Result<(), Failure> {
    directories.change_root()?;
    // Interpreters may be named from there. Before the privileges go: a file that may be executed need not be one that may be read.
    let entered = directories.enter();
    let chain = Chain::follow(program.path.as_c_str(), formats);
    privileges.apply(true)?;
    entered.and_then(|()| directories.enter())?;
    chain.check().map_err(|errno| Failure::new(Step::Execute, errno))
}

/// How many interpreters the kernel follows (`exec_binprm`).
const MOST_INTERPRETERS: usize = 5;

/// A program, and what the kernel executes in its place: an interpreter, the interpreter's interpreter, a binary's loader.
struct Chain<'a> {
    program: &'a CStr,
    /// One too many at the most, and the loader.
    others: [FixedBuf<HEAD>; MOST_INTERPRETERS + 2],
    count: usize,
    /// What execve(2) fails with, if all of them may be executed.
    end: Result<(), Errno>,
}

impl<'a> Chain<'a> {
    fn follow(program: &'a CStr, formats: &Formats) -> Self {
        let others = [const { FixedBuf::new() }; MOST_INTERPRETERS + 2];
        let mut chain = Self { program, others, count: 0, end: Ok(()) };
        loop {
            let mut head = [0; HEAD];
            let opened = chain.last().and_then(|path| Ok((path.to_bytes(), binfmt::open(path, &mut head)?)));
            let Ok((path, file)) = opened else { return chain };
            match formats.format(path, &head) {
                Format::Script(interpreter) => chain.push(interpreter),
                Format::Binary => {
                    binfmt::find_loader(file.as_raw_fd(), &head, |loader| chain.push(loader));
                    return chain;
                }
                Format::Invalid => {
                    chain.end = Err(Errno::ENOEXEC);
                    return chain;
                }
                Format::Unknown => return chain,
            }
            if chain.count > MOST_INTERPRETERS {
                chain.end = Err(Errno::ELOOP);
                return chain;
            }
        }
    }

    fn last(&self) -> Result<&CStr, Errno> {
        let last = self.count.checked_sub(1).and_then(|last| self.others.get(last));
        last.map_or(Ok(self.program), FixedBuf::as_c_str)
    }

    fn push(&mut self, path: &[u8]) {
        if let Some(room) = self.others.get_mut(self.count) {
            room.push(path);
            self.count += 1;
        }
    }

    fn check(&self) -> Result<(), Errno> {
        file::check_executable(self.program)?;
        let mut others = self.others.iter().take(self.count);
        others.try_for_each(|path| file::check_executable(path.as_c_str()?))?;
        self.end
    }
}
