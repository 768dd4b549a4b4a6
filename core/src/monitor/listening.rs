//! Whether a process listens at a place.

use super::launch::Place;
use super::{proc, socket_table};
use crate::sys::Errno;
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use crate::sys::socket::Listening;
use crate::text::Text;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

/// Looks at the process's own descriptors: neither its network namespace nor the number of connections on the machine counts. Where that
/// is refused, by Linux before 5.6 or a filter of system calls, it looks at the tables of its network namespace. What keeps this process
/// from both goes to `hindrance`.
pub(super) fn listens(pid: Pid, place: &Place, hindrance: &mut Option<Errno>) -> bool {
    let Ok(process) = Process::open(pid) else { return false };
    let (mut found, mut refused) = (false, false);
    let listed = proc::for_each_socket(pid, &mut |fd, _| match process.duplicate(fd) {
        Ok(socket) => found |= is_at(Listening::of(socket.as_raw_fd()), place),
        // The process, or its descriptor, is gone.
        Err(Errno::ESRCH | Errno::EBADF) => {}
        Err(_) => refused = true,
    });
    let looked = listed.and_then(|()| if refused && !found { socket_table::listens(pid, place) } else { Ok(found) });
    match looked {
        // The process is gone.
        Err(Errno::ENOENT | Errno::ESRCH) => {}
        Err(errno) => *hindrance = Some(errno),
        Ok(_) => {}
    }
    looked == Ok(true)
}

fn is_at(listening: Option<Listening>, place: &Place) -> bool {
    match (listening, place) {
        (Some(Listening::Internet(address, port)), Place::Port(wanted, wanted_port)) => {
            port == *wanted_port && wanted.is_none_or(|wanted| covers(address, wanted))
        }
        (Some(Listening::Unix(path, length)), Place::Path(wanted)) => {
            path.get(..length).is_some_and(|path| is_path(path, wanted))
        }
        _ => false,
    }
}

/// The unspecified address is every address; that of IPv6 mostly every one of IPv4 as well (ipv6(7), `IPV6_V6ONLY`). An IPv6 socket
/// shows an IPv4 address as `::ffff:ADDRESS`.
pub(super) fn covers(address: IpAddr, wanted: IpAddr) -> bool {
    let (address, wanted) = (address.to_canonical(), wanted.to_canonical());
    address == wanted || address.is_unspecified() && (address.is_ipv6() || wanted.is_ipv4())
}

/// A socket is known by the path that it was bound to, which may be relative.
pub(super) fn is_path(path: &[u8], wanted: &Text) -> bool {
    let wanted = wanted.as_bytes();
    match path.first() {
        None => false,
        Some(b'/') => path == wanted,
        Some(_) => wanted.strip_suffix(path).is_some_and(|folder| folder.ends_with(b"/")),
    }
}

#[cfg(test)]
mod tests {
    use super::{covers, is_path};
    use crate::text::Text;

    #[test]
    fn addresses() {
        let covers =
            |address: &str, wanted: &str| address.parse().ok().zip(wanted.parse().ok()).map(|(a, w)| covers(a, w));
        for (address, wanted, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:0.0.0.0", "127.0.0.1", true),
            ("::ffff:127.0.0.2", "127.0.0.1", false),
            ("::ffff:0.0.0.0", "::1", false),
        ] {
            assert_eq!(covers(address, wanted), Some(expected), "{address} {wanted}");
        }
    }

    #[test]
    fn paths() {
        let wanted = Text::new(b"/run/x/socket").unwrap_or_default();
        for (path, expected) in [
            ("/run/x/socket", true),
            ("socket", true),
            ("x/socket", true),
            ("cket", false),
            ("", false),
            ("/socket", false),
        ] {
            assert_eq!(is_path(path.as_bytes(), &wanted), expected, "{path}");
        }
    }
}
