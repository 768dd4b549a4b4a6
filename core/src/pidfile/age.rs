//! Whether a process has been running since before a pid file was written.
//!
//! This is all there is to go by for programs that do not lock their file: a process that was given a reused PID began
//! later. It proves something only where nobody but root and the caller can have written the file, or put it there.

use crate::sys::process::Pid;

/// What the times of a process and of a pid file prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "other systems do not tell when a process began"))]
pub(super) enum Age {
    /// The process began before the file was written.
    Older,
    /// The process began later, or has ended.
    Younger,
    /// Nothing, for this reason.
    Unknown(&'static str),
}

/// Other systems do not tell when a process began.
#[cfg(not(target_os = "linux"))]
pub(super) fn compare(
    _pid: Pid,
    _path: &crate::sys::c_buf::CBuf,
    _file: &crate::sys::file::Status,
    _by_itself: bool,
    _deadline: crate::sys::time::Deadline,
) -> Age {
    Age::Unknown("this system does not tell when it began")
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_younger(_pid: Pid, _file: &crate::sys::file::Status) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(super) fn doubt_about_number(
    _pid: Pid,
    _path: &crate::sys::c_buf::CBuf,
    _file: &crate::sys::file::Status,
) -> Option<&'static str> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn doubt_about_owner(_pid: Pid, _file: &crate::sys::file::Status) -> Option<&'static str> {
    None
}

#[cfg(target_os = "linux")]
pub(super) use linux::{compare, doubt_about_number, doubt_about_owner, is_younger};

#[cfg(target_os = "linux")]
mod linux {
    use super::{Age, Pid};
    use crate::procfs::{self, Stat};
    use crate::sys::c_buf::CBuf;
    use crate::sys::directory::Directory;
    use crate::sys::file::{self, Status};
    use crate::sys::time::{self, Deadline, nanoseconds};
    use crate::sys::{Sys, identity};
    use std::time::Duration;

    const OTHERS_FILE: &str = "the pid file belongs to another user";

    /// Start times are cut to ticks of 10 ms, file times to the kernel's own tick.
    const SLACK: Duration = Duration::from_millis(20);

    /// Whether `pid` runs and certainly began after the file was written.
    pub(in crate::pidfile) fn is_younger(pid: Pid, file: &Status) -> bool {
        let Ok(Some(stat)) = procfs::stat(pid) else { return false };
        !stat.has_ended() && by_start(&stat, file) == Age::Younger
    }

    fn by_times(pid: Pid, file: &Status) -> Age {
        match procfs::stat(pid) {
            Ok(Some(stat)) if !stat.has_ended() && !stat.is_kernel_thread() => by_start(&stat, file),
            Ok(_) => Age::Younger,
            Err(_) => Age::Unknown("/proc does not show it"),
        }
    }

    fn by_start(stat: &Stat, file: &Status) -> Age {
        let clocks = Clocks::read();
        clocks.compare(nanoseconds(stat.began()), nanoseconds(file.modified), || clocks.boot_before())
    }

    /// Compares `pid` with the file that is open, and was found at `path`. With `by_itself` the file, or its directory, may be the
    /// process's own user's: that user says something about himself alone then. `deadline` bounds the look at other processes.
    pub(in crate::pidfile) fn compare(
        pid: Pid,
        path: &CBuf,
        file: &Status,
        by_itself: bool,
        deadline: Deadline,
    ) -> Age {
        let age = by_times(pid, file);
        // By a false date others can at the most hide the daemon, as by removing the file.
        if age != Age::Older {
            return age;
        }
        let own = Some(file.owner).filter(|owner| by_itself && procfs::runs_as(pid, *owner));
        let writers = Writers { own };
        if let Some(why) = writers.untrusted(path, file) {
            return Age::Unknown(why);
        }
        if procfs::number_in_own_namespace(pid) != Some(pid) {
            return Age::Unknown("it belongs to another PID namespace");
        }
        if procfs::is_number_elsewhere(pid, deadline, |user| writers.has(user)) {
            return Age::Unknown("a process of another PID namespace has the same PID");
        }
        age
    }

    /// The clock that files are stamped with, in nanoseconds. Differences of whole numbers: the sum of two `Duration`s can panic,
    /// as far as a compiler for 32 bits sees.
    #[derive(Clone, Copy, Debug)]
    struct Clocks {
        /// Since boot, as the start times of processes are counted.
        uptime: u64,
        /// The time of the boot by the present clock.
        boot: u64,
    }

    impl Clocks {
        fn read() -> Self {
            let uptime = nanoseconds(time::since_boot());
            Self { uptime, boot: nanoseconds(time::realtime()).saturating_sub(uptime) }
        }

        /// The time of the boot by the clock when `/proc` was mounted: it differs where the clock has been set.
        fn boot_before(self) -> u64 {
            const INIT: Pid = 1;
            let mounted = file::status_at(c"/proc").map(|status| nanoseconds(status.modified));
            // Init begins when its /proc is mounted, in a container as well.
            let init = procfs::stat(INIT).ok().flatten().map(|stat| nanoseconds(stat.began()));
            mounted.ok().zip(init).map_or(self.boot, |(mounted, init)| mounted.saturating_sub(init))
        }

        /// Compares a process that began so long after boot with a file that was written then.
        fn compare(self, began: u64, written: u64, boot_before: impl Fn() -> u64) -> Age {
            let began = began.saturating_sub(nanoseconds(SLACK));
            let was_written_since = |boot: u64| {
                let end = boot.saturating_add(self.uptime).saturating_add(nanoseconds(SLACK));
                (boot.saturating_add(began)..=end).contains(&written)
            };
            if was_written_since(self.boot) {
                Age::Older
            } else if written > self.boot.saturating_add(self.uptime) {
                Age::Unknown("the pid file is dated in the future")
            } else if was_written_since(boot_before()) {
                Age::Unknown("the clock was set after the pid file was written")
            } else {
                Age::Younger
            }
        }
    }

    /// The same of a lock that only the file's owner can have taken: it may have been passed to `pid`. The owner says something about
    /// root, the caller and himself alone.
    pub(in crate::pidfile) fn doubt_about_owner(pid: Pid, file: &Status) -> Option<&'static str> {
        let is_trusted = Writers { own: None }.has(file.owner) || procfs::runs_as(pid, file.owner);
        (!is_trusted).then_some(OTHERS_FILE)
    }

    /// Why the number in the file is not believed, though its process has the lock by a writable descriptor: another user may have
    /// written the number, locked a file of root's that he has as his log, and passed the descriptor. What the process's own user
    /// can write says something about that user alone.
    pub(in crate::pidfile) fn doubt_about_number(pid: Pid, path: &CBuf, file: &Status) -> Option<&'static str> {
        (Writers { own: procfs::runs_only_as(pid) }).untrusted(path, file)
    }

