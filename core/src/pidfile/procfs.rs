//! What `/proc` says about a process and its locks (proc(5)). Facts only: `assess.rs` decides what they prove.

#[cfg(target_os = "linux")]
pub(super) use linux::{
    LockedFile, Search, any_is_exiting, find_holder, has_left_session, hold, holders, is_exiting, is_monitored,
    is_number_elsewhere, number_in_own_namespace, related_holder, runs_only_as, stat,
};
#[cfg(target_os = "linux")]
pub(crate) use linux::{blocks, is_own, leads_background_job, name, real_user, runs_as};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{
    LockedFile, Search, any_is_exiting, find_holder, has_left_session, hold, holders, is_exiting, is_monitored,
    related_holder, stat,
};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{blocks, is_own, leads_background_job, name, real_user, runs_as};

/// How a process has an exclusive flock(2) on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "where there is no /proc, a lock counts whoever has it")
)]
pub(super) enum Hold {
    /// Through a writable open file description: it was opened by a process that may write the file.
    Writer,
    /// Through one with `O_NOATIME`, which only the file's owner and root can open (open(2)). Daemons inherit this one.
    Owner,
    /// Through one that every process which may read the file can open.
    Reader,
    /// Not at all.
    None,
    /// The process may not be looked at.
    Hidden,
    /// There is no `/proc`.
    NoProc,
}

