//! When a program is ready that knows nothing of this library.

use crate::error::{Error, Step, Subject};
use crate::sys::parse_decimal;
use crate::sys::socket::parse_ip;
use crate::sys::time::parse_duration;
use crate::sys::{Errno, memory};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// When a program is ready that is started by [`Daemon::launch`](crate::Daemon::launch).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// As soon as it runs: it was executed.
    Executed,
    /// When it has run for so long: 0.5 s is the default. What is wrong with a program mostly shows at its start, as a port that is taken
    /// or a file that is missing.
    StillRunning(Duration),
    /// When it writes a newline to this descriptor, as s6 and its like have it (`notification-fd`). Closing it without is a
    /// failure.
    Newline(RawFd),
    /// When the program or a descendant of it sends `READY=1` to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). The same processes may ask for more time (`EXTEND_TIMEOUT_USEC=`), up to ten times the ready timeout. The
    /// sender must still exist when the message is read, so a short-lived one waits for that (`BARRIER=1`), as systemd-notify(1) does.
    Notify,
    /// When it has gone into the background: its process exited with status 0 and left a descendant, which is the daemon. With a path,
    /// when that file, which the program writes, names the daemon.
    Forked(Option<PathBuf>),
    /// When the program, or a descendant of it, listens there.
    Listening(ListenAddress),
    /// When this file is there and was written after the start. A symbolic link stands for the file it leads to.
    File(PathBuf),
}

impl Default for Readiness {
    fn default() -> Self {
        Self::StillRunning(Duration::from_millis(500))
    }
}

/// Where a program is to listen before it counts as ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP port, at this address or, without one, at any.
    Port(Option<IpAddr>, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// As `daemonctx start --notify` has it: `exec`, `running:500ms`, `fd` or `fd:3`, `systemd`, `forking`, `forking:PIDFILE`, `listen:8080`,
/// `listen:127.0.0.1:8080`, `listen:/run/hello.sock`, `file:PATH`.
impl FromStr for Readiness {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        const EXPECTED: &str = "expected exec, running:TIME, forking[:PIDFILE], fd[:NUMBER], systemd, listen:[ADDRESS:]PORT, listen:PATH \
                                or file:PATH";
        const NUMERIC: &str = "expected a numeric address, such as listen:127.0.0.1:8000 or listen:[::1]:8000";
        let failed = || Error::about(Step::Readiness, text.as_bytes(), Errno::EINVAL);
        let bytes = text.as_bytes();
        parse(bytes).ok_or_else(|| match bytes.strip_prefix(b"listen:").map(split_port) {
            Some((Some(_), port)) if parse_port(port).is_some() => failed().note(NUMERIC),
            _ => failed().note(EXPECTED),
        })
    }
}

fn parse(text: &[u8]) -> Option<Readiness> {
    const NEWLINE: RawFd = 3;
    let path = |text: &[u8]| to_path(text).filter(|_| !text.is_empty());
    let mut parts = text.splitn(2, |byte| *byte == b':');
    match (parts.next()?, parts.next()) {
        (b"exec", None) => Some(Readiness::Executed),
        (b"running", Some(time)) => parse_duration(std::str::from_utf8(time).ok()?).map(Readiness::StillRunning),
        (b"fd", None) => Some(Readiness::Newline(NEWLINE)),
        (b"fd", Some(text)) => {
            let fd = parse_decimal(text).and_then(|number| RawFd::try_from(number).ok());
            fd.filter(|fd| *fd >= NEWLINE).map(Readiness::Newline)
        }
        (b"systemd", None) => Some(Readiness::Notify),
        (b"forking", None) => Some(Readiness::Forked(None)),
        (b"forking", Some(file)) => path(file).map(|file| Readiness::Forked(Some(file))),
        (b"listen", Some(address)) => parse_address(address).map(Readiness::Listening),
        (b"file", Some(file)) => path(file).map(Readiness::File),
        _ => None,
    }
}

