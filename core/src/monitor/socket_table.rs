//! The sockets of a process that wait for connections, by `/proc/PID/net` (proc_pid_net(5)): for kernels and filters of system calls that
//! do not let a process look at another's descriptors.

use super::launch::Place;
use super::listening::{covers, is_path};
use super::proc;
use crate::lines::Lines;
use crate::pidfile::number;
use crate::sys::process::Pid;
use crate::sys::{Sys, file};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// Whether the process has a socket open that listens at the place, in its own network namespace.
pub(super) fn listens(pid: Pid, place: &Place) -> Sys<bool> {
    let tables: &[(&[u8], Row)] = match place {
        Place::Port(..) => &[(b"/net/tcp", internet), (b"/net/tcp6", internet)],
        Place::Path(_) => &[(b"/net/unix", unix)],
    };
    let mut found = false;
    for (name, row) in tables {
        for_each_row(pid, name, &mut |line| {
            if let Some(inode) = row(line, place) {
                let _: Sys<()> = proc::for_each_socket(pid, &mut |_, socket| found |= socket == inode);
            }
        })?;
    }
    Ok(found)
}

/// The inode of a socket that listens at the place, from its line in a table.
type Row = fn(&[u8], &Place) -> Option<u64>;

fn for_each_row(pid: Pid, name: &[u8], each: &mut dyn FnMut(&[u8])) -> Sys<()> {
    let table = file::open(proc::ProcPath::of(pid).push(name).as_c_str(), libc::O_RDONLY, 0)?;
    // The longest path of a Unix socket and what stands before it.
    let mut room = [0; 512];
    let mut lines = Lines::new(&mut room);
    while lines.read(table.as_raw_fd(), &mut |line, _| each(line))? {}
    Ok(())
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
fn internet(line: &[u8], place: &Place) -> Option<u64> {
    /// `TCP_LISTEN`.
    const LISTENS: &[u8] = b"0A";
    let Place::Port(wanted, wanted_port) = place else { return None };
    let mut rest = line;
    skip_words(&mut rest, 1);
    let (address, port) = socket_address(next_word(&mut rest))?;
    skip_words(&mut rest, 1);
    let state = next_word(&mut rest);
    skip_words(&mut rest, 5);
    let inode = number(next_word(&mut rest))?;
    let is_there = state == LISTENS && port == *wanted_port && wanted.is_none_or(|wanted| covers(address, wanted));
    is_there.then_some(inode)
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

/// `Num: RefCount Protocol Flags Type St Inode Path`
fn unix(line: &[u8], place: &Place) -> Option<u64> {
    /// `__SO_ACCEPTCON`.
    const LISTENS: u32 = 1 << 16;
    /// An abstract name begins so.
    const ABSTRACT: u8 = b'@';
    let Place::Path(wanted) = place else { return None };
    let mut rest = line;
    skip_words(&mut rest, 3);
    let flags = hexadecimal(next_word(&mut rest))?;
    skip_words(&mut rest, 2);
    let (inode, path) = (number(next_word(&mut rest))?, rest);
    let is_there = flags & LISTENS != 0 && path.first() != Some(&ABSTRACT) && is_path(path, wanted);
    is_there.then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::{internet, unix};
    use crate::monitor::launch::Place;
    use crate::text::Text;
    use std::net::IpAddr;

    #[test]
    #[cfg(target_endian = "little")]
    fn rows_of_internet_sockets() {
        let row = |address: &str, state: &str| {
            format!(
                "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0"
            )
        };
        let at = |address: &str| Place::Port(address.parse::<IpAddr>().ok(), 8080);
        for (address, state, wanted, expected) in [
            ("0100007F:1F90", "0A", "127.0.0.1", Some(4711)),
            ("0100007F:1F90", "0A", "", Some(4711)),
            ("0100007F:1F90", "01", "127.0.0.1", None),
            ("0100007F:1F91", "0A", "127.0.0.1", None),
            ("0200007F:1F90", "0A", "127.0.0.1", None),
            ("00000000:1F90", "0A", "127.0.0.1", Some(4711)),
            ("00000000000000000000000001000000:1F90", "0A", "::1", Some(4711)),
            ("00000000000000000000000000000000:1F90", "0A", "127.0.0.1", Some(4711)),
            ("0000000000000000FFFF00000100007F:1F90", "0A", "127.0.0.1", Some(4711)),
            ("local_address", "st", "", None),
            ("0000000000000000:1F90", "0A", "", None),
        ] {
            assert_eq!(internet(row(address, state).as_bytes(), &at(wanted)), expected, "{address} {state} {wanted}");
        }
    }

    #[test]
    fn rows_of_unix_sockets() {
        let place = Place::Path(Text::new(b"/run/a b").unwrap_or_default());
        for (row, expected) in [
            ("0000000000000000: 00000002 00000000 00010000 0001 01    17 /run/a b", Some(17)),
            ("0000000000000000: 00000002 00000000 00010000 0001 01 4899179 a b", Some(4_899_179)),
            ("0000000000000000: 00000002 00000000 00000000 0001 01 4899179 /run/a b", None),
            ("0000000000000000: 00000002 00000000 00010000 0001 01 4899179 @/run/a b", None),
            ("0000000000000000: 00000003 00000000 00000000 0001 03 6169984", None),
            ("Num       RefCount Protocol Flags    Type St Inode Path", None),
        ] {
            assert_eq!(unix(row.as_bytes(), &place), expected, "{row}");
        }
    }
}
