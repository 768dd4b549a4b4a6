//! Every system call of this crate, and all of its `unsafe`.
//!
//! One file for each kind of kernel object. The functions here are thin: they make one call, repeat it where a signal
//! interrupted it, and give back [`Errno`] instead of -1. They decide nothing. None of them allocates unless its
//! documentation says so, because most of them run between a fork and the report.
#![allow(unsafe_code)]

pub(crate) mod alarm;
pub(crate) mod c_buf;
pub(crate) mod capability;
pub(crate) mod channel;
mod decimal;
pub(crate) mod directory;
pub(crate) mod environment;
mod errno;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod fixed_buf;
pub(crate) mod identity;
pub(crate) mod leader;
pub(crate) mod line_reader;
pub(crate) mod memory;
pub(crate) mod pidfd;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod signalfd;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod stdio;
pub(crate) mod time;

pub(crate) use decimal::parse_decimal;
pub(crate) use errno::Errno;

/// What a system call gives back.
pub(crate) type Sys<T> = Result<T, Errno>;

/// Turns the C convention (-1 and `errno`) into a `Result`.
fn check(result: libc::c_int) -> Sys<libc::c_int> {
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// The same for calls that return a size.
fn check_size(result: isize) -> Sys<usize> {
    usize::try_from(result).map_err(|_| Errno::last())
}

/// Repeats a call that a signal handler interrupted.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> Sys<T>) -> Sys<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Where the C library keeps the calling thread's `errno`.
fn errno_place() -> *mut libc::c_int {
    #[cfg(any(target_os = "linux", target_os = "dragonfly"))]
    // SAFETY: takes nothing; the C library keeps an errno for each thread.
    let place = unsafe { libc::__errno_location() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    // SAFETY: as above.
    let place = unsafe { libc::__error() };
    #[cfg(any(target_os = "openbsd", target_os = "netbsd", target_os = "android"))]
    // SAFETY: as above.
    let place = unsafe { libc::__errno() };
    place
}

/// The calling thread's `errno`.
pub(crate) fn last_errno() -> libc::c_int {
    // SAFETY: the place stays valid as long as the thread.
    unsafe { *errno_place() }
}

fn set_errno(errno: libc::c_int) {
    // SAFETY: as above.
    unsafe { *errno_place() = errno };
}

/// strerror(3) in the program's language. Not for use after a fork: it may read message catalogues.
pub(crate) fn message(errno: Errno, room: &mut [u8]) -> &[u8] {
    // SAFETY: `room` is valid for writes of its length; the XSI variant NUL-terminates what it writes.
    unsafe { libc::strerror_r(errno.value(), room.as_mut_ptr().cast(), room.len()) };
    room.split(|&byte| byte == 0).next().unwrap_or_default()
}
