//! The process that is executed: it makes the monitor, and ends the start if that is killed before the launcher has confirmed.
#![allow(unsafe_code, reason = "the fork; this process has one thread")]

use super::descendants;
use super::files::{PidFile, StateFile};
use super::launch::Launch;
use super::outcome::{Heard, Line, Reason, Told};
use super::run::{Guard, Monitor, release_claim};
use crate::descriptors::Keep;
use crate::error::{Failure, Step};
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Ended, Forked, Pid};
use crate::sys::signal::{self, Set};
use crate::sys::time::{self, Deadline};
use crate::sys::{Sys, fd, file};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How long processes may take to be gone after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often SIGKILL is sent again.
const STEP: Duration = Duration::from_millis(10);

/// `TASK_COMM_LEN`, with the NUL (prctl(2)).
const COMM: usize = 16;

/// What a monitor is that has just been executed, with the socket to its launcher.
pub(crate) fn run(socket: RawFd) -> ! {
    signal::set_mask(&Set::full());
    let Ok(socket) = fd::take_over(socket) else { process::exit_now(1) };
    let line = Line::of(socket);
    let failure = match line.receive() {
        Ok(mut launch) => {
            let failure = begin(&mut launch, &line);
            launch.remove_runtime_directory();
            failure
        }
        Err(errno) => Failure::new(Step::Argument, errno),
    };
    line.tell(Told::Failed { reason: Reason::Step(failure), is_stuck: false });
    process::exit_now(1)
}

