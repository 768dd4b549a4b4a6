//! `status`: whether a daemon runs, and what there is to see of it.

use crate::answer::{Answer, Failure};
use crate::cgroup::Group;
use crate::logged::{self, Author, Log};
use crate::options;
use crate::place::Place;
use crate::process::{self, Member, Memory, Process};
use crate::screen::Screen;
use crate::sockets::{self, Socket};
use crate::time;
use crate::{holders, look, sys};
use daemonctx::{PidFile, Status};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

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

/// What a pid file's daemon was found to be.
pub(crate) enum Found {
    Running(Box<Seen>),
    Starting {
        holders: Vec<Process>,
    },
    Held {
        last: Option<i32>,
        holders: Vec<Process>,
        keeper: Keeping,
    },
    Dead {
        last: Option<i32>,
        log: Vec<Log>,
    },
    NotRunning,
    /// With the reason.
    Unknown(String),
}

/// What the keeper of a program that has ended is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    NoKeeper,
    /// The processes that are left.
    Remains,
    /// Nothing, but to start the program again.
    Respawn,
}

/// A daemon that runs.
pub(crate) struct Seen {
    pub(crate) pid: i32,
    /// None where others' processes are hidden (proc(5), `hidepid`).
    pub(crate) process: Option<Process>,
    pub(crate) command: Vec<Vec<u8>>,
    pub(crate) user: Option<u32>,
    /// Seconds since 1970.
    pub(crate) since: Option<i64>,
    pub(crate) uptime: Option<Duration>,
    pub(crate) memory: Memory,
    /// How many descriptors are open, where that may be known.
    pub(crate) open: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) keeper: Option<i32>,
    pub(crate) group: Option<PathBuf>,
    pub(crate) family: Vec<Member>,
    /// None where that may not be known.
    pub(crate) listening: Option<Vec<Socket>>,
    /// The same.
    pub(crate) outputs: Option<Vec<Vec<u8>>>,
    pub(crate) log: Vec<Log>,
}

pub(crate) fn status(options: &options::Status) -> Result<Answer, Failure> {
    let (place, file) = Place::of_daemon(&options.which)?;
    let is_shown = options.report.json || !options.report.quiet;
    // What is no pid file says nothing of a daemon: none of the codes that do.
    let unknown = |failure: Failure| failure.with_code(code::UNKNOWN);
    let found = find(&file, if is_shown { options.lines } else { 0 }).map_err(unknown)?;
    let json = in_json(&place.name, &file, &found);
    let text = look::text(&Screen::of(&std::io::stdout()), &place.name, &file, &found);
    Ok(Answer::drawn(text, json).with_code(found.code()))
}

