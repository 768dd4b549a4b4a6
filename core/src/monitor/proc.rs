//! What `/proc` says of processes, read without allocating.

use crate::pidfile::number;
#[cfg(target_os = "linux")]
use crate::sys::directory;
use crate::sys::process::{self, Pid};
use crate::sys::{Errno, Sys, fd, file};
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering};

/// The fields of `/proc/PID/stat` that anybody here asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) parent: Pid,
    /// The process group.
    pub(super) group: Pid,
    pub(super) session: Pid,
    flags: u64,
    threads: u64,
    /// In clock ticks since boot.
    pub(super) start: u64,
    /// Pending signals of the main thread.
    pending: u64,
}

impl Stat {
    /// A zombie. The main thread of a process may end before the others.
    pub(super) fn is_dead(&self) -> bool {
        self.is_zombie() && self.threads <= 1
    }

    fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Whether the process is in exit(2), or about to be: the kernel queues SIGKILL to each thread when a signal is sent whose action is
    /// to end the process, and which is neither blocked nor traced. A main thread that has ended before the others does not count.
    pub(super) fn is_ending(&self) -> bool {
        /// `PF_EXITING`.
        const EXITING: u64 = 4;
        const KILLED: u64 = 1 << (libc::SIGKILL - 1);
        !self.is_zombie() && (self.flags & EXITING != 0 || self.pending & KILLED != 0)
    }

    /// Whether the process has executed a program since it was forked; also of a zombie.
    pub(super) fn has_executed(&self) -> bool {
        /// `PF_FORKNOEXEC` (include/linux/sched.h), part of the format since Linux 2.5.
        const FORKED_ONLY: u64 = 0x40;
        self.flags & FORKED_ONLY == 0
    }

    /// The command in field 2 may hold anything, so fields are counted behind its last parenthesis.
    fn of(text: &[u8]) -> Option<Self> {
        const STATE: usize = 3;
        const PARENT: usize = 4;
        const GROUP: usize = 5;
        const SESSION: usize = 6;
        const FLAGS: usize = 9;
        const THREADS: usize = 20;
        const START: usize = 22;
        const PENDING: usize = 31;
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let mut words = text.get(end + 1..)?.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let state = *words.next()?.first()?;
        let parent = Pid::try_from(number(words.nth(PARENT - STATE - 1)?)?).ok()?;
        let group = Pid::try_from(number(words.nth(GROUP - PARENT - 1)?)?).ok()?;
        let session = Pid::try_from(number(words.nth(SESSION - GROUP - 1)?)?).ok()?;
        let flags = number(words.nth(FLAGS - SESSION - 1)?)?;
        let threads = number(words.nth(THREADS - FLAGS - 1)?)?;
        let start = number(words.nth(START - THREADS - 1)?)?;
        let pending = number(words.nth(PENDING - START - 1)?)?;
        Some(Self { state, parent, group, session, flags, threads, start, pending })
    }
}

/// A path below `/proc`, put together in place: usually `/proc/`, two PIDs and the names around them. What has no room is cut off. The monitor keeps the deepest stack that it ever had, so it is no [`Line`](crate::line::Line).
pub(super) struct ProcPath<const ROOM: usize = 64> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> ProcPath<ROOM> {
    pub(super) fn of(pid: Pid) -> Self {
        let mut path = Self { bytes: [0; ROOM], length: 0 };
        path.push(b"/proc/");
        path.push_number(pid);
        path
    }

    pub(super) fn push(&mut self, text: &[u8]) -> &mut Self {
        let room = self.bytes.get_mut(self.length..ROOM - 1).unwrap_or_default();
        self.length += room.len().min(text.len());
        for (to, from) in room.iter_mut().zip(text) {
            *to = *from;
        }
        self
    }

