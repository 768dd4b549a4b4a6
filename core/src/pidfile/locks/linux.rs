//! The same on Linux.

use super::{Hold, Search};
use crate::helper;
use crate::procfs::{
    ProcPath, Stat, decimal, field_number, fields, for_each_process, has_left_session, path, read, real_user,
    sees_every_process, stat, words,
};
use crate::sys::file::{self, Identity, Status};
use crate::sys::line_reader::LineReader;
use crate::sys::parse_decimal;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Pid};
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, identity, memory};
use std::cell::Cell;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// The file whose lock is looked for, by one query.
pub(in crate::pidfile) struct LockedFile {
    descriptor: RawFd,
    identity: Identity,
    /// When the query stops looking at processes.
    deadline: Cell<Deadline>,
    /// What is read below, once it was needed.
    mounted: Cell<Option<Option<Mounted>>>,
    kernel: Cell<Option<Option<LockTarget>>>,
}

/// The mount that a file was opened on, and its inode as the kernel numbers it, where that is said (since Linux 5.14).
#[derive(Clone, Copy)]
struct Mounted {
    mount: u64,
    inode: Option<u64>,
}

/// Device and inode as the kernel names them in lock lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LockTarget {
    major: u64,
    minor: u64,
    inode: u64,
}

impl LockedFile {
    pub(in crate::pidfile) fn new(descriptor: RawFd, status: &Status) -> Self {
        Self {
            descriptor,
            identity: status.identity,
            deadline: Cell::new(Deadline::after(Some(SEARCH))),
            mounted: Cell::new(None),
            kernel: Cell::new(None),
        }
    }

    pub(in crate::pidfile) fn deadline(&self) -> Deadline {
        self.deadline.get()
    }

    /// Grants the query its whole time again: it has waited for something else.
    pub(in crate::pidfile) fn restart_deadline(&self) {
        self.deadline.set(Deadline::after(Some(SEARCH)));
    }

    fn is(&self, target: LockTarget) -> bool {
        let device = self.identity.device as libc::dev_t;
        #[allow(clippy::useless_conversion, reason = "their type is the C library's choice")]
        let (major, minor) = (u64::from(libc::major(device)), u64::from(libc::minor(device)));
        if target == (LockTarget { major, minor, inode: self.identity.inode }) {
            return true;
        }
        let kernel = self.kernel.get().unwrap_or_else(|| self.kernel_target());
        self.kernel.set(Some(kernel));
        kernel == Some(target)
    }

    /// What its descriptor tells. In a child that has closed the descriptor, what it has told before.
    fn mounted(&self) -> Option<Mounted> {
        let mounted = self.mounted.get().unwrap_or_else(|| {
            let mut room = [0; 4096];
            let path = path(&[b"self/fdinfo/", decimal(i64::from(self.descriptor)).as_bytes()]);
            let info = file::read_at_once(path.as_c_str().ok()?, &mut room).ok()?;
            Some(Mounted { mount: field_number(info, b"mnt_id:")?, inode: field_number(info, b"ino:") })
        });
        self.mounted.set(Some(mounted));
        mounted
    }

    /// btrfs and overlayfs give stat(2) another device than the one in lock lines, which mountinfo has.
    fn kernel_target(&self) -> Option<LockTarget> {
        let mounted = self.mounted()?;
        let (major, minor) = device_of_mount(mounted.mount)?;
        Some(LockTarget { major, minor, inode: mounted.inode.unwrap_or(self.identity.inode) })
    }
}

/// From lines such as `36 35 98:0 / /mnt rw …` of mountinfo.
fn device_of_mount(mount: u64) -> Option<(u64, u64)> {
    let list = file::open(c"/proc/self/mountinfo", libc::O_RDONLY, 0).ok()?;
    let mut room = [0; 4096];
    let mut lines = LineReader::new(&mut room);
    let mut found = None;
    let mut each = |line: &[u8], _| {
        let mut words = words(line);
        if words.next().and_then(parse_decimal) == Some(mount) && found.is_none() {
            let mut device = words.nth(1).unwrap_or_default().split(|&byte| byte == b':').map(parse_decimal);
            found = device.next().flatten().zip(device.next().flatten());
        }
    };
    while lines.read(list.as_raw_fd(), &mut each).ok()? {}
    found
}

