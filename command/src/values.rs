//! The values of options, read from text. The errors say what is expected; `usage` says where, and what was given.

use crate::schedule;
use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use daemonctx::{Facility, Groups, KillMode, ListenAddress, Readiness};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Longer times are taken for mistakes.
const LONGEST: f64 = 1e9;

/// `500ms`, `5s`, `1m`, `2h`; a plain number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1.0));
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let time = number.parse::<f64>().ok().map(|number| number * seconds).filter(|time| is_plain && *time < LONGEST);
    let time = time.and_then(|time| Duration::try_from_secs_f64(time).ok());
    time.ok_or_else(|| "expected a time such as 5, 500ms, 5s or 1m".to_owned())
}

pub(crate) fn signal(text: &str) -> Result<i32, String> {
    schedule::signal(text).ok_or_else(|| "expected a signal such as HUP, SIGHUP, 1 or RTMIN+3".to_owned())
}

pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_number && *mode <= 0o777);
    mode.ok_or_else(|| "expected an octal number from 0 to 777".to_owned())
}

pub(crate) fn nice(text: &str) -> Result<i32, String> {
    number(text, |number| (-20..=19).contains(number), "expected a number from -20 to 19")
}

pub(crate) fn count(text: &str) -> Result<usize, String> {
    number(text, |_| true, "expected a number, 0 or more")
}

pub(crate) fn limit(text: &str) -> Result<u32, String> {
    number(text, |_| true, "expected a number, 0 or more")
}

/// A number that no descriptor can have, or that a standard stream has, is found later: as for one that is not open, the exit code
/// is 6.
pub(crate) fn descriptor(text: &str) -> Result<i32, String> {
    number(text, |_| true, EXPECTED_DESCRIPTOR)
}

pub(crate) const EXPECTED_DESCRIPTOR: &str = "expected the number of an open descriptor, 3 or above";

fn number<T: FromStr>(text: &str, is_fit: impl Fn(&T) -> bool, expected: &str) -> Result<T, String> {
    text.parse().ok().filter(is_fit).ok_or_else(|| expected.to_owned())
}

pub(crate) fn readiness(text: &str) -> Result<Readiness, String> {
    const NEWLINE: i32 = 3;
    const EXPECTED: &str = "expected exec, running:TIME, forking[:PIDFILE], fd[:NUMBER], systemd, listen:[ADDRESS:]PORT, \
                            listen:PATH or file:PATH";
    let path = |text: &str| Some(PathBuf::from(text)).filter(|_| !text.is_empty());
    let found = match text.split_once(':').map_or((text, None), |(how, more)| (how, Some(more))) {
        ("exec", None) => Some(Readiness::Executed),
        ("running", Some(time)) => duration(time).ok().map(Readiness::StillRunning),
        ("fd", number) => {
            number.map_or(Some(NEWLINE), |text| text.parse().ok().filter(|fd| *fd >= NEWLINE)).map(Readiness::Newline)
        }
        ("systemd", None) => Some(Readiness::Notify),
        ("forking", None) => Some(Readiness::Forked(None)),
        ("forking", Some(file)) => path(file).map(|file| Readiness::Forked(Some(file))),
        ("listen", Some(address)) => listen_address(address).map(Readiness::Listening),
        ("file", Some(file)) => path(file).map(Readiness::File),
        _ => None,
    };
    let is_name = |text: &str| text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    found.ok_or_else(|| match text.strip_prefix("listen:") {
        Some(address) if is_name(address) => {
            "expected a numeric address, such as listen:127.0.0.1:8000 or listen:[::1]:8000".to_owned()
        }
        _ => EXPECTED.to_owned(),
    })
}

/// `8080`, `127.0.0.1:8080`, `[::1]:8080`, or a path with a slash.
fn listen_address(text: &str) -> Option<ListenAddress> {
    if text.contains('/') {
        return Some(ListenAddress::Unix(text.into()));
    }
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
    let Some((address, number)) = text.rsplit_once(':') else { return Some(ListenAddress::Port(None, port(text)?)) };
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    Some(ListenAddress::Port(Some(address.parse().ok()?), port(number)?))
}

pub(crate) fn kill_modes() -> ValueParser {
    let read = |text: String| if text == "process" { KillMode::Process } else { KillMode::Tree };
    PossibleValuesParser::new(["tree", "process"]).map(read).into()
}

