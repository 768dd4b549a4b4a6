//! `/proc/PID/stat`.

use crate::sys::parse_decimal;
use crate::sys::process::Pid;
use crate::sys::{Errno, Sys};
#[cfg(target_os = "linux")]
use {crate::sys::time, std::time::Duration};

/// The fields that anybody here asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    state: u8,
    pub(crate) parent: Pid,
    /// The process group.
    pub(crate) group: Pid,
    pub(crate) session: Pid,
    /// The foreground process group of its terminal; 0 or -1 without one.
    pub(crate) foreground: Pid,
    flags: u64,
    threads: u64,
    /// When it began, in clock ticks since boot.
    pub(crate) start: u64,
    /// Signals of the main thread below 32.
    pending: u64,
    pub(crate) blocked: u64,
}

impl Stat {
    /// # Errors
    /// ESRCH: there is no such process any more. EBADMSG: the text is something else.
    pub(crate) fn parse(text: &[u8]) -> Sys<Self> {
        let stat = Self::of(text).ok_or(if text.is_empty() { Errno::ESRCH } else { Errno::EBADMSG })?;
        // So is one shown that has been waited for, but was opened before.
        if stat.group < 0 { Err(Errno::ESRCH) } else { Ok(stat) }
    }

    /// The command in field 2 may hold anything, so fields are counted behind its last parenthesis.
    fn of(text: &[u8]) -> Option<Self> {
        const STATE: usize = 3;
        const PARENT: usize = 4;
        const GROUP: usize = 5;
        const SESSION: usize = 6;
        const FOREGROUND: usize = 8;
        const FLAGS: usize = 9;
        const THREADS: usize = 20;
        const START: usize = 22;
        const PENDING: usize = 31;
        const BLOCKED: usize = 32;
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let mut fields = text.get(end + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let state = *fields.next()?.first()?;
        let mut last = STATE;
        let mut field = |place: usize| fields.nth(place - std::mem::replace(&mut last, place) - 1);
        Some(Self {
            state,
            parent: pid(field(PARENT)?)?,
            group: pid(field(GROUP)?)?,
            session: pid(field(SESSION)?)?,
            foreground: pid(field(FOREGROUND)?)?,
            flags: parse_decimal(field(FLAGS)?)?,
            threads: parse_decimal(field(THREADS)?)?,
            start: parse_decimal(field(START)?)?,
            pending: parse_decimal(field(PENDING)?)?,
            blocked: parse_decimal(field(BLOCKED)?)?,
        })
    }

    /// A zombie. The main thread of a process may end before the others.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_zombie() && self.threads <= 1
    }

    /// Whether its main thread has ended before the others.
    pub(crate) fn has_other_threads_only(&self) -> bool {
        self.is_zombie() && self.threads > 1
    }

    /// Whether it runs, is about to, or waits for something in the kernel that no signal interrupts.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state, b'R' | b'D')
    }

    fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Whether it is in exit(2): it gives up its descriptors before its locks, and those before it ends. A main thread that has
    /// ended alone does not count.
    pub(crate) fn is_exiting(&self) -> bool {
        /// `PF_EXITING`.
        const EXITING: u64 = 4;
        self.flags & EXITING != 0 && !self.has_other_threads_only()
    }

    /// Whether it is in exit(2), or about to be: the kernel queues SIGKILL to each thread when a signal is sent whose action is to end
    /// the process, and which is neither blocked nor traced. One that has ended does not count.
    pub(crate) fn is_ending(&self) -> bool {
        const KILLED: u64 = 1 << (libc::SIGKILL - 1);
        !self.is_zombie() && (self.is_exiting() || self.pending & KILLED != 0)
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn is_kernel_thread(&self) -> bool {
        /// `PF_KTHREAD`.
        const KERNEL_THREAD: u64 = 0x0020_0000;
        self.flags & KERNEL_THREAD != 0
    }

    /// Whether the process has executed a program since it was forked; also of a zombie.
    pub(crate) fn has_executed(&self) -> bool {
        /// `PF_FORKNOEXEC` (include/linux/sched.h), part of the format since Linux 2.5.
        const FORKED_ONLY: u64 = 0x40;
        self.flags & FORKED_ONLY == 0
    }

    /// When it began, since boot.
    #[cfg(target_os = "linux")]
    pub(crate) fn began(&self) -> Duration {
        let per_second = time::ticks_per_second();
        let nanoseconds = (self.start % per_second).saturating_mul(1_000_000_000) / per_second;
        Duration::from_secs(self.start / per_second).saturating_add(Duration::from_nanos(nanoseconds))
    }
}

/// A PID, or -1 for none.
fn pid(field: &[u8]) -> Option<Pid> {
    match field {
        b"-1" => Some(-1),
        field => parse_decimal(field).and_then(|number| Pid::try_from(number).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, Stat};

    #[test]
    fn a_command_cannot_forge_fields() {
        let text = b"7 (a) Z 1) S 3 7 7 0 -1 4194624 1 0 0 0 0 0 0 0 20 0 1 0 250 1 1 2 3 4 5 6 7 256 0\n";
        let stat = Stat::parse(text);
        let expected = Stat {
            state: b'S',
            parent: 3,
            group: 7,
            session: 7,
            foreground: -1,
            flags: 4_194_624,
            threads: 1,
            start: 250,
            pending: 256,
            blocked: 0,
        };
        assert_eq!(stat, Ok(expected));
        assert!(!expected.has_executed() && expected.is_ending());
        assert_eq!(Stat::parse(b"7 (a) S 3"), Err(Errno::EBADMSG));
    }

    #[test]
    fn a_main_thread_may_end_before_the_others() {
        let zombie =
            |threads| format!("7 (a) Z 3 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 {threads} 0 250 1 1 2 3 4 5 6 7 256 0\n");
        let stat = |threads| Stat::parse(zombie(threads).as_bytes());
        assert!(stat(1).is_ok_and(|stat| stat.has_ended() && stat.is_exiting() && !stat.is_ending()));
        assert!(stat(2).is_ok_and(|stat| !stat.has_ended() && !stat.is_exiting() && !stat.is_ending()));
    }

    #[test]
    fn who_was_waited_for_is_gone() {
        let text = b"7 (sleep) X 0 -1 -1 0 -1 4 1 0 0 0 0 0 0 0 20 0 0 0 250 0 0 2 0 0 0 0 0 0 0\n";
        assert_eq!(Stat::parse(text), Err(Errno::ESRCH));
        assert_eq!(Stat::parse(b""), Err(Errno::ESRCH));
    }
}