/// `number` for another base, up to 16.
fn number_to_base(bytes: &[u8], base: u64) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, &byte| {
        let digit = char::from(byte).to_digit(16).map(u64::from).filter(|digit| *digit < base)?;
        number.checked_mul(base)?.checked_add(digit)
    })
}

/// What an exclusive flock is on, and the PID of the process that took it, from a line such as
/// `1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF`. The PID is 0 where that process has no number here.
fn exclusive_flock(line: &[u8]) -> Option<(Pid, LockTarget)> {
    let mut words = words(line).skip(1);
    let kind = (words.next()?, words.nth(1)?);
    if kind != (&b"FLOCK"[..], &b"WRITE"[..]) {
        return None;
    }
    let pid = parse_decimal(words.next()?).and_then(|pid| Pid::try_from(pid).ok())?;
    let mut target = words.next()?.split(|&byte| byte == b':');
    let (major, minor) = (number_to_base(target.next()?, 16)?, number_to_base(target.next()?, 16)?);
    Some((pid, LockTarget { major, minor, inode: parse_decimal(target.next()?)? }))
}

/// The process that took the lock, whichever process holds it now, from `/proc/locks`.
fn locker(wanted: &LockedFile) -> Option<Pid> {
    let list = file::open(c"/proc/locks", libc::O_RDONLY, 0).ok()?;
    let mut room = [0; 4096];
    let mut lines = LineReader::new(&mut room);
    let mut found = None;
    let mut each = |line: &[u8], _| {
        found = found.or(exclusive_flock(line).filter(|(_, target)| wanted.is(*target)).map(|(pid, _)| pid));
    };
    while lines.read(list.as_raw_fd(), &mut each).ok()? {}
    found
}

/// The same where it is a process of a user who does not start daemons for the caller.
fn stranger(wanted: &LockedFile) -> Option<Pid> {
    locker(wanted).filter(|&pid| real_user(pid).is_some_and(|user| !starts(user)))
}

/// Whether a process of such a user has taken the lock, as far as `/proc/locks` tells: it names a process that may have ended.
pub(in crate::pidfile) fn is_strangers(wanted: &LockedFile) -> bool {
    stranger(wanted).is_some()
}

/// How an open file description holds the lock, from its `fdinfo`.
fn hold_in(info: &[u8], wanted: &LockedFile) -> Hold {
    if !fields(info, b"lock:").filter_map(exclusive_flock).any(|(_, target)| wanted.is(target)) {
        return Hold::None;
    }
    let flags = fields(info, b"flags:").next().and_then(|flags| words(flags).next());
    let flags = flags.and_then(|flags| number_to_base(flags, 8)).and_then(|flags| libc::c_int::try_from(flags).ok());
    match flags {
        Some(flags) if flags & libc::O_ACCMODE != libc::O_RDONLY => Hold::Writer,
        Some(flags) if flags & libc::O_NOATIME != 0 => Hold::Owner,
        _ => Hold::Reader,
    }
}

/// How `pid` holds the lock. The `lock:` lines of `/proc/PID/fdinfo` are those of its open file descriptions, whichever
/// process took the lock.
///
/// A process of another user's, which a daemon is that gave up its privileges, can delay the look: a child takes it, which costs tens of
/// microseconds, and more in a large process.
pub(in crate::pidfile) fn hold(pid: Pid, wanted: &LockedFile) -> Hold {
    const PATIENCE: Duration = Duration::from_secs(1);
    if pid == process::id() || may_start(pid) {
        return look(pid, wanted);
    }
    let patience = wanted.deadline().remaining().map_or(PATIENCE, |remaining| remaining.min(PATIENCE));
    if patience.is_zero() {
        return Hold::Delayed;
    }
    wanted.mounted();
    match helper::look_at(pid, patience, |pid| look(pid, wanted) as u8) {
        Ok(said) => Hold::from_number(said).unwrap_or(Hold::Unknown),
        Err(Errno::ETIMEDOUT) => Hold::Delayed,
        Err(_) => Hold::Unknown,
    }
}

/// What a child finds of a process.
#[derive(Clone, Copy)]
struct Found {
    hold: Hold,
    has_left_session: bool,
    /// Whether it is the monitor (`monitor/`) of the program whose pid file this is, if it holds the lock as the owner does.
    may_be_monitor: bool,
}

impl Found {
    const LEFT: u8 = 1 << 6;
    const MONITOR: u8 = 1 << 7;

