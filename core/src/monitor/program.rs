//! The program's process: forked, held at a gate until its PID is written down, made what it should be, executed.
#![allow(unsafe_code, reason = "the fork; this process has one thread")]

use super::launch::Launch;
use super::proc;
use crate::descriptors::Keep;
use crate::error::{Failure, Step};
use crate::report::{self, Listener, Record, Reporter};
use crate::streams::Output;
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Ended, Forked, Pid, StringList};
use crate::sys::{Errno, Sys, fd, file, signal};
use crate::{privileges, signals};
use std::convert::Infallible;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The program's process before it has executed.
pub(super) struct Child {
    pub(super) pid: Pid,
    /// At its end when the child has executed or ended; a record before that says what failed.
    pub(super) line: Listener,
    gate: OwnedFd,
}

impl Child {
    /// Lets the child go on.
    pub(super) fn release(self) -> Listener {
        let _: Sys<usize> = fd::write(self.gate.as_raw_fd(), b"\n");
        self.line
    }

    /// Has the child end.
    pub(super) fn abandon(self) -> Pid {
        self.pid
    }
}

/// What the child has beside the launch message.
struct Ends {
    gate: OwnedFd,
    reporter: Reporter,
    keep: Keep,
    privileges: privileges::Plan,
}

/// The end of a pipe that the program gets for its sign of readiness, and its number there.
///
/// It was made before the other ends, with that number where it was free. So no other end has it.
#[derive(Clone, Copy)]
pub(super) struct SignEnd {
    pub(super) end: RawFd,
    pub(super) number: RawFd,
}

/// Forks the program's process. `socket` is the name of the one that it may send messages to.
///
/// # Errors
/// The step that failed; there is no process then.
pub(super) fn fork(launch: &Launch, sign: Option<SignEnd>, socket: Option<&[u8]>) -> Result<Child, Failure> {
    let failed = |step| move |errno| Failure::new(step, errno);
    let (line, reporter) = report::channel().map_err(failed(Step::Pipe))?;
    let (gate, release) = fd::pipe().map_err(failed(Step::Pipe))?;
    let mut keep = launch.keep.clone();
    for own in [gate.as_raw_fd(), reporter.as_raw_fd()].into_iter().chain(launch.lock).chain(sign.map(|sign| sign.end))
    {
        keep.add(own).map_err(failed(Step::KeepDescriptor))?;
    }
    let privileges = privileges::Plan::of(launch.ids.clone()).map_err(failed(Step::SetGroups))?;
    let ends = Ends { gate, reporter, keep, privileges };
    // SAFETY: this process has one thread, and the child comes back from nothing: it is the program in the end, or gone.
    match unsafe { process::fork() } {
        Ok(Forked::Child) => {
            drop((line, release));
            become_program(launch, sign, socket, ends)
        }
        Ok(Forked::Parent(pid)) => Ok(Child { pid, line, gate: release }),
        Err(errno) => Err(Failure::new(Step::Fork, errno)),
    }
}

/// The rest of the child's life as ours.
fn become_program(launch: &Launch, sign: Option<SignEnd>, socket: Option<&[u8]>, mut ends: Ends) -> ! {
    let mut byte = [0];
    // The monitor was killed before it could write down whom it started.
    if fd::read(ends.gate.as_raw_fd(), &mut byte) != Ok(1) {
        process::exit_now(1);
    }
    let Err(failure) = prepare(launch, sign, &mut ends).and_then(|()| execute(launch, socket));
    let _: Sys<()> = ends.reporter.send(&Record::Failed(failure));
    process::exit_now(1)
}

