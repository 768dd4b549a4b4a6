//! Descriptors: owning, duplicating, closing, waiting.

use super::Errno;
use super::{Sys, check, check_size, uninterrupted};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Descriptors 0, 1 and 2.
pub(crate) const STANDARD: [RawFd; 3] = [0, 1, 2];
/// The first descriptor that is not a standard stream.
pub(crate) const FIRST_OTHER: RawFd = 3;

/// Takes over a descriptor that a system call has just made.
pub(super) fn own(result: libc::c_int) -> Sys<OwnedFd> {
    if result == -1 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel returned it in this very call, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Takes over a descriptor that this program was given by its number when it was executed.
pub(crate) fn take_over(fd: RawFd) -> Sys<OwnedFd> {
    set_close_on_exec(fd)?;
    // SAFETY: it is open, and nothing in this program knows it but the caller, who takes each number over once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Moves a descriptor above the standard streams, where connecting those cannot overwrite it.
///
/// A starter whose descriptors 0 to 2 are closed gets just these numbers from open(2) and pipe(2).
pub(super) fn above_standard(fd: OwnedFd) -> Sys<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_OTHER { Ok(fd) } else { duplicate(fd.as_raw_fd()) }
}

/// A close-on-exec duplicate above the standard streams.
pub(crate) fn duplicate(fd: RawFd) -> Sys<OwnedFd> {
    duplicate_from(fd, FIRST_OTHER)
}

/// A close-on-exec duplicate with the first free number from `least` on.
pub(crate) fn duplicate_from(fd: RawFd, least: RawFd) -> Sys<OwnedFd> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes two numbers; a bad one is EBADF or EINVAL.
    let duplicate = own(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) });
    // EINVAL says that the limit for descriptors is not above `least`: no number is left, as with EMFILE.
    duplicate.map_err(|errno| if errno == Errno::EINVAL { Errno::EMFILE } else { errno })
}

/// Makes `to` the same open file as `from`, without close-on-exec.
pub(crate) fn connect(from: RawFd, to: RawFd) -> Sys<()> {
    // SAFETY: dup2 takes two numbers. What `to` was before is closed: callers name standard streams, and what a program that is
    // about to be executed is to find there.
    uninterrupted(|| check(unsafe { libc::dup2(from, to) })).map(drop)
}

/// Whether `fd` is open.
pub(crate) fn is_open(fd: RawFd) -> bool {
    flags(fd).is_ok()
}

/// The descriptor flags; EBADF when it is not open.
pub(crate) fn flags(fd: RawFd) -> Sys<libc::c_int> {
    // SAFETY: fcntl with F_GETFD takes a number.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) })
}

/// Closes a descriptor by its number. EINTR counts as closed: on Linux it is, and elsewhere a second try may hit a
/// descriptor that another thread has just opened.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: close takes a number. Callers hold the descriptor, or have been told to close whatever is there.
    unsafe { libc::close(fd) };
}

/// Closes all of `first..=last` in one call.
#[cfg(target_os = "linux")]
pub(crate) fn close_range(first: RawFd, last: RawFd) -> Sys<()> {
    // SAFETY: close_range takes three numbers.
    check_size(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } as isize).map(drop)
}

/// The same since FreeBSD 12.2.
#[cfg(target_os = "freebsd")]
pub(crate) fn close_range(first: RawFd, last: RawFd) -> Sys<()> {
    // SAFETY: close_range takes three numbers.
    check(unsafe { libc::close_range(first as libc::c_uint, last as libc::c_uint, 0) }).map(drop)
}

/// Elsewhere the callers fall back.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(crate) fn close_range(_first: RawFd, _last: RawFd) -> Sys<()> {
    Err(Errno::ENOSYS)
}

