//! What the values of options are completed to.

use crate::{run_directories, signals as signal_names};
use clap_complete::CompletionCandidate;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Stand for files and directories among the candidates.
pub(crate) const FILES: &str = "\u{1}files";
pub(crate) const DIRECTORIES: &str = "\u{1}directories";

pub(crate) fn files(_: &OsStr) -> Vec<CompletionCandidate> {
    vec![CompletionCandidate::new(FILES)]
}

pub(crate) fn directories(_: &OsStr) -> Vec<CompletionCandidate> {
    vec![CompletionCandidate::new(DIRECTORIES)]
}

fn beginning(current: &OsStr, words: impl IntoIterator<Item = OsString>) -> Vec<CompletionCandidate> {
    let mut found: Vec<_> = words.into_iter().filter(|word| word.as_bytes().starts_with(current.as_bytes())).collect();
    found.sort();
    found.dedup();
    found.into_iter().map(CompletionCandidate::new).collect()
}

pub(crate) fn readiness(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, ["exec", "running:", "forking", "fd:", "systemd", "listen:", "file:"].map(OsString::from))
}

pub(crate) fn schedules(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, ["TERM/30s/KILL/5s", "TERM/5s/KILL/5s", "30s"].map(OsString::from))
}

pub(crate) fn signals(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, signal_names::names().map(OsString::from))
}

pub(crate) fn variables(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, std::env::vars_os().map(|(name, _)| name))
}

pub(crate) fn assignments(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, std::env::vars_os().map(|(name, _)| [name, "=".into()].into_iter().collect()))
}

pub(crate) fn groups(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, names_in("/etc/group"))
}

/// `USER` or `USER:GROUP`.
pub(crate) fn owners(current: &OsStr) -> Vec<CompletionCandidate> {
    match current.as_bytes().iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let user = OsStr::from_bytes(&current.as_bytes()[..=colon]);
            beginning(current, names_in("/etc/group").map(|group| [user, &group].into_iter().collect()))
        }
        None => beginning(current, names_in("/etc/passwd")),
    }
}

/// The first fields of a table such as passwd(5).
fn names_in(table: &str) -> impl Iterator<Item = OsString> {
    let table = fs::read(table).unwrap_or_default();
    let names: Vec<_> = table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .map(<[u8]>::to_vec)
        .collect();
    names.into_iter().filter(|name| !name.is_empty()).map(OsString::from_vec)
}

pub(crate) fn daemons(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, run_directories::names())
}
