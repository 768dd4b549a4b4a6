//! Where a program's input comes from, and its output goes.

use crate::answer::Failure;
use crate::arguments::Arguments;
use crate::described::{mode, split};
use daemonctx::{Daemon, Detach, Facility, LogFile, Stream, Syslog};
use std::ffi::OsStr;

/// What is said about them. In the foreground what nothing is said about stays: whoever started it reads it.
pub(crate) fn streams(daemon: &mut Daemon, arguments: &Arguments, detach: Detach) -> Result<(), Failure> {
    let usual = || if detach == Detach::No { Stream::inherit() } else { Stream::null() };
    daemon.stdin(arguments.get("stdin").map_or_else(usual, Stream::file))?;
    let syslog = syslog(arguments)?;
    daemon.stdout(output(arguments, "stdout", syslog.as_ref())?.unwrap_or_else(usual))?;
    daemon.stderr(output(arguments, "stderr", syslog.as_ref())?.unwrap_or_else(usual))?;
    arguments.need(&["stdout", "stderr"], &["truncate", "log-mode", "log-owner"])
}

fn output(arguments: &Arguments, stream: &str, syslog: Option<&Syslog>) -> Result<Option<Stream>, Failure> {
    match arguments.get(stream) {
        Some(path) => log_file(arguments, path).map(|file| Some(file.into())),
        None => Ok(syslog.cloned().map(Stream::from)),
    }
}

fn log_file(arguments: &Arguments, path: &OsStr) -> Result<LogFile, Failure> {
    let mut file = LogFile::new(path).truncate(arguments.has("truncate"));
    if let Some(mode) = arguments.read_as("log-mode", mode)? {
        file = file.mode(mode);
    }
    if let Some((user, group)) = arguments.get("log-owner").map(|owner| split(owner, b':')) {
        file = if user.is_empty() { file } else { file.user(user) };
        file = group.map_or(file.clone(), |group| file.group(group));
    }
    Ok(file)
}

/// Where no identity is said, the daemon's name is it.
fn syslog(arguments: &Arguments) -> Result<Option<Syslog>, Failure> {
    arguments.need(&["syslog"], &["syslog-identity", "syslog-facility"])?;
    let facility = arguments.read_as("syslog-facility", facility)?.unwrap_or(Facility::DAEMON);
    let mut syslog = Syslog::new().facility(facility);
    if let Some(identity) = arguments.get("syslog-identity") {
        syslog = syslog.identity(identity);
    }
    Ok(arguments.has("syslog").then_some(syslog))
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

#[cfg(test)]
mod tests {
    use super::facility;
    use crate::options::{FLAGS, Kind};

    #[test]
    fn all_facilities_that_are_offered() {
        let offered = FLAGS.iter().find(|flag| flag.long == "syslog-facility").and_then(|flag| flag.value);
        let names = if let Some((_, Kind::Words(names))) = offered { names } else { &[] };
        assert!(!names.is_empty() && names.iter().all(|name| facility(name).is_some()));
        for wrong in ["kern", "local8", "local", "local256", ""] {
            assert_eq!(facility(wrong), None, "{wrong}");
        }
    }
}