/// `8080`, `127.0.0.1:8080`, `[::1]:8080`, or a path with a slash.
fn parse_address(text: &[u8]) -> Option<ListenAddress> {
    if text.contains(&b'/') {
        return to_path(text).map(ListenAddress::Unix);
    }
    let (address, port) = split_port(text);
    let port = parse_port(port)?;
    let Some(address) = address else { return Some(ListenAddress::Port(None, port)) };
    let address = address.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(address);
    Some(ListenAddress::Port(Some(parse_ip(address)?), port))
}

/// None without memory.
fn to_path(text: &[u8]) -> Option<PathBuf> {
    let mut path = Vec::new();
    memory::extend(&mut path, text).ok()?;
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// What is before the last colon, if there is one, and what is behind it.
fn split_port(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut parts = text.rsplitn(2, |byte| *byte == b':');
    let port = parts.next().unwrap_or_default();
    (parts.next(), port)
}

fn parse_port(text: &[u8]) -> Option<u16> {
    parse_decimal(text).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

impl Readiness {
    /// What has not happened, of a program that is not ready in time.
    pub(crate) fn awaited(&self) -> &'static str {
        match self {
            Self::Newline(_) => "no newline came on its descriptor",
            Self::Notify => "no READY=1 came",
            Self::Forked(None) => "it did not put itself into the background",
            Self::Forked(Some(_)) => "its pid file is missing, or names no daemon",
            Self::Listening(_) => "nothing listens there",
            Self::File(_) => "the file did not appear",
            Self::Executed | Self::StillRunning(_) => "",
        }
    }

    /// What it is called in an error.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Newline(fd) => Subject::Number(i64::from(*fd)),
            Self::Notify => Subject::Word("NOTIFY_SOCKET"),
            Self::Forked(_) => Subject::Word("forking"),
            Self::Listening(_) => Subject::Word("listen"),
            Self::File(_) => Subject::Word("file"),
            _ => Subject::Nothing,
        }
    }
}

/// How long a start may take, with all that the program asks for.
pub(crate) fn longest_start(timeout: Option<Duration>) -> Option<Duration> {
    /// How many times the timeout may be used up by asking for more time.
    const MOST_TIMEOUTS: u32 = 10;
    timeout.map(|timeout| timeout.saturating_mul(MOST_TIMEOUTS))
}

#[cfg(test)]
mod tests {
    use super::{ListenAddress, Readiness, parse_address};

    #[test]
    fn addresses_to_listen_on() {
        let port = |address: &str, port| address.parse().ok().map(|address| ListenAddress::Port(Some(address), port));
        assert_eq!(parse_address(b"80"), Some(ListenAddress::Port(None, 80)));
        assert_eq!(parse_address(b"127.0.0.1:80"), port("127.0.0.1", 80));
        assert_eq!(parse_address(b"[::1]:80"), port("::1", 80));
        assert_eq!(parse_address(b"/run/x:1"), Some(ListenAddress::Unix("/run/x:1".into())));
        for wrong in ["", "0", "65536", "-1", "localhost:80", ":80", "127.0.0.1:", "x"] {
            assert_eq!(parse_address(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn kinds_by_their_names() {
        assert_eq!("fd".parse(), Ok(Readiness::Newline(3)));
        assert_eq!("forking:/run/it.pid".parse(), Ok(Readiness::Forked(Some("/run/it.pid".into()))));
        for (wrong, why) in [
            ("fd:2", "readiness failed: fd:2 (expected exec, running:TIME, forking[:PIDFILE]"),
            ("running:", "readiness failed: running: (expected exec"),
            ("listen:localhost:80", "(expected a numeric address, such as listen:127.0.0.1:8000 or listen:[::1]:8000)"),
        ] {
            let told = wrong.parse::<Readiness>().map_err(|error| error.to_string());
            assert!(told.as_ref().is_err_and(|text| text.contains(why)), "{told:?}");
        }
    }
}
