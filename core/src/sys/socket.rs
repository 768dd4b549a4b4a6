//! Sockets: what standard input is, and datagrams to a service manager.

use super::Errno;
use super::fd::own;
#[cfg(target_os = "linux")]
use super::file;
use super::identity::Uid;
use super::pidfd::Process;
use super::process::Pid;
use super::{Sys, check, check_size};
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::FixedBuf;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

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

unsafe extern "C" {
    fn inet_pton(family: libc::c_int, text: *const libc::c_char, address: *mut libc::c_void) -> libc::c_int;
}

/// An IPv4 or IPv6 address in numbers (inet_pton(3)).
pub(crate) fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    // Longer than any.
    let mut address = FixedBuf::<64>::new();
    address.push(text);
    let address = address.as_c_str().ok().filter(|address| address.count_bytes() == text.len())?;
    let (mut old, mut new) = ([0_u8; 4], [0_u8; 16]);
    // SAFETY: the text ends in NUL, and the places have the sizes of the families' addresses.
    unsafe {
        if inet_pton(libc::AF_INET, address.as_ptr(), old.as_mut_ptr().cast()) == 1 {
            return Some(IpAddr::from(old));
        }
        (inet_pton(libc::AF_INET6, address.as_ptr(), new.as_mut_ptr().cast()) == 1).then(|| IpAddr::from(new))
    }
}

/// Whether `fd` is a socket that waits for connections.
pub(crate) fn is_listening(fd: RawFd) -> bool {
    option(fd, libc::SO_ACCEPTCONN).is_ok_and(|value| value != 0)
}

/// How many descriptors go along with one datagram: `SCM_MAX_FD` of Linux.
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// Where programs leave their messages to the system's log, as the C library knows it (`_PATH_LOG`).
#[cfg(target_os = "linux")]
pub(crate) const SYSTEM_LOG: &str = "/dev/log";
#[cfg(target_vendor = "apple")]
pub(crate) const SYSTEM_LOG: &str = "/var/run/syslog";
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) const SYSTEM_LOG: &str = "/var/run/log";

/// A socket connected to the system's log, which never waits. Most take datagrams; a stream is for those that do not.
pub(crate) fn connect_to_system_log() -> Sys<OwnedFd> {
    match connect(libc::SOCK_DGRAM) {
        Err(Errno::EPROTOTYPE) => connect(libc::SOCK_STREAM),
        connected => connected,
    }
}

fn connect(kind: libc::c_int) -> Sys<OwnedFd> {
    let (address, length) = unix_address(SYSTEM_LOG.as_bytes())?;
    let socket = super::fd::above_standard(unix_socket(kind)?)?;
    super::fd::set_nonblocking(socket.as_raw_fd(), true)?;
    // SAFETY: `address` is valid for reads of `length` bytes.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// Whether a socket's messages run together.
pub(crate) fn is_stream(fd: RawFd) -> bool {
    option(fd, libc::SO_TYPE) == Ok(libc::SOCK_STREAM)
}

fn unix_socket(kind: libc::c_int) -> Sys<OwnedFd> {
    #[cfg(target_os = "linux")]
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes three numbers.
    own(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })
}

/// A path or, after a leading `@`, an abstract name (Linux), with its length.
fn unix_address(name: &[u8]) -> Sys<(libc::sockaddr_un, libc::socklen_t)> {
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
    Ok((address, length as libc::socklen_t))
}

/// Sends one datagram to a Unix socket, named by a path or, after a leading `@`, by an abstract name (Linux), with copies of
/// `descriptors`; E2BIG for too many of them.
pub(crate) fn send_to_unix(name: &[u8], message: &[u8], descriptors: &[RawFd]) -> Sys<()> {
    let (mut address, length) = unix_address(name)?;
    let socket = unix_socket(libc::SOCK_DGRAM)?;
    let mut control = Control::new(descriptors)?;
    let mut part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
    // SAFETY: `msghdr` is a C struct of integers and nullable pointers, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut address).cast();
    header.msg_namelen = length;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !descriptors.is_empty() {
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = Control::length(descriptors.len()) as _;
    }
    // SAFETY: address, message and control data are valid for reads of the lengths given.
    let sent = check_size(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) })?;
    if sent == message.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// One `SCM_RIGHTS` message (cmsg(3)): the header is followed by the descriptors without a gap on every system this runs on,