impl Found {
    fn code(&self) -> u8 {
        match self {
            Self::Running(_) => code::RUNNING,
            Self::Dead { .. } => code::DEAD,
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
            Self::Dead { .. } => "dead",
            Self::NotRunning => "not_running",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Looks again where the daemon has begun or ended meanwhile, a few times. Of one that keeps doing so nothing is known.
fn find(file: &PidFile, lines: usize) -> Result<Found, Failure> {
    const ATTEMPTS: usize = 4;
    for _ in 1..ATTEMPTS {
        if let Some(found) = look_once(file, lines)? {
            return Ok(found);
        }
    }
    Ok(look_once(file, lines)?.unwrap_or_else(|| Found::Unknown("it is started and ends again and again".to_owned())))
}

/// None where what was seen was not all of one moment.
fn look_once(file: &PidFile, lines: usize) -> Result<Option<Found>, Failure> {
    Ok(match file.status()? {
        Status::Running(_) => running(file, lines)?.map(|seen| Found::Running(Box::new(seen))),
        Status::Starting => starting(file)?,
        Status::Stale => Some(dead(file, lines)?),
        Status::NotRunning => Some(Found::NotRunning),
        Status::Unknown => file.running().err().map(|why| Found::Unknown(why.to_string())),
    })
}

/// All that is read below its PID is its own as long as it has not ended when all is read.
fn running(file: &PidFile, lines: usize) -> Result<Option<Seen>, Failure> {
    /// A process that ends gives up its memory first. How long it may take from there.
    const GOING: Duration = Duration::from_secs(5);
    let Some(target) = file.running()? else { return Ok(None) };
    let seen = Seen::new(target.pid(), file, lines);
    let is_going = seen.process.is_some() && seen.memory.rss.is_none();
    let has_ended = target.wait(Some(if is_going { GOING } else { Duration::ZERO }))?;
    Ok((!has_ended).then_some(seen))
}

/// The lock is held: by a start, when there is no PID yet, or by what is left of a daemon.
fn starting(file: &PidFile) -> Result<Option<Found>, Failure> {
    let last = file.read_pid()?;
    let holders = holders::of(file);
    Ok(match (last, keeping(&holders)) {
        // It may have written its PID just now.
        _ if file.status()? != Status::Starting => None,
        (Some(_), keeper @ (Keeping::Remains | Keeping::Respawn)) => Some(Found::Held { last, keeper, holders }),
        _ => Some(Found::Starting { holders }),
    })
}

fn keeping(holders: &[Process]) -> Keeping {
    let Some(keeper) = holders::keeper_among(holders) else { return Keeping::NoKeeper };
    let is_left = |pid| Process::read(pid).is_some_and(|child: Process| !child.has_ended());
    let remains = process::children(keeper.pid).into_iter().any(is_left);
    if remains { Keeping::Remains } else { Keeping::Respawn }
}

/// The journal may know why.
fn dead(file: &PidFile, lines: usize) -> Result<Found, Failure> {
    let last = file.read_pid()?;
    let holders = holders::of(file);
    if !holders.is_empty() {
        return Ok(Found::Held { last, keeper: Keeping::NoKeeper, holders });
    }
    let written = std::fs::symlink_metadata(file.path()).ok();
    let author = last.zip(written).map(|(pid, file)| Author { pid, user: None, since: file.mtime() - 1 });
    let log = author.filter(|_| lines > 0).and_then(|author| logged::in_system_log(author, lines));
    Ok(Found::Dead { last, log: log.into_iter().collect() })
}

impl Seen {
    fn new(pid: i32, file: &PidFile, lines: usize) -> Self {
        let process = Process::read(pid);
        let age = |process: &Process| Some(sys::since_boot()?.saturating_sub(process.began));
        let uptime = process.as_ref().and_then(age);
        let since = uptime.and_then(time::before_now);
        let descriptors = process::descriptors(pid);
        let user = process::user(pid);
        let keeper = process.as_ref().and_then(holders::keeper_of);
        let group = Group::made_for(file.path(), pid);
        let members = group.as_ref().map(Group::processes).unwrap_or_default();
        let family = process.as_ref().map_or_else(Vec::new, |process| process::family(process, keeper, &members));
        let listening = descriptors.as_ref().ok().map(|own| listening(pid, &own.sockets, &family));
        Self {
            command: process::command(pid),
            since,
            uptime,
            memory: process::memory(pid),
            open: descriptors.ok().map(|descriptors| descriptors.open),
            limit: process::descriptor_limit(pid),
            outputs: logged::outputs(pid).ok(),
            log: log(Author { pid, user, since: since.unwrap_or_default() }, lines),
            pid,
            process,
            user,
            keeper,
            group: group.map(|group| group.path().to_owned()),
            family,
            listening,
        }
    }
}

/// A daemon's workers listen for it.
fn listening(pid: i32, own: &[u64], family: &[Member]) -> Vec<Socket> {
    /// Of so many: one that has more has what they share itself.
    const ASKED: usize = 64;
    let mut inodes = own.to_vec();
    for member in family.iter().take(ASKED).filter(|member| member.process.pid != pid) {
        inodes.extend(process::descriptors(member.process.pid).map(|found| found.sockets).unwrap_or_default());
    }
    inodes.sort_unstable();
    inodes.dedup();
    sockets::listening(pid, &inodes)
}

/// The files that it writes to; where there is nothing in them, the system log.
fn log(author: Author, lines: usize) -> Vec<Log> {
    if lines == 0 {
        return Vec::new();
    }
    let mut logs = logged::in_files(author.pid, lines);
    if logs.iter().all(|log| log.lines.is_empty()) {
        logs.extend(logged::in_system_log(author, lines));
    }
    logs
}

/// Always the same keys; what is not known, or not there, is null.
fn in_json(name: &str, file: &PidFile, found: &Found) -> Value {
    let seen = if let Found::Running(seen) = found { Some(&**seen) } else { None };
    let process = seen.and_then(|seen| seen.process.as_ref());
    let (last, holders, log) = match found {
        Found::Running(seen) => (None, None, Some(&seen.log).filter(|_| seen.outputs.is_some())),
        Found::Starting { holders } => (None, Some(holders), None),
        Found::Held { last, holders, .. } => (*last, Some(holders), None),
        Found::Dead { last, log } => (*last, None, Some(log)),
        Found::NotRunning | Found::Unknown(_) => (None, None, None),
    };
    json!({
        "result": found.word(),
        "name": name,
        "pid": seen.map(|seen| seen.pid),
        "pidfile": file.path().to_string_lossy(),
        "state": process.map(Process::state_word),
        "since": seen.and_then(|seen| time::rfc3339(seen.since?)),
        "uptime_seconds": seen.and_then(|seen| seen.uptime).map(|uptime| uptime.as_secs()),
        "user": seen.and_then(|seen| seen.user).map(user_name),
        "command": seen.filter(|_| process.is_some()).map(|seen| words(&seen.command)),
        "memory": seen.map(|seen| memory_in_json(seen.memory)),
        "cpu_seconds": process.map(|process| process.cpu.as_secs_f64()),
        "threads": process.map(|process| process.threads),
        "descriptors": seen.map(|seen| json!({ "open": seen.open, "limit": seen.limit })),
        "keeper": seen.and_then(|seen| seen.keeper),
        "control_group": seen.and_then(|seen| Some(seen.group.as_ref()?.to_string_lossy())),
        "processes": seen.filter(|_| process.is_some()).map(|seen| seen.family.iter().map(member_in_json).collect::<Value>()),
        "listening": seen.and_then(|seen| Some(seen.listening.as_ref()?.iter().map(socket_in_json).collect::<Value>())),
        "log": log.map(|logs| logs.iter().map(log_in_json).collect::<Value>()),
        "reason": if let Found::Unknown(why) = found { Some(why) } else { None },
        "last_pid": last,
        "holders": holders.map(|holders| holders.iter().map(holder_in_json).collect::<Value>()),
        "status": found.code(),
    })
}

pub(crate) fn user_name(user: u32) -> String {
    sys::user_name(user).unwrap_or_else(|| user.to_string())
}

fn memory_in_json(memory: Memory) -> Value {
    json!({ "rss": memory.rss, "pss": memory.pss, "swap": memory.swap })
}

fn member_in_json(member: &Member) -> Value {
    json!({ "pid": member.process.pid, "parent": member.process.parent, "command": words(&member.command) })
}

fn socket_in_json(socket: &Socket) -> Value {
    json!({ "type": socket.kind, "address": lossy(&socket.address) })
}

fn log_in_json(log: &Log) -> Value {
    json!({ "source": lossy(&log.source), "lines": words(&log.lines) })
}

fn holder_in_json(holder: &Process) -> Value {
    json!({ "pid": holder.pid, "name": lossy(&holder.name) })
}

fn words(words: &[Vec<u8>]) -> Value {
    words.iter().map(|word| Value::from(lossy(word))).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
