//! Whether a process listens at a place, by `/proc/PID/net` (proc_pid_net(5)).
//!
//! No copy of the process's descriptors is made (pidfd_getfd(2)): the last one to close a descriptor may have to wait as long as the
//! process likes, for a socket that lingers or a file of a FUSE server that does not answer.

use super::launch::Place;
use super::proc;
use crate::procfs::directory;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Identity, Kind};
use crate::sys::line_reader::LineReader;
use crate::sys::parse_decimal;
use crate::sys::process::Pid;
use crate::sys::{Errno, Sys};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// Whether the process has a socket open that listens at the place, in its own network namespace. What keeps this process from looking
/// goes to `hindrance`.
pub(super) fn listens(pid: Pid, place: &Place, hindrance: &mut Option<Errno>) -> bool {
    match looks(pid, place) {
        Ok(found) => found,
        // The process is gone.
        Err(Errno::ENOENT | Errno::ESRCH) => false,
        Err(errno) => {
            *hindrance = Some(errno);
            false
        }
    }
}

fn looks(pid: Pid, place: &Place) -> Sys<bool> {
    match place {
        Place::Port(address, port) => {
            let row = |line: &[u8]| internet(line, *address, *port);
            let has = |inode| proc::has_socket(pid, inode);
            Ok(has_row(pid, b"/net/tcp", &row, &has)? || has_row(pid, b"/net/tcp6", &row, &has)?)
        }
        // A name with a newline in it makes lines that look like any other's. So there has to be a socket at the path, and one that has two
        // rows has a forged one.
        Place::Path(wanted) => match socket_at(pid, wanted.as_bytes()) {
            None => Ok(false),
            socket => has_row(
                pid,
                UNIX,
                &|line| {
                    unix(line, |path| {
                        is_path(path, wanted) || path.first() == Some(&b'/') && socket_at(pid, path) == socket
                    })
                },
                &|inode| Ok(proc::has_socket(pid, inode)? && is_sole(pid, inode)?),
            ),
        },
    }
}

/// What a row of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// A socket that listens at the place, with this inode.
    Listens(u64),
    Other,
    /// No socket listens from here on.
    Last,
}

const UNIX: &[u8] = b"/net/unix";

/// Whether the table of Unix sockets has one row of this inode and no other.
fn is_sole(pid: Pid, inode: u64) -> Sys<bool> {
    let count = Cell::new(0_u32);
    let each = |line: &[u8]| {
        if unix_row(line).1 == Some(inode) {
            count.set(count.get().saturating_add(1));
        }
        Row::Other
    };
    has_row(pid, UNIX, &each, &|_| Ok(false)).map(|_| count.get() == 1)
}

/// Whether a row of a table is that of a socket which the process `has`.
fn has_row(pid: Pid, table: &[u8], row: &dyn Fn(&[u8]) -> Row, has: &dyn Fn(u64) -> Sys<bool>) -> Sys<bool> {
    let (found, is_over) = (Cell::new(false), Cell::new(false));
    let mut listed = Ok(());
    let table = file::open(directory::<64>(pid).push(table).as_c_str()?, libc::O_RDONLY, 0)?;
    let mut room = [0; 2048];
    let mut lines = LineReader::new(&mut room);
    let mut each = |line: &[u8], _| match row(line) {
        _ if is_over.get() => {}
        Row::Listens(inode) => {
            listed = listed.and(has(inode).map(|has| found.set(found.get() || has)));
            is_over.set(found.get());
        }
        Row::Other => {}
        Row::Last => is_over.set(true),
    };
    while !is_over.get() && lines.read(table.as_raw_fd(), &mut each)? {}
    listed.map(|()| found.get())
}

/// The socket at a path, below the root of the process.
fn socket_at(pid: Pid, path: &[u8]) -> Option<Identity> {
    let mut below = directory::<512>(pid);
    let status = file::status_behind(below.push(b"/root").push(path).as_c_str().ok()?).ok()?;
    (status.kind == Kind::Socket).then_some(status.identity)
}

/// The word at the start of `rest`, which begins behind it and one space afterwards.
fn next_word<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let line = rest.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    *rest = line.get(end + 1..).unwrap_or_default();
    line.get(..end).unwrap_or_default()
}

fn skip_words(rest: &mut &[u8], count: usize) {
    for _ in 0..count {
        next_word(rest);
    }
}

