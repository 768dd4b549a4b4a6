//! A pair of connected sockets between two processes.

use super::fd::{above_standard, own};
use super::{Sys, check, check_size, uninterrupted};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Two connected stream sockets, close-on-exec and above the standard streams.
pub(crate) fn pair() -> Sys<(OwnedFd, OwnedFd)> {
    #[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
    const KIND: libc::c_int = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    #[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd")))]
    const KIND: libc::c_int = libc::SOCK_STREAM;
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, KIND, 0, ends.as_mut_ptr()) })?;
    let [one, other] = ends;
    let (one, other) = (above_standard(own(one)?)?, above_standard(own(other)?)?);
    for end in [&one, &other] {
        super::fd::set_close_on_exec(end.as_raw_fd())?;
    }
    Ok((one, other))
}

/// Sends once, as much as fits; EPIPE without a signal when nobody can receive.
pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> Sys<usize> {
    #[cfg(not(target_vendor = "apple"))]
    const FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
    #[cfg(target_vendor = "apple")]
    const FLAGS: libc::c_int = 0;
    // SAFETY: `bytes` is valid for reads of its length.
    uninterrupted(|| check_size(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), FLAGS) }))
}

/// What [`peek`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peeked {
    Nothing,
    Byte(u8),
    /// The other end is closed, or has said that it sends no more.
    End,
}

/// Looks at the next byte without waiting, and without taking it.
pub(crate) fn peek(fd: RawFd) -> Peeked {
    let mut byte = 0_u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: `byte` is a valid place for one byte.
    match uninterrupted(|| check_size(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) })) {
        Ok(0) => Peeked::End,
        Ok(_) => Peeked::Byte(byte),
        // The other end was closed before it had read everything.
        Err(super::Errno::ECONNRESET) => Peeked::End,
        // A failure says nothing of the other end.
        Err(_) => Peeked::Nothing,
    }
}

/// Which way a socket is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The other end's next [`send`] fails with EPIPE. What it has sent before can still be received.
    Receiving,
    /// The other end sees the end of the stream.
    Sending,
    Both,
}

pub(crate) fn shut_down(fd: RawFd, way: Way) -> Sys<()> {
    let way = match way {
        Way::Receiving => libc::SHUT_RD,
        Way::Sending => libc::SHUT_WR,
        Way::Both => libc::SHUT_RDWR,
    };
    // SAFETY: shutdown takes two numbers.
    check(unsafe { libc::shutdown(fd, way) }).map(drop)
}