    fn of(pid: Pid, wanted: &LockedFile) -> u8 {
        let hold = look(pid, wanted);
        if hold == Hold::None {
            return hold as u8;
        }
        let flag = |flag, is_set| if is_set { flag } else { 0 };
        hold as u8 | flag(Self::LEFT, has_left_session(pid)) | flag(Self::MONITOR, may_be_monitor(pid))
    }

    fn from_number(number: u8) -> Option<Self> {
        let hold = Hold::from_number(number & !(Self::LEFT | Self::MONITOR))?;
        let (left, monitor) = (number & Self::LEFT != 0, number & Self::MONITOR != 0);
        Some(Self { hold, has_left_session: left, may_be_monitor: monitor })
    }
}

/// Looks at all processes that `are_wanted`, for `each`, which says whether to go on. False where not all of them were looked at in time. All
/// that is read of a process is read in a child.
fn search(wanted: &LockedFile, are_wanted: impl Fn(Pid) -> bool, each: &mut dyn FnMut(Pid, Found) -> bool) -> bool {
    let (mut all, mut is_complete) = (Vec::new(), true);
    let listed = for_each_process(&mut |pid| is_complete = memory::push(&mut all, pid).is_ok() && is_complete);
    wanted.mounted();
    let unknown = Found { hold: Hold::Unknown, has_left_session: false, may_be_monitor: false };
    let look = |pid| match () {
        () if !are_wanted(pid) => Hold::None as u8,
        () if helper::is_delayed_by(pid) => Hold::Delayed as u8,
        () => Found::of(pid, wanted),
    };
    let looked = helper::look_at_each(&all, wanted.deadline(), look, &mut |pid, said| {
        each(pid, said.and_then(Found::from_number).unwrap_or(unknown))
    });
    looked && is_complete && listed.is_ok()
}

/// What a look finds, in this very process. It may never end.
fn look(pid: Pid, wanted: &LockedFile) -> Hold {
    let own = decimal(i64::from(pid));
    let found = hold_below(&[own.as_bytes()], pid, wanted);
    // Descriptors are not shown of a main thread that has ended before the others.
    if found != Hold::None || !matches!(stat(pid), Ok(Some(stat)) if stat.has_other_threads_only()) {
        return found;
    }
    let mut found = Hold::None;
    let each = &mut |_, thread: &[u8]| {
        if found == Hold::None && parse_decimal(thread).is_some() {
            found = hold_below(&[own.as_bytes(), b"/task/", thread], pid, wanted);
        }
    };
    let tasks = path(&[own.as_bytes(), b"/task"]);
    let _: Sys<()> = tasks.as_c_str().and_then(|tasks| file::for_each_name(tasks, each));
    found
}

/// The strongest hold that a descriptor below `/proc/PLACE` gives. `fdinfo` is read only where the file is open, or may be.
fn hold_below(place: &[&[u8]], pid: Pid, wanted: &LockedFile) -> Hold {
    let mut found = Hold::None;
    let each = &mut |name: &[u8]| {
        let mut room = [0; 4096];
        let path = below(place, &[b"/fdinfo/", name]);
        let info = path.as_c_str().and_then(|path| file::read_at_once(path, &mut room));
        match info.map(|info| hold_in(info, wanted)) {
            Ok(Hold::None) | Err(_) => {}
            Ok(hold) => found = hold,
        }
        !found.is_privileged()
    };
    match for_each_open(place, wanted, each) {
        _ if found != Hold::None => found,
        Ok(()) => Hold::None,
        Err(Errno::ENOENT | Errno::ESRCH) if process::kill(pid, 0) == Err(Errno::ESRCH) => Hold::None,
        Err(Errno::ENOENT) if file::status_at(c"/proc/self").is_err() => Hold::NoProc,
        Err(_) => Hold::Hidden,
    }
}

/// The descriptors below `/proc/PLACE` that are open on the file, or may be. `each` says whether to go on.
///
/// # Errors
/// Not all of them could be looked at.
fn for_each_open(place: &[&[u8]], wanted: &LockedFile, each: &mut dyn FnMut(&[u8]) -> bool) -> Sys<()> {
    let deadline = Deadline::after(Some(SEARCH));
    let (mut seen, mut goes_on) = (Ok(()), true);
    let directory = below(place, &[b"/fd"]);
    file::for_each_name(directory.as_c_str()?, &mut |_, name| {
        if !goes_on || parse_decimal(name).is_none() {
            return;
        }
        let is_open =
            if deadline.passed() { Err(Errno::ETIMEDOUT) } else { leads_to(&below(place, &[b"/fd/", name]), wanted) };
        match is_open {
            Ok(true) => goes_on = each(name),
            Ok(false) | Err(Errno::ENOENT) => {}
            Err(errno) => seen = Err(errno),
        }
    })?;
    seen
}

