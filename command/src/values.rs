//! The values of options, read from text. The errors say what is expected; `usage` says where, and what was given.

use crate::signals;
use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use daemonctx::{Facility, Groups, KillMode, Readiness};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;
use std::time::Duration;

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    daemonctx::parse_duration(text).ok_or_else(|| "expected a time such as 5, 500ms, 5s or 1m".to_owned())
}

pub(crate) fn signal(text: &str) -> Result<i32, String> {
    signals::parse(text).ok_or_else(|| "expected a signal such as HUP, SIGHUP, 1 or RTMIN+3".to_owned())
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
    text.parse().map_err(|error: daemonctx::Error| error.words().to_owned())
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
    use super::split;
    use std::ffi::OsStr;

    #[test]
    fn owners_and_assignments() {
        let os = OsStr::new;
        assert_eq!(split(os("a:b:c"), b':'), (os("a"), Some(os("b:c"))));
        assert_eq!(split(os("a"), b':'), (os("a"), None));
        assert_eq!(split(os(":b"), b':'), (os(""), Some(os("b"))));
        assert_eq!(split(os("A="), b'='), (os("A"), Some(os(""))));
    }
}