/// as their alignment is less than its.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    descriptors: [RawFd; MOST_DESCRIPTORS],
}

impl Control {
    fn new(descriptors: &[RawFd]) -> Sys<Self> {
        if descriptors.len() > MOST_DESCRIPTORS {
            return Err(Errno::E2BIG);
        }
        // SAFETY: a struct of integers, for which all zeroes is a value.
        let mut control: Self = unsafe { std::mem::zeroed() };
        control.header.cmsg_level = libc::SOL_SOCKET;
        control.header.cmsg_type = libc::SCM_RIGHTS;
        control.header.cmsg_len = Self::length(descriptors.len()) as _;
        for (to, from) in control.descriptors.iter_mut().zip(descriptors) {
            *to = *from;
        }
        Ok(control)
    }

    fn length(count: usize) -> usize {
        std::mem::offset_of!(Self, descriptors) + count * size_of::<RawFd>()
    }
}

/// A socket that programs send messages to as to a service manager.
#[derive(Debug)]
pub(crate) struct Letterbox {
    socket: OwnedFd,
    /// Messages come with a pidfd of their sender.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are no messages"))]
    names_process: bool,
    name: CBuf,
}

#[cfg(target_os = "linux")]
impl Letterbox {
    /// `@` and five hexadecimal digits (unix(7), autobind).
    const NAME: usize = 6;

    /// Reached by `path`, also from another network namespace; without one, by an abstract name that the kernel gives, also from
    /// another root. What is at the path is removed.
    pub(crate) fn new(path: Option<&CBuf>) -> Sys<Self> {
        let flags = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes three numbers.
        let socket = super::fd::above_standard(own(unsafe { libc::socket(libc::AF_UNIX, flags, 0) })?)?;
        let yes: libc::c_int = 1;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: `yes` is valid for reads of `size` bytes.
        let wanted = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, (&raw const yes).cast(), size)
        };
        check(wanted)?;
        // SAFETY: as above. Older kernels know no such option.
        let named = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PASSPIDFD, (&raw const yes).cast(), size)
        };
        let names_process = named == 0;
        match path {
            Some(path) => Self::at(socket, names_process, path),
            None => Self::abstract_name(socket, names_process),
        }
    }

    fn at(socket: OwnedFd, names_process: bool, path: &CBuf) -> Sys<Self> {
        /// The program may have changed its user, and so may its descendants. Messages of other processes do not count.
        const MODE: libc::mode_t = 0o666;
        let (address, length) = unix_address(path.as_bytes())?;
        let name = CBuf::path(path.as_bytes())?;
        let _: Sys<()> = file::unlink(path.as_c_str());
        // SAFETY: `address` is valid for reads of `length` bytes.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
        if let Err(errno) = file::set_mode_at(path.as_c_str(), MODE) {
            let _: Sys<()> = file::unlink(path.as_c_str());
            return Err(errno);
        }
        Ok(Self { socket, names_process, name })
    }

    fn abstract_name(socket: OwnedFd, names_process: bool) -> Sys<Self> {
        let family = libc::AF_UNIX as libc::sa_family_t;
        let length = size_of::<libc::sa_family_t>() as libc::socklen_t;
        // SAFETY: an address that is its family alone asks for a name; every address begins with the family.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const family).cast(), length) })?;
        let name = CBuf::new(&Self::name_of(&socket)?)?;
        Ok(Self { socket, names_process, name })
    }

    fn name_of(socket: &OwnedFd) -> Sys<[u8; Self::NAME]> {
        // SAFETY: `sockaddr_un` is a C struct of integers, for which all zeroes is a value.
        let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        // SAFETY: `address` is a valid place of `length` bytes.
        check(unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length) })?;
        let mut name = [b'@'; Self::NAME];
        for (to, from) in name.iter_mut().zip(&address.sun_path).skip(1) {
            *to = *from as u8;
        }
        Ok(name)
    }

    /// The next message and who has sent it; PID 0 where the kernel does not say, or where that process is gone.
    ///
    /// Descriptors in the message are dropped, which is all that a barrier (sd_notify_barrier(3)) waits for: by the kernel, as there is
    /// room for the sender alone, or here, as they come before the sender's pidfd. `SO_PASSRIGHTS` would refuse them, and barriers
    /// with them.
    pub(crate) fn receive<'a>(&self, room: &'a mut [u8]) -> Sys<(Sender, &'a [u8])> {
        // SAFETY: `SenderMessages` is a C struct of integers, for which all zeroes is a value.
        let mut control: SenderMessages = unsafe { std::mem::zeroed() };
        let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: `msghdr` is a C struct of integers and nullable pointers, for which all zeroes is a value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        let room_for_sender = match self.names_process {
            true => size_of::<SenderMessages>(),
            false => std::mem::offset_of!(SenderMessages, process),
        };
        header.msg_controllen = room_for_sender as _;
        // SAFETY: message and control data are valid for writes of the lengths given.
        let got = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        let got = check_size(got)?;
        Ok((control.sender(), room.get(..got).unwrap_or_default()))
    }
}