    fn push_number(&mut self, pid: Pid) {
        const DIGITS: usize = 10;
        let mut digits = [0; DIGITS];
        let (mut rest, mut used) = (pid.unsigned_abs(), 0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(DIGITS - used..).unwrap_or_default());
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// Fails with ENOENT, as a missing `/proc` does, where `/proc` is that of another PID namespace: its numbers are other processes'.
fn check() -> Sys<()> {
    static IS_OWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    const UNKNOWN: u8 = 0;
    const OWN: u8 = 1;
    const FOREIGN: u8 = 2;
    if IS_OWN.load(Ordering::Relaxed) == UNKNOWN {
        IS_OWN.store(if crate::pidfile::proc_is_own() { OWN } else { FOREIGN }, Ordering::Relaxed);
    }
    if IS_OWN.load(Ordering::Relaxed) == OWN { Ok(()) } else { Err(Errno::ENOENT) }
}

/// ESRCH when there is no such process; ENOENT as well, which is also what a missing `/proc` says.
pub(super) fn stat(pid: Pid) -> Sys<Stat> {
    check()?;
    let mut room = [0; 512];
    let mut path = ProcPath::<64>::of(pid);
    let text = file::read_small(path.push(b"/stat").as_c_str(), &mut room)?;
    match text {
        // It went between open and read.
        [] => Err(Errno::ESRCH),
        text => Stat::of(text).ok_or(Errno::EBADMSG),
    }
}

/// Whether there is a `/proc` at all.
pub(super) fn is_there() -> bool {
    check().is_ok() && file::status_at(c"/proc/self/stat").is_ok()
}

/// Calls `each` on the children of a process, those that have ended and were not waited for included. One that is forked or ends
/// meanwhile may be missed.
pub(super) fn for_each_child(parent: Pid, each: &mut dyn FnMut(Pid)) -> Sys<()> {
    check()?;
    let mut has_lists = true;
    file::for_each_name(ProcPath::<64>::of(parent).push(b"/task").as_c_str(), &mut |_, thread| {
        if number(thread).is_none() {
            return;
        }
        let mut path = ProcPath::<64>::of(parent);
        path.push(b"/task/").push(thread);
        let is_alive = file::status_at(path.as_c_str()).is_ok();
        // The thread has ended meanwhile, or the kernel has no such list.
        if read_children(path.push(b"/children").as_c_str(), each) == Err(Errno::ENOENT) && is_alive {
            has_lists = file::status_at(ProcPath::<64>::of(parent).push(b"/task/").push(thread).as_c_str()).is_err();
        }
    })?;
    if has_lists { Ok(()) } else { scan_for_children(parent, each) }
}

/// Whether a process has the socket of this inode open.
#[cfg(target_os = "linux")]
pub(super) fn has_socket(pid: Pid, inode: u64) -> Sys<bool> {
    /// `socket:[INODE]`
    const SOCKET: &[u8] = b"socket:[";
    const LONGEST: usize = SOCKET.len() + 21;
    let (mut folder, mut found) = (ProcPath::<64>::of(pid), false);
    file::for_each_name(folder.push(b"/fd").as_c_str(), &mut |_, name| {
        if found || number(name).is_none() {
            return;
        }
        let mut path = ProcPath::<64>::of(pid);
        path.push(b"/fd/").push(name);
        let mut room = [0; LONGEST];
        let length = file::open(path.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW, 0)
            .and_then(|link| directory::read_link(&link, &mut room));
        let target = length.ok().and_then(|length| room.get(..length));
        found = target.and_then(|target| number(target.strip_prefix(SOCKET)?.strip_suffix(b"]")?)) == Some(inode);
    })?;
    Ok(found)
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn has_socket(_pid: Pid, _inode: u64) -> Sys<bool> {
    Err(Errno::ENOSYS)
}

fn read_children(path: &CStr, each: &mut dyn FnMut(Pid)) -> Sys<()> {
    let list = file::open(path, libc::O_RDONLY, 0)?;
    let mut room = [0; 512];
    let mut pid: Option<Pid> = None;
    loop {
        let got = fd::read(list.as_raw_fd(), &mut room)?;
        for byte in room.iter().take(got) {
            match byte.checked_sub(b'0').filter(|digit| *digit < 10) {
                Some(digit) => pid = Some(pid.unwrap_or(0).saturating_mul(10).saturating_add(Pid::from(digit))),
                None => pid.take().into_iter().for_each(&mut *each),
            }
        }
        if got == 0 {
            pid.take().into_iter().for_each(&mut *each);
            return Ok(());
        }
    }
}

/// Calls `each` on all processes that are visible.
pub(super) fn for_each_process(each: &mut dyn FnMut(Pid, &Stat)) -> Sys<()> {
    check()?;
    file::for_each_name(c"/proc", &mut |_, name| {
        let pid = number(name).and_then(|pid| Pid::try_from(pid).ok());
        if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, stat(pid).ok()?))) {
            each(pid, &stat);
        }
    })
}

