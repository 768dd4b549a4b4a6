//! Sockets: what standard input is, and datagrams to a service manager.

use super::Errno;
use super::fd::own;
use super::{Sys, check, check_size};
use std::os::fd::{AsRawFd, RawFd};

fn empty_address() -> libc::sockaddr_storage {
    // SAFETY: `sockaddr_storage` is a C struct of integers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}

fn option(fd: RawFd, name: libc::c_int) -> Sys<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is a valid place of `length` bytes.
    check(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length) })?;
    Ok(value)
}

/// A socket's own address, as far as telling a service's socket from a parent's pipe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// IPv4 or IPv6.
    Internet,
    /// A Unix socket with a name, in the file system or abstract.
    NamedUnix,
    /// A Unix socket without a name, as socketpair(2) makes them; or another family.
    Other,
}

/// The address that `fd` is bound to; ENOTSOCK when it is no socket.
pub(crate) fn local_address(fd: RawFd) -> Sys<Address> {
    let mut address = empty_address();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `address` is a valid place of `length` bytes.
    check(unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut length) })?;
    let path = std::mem::offset_of!(libc::sockaddr_un, sun_path);
    Ok(match libc::c_int::from(address.ss_family) {
        libc::AF_INET | libc::AF_INET6 => Address::Internet,
        libc::AF_UNIX if length as usize > path => Address::NamedUnix,
        _ => Address::Other,
    })
}

/// Whether `fd` is a socket that waits for connections.
pub(crate) fn is_listening(fd: RawFd) -> bool {
    option(fd, libc::SO_ACCEPTCONN).is_ok_and(|value| value != 0)
}

/// Sends one datagram to a Unix socket, named by a path or, after a leading `@`, by an abstract name (Linux).
pub(crate) fn send_to_unix(name: &[u8], message: &[u8]) -> Sys<()> {
    #[cfg(target_os = "linux")]
    let flags = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = libc::SOCK_DGRAM;
    // SAFETY: `sockaddr_un` is a C struct of integers, for which all zeroes is a value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= address.sun_path.len() {
        return Err(Errno::EINVAL);
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, &from) in address.sun_path.iter_mut().zip(name) {
        *to = from as libc::c_char;
    }
    if let (Some(first), Some(b'@')) = (address.sun_path.first_mut(), name.first()) {
        *first = 0;
    }
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + name.len();
    // SAFETY: socket takes three numbers.
    let socket = own(unsafe { libc::socket(libc::AF_UNIX, flags, 0) })?;
    // SAFETY: message and address are valid for reads of the lengths given.
    let sent = check_size(unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            message.as_ptr().cast(),
            message.len(),
            libc::MSG_NOSIGNAL,
            (&raw const address).cast(),
            length as libc::socklen_t,
        )
    })?;
    if sent == message.len() { Ok(()) } else { Err(Errno::EIO) }
}
