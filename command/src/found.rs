//! Whether a daemon runs, and what there is to see of it.

use crate::answer::Failure;
use crate::logged::{self, Author, Log};
use crate::mapped::{self, CommandLine};
use crate::monitored;
use crate::place::Place;
use crate::process::{self, Inodes, Member, Memory, Process};
use crate::sockets::{self, Socket};
use crate::time;
use crate::{holders, sys};
use daemonctx::{Monitored, MonitoredState, PidFile, Status};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

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

/// Looks again where the daemon has begun or ended meanwhile: its monitor, or a start, writes that down in a moment.
pub(crate) fn find(place: &Place, lines: usize) -> Result<Found, Failure> {
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
        return Ok(look_at_monitored(&daemon, place.pid_file.as_ref(), lines));
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
fn look_at_monitored(daemon: &Monitored, file: Option<&PidFile>, lines: usize) -> Option<Found> {
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
        // Some may have left the session and lost their parent.
        MonitoredState::Lost if file.is_some_and(|file| !holders::of(file).is_empty()) => {
            held(file.map(holders::of).unwrap_or_default(), Held::Lock)
        }
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

pub(crate) fn user_name(user: u32) -> String {
    sys::user_name(user).unwrap_or_else(|| user.to_string())
}