/// A file name, and not a hidden one.
pub(crate) fn daemon_name(name: OsString) -> Result<OsString, String> {
    if is_daemon_name(&name) { Ok(name) } else { Err("expected a name without a slash or a leading dot".to_owned()) }
}

pub(crate) fn is_daemon_name(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().contains(&b'/') && !name.as_bytes().starts_with(b".")
}

pub(crate) fn assignment(text: OsString) -> Result<(OsString, OsString), String> {
    match split(&text, b'=') {
        (name, Some(value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// `USER`, `USER:GROUP` or `:GROUP`.
pub(crate) fn owner(text: OsString) -> Result<OsString, String> {
    let is_complete = match split(&text, b':') {
        (_, Some(group)) => !group.is_empty(),
        (user, None) => !user.is_empty(),
    };
    if is_complete { Ok(text) } else { Err("expected USER, USER:GROUP or :GROUP".to_owned()) }
}

pub(crate) fn variable(name: OsString) -> Result<OsString, String> {
    let is_name = !name.is_empty() && !name.as_bytes().contains(&b'=');
    if is_name { Ok(name) } else { Err("expected the NAME of a variable, without =".to_owned()) }
}

/// What is before the first `at`, and what is behind it, if it is there.
pub(crate) fn split(text: &OsStr, at: u8) -> (&OsStr, Option<&OsStr>) {
    let mut parts = text.as_bytes().splitn(2, |byte| *byte == at).map(OsStr::from_bytes);
    (parts.next().unwrap_or_default(), parts.next())
}

pub(crate) fn groups() -> ValueParser {
    let read = |text: String| if text == "none" { Groups::None } else { Groups::Own };
    PossibleValuesParser::new(["own", "none"]).map(read).into()
}

pub(crate) fn facilities() -> ValueParser {
    const NAMES: [&str; 14] = [
        "daemon", "user", "mail", "auth", "authpriv", "cron", "local0", "local1", "local2", "local3", "local4",
        "local5", "local6", "local7",
    ];
    PossibleValuesParser::new(NAMES).try_map(|name| facility(&name).ok_or("expected a facility")).into()
}

fn facility(name: &str) -> Option<Facility> {
    match name {
        "daemon" => Some(Facility::DAEMON),
        "user" => Some(Facility::USER),
        "mail" => Some(Facility::MAIL),
        "auth" => Some(Facility::AUTH),
        "authpriv" => Some(Facility::AUTHPRIV),
        "cron" => Some(Facility::CRON),
        _ => Facility::local(name.strip_prefix("local")?.parse().ok()?),
    }
}

/// The commands that `help` explains.
pub(crate) fn command_names() -> PossibleValuesParser {
    const NAMES: [&str; 12] = [
        "start",
        "stop",
        "restart",
        "try-restart",
        "reload",
        "status",
        "list",
        "logs",
        "run",
        "completions",
        "help",
        "version",
    ];
    PossibleValuesParser::new(NAMES)
}

#[cfg(test)]
mod tests {
    use super::{duration, listen_address, split};
    use daemonctx::ListenAddress;
    use std::ffi::OsStr;
    use std::time::Duration;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in
            [("5", 5000), ("0.5", 500), ("500ms", 500), ("5s", 5000), ("1m", 60_000), ("1.5h", 5_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "-1", "1e3", "inf", "nan", "5 s", "5x", "1e9", "9999999999"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_to_listen_on() {
        let port = |address: &str, port| address.parse().ok().map(|address| ListenAddress::Port(Some(address), port));
        assert_eq!(listen_address("80"), Some(ListenAddress::Port(None, 80)));
        assert_eq!(listen_address("127.0.0.1:80"), port("127.0.0.1", 80));
        assert_eq!(listen_address("[::1]:80"), port("::1", 80));
        assert_eq!(listen_address("/run/x:1"), Some(ListenAddress::Unix("/run/x:1".into())));
        for wrong in ["", "0", "65536", "-1", "localhost:80", ":80", "127.0.0.1:", "x"] {
            assert_eq!(listen_address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn owners_and_assignments() {
        let os = OsStr::new;
        assert_eq!(split(os("a:b:c"), b':'), (os("a"), Some(os("b:c"))));
        assert_eq!(split(os("a"), b':'), (os("a"), None));
        assert_eq!(split(os(":b"), b':'), (os(""), Some(os("b"))));
        assert_eq!(split(os("A="), b'='), (os("A"), Some(os(""))));
    }
}