fn hexadecimal(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
///
/// Sockets that listen come first.
fn internet(line: &[u8], wanted: Option<IpAddr>, wanted_port: u16) -> Row {
    /// `TCP_LISTEN`.
    const LISTENS: &[u8] = b"0A";
    let mut rest = line;
    skip_words(&mut rest, 1);
    let Some((address, port)) = socket_address(next_word(&mut rest)) else { return Row::Other };
    skip_words(&mut rest, 1);
    if next_word(&mut rest) != LISTENS {
        return Row::Last;
    }
    skip_words(&mut rest, 5);
    match parse_decimal(next_word(&mut rest)) {
        Some(inode) if port == wanted_port && wanted.is_none_or(|wanted| covers(address, wanted)) => {
            Row::Listens(inode)
        }
        _ => Row::Other,
    }
}

/// `0100007F:1F90`: 32 bits in the order of this machine, four times that for IPv6, and the port.
fn socket_address(text: &[u8]) -> Option<(IpAddr, u16)> {
    const WORD: usize = 8;
    let colon = text.iter().position(|&byte| byte == b':')?;
    let port = u16::try_from(hexadecimal(text.get(colon + 1..)?)?).ok()?;
    let mut bytes = [0; 16];
    let words = text.get(..colon)?.chunks(WORD);
    let count = words.len();
    for (to, word) in bytes.chunks_mut(4).zip(words) {
        to.copy_from_slice(&hexadecimal(word)?.to_ne_bytes());
    }
    let address = match (count, bytes) {
        (1, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).into(),
        (4, _) => Ipv6Addr::from(bytes).into(),
        _ => return None,
    };
    Some((address, port))
}

/// Flags, inode and path of `Num: RefCount Protocol Flags Type St Inode Path`.
fn unix_row(line: &[u8]) -> (u32, Option<u64>, &[u8]) {
    let mut rest = line;
    skip_words(&mut rest, 3);
    let flags = hexadecimal(next_word(&mut rest)).unwrap_or(0);
    skip_words(&mut rest, 2);
    (flags, parse_decimal(next_word(&mut rest)), rest)
}

fn unix(line: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> Row {
    /// `__SO_ACCEPTCON`.
    const LISTENS: u32 = 1 << 16;
    /// An abstract name begins so.
    const ABSTRACT: u8 = b'@';
    let (flags, inode, path) = unix_row(line);
    match inode {
        Some(inode) if flags & LISTENS != 0 && path.first() != Some(&ABSTRACT) && is_wanted(path) => {
            Row::Listens(inode)
        }
        _ => Row::Other,
    }
}

/// The unspecified address is every address; that of IPv6 mostly every one of IPv4 as well (ipv6(7), `IPV6_V6ONLY`). An IPv6 socket
/// shows an IPv4 address as `::ffff:ADDRESS`.
fn covers(address: IpAddr, wanted: IpAddr) -> bool {
    let (address, wanted) = (address.to_canonical(), wanted.to_canonical());
    address == wanted || address.is_unspecified() && (address.is_ipv6() || wanted.is_ipv4())
}

/// A socket is known by the path that it was bound to, which may be relative.
fn is_path(path: &[u8], wanted: &CBuf) -> bool {
    let wanted = wanted.as_bytes();
    match path.first() {
        None => false,
        Some(b'/') => path == wanted,
        Some(_) => wanted.strip_suffix(path).is_some_and(|folder| folder.ends_with(b"/")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, covers, internet, is_path, unix};
    use crate::sys::c_buf::CBuf;
    use std::net::IpAddr;

    #[test]
    #[cfg(target_endian = "little")]
    fn rows_of_internet_sockets() {
        let row = |address: &str, state: &str| {
            format!(
                "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0"
            )
        };
        for (address, state, wanted, expected) in [
            ("0100007F:1F90", "0A", "127.0.0.1", Row::Listens(4711)),
            ("0100007F:1F90", "0A", "", Row::Listens(4711)),
            ("0100007F:1F90", "01", "127.0.0.1", Row::Last),
            ("0100007F:1F91", "0A", "127.0.0.1", Row::Other),
            ("0200007F:1F90", "0A", "127.0.0.1", Row::Other),
            ("00000000:1F90", "0A", "127.0.0.1", Row::Listens(4711)),
            ("00000000000000000000000001000000:1F90", "0A", "::1", Row::Listens(4711)),
            ("00000000000000000000000000000000:1F90", "0A", "127.0.0.1", Row::Listens(4711)),
            ("0000000000000000FFFF00000100007F:1F90", "0A", "127.0.0.1", Row::Listens(4711)),
            ("local_address", "st", "", Row::Other),
            ("0000000000000000:1F90", "0A", "", Row::Other),
        ] {
            assert_eq!(
                internet(row(address, state).as_bytes(), wanted.parse::<IpAddr>().ok(), 8080),
                expected,
                "{address} {state} {wanted}"
            );
        }
    }

    #[test]
    fn rows_of_unix_sockets() {
        let wanted = CBuf::new(b"/run/a b").unwrap_or_default();
        for (row, expected) in [
            ("0000000000000000: 00000002 00000000 00010000 0001 01    17 /run/a b", Row::Listens(17)),
            ("0000000000000000: 00000002 00000000 00010000 0001 01 4899179 a b", Row::Listens(4_899_179)),
            ("0000000000000000: 00000002 00000000 00000000 0001 01 4899179 /run/a b", Row::Other),
            ("0000000000000000: 00000002 00000000 00010000 0001 01 4899179 @/run/a b", Row::Other),
            ("0000000000000000: 00000003 00000000 00000000 0001 03 6169984", Row::Other),
            ("Num       RefCount Protocol Flags    Type St Inode Path", Row::Other),
        ] {
            assert_eq!(unix(row.as_bytes(), |path| is_path(path, &wanted)), expected, "{row}");
        }
    }

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
        let wanted = CBuf::new(b"/run/x/socket").unwrap_or_default();
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