/// Who has sent a message.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) pid: Pid,
    pub(crate) user: Uid,
    pub(crate) process: SenderProcess,
}

#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are no messages"))]
pub(crate) enum SenderProcess {
    /// This very one (Linux 6.5).
    Known(Process),
    /// Descriptors in the message have taken the place of its pidfd.
    Displaced,
    /// The kernel has no pidfds in messages.
    Unknown,
}

/// Since Linux 6.5.
#[cfg(target_os = "linux")]
const SO_PASSPIDFD: libc::c_int = 76;
#[cfg(target_os = "linux")]
const SCM_PIDFD: libc::c_int = 4;

/// `SCM_CREDENTIALS` and, where the kernel knows it, `SCM_PIDFD` (cmsg(3)): on every architecture of Linux a header is followed by
/// its data without a gap, and the next header is aligned as a `size_t`.
#[cfg(target_os = "linux")]
#[repr(C)]
struct SenderMessages {
    header: libc::cmsghdr,
    credentials: libc::ucred,
    process: ProcessMessage,
}

/// A pidfd, or as many descriptors of the message as have room.
#[cfg(target_os = "linux")]
#[repr(C)]
struct ProcessMessage {
    header: libc::cmsghdr,
    descriptors: [RawFd; 2],
}

#[cfg(target_os = "linux")]
impl SenderMessages {
    fn sender(&self) -> Sender {
        let is = |header: &libc::cmsghdr, kind| (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, kind);
        let pid = if is(&self.header, libc::SCM_CREDENTIALS) { self.credentials.pid } else { 0 };
        let mut sender = Sender { pid, user: self.credentials.uid, process: SenderProcess::Unknown };
        let [first, second] = self.process.descriptors;
        if is(&self.process.header, SCM_PIDFD) {
            match own(first) {
                Ok(descriptor) => sender.process = SenderProcess::Known(Process::by_descriptor(pid, descriptor)),
                // It was reaped before the message was read.
                Err(_) => sender.pid = 0,
            }
        } else if is(&self.process.header, libc::SCM_RIGHTS) {
            sender.process = SenderProcess::Displaced;
            #[allow(clippy::unnecessary_cast, reason = "its type is the C library's choice")]
            let data = (self.process.header.cmsg_len as usize).saturating_sub(size_of::<libc::cmsghdr>());
            for descriptor in [first, second].into_iter().take(data / size_of::<RawFd>()) {
                super::fd::close(descriptor);
            }
        }
        sender
    }
}

/// Elsewhere there are no abstract names, and nobody says who has sent a message.
#[cfg(not(target_os = "linux"))]
impl Letterbox {
    pub(crate) fn new(_path: Option<&CBuf>) -> Sys<Self> {
        Err(Errno::ENOSYS)
    }

    pub(crate) fn receive<'a>(&self, _room: &'a mut [u8]) -> Sys<(Sender, &'a [u8])> {
        Err(Errno::ENOSYS)
    }
}

impl Letterbox {
    /// As `NOTIFY_SOCKET` has it.
    pub(crate) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
