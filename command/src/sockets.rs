//! Where a daemon listens: its sockets found again in the kernel's tables of them, `/proc/PID/net` (proc(5)).

use crate::process::{self, number_in, words};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) kind: &'static str,
    /// An address with its port, a path, or `@` and an abstract name.
    pub(crate) address: Vec<u8>,
}

/// Those of `inodes` that listen, in the network that `pid` is in.
pub(crate) fn listening(pid: i32, inodes: &[u64]) -> Vec<Socket> {
    let mut found = Vec::new();
    if inodes.is_empty() {
        return found;
    }
    for (kind, table) in [("tcp", "net/tcp"), ("tcp", "net/tcp6"), ("udp", "net/udp"), ("udp", "net/udp6")] {
        each_line(pid, table, |line| collect(&mut found, internet(kind, line), inodes));
    }
    each_line(pid, "net/unix", |line| collect(&mut found, local(line), inodes));
    found
}

fn collect(found: &mut Vec<Socket>, row: Option<(u64, Socket)>, inodes: &[u64]) {
    let Some((inode, socket)) = row else { return };
    // Several may share one address (SO_REUSEPORT).
    if inodes.binary_search(&inode).is_ok() && !found.contains(&socket) {
        found.push(socket);
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

/// A row such as `0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/x`. The path may hold spaces.
fn local(line: &[u8]) -> Option<(u64, Socket)> {
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
    let address = rest.strip_prefix(b" ").filter(|path| !path.is_empty())?.to_vec();
    let is_open = flags & LISTENS != 0 || kind == DATAGRAMS && address.starts_with(b"/");
    is_open.then_some((inode, Socket { kind: "unix", address }))
}

#[cfg(test)]
mod tests {
    use super::{internet, local};

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
        let row = |rest: &str| local(format!("0000000000000000: 00000002 00000000 {rest}").as_bytes());
        assert_eq!(shown(row("00010000 0001 01  4711 /run/a b")), Some((4711, "/run/a b".to_owned())));
        assert_eq!(shown(row("00010000 0005 01 4711 @x")), Some((4711, "@x".to_owned())));
        assert_eq!(shown(row("00000000 0002 01 4711 /dev/log")), Some((4711, "/dev/log".to_owned())));
        for other in ["00000000 0001 03 4711 /run/x", "00000000 0002 01 4711 @x", "00010000 0001 01 4711", "x", ""] {
            assert_eq!(row(other), None, "{other}");
        }
    }
}
