//! `status`: whether a daemon runs, and what there is to see of it.

use crate::answer::{Answer, Failure};
use crate::bounded;
use crate::logged::{self, Author, Log};
use crate::mapped::{self, CommandLine};
use crate::monitored;
use crate::options;
use crate::place::Place;
use crate::process::{self, Inodes, Member, Memory, Process};
use crate::screen::Screen;
use crate::sockets::{self, Socket};
use crate::time;
use crate::{holders, look, sys};
use daemonctx::{Monitored, MonitoredState, PidFile, Status};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

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
    /// Dead, and these processes have its lock, are left of it, or are about to start it again.
    Held {
        last: Option<i32>,
        holders: Vec<Process>,
        why: Held,
        log: Vec<Log>,
    },
    Dead {
        last: Option<i32>,
        log: Vec<Log>,
    },
    /// The monitor has said how the program ended, unless it was killed.
    Ended {
        end: Option<String>,
        restarts: u64,
        state: MonitoredState,
        log: Vec<Log>,
    },
    NotRunning,
    /// With the reason.
    Unknown(String),
}

/// What processes do that are there without the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// They have the lock of the pid file.
    Lock,
    /// They are descendants of the program.
    Left,
    /// One of them starts the program again.
    Waiting,
}

/// A daemon that runs.
pub(crate) struct Seen {
    pub(crate) pid: i32,
    /// None where others' processes are hidden (proc(5), `hidepid`).
    pub(crate) process: Option<Process>,
    /// None where its memory map is locked.
    pub(crate) command: Option<CommandLine>,
    pub(crate) user: Option<u32>,
    /// Seconds since 1970.
    pub(crate) since: Option<i64>,
    pub(crate) uptime: Option<Duration>,
    pub(crate) memory: Memory,
    /// What is resident, with its share of what others have too.
    pub(crate) pss: Option<u64>,
    /// How many descriptors are open, where that may be known.
    pub(crate) open: Option<u64>,
    pub(crate) limit: Option<u64>,
    /// What its monitor says, if it has one.
    pub(crate) monitored: Option<Supervision>,
    /// Each with its command line; none where that could not be read in time.
    pub(crate) family: Vec<(Member, Option<CommandLine>)>,
    /// None where that may not be known.
    pub(crate) listening: Option<Vec<Socket>>,
    /// The same.
    pub(crate) outputs: Option<Vec<Vec<u8>>>,
    pub(crate) log: Vec<Log>,
}

/// What a state file adds.
pub(crate) struct Supervision {
    /// None where it was killed.
    pub(crate) monitor: Option<i32>,
    pub(crate) restarts: u64,
    pub(crate) last_end: Option<String>,
    pub(crate) is_stopping: bool,
}

impl Supervision {
    fn of(daemon: &Monitored) -> Self {
        let is_there = !matches!(daemon.state(), MonitoredState::Unmonitored | MonitoredState::Lost);
        Self {
            monitor: is_there.then(|| daemon.monitor_pid()),
            restarts: daemon.restarts().0,
            last_end: monitored::last_end(daemon),
            is_stopping: daemon.state() == MonitoredState::Stopping,
        }
    }
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

/// Looks again where the daemon has begun or ended meanwhile: its monitor, or a start, writes that down in a moment.
fn find(place: &Place, lines: usize) -> Result<Found, Failure> {
    const PATIENCE: Duration = Duration::from_secs(2);
    const STEP: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        if let Some(found) = look_once(place, lines)? {
            return Ok(found);
        }
        if begun.elapsed() >= PATIENCE {
            return Ok(Found::Unknown("its pid file or state file does not match its processes".to_owned()));
        }
        std::thread::sleep(STEP);
    }
}

/// None where what was seen was not all of one moment.
fn look_once(place: &Place, lines: usize) -> Result<Option<Found>, Failure> {
    if let Some(daemon) = place.monitored()? {
        return Ok(look_at_monitored(&daemon, lines));
    }
    let Some(file) = &place.pid_file else { return Ok(Some(Found::NotRunning)) };
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
    let Some(target) = file.running()? else { return Ok(None) };
    let seen = Seen::new(target.pid(), None, lines);
    let has_ended = target.wait(Some(seen.patience()))?;
    Ok((!has_ended).then_some(seen))
}

