//! Where a daemon listens: its sockets found again in the kernel's tables of them, `/proc/PID/net` (proc(5)).

use crate::process::{self, Inodes, number_in, words};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Socket {
    pub(crate) kind: &'static str,
    /// An address with its port, a path, or `@` and an abstract name.
    pub(crate) address: Vec<u8>,
}

/// Those of `inodes`, which are sorted, that listen, in the network that `pid` is in.
pub(crate) fn listening(pid: i32, inodes: &Inodes) -> Vec<Socket> {
    let mut found = Vec::new();
    if !inodes.other.is_empty() {
        for (kind, table) in [("tcp", "net/tcp"), ("tcp", "net/tcp6"), ("udp", "net/udp"), ("udp", "net/udp6")] {
            each_line(pid, table, |line| {
                let row = internet(kind, line).filter(|(inode, _)| inodes.other.binary_search(inode).is_ok());
                found.extend(row.map(|(_, socket)| socket));
            });
        }
    }
    if !inodes.local.is_empty() {
        let mut rows = Rows::default();
        each_line(pid, "net/unix", |line| rows.add(local(line), &inodes.local));
        found.extend(rows.listening());
    }
    // Several may share one address (SO_REUSEPORT).
    let mut known = BTreeSet::new();
    found.retain(|socket| known.insert(socket.clone()));
    found
}

/// Rows of the table of Unix sockets. A name may hold newlines, and so what looks like a row with the inode of another user's socket:
/// where there are two rows for an inode, which is the true one is not known.
#[derive(Default)]
struct Rows(BTreeMap<u64, (u64, Option<Socket>)>);

impl Rows {
    fn add(&mut self, row: Option<(u64, Option<Socket>)>, inodes: &[u64]) {
        if let Some((inode, socket)) = row.filter(|(inode, _)| inodes.binary_search(inode).is_ok()) {
            self.0.entry(inode).and_modify(|(count, _)| *count += 1).or_insert((1, socket));
        }
    }

    fn listening(self) -> impl Iterator<Item = Socket> {
        self.0.into_values().filter(|(count, _)| *count == 1).filter_map(|(_, socket)| socket)
    }
}

fn each_line(pid: i32, table: &str, mut each: impl FnMut(&[u8])) {
    let Ok(file) = File::open(process::path(pid, table)) else { return };
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        each(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
}

/// A row such as `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 …`.
fn internet(kind: &'static str, line: &[u8]) -> Option<(u64, Socket)> {
    const LISTENS: &[u8] = b"0A";
    /// Of datagrams: has no peer, so takes them from anybody.
    const UNCONNECTED: &[u8] = b"07";
    let mut fields = words(line);
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    if state != if kind == "tcp" { LISTENS } else { UNCONNECTED } {
        return None;
    }
    let inode = number_in(fields.nth(5)?)?;
    let address = address(std::str::from_utf8(local).ok()?)?.to_string().into_bytes();
    Some((inode, Socket { kind, address }))
}

/// Words of 32 bits, each printed as the number that it is on this machine, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    const DIGITS: usize = 8;
    let (address, port) = text.split_once(':')?;
    let mut bytes = [0; 16];
    let mut length = 0;
    while length * 2 < address.len() {
        let word = u32::from_str_radix(address.get(length * 2..length * 2 + DIGITS)?, 16).ok()?;
        bytes.get_mut(length..length + 4)?.copy_from_slice(&word.to_ne_bytes());
        length += 4;
    }
    let ip = match (length, bytes) {
        (4, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        (16, _) => IpAddr::V6(Ipv6Addr::from(bytes)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// A row such as `0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/x`. The path may hold spaces. The socket is there if it
/// listens.
fn local(line: &[u8]) -> Option<(u64, Option<Socket>)> {
    /// `__SO_ACCEPTCON`.
    const LISTENS: u64 = 1 << 16;
    const DATAGRAMS: &[u8] = b"0002";
    const FIELDS: usize = 7;
    let mut rest = line;
    let mut fields = [&b""[..]; FIELDS];
    for field in &mut fields {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        (*field, rest) = rest.split_at(end);
    }
    let [_, _, _, flags, kind, _, inode] = fields;
    let flags = u64::from_str_radix(std::str::from_utf8(flags).ok()?, 16).ok()?;
    let inode = number_in(inode)?;
    let address = rest.strip_prefix(b" ").filter(|path| !path.is_empty());
    let is_open = |path: &&[u8]| flags & LISTENS != 0 || kind == DATAGRAMS && path.starts_with(b"/");
    let socket = address.filter(is_open).map(|address| Socket { kind: "unix", address: address.to_vec() });
    Some((inode, socket))
}

#[cfg(test)]
mod tests {
    use super::{Rows, internet, local};

    fn shown(row: Option<(u64, super::Socket)>) -> Option<(u64, String)> {
        row.map(|(inode, socket)| (inode, String::from_utf8_lossy(&socket.address).into_owned()))
    }

    #[test]
    fn rows_of_internet_sockets() {
        let row = |address: &str, state: &str| {
            format!(
                "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100"
            )
        };
        let loopback = format!("{:08X}:1F90", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(shown(internet("tcp", row(&loopback, "0A").as_bytes())), Some((4711, "127.0.0.1:8080".to_owned())));
        assert_eq!(internet("tcp", row(&loopback, "01").as_bytes()), None);
        assert_eq!(internet("udp", row(&loopback, "01").as_bytes()), None);
        let six = format!("000000000000000000000000{:08X}:0050", u32::from_ne_bytes([0, 0, 0, 1]));
        assert_eq!(shown(internet("tcp", row(&six, "0A").as_bytes())), Some((4711, "[::1]:80".to_owned())));
        for wrong in
            ["", "  sl  local_address rem_address   st", "0: 0100007F 0 0A 0 0 0 0 0 1", "0: 1:1 0 0A 0 0 0 0 0 1"]
        {
            assert_eq!(internet("tcp", wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn rows_of_local_sockets() {
        let row = |rest: &str| {
            let (inode, socket) = local(format!("0000000000000000: 00000002 00000000 {rest}").as_bytes())?;
            Some((inode, socket?))
        };
        assert_eq!(shown(row("00010000 0001 01  4711 /run/a b")), Some((4711, "/run/a b".to_owned())));
        assert_eq!(shown(row("00010000 0005 01 4711 @x")), Some((4711, "@x".to_owned())));
        assert_eq!(shown(row("00000000 0002 01 4711 /dev/log")), Some((4711, "/dev/log".to_owned())));
        for other in ["00000000 0001 03 4711 /run/x", "00000000 0002 01 4711 @x", "00010000 0001 01 4711", "x", ""] {
            assert_eq!(row(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_cannot_forge_a_row() {
        let own = "0000000000000000: 00000002 00000000 00000000 0001 03 4711";
        let forged = "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/forged";
        for (lines, expected) in [(&[forged][..], 1), (&[own], 0), (&[own, forged], 0), (&[forged, own], 0)] {
            let mut rows = Rows::default();
            lines.iter().for_each(|line| rows.add(local(line.as_bytes()), &[4711]));
            assert_eq!(rows.listening().count(), expected, "{lines:?}");
        }
    }
}
