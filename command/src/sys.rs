//! The few system calls that the standard library does not have.
#![allow(unsafe_code, reason = "the one place for it")]

use std::ffi::CStr;
#[cfg(target_os = "linux")]
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(crate) fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

pub(crate) fn is_root() -> bool {
    effective_user() == 0
}

/// Whether a write of a few lines does not wait, now or within a time.
pub(crate) fn may_write(fd: BorrowedFd<'_>, within: Duration) -> bool {
    let mut fd = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let milliseconds = within.as_millis().try_into().unwrap_or(libc::c_int::MAX);
    // SAFETY: one structure, which is ours.
    unsafe { libc::poll(&raw mut fd, 1, milliseconds) == 1 }
}

/// The first and the last real-time signal that programs may use.
#[cfg(target_os = "linux")]
pub(crate) fn real_time_signals() -> (i32, i32) {
    (libc::SIGRTMIN(), libc::SIGRTMAX())
}

/// Where there are none, the first lies beyond the last.
#[cfg(not(target_os = "linux"))]
pub(crate) fn real_time_signals() -> (i32, i32) {
    (i32::MAX, 64)
}

/// What a user is called, where the system knows.
pub(crate) fn user_name(user: u32) -> Option<String> {
    /// What glibc suggests, with room to spare; an entry that is longer is shown as a number.
    const ROOM: usize = 4096;
    let mut room = [0; ROOM];
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    // SAFETY: `entry` and `room` are ours, of the sizes said, and outlive what points into them.
    let failed = unsafe { libc::getpwuid_r(user, entry.as_mut_ptr(), room.as_mut_ptr(), ROOM, &mut found) };
    if failed != 0 || found.is_null() {
        return None;
    }
    // SAFETY: `found` is `entry`, filled in, and its name a C string in `room`.
    let name = unsafe { CStr::from_ptr((*found).pw_name) };
    Some(name.to_string_lossy().into_owned())
}

/// A moment on the local clock.
#[derive(Debug)]
pub(crate) struct LocalTime {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    /// From Sunday, 0.
    pub(crate) weekday: usize,
    /// Seconds east of UTC.
    pub(crate) offset: i64,
    pub(crate) zone: String,
}

/// Of seconds since 1970.
#[allow(clippy::useless_conversion, reason = "C's long is shorter elsewhere")]
#[allow(deprecated, reason = "of musl's time_t libc says that it will be longer")]
pub(crate) fn local_time(seconds: i64) -> Option<LocalTime> {
    let time = libc::time_t::try_from(seconds).ok()?;
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both point to values of ours; the result is null, or `broken`, filled in.
    let broken = unsafe { libc::localtime_r(&time, broken.as_mut_ptr()).as_ref() }?;
    let zone = if broken.tm_zone.is_null() {
        String::new()
    } else {
        // SAFETY: a C string that lives as long as the C library's time zones.
        unsafe { CStr::from_ptr(broken.tm_zone) }.to_string_lossy().into_owned()
    };
    Some(LocalTime {
        year: i64::from(broken.tm_year) + 1900,
        month: i64::from(broken.tm_mon) + 1,
        day: broken.tm_mday.into(),
        hour: broken.tm_hour.into(),
        minute: broken.tm_min.into(),
        second: broken.tm_sec.into(),
        weekday: usize::try_from(broken.tm_wday).unwrap_or_default(),
        offset: broken.tm_gmtoff.into(),
        zone,
    })
}

/// The clock that processes' start times are read from: since boot, suspended or not.
pub(crate) fn since_boot() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `now` is ours; it is read only when it has been filled in.
    let now = unsafe { (libc::clock_gettime(CLOCK, now.as_mut_ptr()) == 0).then(|| now.assume_init()) }?;
    Some(Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?))
}

/// How many of them make the second that `/proc` counts in.
pub(crate) fn ticks_per_second() -> u64 {
    const USUAL: u64 = 100;
    // SAFETY: sysconf(3) takes a number and gives one.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(USUAL)
}

/// One more than the highest descriptor that can be opened.
pub(crate) fn descriptor_limit() -> RawFd {
    // SAFETY: sysconf(3) takes a number and gives one.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    // Less than none is no limit.
    RawFd::try_from(limit).ok().filter(|limit| *limit >= 0).unwrap_or(RawFd::MAX)
}