/// Whether a link of `/proc/PID/fd` leads to the file. No file system is asked, which may take as long as its server likes.
fn leads_to(link: &ProcPath, wanted: &LockedFile) -> Sys<bool> {
    let link = link.as_c_str()?;
    match file::known_identity(link) {
        Ok(identity) => Ok(identity == wanted.identity),
        // There is no such call before Linux 4.11, and some sandboxes do not let it through. The names of other things have no slash.
        Err(_) => file::link_target(link, &mut [0; 1]).map(|target| target == b"/"),
    }
}

fn below(place: &[&[u8]], rest: &[&[u8]]) -> ProcPath {
    let mut path = path(place);
    rest.iter().for_each(|part| {
        path.push(part);
    });
    path
}

/// Whether this user may start daemons for the caller: root and the caller's own.
fn starts(user: identity::Uid) -> bool {
    user == 0 || user == identity::effective_user()
}

fn may_start(pid: Pid) -> bool {
    real_user(pid).is_some_and(starts)
}

fn may_be_monitor(pid: Pid) -> bool {
    let mut room = [0; 64];
    may_start(pid) && read(pid, b"comm", &mut room).is_ok_and(|name| name.starts_with(b"daemonctx: "))
}

/// The parent of `pid` if it is its monitor, and holds the lock for it.
pub(in crate::pidfile) fn monitor_of(pid: Pid, wanted: &LockedFile) -> Option<Process> {
    let parent = stat(pid).ok().flatten()?.parent;
    // Opened before it is looked at: its number may be another's soon.
    let process = Process::open(parent).ok()?;
    (may_be_monitor(parent) && hold(parent, wanted).is_privileged()).then_some(process)
}

/// Whether a descendant of `pid` holds the lock, or a member of its session where that is the daemon's: the session of a start
/// has lost its leader, and others have one that may have started anything in it.
pub(in crate::pidfile) fn related_holder(pid: Pid, wanted: &LockedFile) -> bool {
    const INIT: Pid = 1;
    let Ok(Some(own)) = stat(pid) else { return false };
    let owns_session = own.session == pid || has_left_session(pid);
    let is_child = |child: &mut Stat| {
        /// A chain of parents is read while it changes.
        const DEPTH: u32 = 32;
        for _ in 0..DEPTH {
            match child.parent {
                parent if parent == pid => return true,
                parent if parent <= INIT => return false,
                parent => match stat(parent) {
                    Ok(Some(next)) => *child = next,
                    _ => return false,
                },
            }
        }
        false
    };
    let is_related = |mut stat: Stat| owns_session && stat.session == own.session || is_child(&mut stat);
    let are_wanted = |other| other != pid && stat(other).ok().flatten().is_some_and(is_related);
    let mut found = false;
    search(wanted, are_wanted, &mut |_, one| {
        found = one.hold.is_privileged();
        !found
    });
    found
}

/// The processes that hold the lock as a daemon or a start does, as far as they are visible. The lock of one that leads its
/// session, or whose leader lives, may have been passed to it.
pub(in crate::pidfile) fn holders(wanted: &LockedFile) -> Vec<Pid> {
    let mut holders = Vec::new();
    search(wanted, |pid| may_start(pid) || has_left_session(pid), &mut |pid, one| {
        let counts = match one.hold {
            Hold::Writer => true,
            Hold::Owner => one.has_left_session || one.may_be_monitor,
            _ => false,
        };
        if counts {
            let _: Sys<()> = memory::push(&mut holders, pid);
        }
        true
    });
    holders
}

/// How long one query may look at processes, whatever others do, and at one process, however many descriptors it has open.
const SEARCH: Duration = Duration::from_secs(3);

