//! The program that a monitor has recorded in its state file, which no program can write.
//!
//! A program that was launched may give up the lock that it inherited. Its PID and start time are known all the same.

use crate::procfs;
use crate::run_directory;
use crate::sys::c_buf::CBuf;
use crate::sys::parse_decimal;
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use crate::sys::{Sys, file, identity, memory};
use std::os::fd::AsRawFd;

/// The program whose pid file this is, if it is alive.
pub(super) fn program(pid_file: &CBuf) -> Option<(Process, Pid)> {
    let files = run_directory::state_files_of(pid_file).ok()?;
    files.iter().find_map(|state_file| {
        let text = read(state_file, pid_file).ok().flatten()?;
        let (pid, start) = field(&text, b"program").and_then(parse_identity).filter(|_| is_here(&text))?;
        let process = Process::open(pid).ok()?;
        let is_same = matches!(procfs::stat(pid), Ok(Some(stat)) if stat.start == start && !stat.has_ended());
        is_same.then_some((process, pid))
    })
}

/// A state file of root's or this user's, which names the pid file. Arguments stand behind everything that is looked for.
fn read(state_file: &CBuf, pid_file: &CBuf) -> Sys<Option<Vec<u8>>> {
    const ROOM: usize = 2 * 4096;
    let opened = file::open(state_file.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
    let owner = file::status_of(opened.as_raw_fd())?.owner;
    let mut text = memory::filled(0, ROOM)?;
    let length = file::read_start(opened.as_raw_fd(), &mut text)?;
    text.truncate(length);
    let is_believed = owner == 0 || owner == identity::effective_user();
    // A name with escapes is left to the lock.
    let recorded = field(&text, b"pidfile").map(CBuf::path).transpose()?;
    let is_its = recorded.is_some_and(|path| run_directory::is_same_path(&path, pid_file));
    Ok((is_believed && is_its).then_some(text))
}

/// The value of a name in a state file, with its escapes.
pub(crate) fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b"="))
}

/// A PID, and when its process began, in clock ticks since boot.
pub(crate) fn parse_identity(value: &[u8]) -> Option<(Pid, u64)> {
    let mut words = value.split(|&byte| byte == b' ');
    let pid = Pid::try_from(parse_decimal(words.next()?)?).ok().filter(|pid| *pid > 1)?;
    Some((pid, parse_decimal(words.next()?)?))
}

/// Whether a state file is of this boot and this PID namespace.
pub(crate) fn is_here(text: &[u8]) -> bool {
    let mut room = [0; 64];
    let boot = file::read_small(c"/proc/sys/kernel/random/boot_id", &mut room).unwrap_or_default();
    let namespace = file::status_behind(c"/proc/self/ns/pid").ok().map(|status| status.identity.inode);
    field(text, b"boot") == Some(boot.trim_ascii()) && field(text, b"pidns").and_then(parse_decimal) == namespace
}