/// One more than the highest descriptor that can be opened now.
pub(crate) fn limit() -> RawFd {
    const FALLBACK: RawFd = 65_536;
    // SAFETY: sysconf takes a number and has no other requirement.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    RawFd::try_from(limit).ok().filter(|&limit| limit > 0).unwrap_or(FALLBACK)
}

/// A pipe, both ends close-on-exec and above the standard streams.
pub(crate) fn pipe() -> Sys<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: `ends` has room for the two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    #[cfg(target_vendor = "apple")]
    // SAFETY: as above; the flag is set below, as this system has no way to do both at once.
    check(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
    let [read, write] = ends;
    let (read, write) = (own(read)?, own(write)?);
    #[cfg(target_vendor = "apple")]
    {
        set_close_on_exec(read.as_raw_fd())?;
        set_close_on_exec(write.as_raw_fd())?;
    }
    Ok((above_standard(read)?, above_standard(write)?))
}

/// Marks a descriptor close-on-exec.
pub(crate) fn set_close_on_exec(fd: RawFd) -> Sys<()> {
    let flags = flags(fd)?;
    // SAFETY: fcntl with F_SETFD takes two numbers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) }).map(drop)
}

/// Takes the mark off again.
pub(crate) fn keep_on_exec(fd: RawFd) -> Sys<()> {
    let flags = flags(fd)?;
    // SAFETY: fcntl with F_SETFD takes two numbers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, flags & !libc::FD_CLOEXEC) }).map(drop)
}

/// Reads once, as much as there is.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> Sys<usize> {
    // SAFETY: `buffer` is valid for writes of its length.
    uninterrupted(|| check_size(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }))
}

/// Writes once, as much as fits.
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Sys<usize> {
    // SAFETY: `bytes` is valid for reads of its length.
    uninterrupted(|| check_size(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }))
}

/// How many bytes a pipe holds that nobody has read yet.
pub(crate) fn unread(pipe: RawFd) -> Sys<libc::c_int> {
    let mut count = 0;
    // SAFETY: `count` is a valid place for the result.
    check(unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut count) })?;
    Ok(count)
}

/// What to wait for with [`poll`]: readable, or closed at the other end.
pub(crate) fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Waits for errors alone: that the other end of a pipe was closed.
pub(crate) fn broken(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: 0, revents: 0 }
}

/// The same for writing.
pub(crate) fn writable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }
}

/// Waits until one of `fds` is ready; false when `milliseconds` have passed (-1: never). A negative descriptor is skipped.
/// EINTR after a signal handler ran, with nothing ready.
pub(crate) fn poll_unless_interrupted(fds: &mut [libc::pollfd], milliseconds: libc::c_int) -> Sys<bool> {
    // SAFETY: `fds` is a valid array of its length.
    check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, milliseconds) }).map(|ready| ready > 0)
}

/// The same, which comes back early after a signal handler ran.
pub(crate) fn poll(fds: &mut [libc::pollfd], milliseconds: libc::c_int) -> Sys<bool> {
    match poll_unless_interrupted(fds, milliseconds) {
        Err(Errno::EINTR) => {
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(false)
        }
        polled => polled,
    }
}

/// `O_RDONLY`, `O_WRONLY` or `O_RDWR`: how the file was opened.
pub(crate) fn access_mode(fd: RawFd) -> Sys<libc::c_int> {
    Ok(status_flags(fd)? & libc::O_ACCMODE)
}

fn status_flags(fd: RawFd) -> Sys<libc::c_int> {
    // SAFETY: fcntl with F_GETFL takes a number.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

/// Puts `O_NONBLOCK` on an open file, or takes it off.
pub(crate) fn set_nonblocking(fd: RawFd, nonblocking: bool) -> Sys<()> {
    let before = status_flags(fd)?;
    let after = if nonblocking { before | libc::O_NONBLOCK } else { before & !libc::O_NONBLOCK };
    if after == before {
        return Ok(());
    }
    // SAFETY: fcntl with F_SETFL takes two numbers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, after) }).map(drop)
}