#[cfg(target_os = "linux")]
impl Hold {
    /// Whether a process that can merely read the file could not have taken the lock.
    pub(super) fn is_privileged(self) -> bool {
        matches!(self, Self::Writer | Self::Owner)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Hold;
    use crate::line::Line;
    use crate::lines::Lines;
    use crate::pidfile::content::number;
    use crate::sys::directory;
    use crate::sys::file::{self, Identity, Status};
    use crate::sys::process::{self, Pid};
    use crate::sys::signal::Signal;
    use crate::sys::time::{self, Deadline};
    use crate::sys::{Errno, Sys, identity, memory};
    use crate::text::Text;
    use std::cell::Cell;
    use std::os::fd::{AsRawFd, RawFd};
    use std::time::Duration;

    fn path(parts: &[&[u8]]) -> Sys<Text> {
        let mut line = Line::new();
        line.push(b"/proc/");
        parts.iter().for_each(|part| {
            line.push(part);
        });
        Text::path(line.as_bytes())
    }

    fn decimal(number: i64) -> Line {
        let mut line = Line::new();
        line.push_number(number);
        line
    }

    fn read<'a>(pid: Pid, name: &[u8], room: &'a mut [u8]) -> Sys<&'a [u8]> {
        let path = path(&[decimal(i64::from(pid)).as_bytes(), b"/", name])?;
        file::read_small(path.as_c_str(), room)
    }

    fn words(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
        line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    }

    /// The lines that begin with `label`, without it.
    fn fields<'a>(text: &'a [u8], label: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        text.split(|&byte| byte == b'\n').filter_map(move |line| line.strip_prefix(label))
    }

    fn field_number(text: &[u8], label: &[u8]) -> Option<u64> {
        words(fields(text, label).next()?).next().and_then(number)
    }

    /// Whether `/proc` numbers processes as this process does; not where it was mounted in another PID namespace.
    pub(crate) fn is_own() -> bool {
        let mut room = [0; 16];
        let link = file::open(c"/proc/self", libc::O_PATH | libc::O_NOFOLLOW, 0);
        let target = link.and_then(|link| directory::read_link(&link, &mut room));
        match target {
            Ok(length) => room.get(..length) == Some(decimal(i64::from(process::id())).as_bytes()),
            // None at all: `Hold::NoProc` says so.
            Err(_) => true,
        }
    }

    /// Whether every process of the machine is visible: this is the initial PID namespace (`PROC_PID_INIT_INO`).
    fn sees_every_process() -> bool {
        const INITIAL: u64 = 0xEFFF_FFFC;
        file::status_behind(c"/proc/self/ns/pid").is_ok_and(|status| status.identity.inode == INITIAL)
    }

    /// Fields of `/proc/PID/stat`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::pidfile) struct Stat {
        state: u8,
        parent: Pid,
        group: Pid,
        session: Pid,
        /// The foreground process group of its terminal; 0 without one.
        foreground: Pid,
        flags: u64,
        threads: u64,
        /// Of signals 1 to 31.
        blocked: u64,
        /// When it began, since boot; also in clock ticks.
        pub(in crate::pidfile) began: Duration,
        pub(in crate::pidfile) ticks: u64,
    }

    impl Stat {
        /// A zombie. The main thread of a process may end before the others.
        pub(in crate::pidfile) fn has_ended(&self) -> bool {
            matches!(self.state, b'Z' | b'X') && self.threads <= 1
        }

        pub(in crate::pidfile) fn is_kernel_thread(&self) -> bool {
            const PF_KTHREAD: u64 = 0x0020_0000;
            self.flags & PF_KTHREAD != 0
        }

        /// Whether it is in exit(2): it gives up its descriptors before its locks, and those before it ends. A main thread that has
        /// ended alone does not count.
        fn is_exiting(&self) -> bool {
            const PF_EXITING: u64 = 4;
            self.flags & PF_EXITING != 0 && (self.state != b'Z' || self.threads <= 1)
        }

        /// The command in field 2 may hold anything, so fields are counted from its last parenthesis.
        fn parse(stat: &[u8]) -> Option<Self> {
            const STATE: usize = 3;
            let end = stat.iter().rposition(|&byte| byte == b')')?;
            let field = |place: usize| words(stat.get(end + 1..)?).nth(place - STATE);
            let pid = |place| field(place).and_then(number).and_then(|number| Pid::try_from(number).ok());
            let ticks = field(22).and_then(number)?;
            let per_second = time::ticks_per_second();
            let nanoseconds = (ticks % per_second).saturating_mul(1_000_000_000) / per_second;
            Some(Self {
                state: *field(STATE)?.first()?,
                parent: pid(4)?,
                group: pid(5)?,
                session: pid(6)?,
                foreground: pid(8).unwrap_or(0),
                flags: field(9).and_then(number)?,
                threads: field(20).and_then(number)?,
                blocked: field(32).and_then(number).unwrap_or(0),
                ticks,
                began: Duration::from_secs(ticks / per_second).saturating_add(Duration::from_nanos(nanoseconds)),
            })
        }
    }

    /// None where there is no such process.
    ///
    /// # Errors
    /// It cannot be known: no `/proc`, or the process is hidden (`hidepid`).
    pub(in crate::pidfile) fn stat(pid: Pid) -> Sys<Option<Stat>> {
        let mut room = [0; 1024];
        match read(pid, b"stat", &mut room) {
            Ok(stat) => Stat::parse(stat).map(Some).ok_or(Errno::EINVAL),
            Err(Errno::ENOENT | Errno::ESRCH) if process::kill(pid, 0) == Err(Errno::ESRCH) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The command's name, in 15 bytes at the most, and a newline; empty where there is no such process.
    pub(crate) fn name(pid: Pid, room: &mut [u8; 32]) -> &[u8] {
        read(pid, b"comm", room).unwrap_or_default()
    }

    /// Whether the main thread of `pid` has a signal below 32 blocked.
    pub(crate) fn blocks(pid: Pid, signal: Signal) -> bool {
        matches!(stat(pid), Ok(Some(stat)) if stat.blocked >> (signal - 1) & 1 != 0)
    }

    /// Whether this process leads a process group that is not the foreground job of a terminal.
    pub(crate) fn leads_background_job() -> bool {
        let this = process::id();
        matches!(stat(this), Ok(Some(own)) if own.group == this && own.foreground != this)
    }

    pub(in crate::pidfile) fn is_exiting(pid: Pid) -> bool {
        matches!(stat(pid), Ok(Some(stat)) if stat.is_exiting())
    }

    /// Whether a process is on its way from closing its descriptors to its end: it may have a lock that is not seen.
    pub(in crate::pidfile) fn any_is_exiting() -> bool {
        let mut found = false;
        let _: Sys<()> = for_each_process(&mut |pid| {
            found = found || matches!(stat(pid), Ok(Some(stat)) if stat.is_exiting() && !stat.has_ended());
        });
        found
    }

    fn user(pid: Pid, place: usize) -> Option<identity::Uid> {
        let mut room = [0; 4096];
        let status = read(pid, b"status", &mut room).ok()?;
        let uid = words(fields(status, b"Uid:").next()?).nth(place).and_then(number)?;
        identity::Uid::try_from(uid).ok()
    }

    /// Whom a process was started by; none where it is gone or hidden.
    pub(crate) fn real_user(pid: Pid) -> Option<identity::Uid> {
        user(pid, 0)
    }

    /// Whether `pid` runs as `user`, by real and effective id.
    pub(crate) fn runs_as(pid: Pid, wanted: identity::Uid) -> bool {
        runs_only_as(pid) == Some(wanted)
    }

    /// Whom `pid` runs as, where its real and effective id are the same.
    pub(in crate::pidfile) fn runs_only_as(pid: Pid) -> Option<identity::Uid> {
        user(pid, 0).filter(|real| user(pid, 1) == Some(*real))
    }

    /// The number that a process has in its own, innermost PID namespace.
    pub(in crate::pidfile) fn number_in_own_namespace(pid: Pid) -> Option<Pid> {
        let mut room = [0; 4096];
        let status = read(pid, b"status", &mut room).ok()?;
        let innermost = words(fields(status, b"NSpid:").next()?).next_back().and_then(number)?;
        Pid::try_from(innermost).ok()
    }

    /// Whether a process in another PID namespace calls itself `pid`, and runs as a user who may have written the file.
    pub(in crate::pidfile) fn is_number_elsewhere(pid: Pid, may_write: impl Fn(identity::Uid) -> bool) -> bool {
        let mut found = false;
        let listed = for_each_process(&mut |other| {
            let is_same = other != pid && number_in_own_namespace(other) == Some(pid);
            found = found || is_same && real_user(other).is_none_or(&may_write);
        });
        found || listed.is_err()
    }

    /// The file whose lock is looked for.
    pub(in crate::pidfile) struct LockedFile {
        descriptor: RawFd,
        identity: Identity,
        /// As the kernel names it, once that was needed.
        kernel: Cell<Option<Option<LockTarget>>>,
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
            Self { descriptor, identity: status.identity, kernel: Cell::new(None) }
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

        /// btrfs and overlayfs give stat(2) another device than the one in lock lines, which mountinfo has.
        fn kernel_target(&self) -> Option<LockTarget> {
            let mut room = [0; 4096];
            let path = path(&[b"self/fdinfo/", decimal(i64::from(self.descriptor)).as_bytes()]).ok()?;
            let info = file::read_small(path.as_c_str(), &mut room).ok()?;
            let (major, minor) = device_of_mount(field_number(info, b"mnt_id:")?)?;
            // The inode is said since Linux 5.14.
            Some(LockTarget { major, minor, inode: field_number(info, b"ino:").unwrap_or(self.identity.inode) })
        }
    }

    /// From lines such as `36 35 98:0 / /mnt rw …` of mountinfo.
    fn device_of_mount(mount: u64) -> Option<(u64, u64)> {
        let list = file::open(c"/proc/self/mountinfo", libc::O_RDONLY, 0).ok()?;
        let mut room = [0; 4096];
        let mut lines = Lines::new(&mut room);
        let mut found = None;
        let mut each = |line: &[u8], _| {
            let mut words = words(line);
            if words.next().and_then(number) == Some(mount) && found.is_none() {
                let mut device = words.nth(1).unwrap_or_default().split(|&byte| byte == b':').map(number);
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
        let pid = number(words.next()?).and_then(|pid| Pid::try_from(pid).ok())?;
        let mut target = words.next()?.split(|&byte| byte == b':');
        let (major, minor) = (number_to_base(target.next()?, 16)?, number_to_base(target.next()?, 16)?);
        Some((pid, LockTarget { major, minor, inode: number(target.next()?)? }))
    }

    /// The process that took the lock, whichever process holds it now, from `/proc/locks`.
    fn locker(wanted: &LockedFile) -> Option<Pid> {
        let list = file::open(c"/proc/locks", libc::O_RDONLY, 0).ok()?;
        let mut room = [0; 4096];
        let mut lines = Lines::new(&mut room);
        let mut found = None;
        let mut each = |line: &[u8], _| {
            found = found.or(exclusive_flock(line).filter(|(_, target)| wanted.is(*target)).map(|(pid, _)| pid));
        };
        while lines.read(list.as_raw_fd(), &mut each).ok()? {}
        found
    }

    /// How an open file description holds the lock, from its `fdinfo`.
    fn hold_in(info: &[u8], wanted: &LockedFile) -> Hold {
        if !fields(info, b"lock:").filter_map(exclusive_flock).any(|(_, target)| wanted.is(target)) {
            return Hold::None;
        }
        let flags = fields(info, b"flags:").next().and_then(|flags| words(flags).next());
        let flags =
            flags.and_then(|flags| number_to_base(flags, 8)).and_then(|flags| libc::c_int::try_from(flags).ok());
        match flags {
            Some(flags) if flags & libc::O_ACCMODE != libc::O_RDONLY => Hold::Writer,
            Some(flags) if flags & libc::O_NOATIME != 0 => Hold::Owner,
            _ => Hold::Reader,
        }
    }

    /// How `pid` holds the lock. The `lock:` lines of `/proc/PID/fdinfo` are those of its open file descriptions, whichever
    /// process took the lock.
    pub(in crate::pidfile) fn hold(pid: Pid, wanted: &LockedFile) -> Hold {
        let own = decimal(i64::from(pid));
        let found = hold_below(&[own.as_bytes()], pid, wanted);
        // Descriptors are not shown of a main thread that has ended before the others.
        if found != Hold::None || !matches!(stat(pid), Ok(Some(stat)) if stat.state == b'Z' && stat.threads > 1) {
            return found;
        }
        let Ok(tasks) = path(&[own.as_bytes(), b"/task"]) else { return Hold::Hidden };
        let mut found = Hold::None;
        let _: Sys<()> = file::for_each_name(tasks.as_c_str(), &mut |_, thread| {
            if found == Hold::None && number(thread).is_some() {
                found = hold_below(&[own.as_bytes(), b"/task/", thread], pid, wanted);
            }
        });
        found
    }

    /// The same by what is open below `/proc/PLACE`.
    fn hold_below(place: &[&[u8]], pid: Pid, wanted: &LockedFile) -> Hold {
        let below = |rest: &[&[u8]]| {
            let mut line = Line::new();
            line.push(b"/proc/");
            place.iter().chain(rest).for_each(|part| {
                line.push(part);
            });
            Text::path(line.as_bytes())
        };
        let Ok(directory) = below(&[b"/fdinfo"]) else { return Hold::Hidden };
        let deadline = Deadline::after(Some(SEARCH));
        let (mut found, mut refused) = (Hold::None, false);
        let each = |found: &mut Hold, refused: &mut bool, name: &[u8]| {
            let mut room = [0; 4096];
            if !below(&[b"/fd/", name]).is_ok_and(|link| is_file(&link)) {
                return;
            }
            let info = below(&[b"/fdinfo/", name]).and_then(|path| file::read_small(path.as_c_str(), &mut room));
            match info.map(|info| hold_in(info, wanted)) {
                Ok(Hold::None) => {}
                // The strongest one counts.
                Ok(hold) if !found.is_privileged() => *found = hold,
                Err(Errno::EACCES | Errno::EPERM) => *refused = true,
                _ => {}
            }
        };
        let listed = file::for_each_name(directory.as_c_str(), &mut |_, name| {
            if deadline.passed() {
                refused = true;
            } else if number(name).is_some() {
                each(&mut found, &mut refused, name);
            }
        });
        match (found, listed) {
            (Hold::None, Ok(())) if !refused => Hold::None,
            (Hold::None, Err(Errno::ENOENT | Errno::ESRCH)) if process::kill(pid, 0) == Err(Errno::ESRCH) => Hold::None,
            (Hold::None, Err(Errno::ENOENT)) if file::status_at(c"/proc/self").is_err() => Hold::NoProc,
            (Hold::None, _) => Hold::Hidden,
            (found, _) => found,
        }
    }

    /// Whether a descriptor is open on a file with a path, by its link below `/proc/PID/fd`: reading the link touches no file
    /// system. The `fdinfo` of others, of epoll(7) above all, can block for as long as their owner likes.
    fn is_file(link: &Text) -> bool {
        let mut room = [0; 16];
        let target = file::link_target(link.as_c_str(), &mut room);
        target.is_ok_and(|target| {
            target.starts_with(b"/") && (!target.starts_with(b"/dev/") || target.starts_with(b"/dev/shm/"))
        })
    }

    /// Whether this user may start daemons for the caller: root and the caller's own.
    fn starts(user: identity::Uid) -> bool {
        user == 0 || user == identity::effective_user()
    }

    fn may_start(pid: Pid) -> bool {
        real_user(pid).is_some_and(starts)
    }

    /// Whether `pid` is the monitor (`monitor/`) of the program whose pid file this is.
    fn is_monitor(pid: Pid, wanted: &LockedFile) -> bool {
        let mut room = [0; 64];
        let is_named = read(pid, b"comm", &mut room).is_ok_and(|name| name.starts_with(b"daemonctx: "));
        is_named && may_start(pid) && hold(pid, wanted).is_privileged()
    }

    /// Whether the parent of `pid` is its monitor, and holds the lock for it.
    pub(in crate::pidfile) fn is_monitored(pid: Pid, wanted: &LockedFile) -> bool {
        matches!(stat(pid), Ok(Some(stat)) if is_monitor(stat.parent, wanted))
    }

    fn for_each_process(each: &mut dyn FnMut(Pid)) -> Sys<()> {
        file::for_each_name(c"/proc", &mut |_, name| {
            if let Some(pid) = number(name).and_then(|pid| Pid::try_from(pid).ok()) {
                each(pid);
            }
        })
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
        let mut found = false;
        let deadline = Deadline::after(Some(SEARCH));
        let _: Sys<()> = for_each_process(&mut |other| {
            let Ok(Some(mut stat)) = stat(other) else { return };
            let related = owns_session && stat.session == own.session || is_child(&mut stat);
            found = found || related && other != pid && !deadline.passed() && hold(other, wanted).is_privileged();
        });
        found
    }

    /// The processes that hold the lock as a daemon or a start does, as far as they are visible. The lock of one that leads its
    /// session, or whose leader lives, may have been passed to it.
    pub(in crate::pidfile) fn holders(wanted: &LockedFile) -> Vec<Pid> {
        let mut found = Vec::new();
        let deadline = Deadline::after(Some(SEARCH));
        let _: Sys<()> = for_each_process(&mut |pid| {
            let counts = |hold| match hold {
                Hold::Writer => may_start(pid) || has_left_session(pid),
                Hold::Owner => has_left_session(pid) || is_monitor(pid, wanted),
                _ => false,
            };
            if !deadline.passed() && counts(hold(pid, wanted)) {
                let _: Sys<()> = memory::push(&mut found, pid);
            }
        });
        found
    }

    /// How long a search may take, however many descriptors others have open.
    const SEARCH: Duration = Duration::from_secs(2);

    /// What a search for the holder of a lock has found.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::pidfile) enum Search {
        /// A start under way.
        Starter,
        /// A process that has the lock from a daemon which has ended.
        Remains(Pid),
        /// No process whose lock counts.
        NotFound,
        /// The holder may be a process that is not visible from here.
        Incomplete,
    }

    /// Looks for the holder of a lock that is not the daemon's. A start is a process of root's or this user's that holds the
    /// lock of a file which is still empty; or replaces the file of a dead daemon, for which it has it open for writing. What a
    /// dead daemon has left holds the lock as the daemon did. Where every process is visible, a lock that none of them holds does not
    /// count: its descriptor may be on its way through a socket. In another PID namespace it may be a daemon's outside.
    pub(in crate::pidfile) fn find_holder(wanted: &LockedFile, is_empty: bool) -> Search {
        // Mostly it need not be searched for: the lock of a start, and so of a daemon, was taken by root or this user. The process
        // that took it may have ended and its number be another's, who does not have the lock.
        let stranger = locker(wanted).filter(|&pid| real_user(pid).is_some_and(|user| !starts(user)));
        if stranger.is_some_and(|pid| hold(pid, wanted) != Hold::None) {
            return Search::NotFound;
        }
        let deadline = Deadline::after(Some(SEARCH));
        let mut found = Search::NotFound;
        let listed = for_each_process(&mut |pid| {
            if found == Search::Starter || !may_start(pid) || deadline.passed() {
                return;
            }
            match hold(pid, wanted) {
                Hold::Writer => found = Search::Starter,
                Hold::Owner if is_empty || is_monitor(pid, wanted) => found = Search::Starter,
                Hold::Owner if has_left_session(pid) => found = Search::Remains(pid),
                _ => {}
            }
        });
        let is_complete = listed.is_ok() && !deadline.passed();
        match found {
            Search::NotFound if !is_complete => Search::Incomplete,
            Search::NotFound => find_other_remains(wanted, sees_every_process() || stranger.is_some()),
            found => found,
        }
    }

    /// The same among the processes of other users, which may have more descriptors than can be looked at: those are passed over.
    /// Unless the lock `is_from_here` it may be that of a process which is not visible.
    fn find_other_remains(wanted: &LockedFile, is_from_here: bool) -> Search {
        let deadline = Deadline::after(Some(SEARCH));
        let sees_all = sees_every_process();
        let mut found = if is_from_here { Search::NotFound } else { Search::Incomplete };
        let _: Sys<()> = for_each_process(&mut |pid| {
            if matches!(found, Search::Remains(_)) || deadline.passed() || sees_all && may_start(pid) {
                return;
            }
            found = match hold(pid, wanted) {
                Hold::Writer | Hold::Owner if has_left_session(pid) => Search::Remains(pid),
                Hold::Writer | Hold::Owner | Hold::Reader => Search::NotFound,
                Hold::None | Hold::Hidden | Hold::NoProc => return,
            };
        });
        found
    }

    /// Whether the session of `pid` has lost its leader, as that of a start has. The lock's descriptor may have been passed to
    /// any process, but few others are in such a session.
    pub(in crate::pidfile) fn has_left_session(pid: Pid) -> bool {
        matches!(stat(pid), Ok(Some(own)) if own.session > 1 && matches!(stat(own.session), Ok(None)))
    }

    #[cfg(test)]
    mod tests {
        use super::{Hold, LockedFile, Stat, exclusive_flock, hold_in, time};
        use crate::sys::file::Identity;
        use std::cell::Cell;
        use std::time::Duration;

        #[test]
        #[cfg_attr(miri, ignore = "sysconf(_SC_CLK_TCK)")]
        fn a_command_cannot_forge_the_fields() {
            let stat = b"7 (a) Z 1) S 5 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 250 1 1\n";
            let began = Duration::from_millis(250_000 / time::ticks_per_second());
            assert_eq!(
                Stat::parse(stat),
                Some(Stat {
                    state: b'S',
                    parent: 5,
                    group: 6,
                    session: 7,
                    foreground: 0,
                    flags: 4_194_560,
                    threads: 1,
                    blocked: 0,
                    began,
                    ticks: 250
                })
            );
        }

        const INFO: &[u8] =
            b"pos:\t0\nflags:\tFLAGS\nmnt_id:\t27\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n";

        fn info(flags: &str) -> Vec<u8> {
            String::from_utf8_lossy(INFO).replace("FLAGS", flags).into_bytes()
        }

        fn file(major: u32, minor: u32, inode: u64) -> LockedFile {
            #[allow(clippy::useless_conversion, reason = "its type is the C library's choice")]
            let device = u64::from(libc::makedev(major, minor));
            LockedFile { descriptor: -1, identity: Identity { device, inode }, kernel: Cell::new(Some(None)) }
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
}

/// Systems without a `/proc` that is known: a lock counts, whichever process holds it.
#[cfg(not(target_os = "linux"))]
mod portable {
    use super::Hold;
    use crate::sys::file::Status;
    use crate::sys::identity::Uid;
    use crate::sys::process::Pid;
    use crate::sys::signal::Signal;
    use crate::sys::{Errno, Sys};
    use std::os::fd::RawFd;

    pub(in crate::pidfile) struct LockedFile;

    impl LockedFile {
        pub(in crate::pidfile) fn new(_descriptor: RawFd, _status: &Status) -> Self {
            Self
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::pidfile) enum Search {
        #[allow(dead_code, reason = "nothing is found where nothing can be looked at")]
        Starter,
        #[allow(dead_code, reason = "as above")]
        Remains(Pid),
        #[allow(dead_code, reason = "as above")]
        NotFound,
        Incomplete,
    }

    pub(in crate::pidfile) struct Stat {
        pub(in crate::pidfile) ticks: u64,
    }

    impl Stat {
        pub(in crate::pidfile) fn has_ended(&self) -> bool {
            true
        }
    }

    pub(in crate::pidfile) fn stat(_pid: Pid) -> Sys<Option<Stat>> {
        Err(Errno::ENOSYS)
    }

    pub(crate) fn is_own() -> bool {
        true
    }

    pub(in crate::pidfile) fn hold(_pid: Pid, _wanted: &LockedFile) -> Hold {
        Hold::NoProc
    }

    pub(in crate::pidfile) fn is_monitored(_pid: Pid, _wanted: &LockedFile) -> bool {
        false
    }

    pub(in crate::pidfile) fn holders(_wanted: &LockedFile) -> Vec<Pid> {
        Vec::new()
    }

    pub(in crate::pidfile) fn is_exiting(_pid: Pid) -> bool {
        false
    }

    pub(in crate::pidfile) fn any_is_exiting() -> bool {
        false
    }

    pub(in crate::pidfile) fn has_left_session(_pid: Pid) -> bool {
        true
    }

    pub(in crate::pidfile) fn related_holder(_pid: Pid, _wanted: &LockedFile) -> bool {
        false
    }

    pub(in crate::pidfile) fn find_holder(_wanted: &LockedFile, _is_empty: bool) -> Search {
        Search::Incomplete
    }

    /// Processes cannot be looked at.
    pub(crate) fn name(_pid: Pid, _room: &mut [u8; 32]) -> &[u8] {
        &[]
    }

    pub(crate) fn blocks(_pid: Pid, _signal: Signal) -> bool {
        false
    }

    pub(crate) fn leads_background_job() -> bool {
        false
    }

    pub(crate) fn real_user(_pid: Pid) -> Option<Uid> {
        None
    }

    pub(crate) fn runs_as(_pid: Pid, _user: Uid) -> bool {
        false
    }
}
