//! What `/proc` says of the children of a process, and of their sockets.

#[cfg(target_os = "linux")]
use crate::helper;
use crate::procfs::{self, ProcPath, Stat, directory};
use crate::sys::parse_decimal;
use crate::sys::process::{self, Pid};
use crate::sys::{Errno, Sys, fd, file};
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(target_os = "linux")]
use std::time::Duration;

/// Fails with ENOENT, as a missing `/proc` does, where `/proc` is that of another PID namespace: its numbers are other processes'.
fn check() -> Sys<()> {
    static IS_OWN: AtomicU8 = AtomicU8::new(UNKNOWN);
    const UNKNOWN: u8 = 0;
    const OWN: u8 = 1;
    const FOREIGN: u8 = 2;
    if IS_OWN.load(Ordering::Relaxed) == UNKNOWN {
        IS_OWN.store(if procfs::is_own() { OWN } else { FOREIGN }, Ordering::Relaxed);
    }
    if IS_OWN.load(Ordering::Relaxed) == OWN { Ok(()) } else { Err(Errno::ENOENT) }
}

/// ESRCH when there is no such process; ENOENT as well, which is also what a missing `/proc` says.
pub(super) fn stat(pid: Pid) -> Sys<Stat> {
    check()?;
    let mut room = [0; 512];
    procfs::read(pid, b"stat", &mut room).and_then(Stat::parse)
}

/// Whether there is a `/proc` at all.
pub(super) fn is_there() -> bool {
    check().is_ok() && file::status_at(c"/proc/self/stat").is_ok()
}

/// Calls `each` on the children of a process, those that have ended and were not waited for included. One that is forked or ends
/// meanwhile may be missed.
pub(super) fn for_each_child(parent: Pid, each: &mut dyn FnMut(Pid)) -> Sys<()> {
    check()?;
    // A child of this process's own that hangs at a look is none of the program's.
    #[cfg(target_os = "linux")]
    let each = &mut |child| {
        if !helper::is_stuck(child) {
            each(child);
        }
    };
    let mut has_lists = true;
    let mut tasks: ProcPath = directory(parent);
    file::for_each_name(tasks.push(b"/task").as_c_str()?, &mut |_, thread| {
        if parse_decimal(thread).is_none() {
            return;
        }
        let mut task: ProcPath = directory(parent);
        task.push(b"/task/").push(thread);
        let is_alive = |task: &ProcPath| task.as_c_str().and_then(file::status_at).is_ok();
        let was_alive = is_alive(&task);
        let mut list: ProcPath = directory(parent);
        list.push(b"/task/").push(thread).push(b"/children");
        // The thread has ended meanwhile, or the kernel has no such list.
        if list.as_c_str().and_then(|list| read_children(list, each)) == Err(Errno::ENOENT) && was_alive {
            has_lists = !is_alive(&task);
        }
    })?;
    if has_lists { Ok(()) } else { scan_for_children(parent, each) }
}

/// Whether a process has the socket of this inode open. A child looks, as the process can delay it for good.
///
/// # Errors
/// ETIMEDOUT: it does. EAGAIN: too many children are delayed.
#[cfg(target_os = "linux")]
pub(super) fn has_socket(pid: Pid, inode: u64) -> Sys<bool> {
    const PATIENCE: Duration = Duration::from_millis(100);
    // An errno is one more, to tell it from these.
    let look = |pid| look_for_socket(pid, inode).map_or_else(|errno| (errno.value() + 1) as u8, u8::from);
    match helper::look_at(pid, PATIENCE, look)? {
        said @ 0..=1 => Ok(said == 1),
        errno => Err(Errno::new(i32::from(errno) - 1)),
    }
}

#[cfg(target_os = "linux")]
fn look_for_socket(pid: Pid, inode: u64) -> Sys<bool> {
    /// `socket:[INODE]`
    const SOCKET: &[u8] = b"socket:[";
    const LONGEST: usize = SOCKET.len() + 21;
    let (mut folder, mut found): (ProcPath, _) = (directory(pid), false);
    file::for_each_name(folder.push(b"/fd").as_c_str()?, &mut |_, name| {
        if found || parse_decimal(name).is_none() {
            return;
        }
        let mut path: ProcPath = directory(pid);
        path.push(b"/fd/").push(name);
        let mut room = [0; LONGEST];
        let target = path.as_c_str().and_then(|path| file::link_target(path, &mut room)).ok();
        found =
            target.and_then(|target| parse_decimal(target.strip_prefix(SOCKET)?.strip_suffix(b"]")?)) == Some(inode);
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
    procfs::for_each_process(&mut |pid| {
        if let Ok(stat) = stat(pid) {
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
///
/// `/proc` shows a thread by its number as well, which is another process's when the thread has ended. waitid(2) knows processes alone.
pub(super) fn is_child(pid: Pid) -> bool {
    let is_process = process::peek(pid, false).is_ok();
    is_process && stat(pid).is_ok_and(|stat| stat.parent == process::id() && !stat.has_ended())
}

/// The child of this process that was made first and is alive.
pub(super) fn oldest_child() -> Option<Pid> {
    let mut oldest: Option<(u64, Pid)> = None;
    let listed = for_each_child(process::id(), &mut |child| {
        let alive = stat(child).ok().filter(|stat| !stat.has_ended());
        if let Some(stat) = alive.filter(|stat| oldest.is_none_or(|oldest| (stat.start, child) < oldest)) {
            oldest = Some((stat.start, child));
        }
    });
    listed.ok().and(oldest.map(|(_, child)| child))
}

#[cfg(test)]
mod tests {
    use super::{for_each_child, oldest_child, scan_for_children, stat};
    use crate::sys::process::{self, Pid};

    #[test]
    #[cfg_attr(miri, ignore = "processes")]
    fn children_are_found_with_and_without_lists() -> std::io::Result<()> {
        // Ends with this test.
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn()?;
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