fn prepare(launch: &Launch, sign: Option<SignEnd>, ends: &mut Ends) -> Result<(), Failure> {
    let failed = |step| move |errno| Failure::new(step, errno);
    process::new_group().map_err(failed(Step::Session))?;
    connect_streams(launch)?;
    ends.keep.close_others();
    file::set_umask(launch.umask);
    if let Some(root) = &launch.root {
        file::change_root(root.as_c_str()).map_err(failed(Step::ChangeRoot))?;
    }
    if launch.prevent_core {
        process::forbid_core_files().map_err(failed(Step::CoreLimit))?;
    }
    ends.privileges.apply(true)?;
    file::change_directory(launch.working.as_c_str()).map_err(failed(Step::ChangeDirectory))?;
    for fd in launch.keep.iter().chain(launch.lock) {
        fd::keep_on_exec(fd).map_err(|errno| Failure { step: Step::KeepDescriptor, errno, value: i64::from(fd) })?;
    }
    if let Some(sign) = sign {
        connect_sign(sign)?;
    }
    signals::reset_all();
    signal::replace_mask(&signal::Set::empty()).map_err(failed(Step::Signals))
}

fn execute(launch: &Launch, socket: Option<&[u8]>) -> Result<Infallible, Failure> {
    let errno = match environment(launch, socket) {
        Ok(environment) => process::execute_with(launch.path.as_c_str(), &launch.arguments, &environment),
        Err(errno) => errno,
    };
    Err(Failure::new(Step::Execute, errno))
}

/// The program's environment, with what is known only now.
fn environment(launch: &Launch, socket: Option<&[u8]>) -> Sys<StringList> {
    let mut list = StringList::default();
    launch.environment.iter().try_for_each(|variable| list.push_borrowed(variable.as_ptr()))?;
    for name in &launch.pid_variables {
        let mut line = MessageBuf::new();
        line.push(name.as_bytes()).push(b"=").push_number(i64::from(process::id()));
        list.push(CBuf::new(line.as_bytes())?)?;
    }
    if let Some(socket) = socket {
        let mut line = MessageBuf::new();
        line.push(b"NOTIFY_SOCKET=").push(socket);
        list.push(CBuf::new(line.as_bytes())?)?;
    }
    list.finish()?;
    Ok(list)
}

fn connect_streams(launch: &Launch) -> Result<(), Failure> {
    const STEPS: [Step; 3] = [Step::Stdin, Step::Stdout, Step::Stderr];
    let mut null: Option<OwnedFd> = None;
    for ((source, step), number) in launch.streams.iter().zip(STEPS).zip(fd::STANDARD) {
        let failed = |errno| Failure::new(step, errno);
        let source = match (source, &null) {
            (Some(source), _) => *source,
            (None, Some(null)) => null.as_raw_fd(),
            (None, None) => null.insert(file::open(file::NULL_DEVICE, libc::O_RDWR, 0).map_err(failed)?).as_raw_fd(),
        };
        fd::connect(source, number).map_err(failed)?;
    }
    Ok(())
}

fn connect_sign(SignEnd { end, number }: SignEnd) -> Result<(), Failure> {
    let connected = if end == number { fd::keep_on_exec(end) } else { fd::connect(end, number) };
    connected.map_err(|errno: Errno| Failure { step: Step::ReadyDescriptor, errno, value: i64::from(number) })
}

/// Opens log files at their paths again: they may have been moved away since the life before. Where that is not possible as it was
/// for the first life, the file that is open goes on.
pub(super) fn reopen_logs(launch: &Launch) {
    let [_, outputs @ ..] = &launch.streams;
    for (output, number) in launch.outputs.iter().zip(outputs) {
        if let (Output::File(place), Some(number)) = (output, number) {
            let reopened = place.reopen().and_then(|file| fd::connect(file.as_raw_fd(), *number));
            let _: Sys<()> = reopened.and_then(|()| fd::set_close_on_exec(*number));
        }
    }
}

/// How long a process may take from closing its descriptors to its end.
const MOMENT: Duration = Duration::from_millis(50);

/// Whether the program is about to end, or has.
pub(super) fn ends_soon(program: Pid) -> bool {
    Process::open(program).and_then(|process| process.wait(Some(MOMENT))) == Ok(true)
}

/// Whether a child whose line has ended has executed the program; if not, it was killed. Its line ends before it is dead, so the
/// kernel is asked which it was.
pub(super) fn has_executed(child: Pid) -> bool {
    match proc::stat(child) {
        Ok(stat) => stat.has_executed(),
        // Without /proc: who is killed so early counts as not executed.
        Err(_) => !ends_soon(child) || matches!(process::peek(child, false), Ok(Some(Ended::Exited(_)))),
    }
}