/// Comes back with what failed before there is a monitor. The launcher has made the pid file, and removes it.
fn begin(launch: &mut Launch, line: &Line) -> Failure {
    match prepare(launch, line).and_then(|()| split(launch, line)) {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

/// Nothing is kept of what the launcher had but what the message names.
fn prepare(launch: &mut Launch, line: &Line) -> Result<(), Failure> {
    let failed = |step| move |errno| Failure::new(step, errno);
    let mut keep = Keep::default();
    for fd in launch.descriptors().chain([line.as_raw_fd()]) {
        keep.add(fd).and_then(|()| fd::set_close_on_exec(fd)).map_err(failed(Step::KeepDescriptor))?;
    }
    keep.close_others();
    let null = file::open(file::NULL_DEVICE, libc::O_RDWR, 0).map_err(failed(Step::Stdin))?;
    for standard in fd::STANDARD {
        fd::connect(null.as_raw_fd(), standard).map_err(failed(Step::Stdin))?;
    }
    move_lock(launch).map_err(failed(Step::PidFile))?;
    file::set_umask(0o022);
    file::change_directory(c"/").map_err(failed(Step::ChangeDirectory))?;
    process::adopt_orphans(true).map(drop).map_err(failed(Step::Start))?;
    rename(launch.name.as_bytes());
    Ok(())
}

/// Sets the name that ps(1) shows without arguments.
fn rename(name: &[u8]) {
    process::rename(CStr::from_bytes_until_nul(&short_name(name)).unwrap_or(c"daemonctx"));
}

/// `daemonctx: NAME`, as many whole characters (UTF-8) of it as the kernel takes.
fn short_name(name: &[u8]) -> [u8; COMM] {
    const PREFIX: &[u8] = b"daemonctx: ";
    let is_inside = |end: usize| name.get(end).is_some_and(|byte| byte & 0xc0 == 0x80);
    let most = COMM - 1 - PREFIX.len();
    let length = (0..=most).rev().find(|end| !is_inside(*end)).unwrap_or(0);
    let mut room = [0; COMM];
    for (to, from) in room.iter_mut().zip(PREFIX.iter().chain(name.iter().take(length))) {
        *to = *from;
    }
    room
}

/// The program may want the lock's number for its own descriptor.
fn move_lock(launch: &mut Launch) -> Sys<()> {
    let Some(lock) = launch.lock else { return Ok(()) };
    let is_wanted = |fd: RawFd| launch.numbers().any(|number| number == fd);
    if !is_wanted(lock) {
        return Ok(());
    }
    let mut moved = fd::duplicate(lock)?;
    while is_wanted(moved.as_raw_fd()) {
        // The numbers above all that are wanted may be beyond the limit.
        moved = fd::duplicate_from(lock, moved.as_raw_fd() + 1)?;
    }
    launch.lock = Some(std::os::fd::IntoRawFd::into_raw_fd(moved));
    fd::close(lock);
    Ok(())
}

/// Makes the monitor, and stays until it needs no guard.
fn split(launch: &mut Launch, line: &Line) -> Result<std::convert::Infallible, Failure> {
    let failed = |step| move |errno| Failure::new(step, errno);
    let (leash, end) = fd::pipe().map_err(failed(Step::Pipe))?;
    let line_of_monitor = fd::duplicate(line.as_raw_fd()).map_err(failed(Step::Pipe))?;
    let (logger, pids) = begin_logger(launch).map_err(failed(Step::Logger))?.unzip();
    let guard = process::id();
    // SAFETY: this process has one thread.
    match unsafe { process::fork() }.map_err(failed(Step::Fork))? {
        Forked::Child => {
            drop(leash);
            fd::close(line.as_raw_fd());
            process::new_session().map_err(failed(Step::Session))?;
            process::adopt_orphans(true).map(drop).map_err(failed(Step::Start))?;
            let guard = Guard { pid: guard, leash: end };
            let monitor = Monitor::new(launch, Line::of(line_of_monitor), guard, pids);
            monitor.map_err(failed(Step::PidFile))?.run()
        }
        Forked::Parent(monitor) => {
            drop((end, line_of_monitor, pids));
            stay(launch, line, &leash, monitor, logger)
        }
    }
}

/// Makes the logger, a child of this process: the monitor counts its own descendants. It goes on until nobody can write any more, over
/// restarts too, and gets the PIDs that it names on the pipe that comes back.
fn begin_logger(launch: &mut Launch) -> Sys<Option<(Pid, OwnedFd)>> {
    let Some(ends) = launch.logger.take() else { return Ok(None) };
    let (reader, pids) = fd::pipe()?;
    // SAFETY: this process has one thread.
    match unsafe { process::fork() }? {
        Forked::Child => ends.run(reader.as_raw_fd()),
        Forked::Parent(logger) => {
            ends.descriptors().for_each(fd::close);
            Ok(Some((logger, pids)))
        }
    }
}

fn stay(launch: &Launch, line: &Line, leash: &OwnedFd, monitor: Pid, logger: Option<Pid>) -> ! {
    let pid_file = PidFile::of(launch);
    // Its own lock on the name is given up with this process.
    let claim = launch.claim.as_ref().map(|(_, lock)| *lock);
    launch.descriptors().filter(|fd| Some(*fd) != claim).for_each(fd::close);
    // A monitor that was confirmed and could not say so may live on.
    let is_needed = !is_released(leash) && line.heard() != Heard::Confirmed;
    if !is_needed {
        process::exit_now(0);
    }
    // Until it has let this process go, a monitor that has done its work exits with 0. One that could not begin exits with 1.
    if process::wait(monitor, true) == Some(Ended::Exited(0)) {
        // The launcher waits for this process, so the program's last words are logged before.
        let logger = logger.and_then(|logger| Process::open(logger).ok());
        let _: Option<Sys<bool>> = logger.map(|logger| logger.wait(Some(PATIENCE)));
        process::exit_now(0);
    }
    if line.close_to_confirmation() {
        process::exit_now(0);
    }
    let is_stuck = !clear_away();
    if let Ok(Some(pid_file)) = pid_file {
        pid_file.remove();
    }
    launch.remove_runtime_directory();
    if let Some(path) = &launch.notify {
        let _: Sys<()> = file::unlink(path.as_c_str());
    }
    if let Ok(file) = StateFile::of(launch) {
        file.remove();
    }
    release_claim(launch);
    line.tell(Told::Failed { reason: Reason::Lost, is_stuck });
    process::exit_now(1)
}

/// Waits until the monitor lets this process go, or is gone.
fn is_released(leash: &OwnedFd) -> bool {
    /// A read that fails says nothing, and the next need not fail.
    const TRIES: u32 = 10;
    let mut byte = [0];
    (0..TRIES).find_map(|_| fd::read(leash.as_raw_fd(), &mut byte).ok()) == Some(1)
}

/// Ends everything that the monitor has left to this process; false when something cannot be ended.
fn clear_away() -> bool {
    let deadline = Deadline::after(Some(PATIENCE));
    while process::has_children() {
        if deadline.passed() {
            return false;
        }
        let _: Sys<()> = descendants::kill(None, None);
        while process::reap_any() {}
        if process::has_children() {
            time::pause(STEP);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn a_short_name_ends_with_a_whole_character() {
        for (name, shown) in [
            ("web", "daemonctx: web\0\0"),
            ("website", "daemonctx: webs\0"),
            ("äöü", "daemonctx: äö\0"),
            ("aäöü", "daemonctx: aä\0\0"),
            ("a€b", "daemonctx: a€\0"),
            ("ab€", "daemonctx: ab\0\0\0"),
            ("a😀", "daemonctx: a\0\0\0\0"),
        ] {
            assert_eq!(std::str::from_utf8(&short_name(name.as_bytes())), Ok(shown));
        }
        assert_eq!(&short_name(&[0xbf; 9]), b"daemonctx: \0\0\0\0\0", "no UTF-8");
    }
}
