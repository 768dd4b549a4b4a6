//! `status`: what is found of a daemon, as an exit code and in JSON.

use crate::answer::{Answer, Failure};
use crate::found::{Found, Held, Seen, find, user_name};
use crate::logged::Log;
use crate::look;
use crate::mapped::CommandLine;
use crate::options;
use crate::place::Place;
use crate::process::{Member, Process};
use crate::screen::Screen;
use crate::sockets::Socket;
use crate::{bounded, time};
use serde_json::{Value, json};

/// Exit codes of an init script's `status` (LSB 5.0).
mod code {
    pub(super) const RUNNING: u8 = 0;
    pub(super) const DEAD: u8 = 1;
    /// Dead, and something still holds its lock.
    pub(super) const HELD: u8 = 2;
    pub(super) const NOT_RUNNING: u8 = 3;
    /// Also of a start under way: whether the daemon will run is not known yet.
    pub(super) const UNKNOWN: u8 = 4;
}

pub(crate) fn status(options: &options::Status) -> Result<Answer, Failure> {
    // A failure says nothing of a daemon: none of the codes that do.
    let unknown = |failure: Failure| if failure.is_misuse() { failure } else { failure.with_code(code::UNKNOWN) };
    let place = Place::of_daemon(&options.which).map_err(unknown)?;
    let is_shown = options.report.json || !options.report.quiet;
    let found = find(&place, if is_shown { options.lines } else { 0 }).map_err(unknown)?;
    let json = in_json(&place, &found);
    let text = look::text(&Screen::of(&std::io::stdout()), &place, &found);
    Ok(Answer::drawn(text, json).with_code(found.code()))
}

impl Found {
    fn code(&self) -> u8 {
        match self {
            Self::Running(_) => code::RUNNING,
            Self::Dead { .. } | Self::Ended { .. } => code::DEAD,
            Self::Held { .. } => code::HELD,
            Self::NotRunning => code::NOT_RUNNING,
            Self::Starting { .. } | Self::Unknown(_) => code::UNKNOWN,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Running(_) => "running",
            Self::Starting { .. } => "starting",
            Self::Held { .. } => "held",
            Self::Dead { .. } | Self::Ended { .. } => "dead",
            Self::NotRunning => "not_running",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Always the same keys; what is not known, or not there, is null.
fn in_json(place: &Place, found: &Found) -> Value {
    let seen = if let Found::Running(seen) = found { Some(&**seen) } else { None };
    let process = seen.and_then(|seen| seen.process.as_ref());
    let (last, holders, log) = match found {
        Found::Running(seen) => (None, None, Some(&seen.log).filter(|_| seen.outputs.is_some())),
        Found::Starting { holders } => (None, Some(holders), None),
        Found::Held { last, holders, why: Held::Lock, .. } => (*last, Some(holders), None),
        Found::Held { last, holders, log, .. } => (*last, Some(holders), Some(log)),
        Found::Dead { last, log } => (*last, None, Some(log)),
        Found::Ended { log, .. } => (None, None, Some(log)),
        Found::NotRunning | Found::Unknown(_) => (None, None, None),
    };
    let monitored = seen.and_then(|seen| seen.monitored.as_ref());
    let (restarts, last_end) = match found {
        Found::Ended { end, restarts, .. } => (Some(*restarts), end.clone()),
        _ => (monitored.map(|it| it.restarts), monitored.and_then(|it| it.last_end.clone())),
    };
    json!({
        "result": found.word(),
        "name": place.name,
        "pid": seen.map(|seen| seen.pid),
        "pidfile": place.path(),
        "state": process.map(Process::state_word),
        "since": seen.and_then(|seen| time::rfc3339(seen.since?)),
        "uptime_seconds": seen.and_then(|seen| seen.uptime).map(|uptime| uptime.as_secs()),
        "user": seen.and_then(|seen| seen.user).map(user_name),
        "command": seen.filter(|_| process.is_some()).map(|seen| command_in_json(seen.command.as_ref())),
        "memory": seen.map(memory_in_json),
        "cpu_seconds": process.map(|process| process.cpu.as_secs_f64()),
        "threads": process.map(|process| process.threads),
        "descriptors": seen.map(|seen| json!({ "open": seen.open, "limit": seen.limit })),
        "monitor": monitored.and_then(|it| it.monitor),
        "restarts": restarts,
        "last_end": last_end,
        "processes": seen.filter(|_| process.is_some()).map(|seen| seen.family.iter().map(member_in_json).collect::<Value>()),
        "listening": seen.and_then(|seen| Some(seen.listening.as_ref()?.iter().map(socket_in_json).collect::<Value>())),
        "log": log.map(|logs| logs.iter().map(log_in_json).collect::<Value>()),
        "reason": if let Found::Unknown(why) = found { Some(why) } else { None },
        "last_pid": last,
        "holders": holders.map(|holders| holders.iter().map(holder_in_json).collect::<Value>()),
        "status": found.code(),
    })
}

fn memory_in_json(seen: &Seen) -> Value {
    json!({ "rss": seen.memory.rss, "pss": seen.pss, "swap": seen.memory.swap })
}

fn member_in_json((member, command): &(Member, Option<CommandLine>)) -> Value {
    let Process { pid, parent, .. } = member.process;
    json!({ "pid": pid, "parent": parent, "command": command_in_json(command.as_ref()) })
}

/// What has been cut ends with an ellipsis.
fn command_in_json(command: Option<&CommandLine>) -> Value {
    let Some(CommandLine { words, is_cut }) = command else { return Value::Null };
    let mark = |place| if *is_cut && place + 1 == words.len() { "…" } else { "" };
    words.iter().enumerate().map(|(place, word)| Value::from(lossy(word) + mark(place))).collect()
}

fn socket_in_json(socket: &Socket) -> Value {
    json!({ "type": socket.kind, "address": lossy(&socket.address) })
}

fn log_in_json(log: &Log) -> Value {
    let line = |line: &Vec<u8>| {
        let (line, is_cut) = bounded::cut(line);
        Value::from(lossy(line) + if is_cut { "…" } else { "" })
    };
    json!({ "source": lossy(&log.source), "lines": log.lines.iter().map(line).collect::<Value>() })
}

fn holder_in_json(holder: &Process) -> Value {
    json!({ "pid": holder.pid, "name": lossy(&holder.name) })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
