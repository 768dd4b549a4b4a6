//! Whether a process is the one that a pid file means, beyond having the number that is written there.

use crate::sys::file::Status;
use crate::sys::process::Pid;

/// What proves that a pid file's daemon lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// The lock that it holds.
    Lock,
    /// Having begun before the file was written.
    Age,
    /// The lock; where there is none, its age.
    Either,
}

/// What could be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// The system does not say: no `/proc`, or no right to look.
    Unknown,
}

/// Whether `pid` surely belongs to `user`, by real and effective id.
pub(crate) fn runs_as(pid: Pid, user: u32) -> bool {
    belongs_to(pid, user) == Answer::Yes
}

#[cfg(target_os = "linux")]
pub(super) use linux::{began_before, belongs_to, holds};

#[cfg(target_os = "linux")]
mod linux {
    use super::{Answer, Pid, Status};
    use crate::line::Line;
    use crate::pidfile::content::number;
    use crate::sys::Errno;
    use crate::sys::time::{self, nanoseconds};
    use crate::sys::{Sys, file, process};
    use crate::text::{Text, c_text};
    use std::time::Duration;

    fn below_proc(pid: Pid, rest: &[u8]) -> Sys<Text> {
        let mut line = Line::new();
        line.push(b"/proc/").push_number(i64::from(pid)).push(rest);
        Text::path(line.as_bytes())
    }

    /// Whether `pid` has an flock on this file: the `lock:` lines of its `fdinfo` (proc(5)) are its own, whoever forked it.
    pub(in crate::pidfile) fn holds(pid: Pid, wanted: &Status) -> Answer {
        let Ok(directory) = below_proc(pid, b"/fdinfo") else { return Answer::Unknown };
        let mut found = false;
        let mut refused = false;
        let mut each = |name: &[u8]| {
            let mut path = Line::new();
            path.push(b"/proc/").push_number(i64::from(pid)).push(b"/fdinfo/").push(name);
            let mut room = [0; 4096];
            match Text::path(path.as_bytes()).and_then(|path| file::read_small(path.as_c_str(), &mut room).map(locks)) {
                Ok(inode) => found |= inode == Some(wanted.identity.inode),
                Err(Errno::EACCES | Errno::EPERM) => refused = true,
                Err(_) => {}
            }
        };
        let listed = file::for_each_name(directory.as_c_str(), &mut |_, name| {
            if number(name).is_some() {
                each(name);
            }
        });
        match (found, listed) {
            (true, _) => Answer::Yes,
            (false, Ok(())) if !refused => Answer::No,
            // Mounted with `hidepid=2`, /proc has nothing of another user's process, though it lives.
            (false, Err(Errno::ENOENT | Errno::ESRCH)) if process::kill(pid, 0) == Err(Errno::ESRCH) => Answer::No,
            (false, _) => Answer::Unknown,
        }
    }

    fn proc_is_there() -> bool {
        file::status_at(c_text!("/proc/self")).is_ok()
    }

    /// The inode that an `fdinfo` says this descriptor holds an exclusive flock on, from a line like
    /// `lock: 1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF`.
    fn locks(fdinfo: &[u8]) -> Option<u64> {
        let line = fdinfo.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"lock:"))?;
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.find(|word| *word == b"FLOCK")?;
        words.find(|word| *word == b"WRITE")?;
        let file = words.nth(1)?;
        number(file.rsplit(|&byte| byte == b':').next()?)
    }

    /// Whether `pid` has been running since before the file was last written, and is no zombie. A process that got a reused
    /// PID began later.
    pub(in crate::pidfile) fn began_before(pid: Pid, status: &Status) -> Answer {
        /// Start times are cut to ticks of 10 ms, file times to the kernel's own tick.
        const SLACK: u64 = 20_000_000;
        let mut room = [0; 1024];
        let Ok(path) = below_proc(pid, b"/stat") else { return Answer::Unknown };
        let stat = match file::read_small(path.as_c_str(), &mut room) {
            Ok(stat) => stat,
            Err(Errno::ENOENT | Errno::ESRCH) if proc_is_there() => return Answer::No,
            Err(_) => return Answer::Unknown,
        };
        let Some((state, began)) = state_and_start(stat) else { return Answer::Unknown };
        if matches!(state, b'Z' | b'X') {
            return Answer::No;
        }
        // In whole nanoseconds: the sum of two `Duration`s can panic, as far as a compiler for 32 bits sees.
        let age = nanoseconds(time::since_boot()).saturating_sub(nanoseconds(began));
        let began = nanoseconds(time::realtime()).saturating_sub(age);
        if began <= nanoseconds(status.modified).saturating_add(SLACK) { Answer::Yes } else { Answer::No }
    }

    /// Whether `pid` belongs to `user`, by real and effective id.
    pub(in crate::pidfile) fn belongs_to(pid: Pid, user: u32) -> Answer {
        let mut room = [0; 4096];
        let status = below_proc(pid, b"/status").and_then(|path| file::read_small(path.as_c_str(), &mut room));
        let Ok(status) = status else { return Answer::Unknown };
        let Some(line) = status.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"Uid:")) else {
            return Answer::Unknown;
        };
        let mut ids = line.split(u8::is_ascii_whitespace).filter_map(number);
        match (ids.next(), ids.next()) {
            (Some(real), Some(effective)) if real == u64::from(user) && effective == real => Answer::Yes,
            _ => Answer::No,
        }
    }

    /// Fields 3 and 22 of `/proc/PID/stat`; the command in field 2 may hold anything, so they are counted behind its last
    /// parenthesis.
    fn state_and_start(stat: &[u8]) -> Option<(u8, Duration)> {
        const STATE: usize = 3;
        const START: usize = 22;
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let mut words = stat.get(end + 1..)?.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let state = *words.next()?.first()?;
        let ticks = number(words.nth(START - STATE - 1)?)?;
        let per_second = time::ticks_per_second();
        let nanoseconds = (ticks % per_second).saturating_mul(1_000_000_000) / per_second;
        Some((state, Duration::from_secs(ticks / per_second).saturating_add(Duration::from_nanos(nanoseconds))))
    }

    #[cfg(test)]
    mod tests {
        use super::{locks, state_and_start};
        use std::time::Duration;

        #[test]
        #[cfg_attr(miri, ignore = "sysconf(_SC_CLK_TCK)")]
        fn a_command_cannot_forge_the_fields() {
            let stat = b"7 (a) Z 1) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 250 1 1\n";
            let expected = Duration::from_millis(250_000 / super::time::ticks_per_second());
            assert_eq!(state_and_start(stat), Some((b'S', expected)));
        }

        #[test]
        fn the_lock_line() {
            let flock = b"pos:\t0\nflags:\t02\nlock:\t1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF\n";
            assert_eq!(locks(flock), Some(11_691));
            let posix = b"pos:\t0\nlock:\t1: POSIX  ADVISORY  WRITE 359 00:13:11691 0 EOF\n";
            assert_eq!(locks(posix), None);
        }
    }
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn holds(_pid: Pid, _wanted: &Status) -> Answer {
    Answer::Unknown
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn began_before(_pid: Pid, _status: &Status) -> Answer {
    Answer::Unknown
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn belongs_to(_pid: Pid, _user: u32) -> Answer {
    Answer::Unknown
}