/// None where the daemon changed meanwhile.
fn look_at_monitored(daemon: &Monitored, lines: usize) -> Option<Found> {
    let (restarts, _) = daemon.restarts();
    let others = || daemon.processes().into_iter().filter_map(Process::read).collect::<Vec<_>>();
    let log = || if lines == 0 { Vec::new() } else { logged::in_paths(daemon, lines) };
    let held = |holders, why| Some(Found::Held { last: daemon.pid(), holders, why, log: log() });
    match daemon.state() {
        MonitoredState::Starting => Some(Found::Starting { holders: others() }),
        MonitoredState::Running | MonitoredState::Unmonitored => running_monitored(daemon, lines),
        MonitoredState::Stopping => running_monitored(daemon, lines).or_else(|| held(others(), Held::Left)),
        MonitoredState::Waiting => held(Process::read(daemon.monitor_pid()).into_iter().collect(), Held::Waiting),
        MonitoredState::Left => held(others(), Held::Left),
        MonitoredState::Lost if !others().is_empty() => held(others(), Held::Left),
        state => Some(Found::Ended { end: monitored::last_end(daemon), restarts, state, log: log() }),
    }
}

fn running_monitored(daemon: &Monitored, lines: usize) -> Option<Found> {
    let target = daemonctx::parts::Process::open(daemon.pid()?).ok()??;
    let seen = Seen::new(target.pid(), Some(daemon), lines);
    let has_ended = target.wait(Some(seen.patience())).ok()?;
    (!has_ended).then(|| Found::Running(Box::new(seen)))
}

/// The lock is held: by a start, when there is no PID yet, or by what is left of a daemon.
fn starting(file: &PidFile) -> Result<Option<Found>, Failure> {
    let holders = holders::of(file);
    // It may have written its PID just now.
    Ok((file.status()? == Status::Starting).then_some(Found::Starting { holders }))
}

/// The journal may know why.
fn dead(file: &PidFile, lines: usize) -> Result<Found, Failure> {
    let last = file.read_pid()?;
    let holders = holders::of(file);
    if !holders.is_empty() {
        return Ok(Found::Held { last, why: Held::Lock, holders, log: Vec::new() });
    }
    let written = std::fs::symlink_metadata(file.path()).ok();
    let author = last.zip(written).map(|(pid, file)| Author { pid, user: None, since: file.mtime() - 1 });
    let log = author.filter(|_| lines > 0).and_then(|author| logged::in_system_log(author, lines));
    Ok(Found::Dead { last, log: log.into_iter().collect() })
}

impl Seen {
    fn new(pid: i32, daemon: Option<&Monitored>, lines: usize) -> Self {
        let process = Process::read(pid);
        let age = |process: &Process| Some(sys::since_boot()?.saturating_sub(process.began));
        let uptime = process.as_ref().and_then(age);
        let since = uptime.and_then(time::before_now);
        let descriptors = process::descriptors(pid);
        let user = process::user(pid);
        let members = daemon.map(Monitored::processes).unwrap_or_default();
        let family = process.as_ref().map_or_else(Vec::new, |process| process::family(process, &members));
        let open = descriptors.as_ref().ok().map(|own| own.open);
        let listening = descriptors.ok().map(|own| listening(pid, own.sockets, &family));
        let pids: Vec<i32> = [pid].into_iter().chain(family.iter().map(|member| member.process.pid)).collect();
        let mapped = mapped::read(&pids);
        let mut commands = mapped.commands.into_iter();
        Self {
            command: commands.next().flatten(),
            pss: mapped.pss,
            since,
            uptime,
            memory: process::memory(pid),
            open,
            limit: process::descriptor_limit(pid),
            outputs: logged::outputs(pid).ok(),
            log: log(Author { pid, user, since: since.unwrap_or_default() }, lines),
            pid,
            process,
            user,
            monitored: daemon.map(Supervision::of),
            family: family.into_iter().zip(commands).collect(),
            listening,
        }
    }

    /// Whether there was no time for a command line.
    pub(crate) fn is_blocked(&self) -> bool {
        self.command.is_none() || self.family.iter().any(|(_, command)| command.is_none())
    }

    /// How long to wait for its end before it counts as there: one that ends gives up its memory first.
    fn patience(&self) -> Duration {
        const GOING: Duration = Duration::from_secs(5);
        let has_memory = |process: &Process| self.memory.rss.is_some() || process.lacks_main_thread();
        let is_going = self.process.as_ref().is_some_and(|process| !has_memory(process));
        if is_going { GOING } else { Duration::ZERO }
    }
}

/// A daemon's workers listen for it.
fn listening(pid: i32, mut inodes: Inodes, family: &[Member]) -> Vec<Socket> {
    /// Of so many: one that has more has what they share itself.
    const ASKED: usize = 64;
    for member in family.iter().take(ASKED).filter(|member| member.process.pid != pid) {
        match process::descriptors(member.process.pid) {
            Ok(found) => inodes.add(found.sockets),
            // One that delays the look is not followed by others that do.
            Err(error) if error.raw_os_error() == Some(libc::ETIMEDOUT) => break,
            Err(_) => {}
        }
    }
    inodes.sort();
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

pub(crate) fn user_name(user: u32) -> String {
    sys::user_name(user).unwrap_or_else(|| user.to_string())
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