    /// Who may write a file that is believed: root, the caller, and this user.
    #[derive(Clone, Copy, Debug)]
    struct Writers {
        own: Option<identity::Uid>,
    }

    impl Writers {
        fn has(self, owner: identity::Uid) -> bool {
            owner == 0 || owner == identity::effective_user() || self.own == Some(owner)
        }

        /// Whether nobody else can write what `status` is of.
        fn are_all_of(self, status: &Status) -> bool {
            self.has(status.owner) && !status.is_writable_by_others()
        }

        fn untrusted(self, path: &CBuf, file: &Status) -> Option<&'static str> {
            if !self.has(file.owner) {
                return Some(OTHERS_FILE);
            }
            if file.is_writable_by_others() {
                return Some("its group or all users can write the pid file");
            }
            match self.are_all_above(path, file) {
                Ok(true) => None,
                _ => Some("other users own or can write a directory above the pid file"),
            }
        }

        /// Whether the directory that has the file under this name, and those above it, are these users' alone. Above it a
        /// sticky directory will do: there nobody can rename what belongs to another.
        fn are_all_above(self, path: &CBuf, file: &Status) -> Sys<bool> {
            /// More than any path has.
            const DEPTH: u32 = 2048;
            let name = path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let mut directory = Directory::open_at(path.parent()?.as_c_str())?;
            let mut status = directory.status()?;
            let is_here = directory.status_at(CBuf::path(name)?.as_c_str())?.identity == file.identity;
            if !is_here || !self.are_all_of(&status) {
                return Ok(false);
            }
            for _ in 0..DEPTH {
                directory = directory.enter(c"..")?;
                let above = directory.status()?;
                if above.identity == status.identity {
                    return Ok(true);
                }
                let is_sticky = above.mode & libc::S_ISVTX != 0;
                if !(self.are_all_of(&above) || is_sticky && self.has(above.owner)) {
                    return Ok(false);
                }
                status = above;
            }
            Ok(false)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{Age, Clocks, SLACK, nanoseconds};

        const SECOND: u64 = 1_000_000_000;
        const BOOT: u64 = 50_000 * SECOND;

        fn compare(began: u64, written: u64, boot_before: u64) -> Age {
            Clocks { uptime: 1000 * SECOND, boot: BOOT }.compare(began, written, || boot_before)
        }

        fn is_unknown(age: Age) -> bool {
            matches!(age, Age::Unknown(_))
        }

        #[test]
        fn a_file_that_was_written_during_the_life_of_the_process() {
            assert_eq!(compare(100 * SECOND, 50_100 * SECOND, BOOT), Age::Older);
            assert_eq!(compare(100 * SECOND, 51_000 * SECOND, BOOT), Age::Older);
            assert_eq!(compare(100 * SECOND, 50_100 * SECOND - nanoseconds(SLACK), BOOT), Age::Older);
        }

        #[test]
        fn a_file_that_was_written_before() {
            assert_eq!(compare(100 * SECOND, 50_099 * SECOND, BOOT), Age::Younger);
            assert_eq!(compare(100 * SECOND, 0, BOOT), Age::Younger, "before the boot");
        }

        #[test]
        fn a_file_of_the_future_proves_nothing() {
            assert!(is_unknown(compare(100 * SECOND, 51_001 * SECOND, BOOT)));
        }

        #[test]
        fn a_clock_that_was_set_proves_nothing() {
            assert!(is_unknown(compare(100 * SECOND, 100 * SECOND, 0)));
            assert_eq!(compare(100 * SECOND, 99 * SECOND, 0), Age::Younger);
            assert_eq!(compare(100 * SECOND, 1001 * SECOND, 0), Age::Younger, "later than now by that clock");
            assert_eq!(compare(100 * SECOND, 50_100 * SECOND, 0), Age::Older);
        }
    }
}