/// For kernels without `CONFIG_PROC_CHILDREN`.
fn scan_for_children(parent: Pid, each: &mut dyn FnMut(Pid)) -> Sys<()> {
    for_each_process(&mut |pid, stat| {
        if stat.parent == parent {
            each(pid);
        }
    })
}

/// Only of a child the end is seen. A descendant becomes one when the processes between have ended, as those of a program that goes
/// into the background do.
pub(super) fn is_child(pid: Pid) -> bool {
    stat(pid).is_ok_and(|stat| stat.parent == process::id() && !stat.is_dead())
}

/// The child of this process that was made first and is alive.
pub(super) fn oldest_child() -> Option<Pid> {
    let mut oldest: Option<(u64, Pid)> = None;
    let listed = for_each_child(process::id(), &mut |child| {
        let alive = stat(child).ok().filter(|stat| !stat.is_dead());
        if let Some(stat) = alive.filter(|stat| oldest.is_none_or(|oldest| (stat.start, child) < oldest)) {
            oldest = Some((stat.start, child));
        }
    });
    listed.ok().and(oldest.map(|(_, child)| child))
}

#[cfg(test)]
mod tests {
    use super::{Stat, for_each_child, oldest_child, scan_for_children, stat};
    use crate::sys::process::{self, Pid};

    #[test]
    fn a_command_cannot_forge_fields() {
        let text = b"7 (a) Z 1) S 3 7 7 0 -1 4194624 1 0 0 0 0 0 0 0 20 0 1 0 250 1 1 2 3 4 5 6 7 256 0\n";
        let stat = Stat::of(text);
        let expected = Stat {
            state: b'S',
            parent: 3,
            group: 7,
            session: 7,
            flags: 4_194_624,
            threads: 1,
            start: 250,
            pending: 256,
        };
        assert_eq!(stat, Some(expected));
        assert!(stat.is_some_and(|stat| !stat.has_executed() && stat.is_ending()));
        assert_eq!(Stat::of(b"7 (a) S 3"), None);
    }

    #[test]
    fn a_main_thread_may_end_before_the_others() {
        let zombie =
            |threads| format!("7 (a) Z 3 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 {threads} 0 250 1 1 2 3 4 5 6 7 256 0\n");
        let stat = |threads| Stat::of(zombie(threads).as_bytes());
        assert!(stat(1).is_some_and(|stat| stat.is_dead() && !stat.is_ending()));
        assert!(stat(2).is_some_and(|stat| !stat.is_dead() && !stat.is_ending()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "processes")]
    fn children_are_found_with_and_without_lists() -> std::io::Result<()> {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn()?;
        let pid = Pid::try_from(child.id()).unwrap_or_default();
        for list in [for_each_child, scan_for_children] {
            let mut found = false;
            assert_eq!(list(process::id(), &mut |child| found |= child == pid), Ok(()));
            assert!(found);
        }
        assert!(oldest_child().is_some());
        assert!(stat(pid).is_ok_and(|stat| stat.parent == process::id() && stat.has_executed()));
        child.kill()?;
        child.wait().map(drop)
    }
}
