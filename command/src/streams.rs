//! Where a program's input comes from, and its output goes.

use crate::answer::Failure;
use crate::options::Streams;
use crate::usage;
use crate::values::split;
use daemonctx::{Daemon, Detach, Facility, LogFile, Stream, Syslog};
use std::path::Path;

/// Applies the options. Without any, streams of a foreground program stay as they are.
pub(crate) fn streams(daemon: &mut Daemon, options: &Streams, detach: Detach) -> Result<(), Failure> {
    check(options)?;
    let usual = || if detach == Detach::No { Stream::inherit() } else { Stream::null() };
    daemon.stdin(options.stdin.as_ref().map_or_else(usual, Stream::file));
    let syslog = syslog(options);
    let output = |path: Option<&Path>| match path {
        Some(path) => Some(log_file(options, path).into()),
        None => syslog.clone().map(Stream::from),
    };
    daemon.stdout(output(options.stdout.as_deref()).unwrap_or_else(usual));
    daemon.stderr(output(options.stderr.as_deref()).unwrap_or_else(usual));
    Ok(())
}

fn check(options: &Streams) -> Result<(), Failure> {
    usage::need(
        &["stdout", "stderr"],
        options.stdout.is_some() || options.stderr.is_some(),
        &[
            ("truncate", options.truncate),
            ("log-mode", options.log_mode.is_some()),
            ("log-owner", options.log_owner.is_some()),
        ],
    )?;
    usage::need(
        &["syslog"],
        options.syslog,
        &[
            ("syslog-identity", options.syslog_identity.is_some()),
            ("syslog-facility", options.syslog_facility.is_some()),
        ],
    )
}

fn log_file(options: &Streams, path: &Path) -> LogFile {
    let mut file = LogFile::new(path).truncate(options.truncate);
    if let Some(mode) = options.log_mode {
        file = file.mode(mode);
    }
    if let Some((user, group)) = options.log_owner.as_deref().map(|owner| split(owner, b':')) {
        file = if user.is_empty() { file } else { file.user(user) };
        file = group.map_or(file.clone(), |group| file.group(group));
    }
    file
}

/// Without an identity, the daemon's name is used.
fn syslog(options: &Streams) -> Option<Syslog> {
    let mut syslog = Syslog::new().facility(options.syslog_facility.unwrap_or(Facility::DAEMON));
    if let Some(identity) = &options.syslog_identity {
        syslog = syslog.identity(identity);
    }
    options.syslog.then_some(syslog)
}
