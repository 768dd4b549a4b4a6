//! The same on Linux, and what else `/proc` has there.

use super::{ProcPath, Stat, for_each_process, read};
use crate::helper;
use crate::sys::file;
use crate::sys::fixed_buf::FixedBuf;
use crate::sys::parse_decimal;
use crate::sys::process::{self, Pid};
use crate::sys::signal::Signal;
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, identity, memory};
use std::time::Duration;

pub(crate) fn path(parts: &[&[u8]]) -> ProcPath {
    let mut path = ProcPath::new();
    path.push(b"/proc/");
    parts.iter().for_each(|part| {
        path.push(part);
    });
    path
}

pub(crate) fn decimal(number: i64) -> FixedBuf<20> {
    let mut text = FixedBuf::new();
    text.push_number(number);
    text
}

pub(crate) fn words(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The lines that begin with `label`, without it.
pub(crate) fn fields<'a>(text: &'a [u8], label: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    text.split(|&byte| byte == b'\n').filter_map(move |line| line.strip_prefix(label))
}

pub(crate) fn field_number(text: &[u8], label: &[u8]) -> Option<u64> {
    words(fields(text, label).next()?).next().and_then(parse_decimal)
}

/// Whether `/proc` numbers processes as this process does; not where it was mounted in another PID namespace.
pub(crate) fn is_own() -> bool {
    let mut room = [0; 16];
    match file::link_target(c"/proc/self", &mut room) {
        Ok(target) => target == decimal(i64::from(process::id())).as_bytes(),
        // None at all: `Hold::NoProc` says so.
        Err(_) => true,
    }
}

/// Whether every process of the machine is visible: this is the initial PID namespace (`PROC_PID_INIT_INO`).
pub(crate) fn sees_every_process() -> bool {
    const INITIAL: u64 = 0xEFFF_FFFC;
    file::status_behind(c"/proc/self/ns/pid").is_ok_and(|status| status.identity.inode == INITIAL)
}

/// None where there is no such process.
///
/// # Errors
/// It cannot be known: no `/proc`, or the process is hidden (`hidepid`).
pub(crate) fn stat(pid: Pid) -> Sys<Option<Stat>> {
    let mut room = [0; 1024];
    match read(pid, b"stat", &mut room).and_then(Stat::parse) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT | Errno::ESRCH) if process::kill(pid, 0) == Err(Errno::ESRCH) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The command's name, in 15 bytes at the most, and a newline; empty where there is no such process.
pub(crate) fn name(pid: Pid, room: &mut [u8; 32]) -> &[u8] {
    read(pid, b"comm", room).unwrap_or_default()
}

/// Whether the main thread of `pid` has a signal below 32 blocked, also while it sleeps. Shells block all of them for the moment in which a
/// child is made (vfork(2)): until they go on they have not let them in again.
pub(crate) fn blocks(pid: Pid, signal: Signal) -> bool {
    const PATIENCE: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(1);
    let deadline = Deadline::after(Some(PATIENCE));
    loop {
        match stat(pid) {
            Ok(Some(stat)) if stat.blocked >> (signal - 1) & 1 == 0 => return false,
            Ok(Some(stat)) if stat.is_busy() && !deadline.passed() => time::pause(PAUSE),
            Ok(stat) => return stat.is_some(),
            Err(_) => return false,
        }
    }
}

/// Whether this process leads a process group that is not the foreground job of a terminal.
pub(crate) fn leads_background_job() -> bool {
    let this = process::id();
    matches!(stat(this), Ok(Some(own)) if own.group == this && own.foreground != this)
}

pub(crate) fn is_exiting(pid: Pid) -> bool {
    matches!(stat(pid), Ok(Some(stat)) if stat.is_exiting())
}

/// Whether a process is on its way from closing its descriptors to its end: it may have a lock that is not seen.
pub(crate) fn any_is_exiting(deadline: Deadline) -> bool {
    any(deadline, |pid| matches!(stat(pid), Ok(Some(stat)) if stat.is_exiting() && !stat.has_ended())) == Ok(true)
}

/// Whether something is so of any process. A child looks, as a process can delay that; of one that does it is not so.
fn any(deadline: Deadline, is_so: impl Fn(Pid) -> bool) -> Sys<bool> {
    let (mut all, mut pushed) = (Vec::new(), Ok(()));
    for_each_process(&mut |pid| pushed = pushed.and(memory::push(&mut all, pid)))?;
    pushed?;
    let mut found = false;
    helper::look_at_each(&all, deadline, |pid| u8::from(is_so(pid)), &mut |_, said| {
        found = said == Some(1);
        !found
    });
    Ok(found)
}

/// Real and effective user.
fn users(pid: Pid) -> Option<[identity::Uid; 2]> {
    let mut room = [0; 4096];
    let status = read(pid, b"status", &mut room).ok()?;
    let mut words = words(fields(status, b"Uid:").next()?);
    let mut next = || identity::Uid::try_from(words.next().and_then(parse_decimal)?).ok();
    Some([next()?, next()?])
}

/// Whom a process was started by; none where it is gone or hidden.
pub(crate) fn real_user(pid: Pid) -> Option<identity::Uid> {
    users(pid).map(|[real, _]| real)
}

/// Whether `pid` runs as `user`, by real and effective id.
pub(crate) fn runs_as(pid: Pid, wanted: identity::Uid) -> bool {
    runs_only_as(pid) == Some(wanted)
}

/// Whom `pid` runs as, where its real and effective id are the same.
pub(crate) fn runs_only_as(pid: Pid) -> Option<identity::Uid> {
    users(pid).filter(|[real, effective]| real == effective).map(|[real, _]| real)
}

/// The number that a process has in its own, innermost PID namespace.
pub(crate) fn number_in_own_namespace(pid: Pid) -> Option<Pid> {
    let mut room = [0; 4096];
    let status = read(pid, b"status", &mut room).ok()?;
    let innermost = words(fields(status, b"NSpid:").next()?).next_back().and_then(parse_decimal)?;
    Pid::try_from(innermost).ok()
}

/// Whether a process in another PID namespace calls itself `pid`, and runs as a user who may have written the file.
pub(crate) fn is_number_elsewhere(pid: Pid, deadline: Deadline, may_write: impl Fn(identity::Uid) -> bool) -> bool {
    let is_same = |other| other != pid && number_in_own_namespace(other) == Some(pid);
    any(deadline, |other| is_same(other) && real_user(other).is_none_or(&may_write)) != Ok(false)
}

/// Whether the session of `pid` has lost its leader, as that of a start has. The lock's descriptor may have been passed to
/// any process, but few others are in such a session.
pub(crate) fn has_left_session(pid: Pid) -> bool {
    matches!(stat(pid), Ok(Some(own)) if own.session > 1 && matches!(stat(own.session), Ok(None)))
}