/// Looks for the holder of a lock that is not the daemon's. A start is a process of root's or this user's that holds the
/// lock of a file which is still empty; or replaces the file of a dead daemon, for which it has it open for writing. What a
/// dead daemon has left holds the lock as the daemon did. Where every process is visible, a lock that none of them holds does not
/// count: its descriptor may be on its way through a socket. In another PID namespace it may be a daemon's outside.
pub(in crate::pidfile) fn find_holder(wanted: &LockedFile, is_empty: bool) -> Search {
    // Mostly it need not be searched for: the lock of a start, and so of a daemon, was taken by root or this user. The process
    // that took it may have ended and its number be another's, who does not have the lock.
    let stranger = stranger(wanted);
    let is_seen = |hold| !matches!(hold, Hold::None | Hold::Delayed | Hold::Unknown);
    if stranger.is_some_and(|pid| is_seen(hold(pid, wanted))) {
        return Search::NotFound;
    }
    let (mut found, mut is_complete) = (Search::NotFound, true);
    let looked = search(wanted, may_start, &mut |pid, one| {
        match one.hold {
            Hold::Writer => found = Search::Starter,
            Hold::Owner if is_empty || one.may_be_monitor => found = Search::Starter,
            Hold::Owner if one.has_left_session => found = Search::Remains(pid),
            Hold::Unknown | Hold::Delayed => is_complete = false,
            _ => {}
        }
        found != Search::Starter
    });
    match found {
        Search::NotFound if !is_complete || !looked => Search::Incomplete,
        Search::NotFound => find_other_remains(wanted, sees_every_process() || stranger.is_some()),
        found => found,
    }
}

/// The same among the processes of other users, which may have more descriptors than can be looked at: those are passed over.
/// Unless the lock `is_from_here` it may be that of a process which is not visible.
fn find_other_remains(wanted: &LockedFile, is_from_here: bool) -> Search {
    let sees_all = sees_every_process();
    let mut found = if is_from_here { Search::NotFound } else { Search::Incomplete };
    search(wanted, |pid| !(sees_all && may_start(pid)), &mut |pid, one| {
        match one.hold {
            Hold::Writer | Hold::Owner if one.has_left_session => found = Search::Remains(pid),
            Hold::Writer | Hold::Owner | Hold::Reader => found = Search::NotFound,
            Hold::None | Hold::Hidden | Hold::Delayed | Hold::Unknown | Hold::NoProc => {}
        }
        !matches!(found, Search::Remains(_))
    });
    found
}

#[cfg(test)]
mod tests {
    use super::{Deadline, Hold, LockedFile, exclusive_flock, hold_in};
    use crate::sys::file::Identity;
    use std::cell::Cell;

    const INFO: &[u8] =
        b"pos:\t0\nflags:\tFLAGS\nmnt_id:\t27\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n";

    fn info(flags: &str) -> Vec<u8> {
        String::from_utf8_lossy(INFO).replace("FLAGS", flags).into_bytes()
    }

    fn file(major: u32, minor: u32, inode: u64) -> LockedFile {
        #[allow(clippy::useless_conversion, reason = "its type is the C library's choice")]
        let device = u64::from(libc::makedev(major, minor));
        LockedFile {
            descriptor: -1,
            identity: Identity { device, inode },
            deadline: Cell::new(Deadline::after(None)),
            mounted: Cell::new(Some(None)),
            kernel: Cell::new(Some(None)),
        }
    }

    #[test]
    fn a_lock_counts_for_device_and_inode() {
        assert_eq!(hold_in(&info("0100002"), &file(0, 0x13, 11691)), Hold::Writer);
        assert_eq!(hold_in(&info("0100002"), &file(0, 0x13, 11692)), Hold::None);
        assert_eq!(hold_in(&info("0100002"), &file(0, 0x14, 11691)), Hold::None);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_reader_is_told_from_the_owner() {
        assert_eq!(hold_in(&info("03100000"), &file(0, 0x13, 11691)), Hold::Owner);
        assert_eq!(hold_in(&info("02100000"), &file(0, 0x13, 11691)), Hold::Reader);
        assert_eq!(hold_in(&info("nonsense"), &file(0, 0x13, 11691)), Hold::Reader);
    }

    #[test]
    fn only_exclusive_flocks_count() {
        assert!(exclusive_flock(b"\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF").is_some());
        assert!(exclusive_flock(b"\t1: FLOCK  ADVISORY  READ 359 00:13:11691 0 EOF").is_none());
        assert!(exclusive_flock(b"\t1: POSIX  ADVISORY  WRITE 359 00:13:11691 0 EOF").is_none());
    }
}