/// How many columns a terminal has; nothing where that is none, or does not know.
pub(crate) fn columns(terminal: BorrowedFd<'_>) -> Option<usize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: `size` is ours and of the type that this request fills in; all zeros are a valid one.
    let size = unsafe {
        let done = libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr());
        (done == 0).then(|| size.assume_init())
    }?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Waits until there is something to read, or nothing to come any more; false when `timeout` has passed first.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> bool {
    let mut wanted = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one descriptor to wait for, which is ours.
    unsafe { libc::poll(&mut wanted, 1, milliseconds) > 0 }
}

/// A child process for work that may block for ever, with the end of a stream that it writes to.
pub(crate) struct Forked {
    pid: libc::pid_t,
    pub(crate) output: UnixStream,
}

impl Forked {
    /// `work` gets the other end. The child has no other descriptor of this process: it may stay when nobody waits for it any more.
    pub(crate) fn new(work: impl FnOnce(UnixStream) -> std::io::Result<()>) -> std::io::Result<Self> {
        let (output, input) = UnixStream::pair()?;
        // SAFETY: the command has one thread. Where a program that calls it has more, the child may block on a lock of theirs,
        // which is one of the reasons to wait no longer than a while.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error()),
            0 => {
                close_others(input.as_raw_fd());
                let _ = work(input);
                // SAFETY: ends the child without running what the process would run at its end.
                unsafe { libc::_exit(0) }
            }
            pid => Ok(Self { pid, output }),
        }
    }

    /// Waits for a child that is done. Another one is killed, which it may not hear for as long as it blocks.
    pub(crate) fn end(self, is_done: bool) {
        let options = if is_done { 0 } else { libc::WNOHANG };
        // SAFETY: the PID is that of a child that was not waited for; the status is not wanted.
        unsafe {
            if !is_done {
                libc::kill(self.pid, libc::SIGKILL);
            }
            libc::waitpid(self.pid, std::ptr::null_mut(), options);
        }
    }
}

/// Closes all descriptors but one. In a child that was just forked.
fn close_others(kept: RawFd) {
    for (first, last) in [(0, kept - 1), (kept + 1, RawFd::MAX)] {
        if first <= last && !close_range(first, last) {
            // SAFETY: sysconf(3) takes a number and gives one.
            let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
            let end = last.min(RawFd::try_from(limit).unwrap_or(last));
            for fd in first..=end {
                // SAFETY: whatever the descriptor belongs to, the child does not use it.
                unsafe { libc::close(fd) };
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn close_range(first: RawFd, last: RawFd) -> bool {
    // SAFETY: as in `close_others`.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn close_range(_first: RawFd, _last: RawFd) -> bool {
    false
}

/// Whether a path leads to a Unix socket, as the kernel calls it. The path is that of a descriptor in `/proc`.
#[cfg(target_os = "linux")]
pub(crate) fn is_unix_socket(path: &Path) -> bool {
    const FAMILY: &[u8] = b"UNIX";
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let mut name = [0_u8; 32];
    // SAFETY: two C strings, and room of the size said, all ours.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), c"system.sockprotoname".as_ptr(), name.as_mut_ptr().cast(), name.len())
    };
    length > 0 && name.starts_with(FAMILY)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_unix_socket(_path: &Path) -> bool {
    false
}

/// Opens a file to look at it, which has no effect on it. Elsewhere there is no `/proc` through which that is done.
#[cfg(target_os = "linux")]
pub(crate) const O_PATH: i32 = libc::O_PATH;
#[cfg(not(target_os = "linux"))]
pub(crate) const O_PATH: i32 = 0;

#[cfg(test)]
mod tests {
    use super::{local_time, since_boot, user_name};

    #[test]
    fn what_the_system_knows() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(u32::MAX - 7), None);
        assert!(since_boot() < since_boot());
        // Wherever that is: the day before or after 1970 began.
        let begin = local_time(0).map(|time| (time.year, time.weekday, time.second));
        assert!(matches!(begin, Some((1969 | 1970, 3 | 4, 0))), "{begin:?}");
    }
}
