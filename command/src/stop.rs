//! `stop`: afterwards the daemon is gone, and what belongs to it.

use crate::answer::{Answer, Failure, code};
use crate::holders;
use crate::monitored;
use crate::options::{self, Ending};
use crate::place::Place;
use crate::process::Process;
use crate::schedule::{Schedule, Step};
use crate::signals;
use crate::usage;
use daemonctx::parts::{self, FoundMonitor};
use daemonctx::{Error, KillMode, Monitored, MonitoredState, PidFile, Running, Status, StopRequest};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(crate) fn stop(options: &options::Stop) -> Result<Answer, Failure> {
    let place = Place::of_daemon(&options.which)?;
    let stop = Stop::new(&options.ending, &place);
    if options.say.dry_run { stop.preview() } else { Ok(stop.stop()?.answer(&place)) }
}

/// A daemon to be stopped.
pub(crate) struct Stop<'a> {
    place: &'a Place,
    schedule: Schedule,
}

/// What became of it.
pub(crate) struct Stopped {
    pid: Option<i32>,
    /// The signal that it ended after.
    by: Option<i32>,
    /// Those that were ended with it.
    others: BTreeSet<i32>,
    left: Left,
    instead: Instead,
    begun: Instant,
}

/// Those that were not ended.
#[derive(Default)]
enum Left {
    #[default]
    None,
    /// Descendants, as `--kill-mode process` asks.
    Spared(BTreeSet<i32>),
    /// Those that still have the lock of its pid file.
    Holders(BTreeSet<i32>),
    /// Descendants that asked for the stop themselves.
    Requesters(BTreeSet<i32>),
}

/// What there was in place of a program that runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    Nothing,
    /// It was about to be started again.
    Delay,
    Start,
    /// It had ended, which the state file did not say yet.
    End,
}

impl Stopped {
    fn nothing(begun: Instant) -> Self {
        Self { pid: None, by: None, others: BTreeSet::new(), left: Left::None, instead: Instead::Nothing, begun }
    }
}

/// Sent after every signal, as systemd does (systemd.kill(5)): a stopped process (SIGSTOP, or a terminal) follows none but SIGKILL
/// until it goes on. Any other ignores it.
const GO_ON: i32 = libc::SIGCONT;
/// How often to look again at a daemon that is started meanwhile.
const ROUNDS: u32 = 10;
const STEP: Duration = Duration::from_millis(20);
/// How long workers may take to see that their daemon is gone.
const GRACE: Duration = Duration::from_secs(5);
/// How long a monitor may take to end the descendants of a program that has ended, with SIGKILL at the end.
const CLEARING: Duration = Duration::from_secs(15);
/// By which descendants are left alone.
const SPARING: &str = "--kill-mode process";

impl<'a> Stop<'a> {
    pub(crate) fn new(ending: &Ending, place: &'a Place) -> Self {
        Self { place, schedule: ending.retry.clone() }
    }

    pub(crate) fn stop(&self) -> Result<Stopped, Failure> {
        let begun = Instant::now();
        let mut rounds = 0..ROUNDS;
        while rounds.next().is_some() {
            if let Some(daemon) = self.place.monitored()? {
                match self.stop_monitored(&daemon, begun) {
                    Ok(Some(stopped)) => return Ok(stopped),
                    Ok(None) => {}
                    // A start has the name, and has not written its own state file yet.
                    Err(failure) if failure.errno() == Some(libc::EAGAIN) && begun.elapsed() < GRACE => {
                        std::thread::sleep(STEP);
                        rounds = 0..ROUNDS;
                    }
                    Err(failure) => return Err(failure),
                }
                continue;
            }
            if self.place.has_hidden_monitor() {
                return Err(self.not_permitted());
            }
            let Some(file) = &self.place.pid_file else { return Ok(Stopped::nothing(begun)) };
            if let Some(daemon) = file.running()? {
                return self.stop_by_file(&daemon, file, begun);
            }
            if self.clear_up(file)? {
                return Ok(Stopped::nothing(begun));
            }
        }
        Err(self.failure("stop failed: it keeps changing"))
    }

    // With a monitor.

    /// None where the daemon has changed meanwhile, and has to be looked at again.
    fn stop_monitored(&self, daemon: &Monitored, begun: Instant) -> Result<Option<Stopped>, Failure> {
        if is_lost(daemon) {
            self.place
                .pid_file
                .as_ref()
                .map_or(Ok(()), |file| self.refuse_holders(wait_for_holders(file, || false)))?;
        }
        if matches!(daemon.state(), MonitoredState::Ended | MonitoredState::GaveUp) {
            daemon.stop(StopRequest::Terminate, Some(CLEARING))?;
            return Ok(Some(Stopped::nothing(begun)));
        }
        let program = monitored::program(daemon);
        let others = self.others(daemon);
        let Some(program) = program.filter(|_| !is_first_start(daemon)) else {
            return self.stop_without_program(daemon, &others, begun);
        };
        // The monitor takes the next end of the program for the last. Whoever may not tell it so signals nobody.
        if daemon.stop(StopRequest::EndWithProgram, Some(Duration::ZERO))? {
            return Ok(None);
        }
        let by = self.end_program(daemon, &program)?;
        let (others, left) = ended_and_left(daemon, &others);
        Ok(Some(Stopped { pid: Some(program.pid()), by: Some(by), others, left, ..Stopped::nothing(begun) }))
    }

    /// Signals the program by the schedule. What the time of a step leaves is for its descendants, which the monitor ends; then those
    /// are killed, if the schedule kills.
    fn end_program(&self, daemon: &Monitored, program: &parts::Process) -> Result<i32, Failure> {
        let mut by = None;
        for step in &self.schedule.0 {
            let deadline = step.wait.map(|wait| Instant::now() + wait);
            let left = || deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if by.is_none() {
                send(|signal| program.signal(signal), step.signal)?;
                let kill_all = || daemon.stop(StopRequest::Kill, Some(Duration::ZERO)).map(drop);
                by = wait_for_end(|time| program.wait(time), step, kill_all)?.then_some(step.signal);
            }
            let request = if by.is_some() && step.signal == libc::SIGKILL {
                StopRequest::Kill
            } else {
                StopRequest::EndWithProgram
            };
            if by.is_some() && daemon.stop(request, left().map(|left| left.max(GRACE / 50)))? {
                break;
            }
        }
        let Some(by) = by else { return Err(self.still_there(program.pid(), self.schedule.0.last())) };
        if daemon.stop(StopRequest::EndWithProgram, Some(CLEARING))? { Ok(by) } else { Err(self.left_alive(daemon)) }
    }

    /// The daemon is being started or restarted, its program has ended, or its monitor was killed.
    fn stop_without_program(
        &self,
        daemon: &Monitored,
        others: &[Process],
        begun: Instant,
    ) -> Result<Option<Stopped>, Failure> {
        // A monitor that lives and cannot write (no space left) has a state file that names a program of the past.
        let is_alive = |pid: &i32| daemon.processes().contains(pid);
        let pid = daemon.pid().filter(|_| daemon.state() == MonitoredState::Unmonitored).filter(is_alive);
        let instead = match daemon.state() {
            MonitoredState::Waiting => Instead::Delay,
            MonitoredState::Starting => Instead::Start,
            _ if pid.is_none() && monitored::runs(daemon) => Instead::End,
            _ => Instead::Nothing,
        };
        let kills_first = self.schedule.0.first().is_some_and(|step| step.signal == libc::SIGKILL);
        let request = if kills_first { StopRequest::Kill } else { StopRequest::Terminate };
        let patience = self.schedule.0.iter().map(|step| step.wait).sum::<Option<Duration>>();
        if !daemon.stop(request, patience.map(|patience| patience + CLEARING))? {
            return Err(self.left_alive(daemon));
        }
        let by = pid.map(|_| if kills_first { libc::SIGKILL } else { libc::SIGTERM });
        let (others, left) = ended_and_left(daemon, others);
        Ok(Some(Stopped { pid, by, others, left, instead, begun }))
    }

    /// The daemon's processes, but for the program and this one.
    fn others(&self, daemon: &Monitored) -> Vec<Process> {
        let own = i32::try_from(std::process::id()).ok();
        let is_other = |pid: &i32| Some(*pid) != daemon.pid() && Some(*pid) != own;
        daemon.processes().into_iter().filter(is_other).filter_map(Process::read).collect()
    }

    fn left_alive(&self, daemon: &Monitored) -> Failure {
        let left: BTreeSet<_> = daemon.processes().into_iter().collect();
        if left.is_empty() {
            return self.failure("stop failed: its monitor is still there");
        }
        self.failure(format!("stop failed: PID {}: still there", numbers(&left)))
    }

    // Without: a pid file of any other program.

    /// Its state file may be gone, while its monitor would start it again.
    fn stop_by_file(&self, daemon: &Running, file: &PidFile, begun: Instant) -> Result<Stopped, Failure> {
        let monitor = FoundMonitor::of(file, daemon)?;
        match monitor.as_ref().map_or(Ok(()), |monitor| monitor.ask(StopRequest::EndWithProgram)) {
            Err(error) if error.errno() == Some(libc::ESRCH) => {}
            asked => asked?,
        }
        for step in &self.schedule.0 {
            send(|signal| daemon.signal(signal), step.signal)?;
            let kill_all = || monitor.as_ref().map_or(Ok(()), |monitor| monitor.ask(StopRequest::Kill));
            if wait_for_end(|time| daemon.wait(time), step, kill_all)? {
                if !monitor.map_or(Ok(true), |monitor| monitor.wait(Some(CLEARING)))? {
                    return Err(self.failure("stop failed: its monitor is still there"));
                }
                let left = Left::Holders(wait_for_holders(file, || false));
                remove(file);
                let (pid, by) = (Some(daemon.pid()), Some(step.signal));
                return Ok(Stopped { pid, by, left, ..Stopped::nothing(begun) });
            }
        }
        Err(self.still_there(daemon.pid(), self.schedule.0.last()))
    }

    /// The daemon does not run; false where it has been started again meanwhile.
    fn clear_up(&self, file: &PidFile) -> Result<bool, Failure> {
        let status = file.status()?;
        if matches!(status, Status::Starting | Status::Stale) {
            let is_monitored = || self.place.monitored().is_ok_and(|daemon| daemon.is_some());
            let left = wait_for_holders(file, is_monitored);
            if is_monitored() {
                // It was a start, before its state file.
                return Ok(false);
            }
            self.refuse_holders(left)?;
        }
        remove(file);
        Ok(!matches!(status, Status::Running(_)))
    }

    /// What still has the lock may be the daemon's. Nothing shows that it is.
    fn refuse_holders(&self, left: BTreeSet<i32>) -> Result<(), Failure> {
        if left.is_empty() {
            return Ok(());
        }
        let path = self.place.path().unwrap_or_default();
        Err(self.failure(format!("stop failed: {path}: PID {} still has its lock", numbers(&left))))
    }

    // What is said.

    fn failure(&self, why: impl Into<String>) -> Failure {
        Failure::new(code::FAILED, why).of(&self.place.name)
    }

    fn not_permitted(&self) -> Failure {
        let why = "stop is not permitted: its monitor is another user's, and hidden (/proc with hidepid)";
        Failure::new(code::NOT_PERMITTED, why).of(&self.place.name)
    }

    fn still_there(&self, pid: i32, last: Option<&Step>) -> Failure {
        let signal = signals::name(last.map_or(0, |step| step.signal));
        self.failure(format!("stop failed: PID {pid}: still there after {signal}"))
    }

    /// The monitor is told first, which may be another user's process than the program. Where it was killed, its state file is
    /// removed at the end.
    fn check_permission(&self, daemon: &Monitored) -> Result<(), Failure> {
        match parts::Process::open(daemon.monitor_pid())? {
            Some(monitor) => monitor.signal(0)?,
            None if self.place.is_own() => {}
            None => return Err(self.failure("stop failed: it is root's").with_code(code::NOT_PERMITTED)),
        }
        let program = daemon.pid().map_or(Ok(None), parts::Process::open)?;
        Ok(program.map_or(Ok(()), |program| program.signal(0))?)
    }

    /// What would be done.
    pub(crate) fn preview(&self) -> Result<Answer, Failure> {
        let name = &self.place.name;
        let daemon = self.place.monitored()?;
        if daemon.is_none() && self.place.has_hidden_monitor() {
            return Err(self.not_permitted());
        }
        if let Some((_, file)) = daemon.as_ref().filter(|daemon| is_lost(daemon)).zip(self.place.pid_file.as_ref()) {
            self.refuse_holders(holders::of(file).iter().map(|holder| holder.pid).collect())?;
        }
        let daemon = daemon.filter(|daemon| !daemon.processes().is_empty());
        let pid = match (&daemon, &self.place.pid_file) {
            (Some(daemon), _) => {
                self.check_permission(daemon)?;
                daemon.pid()
            }
            (None, Some(file)) => {
                let running = file.running()?;
                running.as_ref().map_or(Ok(()), |daemon| daemon.signal(0))?;
                running.map(|daemon| daemon.pid())
            }
            (None, None) => None,
        };
        let others = daemon.as_ref().map_or_else(Vec::new, |daemon| self.others(daemon));
        let (ended, left) = match &daemon {
            Some(daemon) if spares(daemon) => (BTreeSet::new(), pids(&others)),
            _ => (pids(&others), BTreeSet::new()),
        };
        let leave = || format!("leave PID {}, as {SPARING} asks", numbers(&left));
        let Some(pid) = pid.or_else(|| ended.first().copied()) else {
            let rest = if left.is_empty() { "nothing to stop".to_owned() } else { ["would ", &leave()].concat() };
            let json = json!({ "result": "not_running", "dry_run": true, "name": name });
            return Ok(Answer::new(format!("{name}: does not run, {rest}"), json));
        };
        let signals: Vec<_> = self.schedule.0.iter().map(|step| signals::name(step.signal)).collect();
        let rest = match (ended.is_empty(), left.is_empty()) {
            (false, _) => format!(", then end PID {}", numbers(&ended)),
            (_, false) => [" and ", &leave()].concat(),
            _ => String::new(),
        };
        let text = format!("{name}: would send {} to PID {pid}{rest}", signals.join(", "));
        let json = json!({
            "result": "would_stop", "dry_run": true, "name": name, "pid": pid, "signals": signals,
            "others": ended, "left": left,
        });
        Ok(Answer::new(text, json))
    }
}

impl Stopped {
    pub(crate) fn was_running(&self) -> bool {
        self.pid.is_some() || self.instead != Instead::Nothing
    }

    pub(crate) fn answer(&self, place: &Place) -> Answer {
        let name = &place.name;
        let descendants = |pids: &BTreeSet<i32>| match pids.len() {
            1 => "1 descendant".to_owned(),
            count => format!("{count} descendants"),
        };
        let others =
            if self.others.is_empty() { String::new() } else { [" and ", &descendants(&self.others)].concat() };
        let left = match &self.left {
            Left::Holders(left) if !left.is_empty() => {
                format!("; PID {} still has the lock of its pid file", numbers(left))
            }
            Left::Requesters(left) if !left.is_empty() => {
                format!("; left PID {}, which asked for a stop itself", numbers(left))
            }
            Left::Spared(left) if !left.is_empty() => format!("; left {}, as {SPARING} asks", descendants(left)),
            _ => String::new(),
        };
        let text = match (self.pid, self.by) {
            (Some(pid), Some(libc::SIGKILL)) => format!("{name}: killed, PID {pid}{others}{left}"),
            (Some(pid), _) => format!("{name}: stopped, PID {pid}{others}{left}"),
            (None, _) if self.instead == Instead::Delay => format!("{name}: stopped before it was started again"),
            (None, _) if self.instead == Instead::Start => format!("{name}: stopped while it was starting"),
            (None, _) if !self.others.is_empty() => format!("{name}: did not run; stopped what it left"),
            (None, _) if self.instead == Instead::End => format!("{name}: stopped; its program had ended{left}"),
            (None, _) if !left.is_empty() => format!("{name}: did not run{left}"),
            (None, _) => [name, ": does not run", &did_you_mean(place)].concat(),
        };
        Answer::new(text, self.json(place))
    }

    fn json(&self, place: &Place) -> Value {
        json!({
            "result": if self.was_running() { "stopped" } else { "not_running" },
            "name": place.name,
            "pid": self.pid,
            "pidfile": place.path(),
            "signal": self.by.map(signals::name),
            "others": self.others,
            "left": self.left.pids(),
            "seconds": self.begun.elapsed().as_secs_f64(),
        })
    }
}

impl Left {
    fn pids(&self) -> BTreeSet<i32> {
        match self {
            Self::None => BTreeSet::new(),
            Self::Spared(pids) | Self::Holders(pids) | Self::Requesters(pids) => pids.clone(),
        }
    }
}

fn is_first_start(daemon: &Monitored) -> bool {
    daemon.state() == MonitoredState::Starting && daemon.restarts().0 == 0
}

/// Whether monitor and program were killed, and nothing is left that is known to be the daemon's.
fn is_lost(daemon: &Monitored) -> bool {
    daemon.state() == MonitoredState::Lost && daemon.processes().is_empty()
}

/// Whether a stop leaves the descendants alone. A start that it cancels leaves nothing.
fn spares(daemon: &Monitored) -> bool {
    daemon.kill_mode() == KillMode::Process && !is_first_start(daemon)
}

/// After a stop: some end with their program although they are spared, and one that asked for the stop from inside goes on.
fn ended_and_left(daemon: &Monitored, others: &[Process]) -> (BTreeSet<i32>, Left) {
    let is_left = |one: &&Process| Process::read(one.pid).is_some_and(|now| now.began == one.began && !now.has_ended());
    let (left, ended): (Vec<&Process>, Vec<&Process>) = others.iter().partition(is_left);
    let left = pids(left);
    (pids(ended), if spares(daemon) { Left::Spared(left) } else { Left::Requesters(left) })
}

fn pids<'a>(processes: impl IntoIterator<Item = &'a Process>) -> BTreeSet<i32> {
    processes.into_iter().map(|one| one.pid).collect()
}

pub(crate) fn did_you_mean(place: &Place) -> String {
    place.similar().map_or_else(String::new, |similar| usage::did_you_mean(&similar))
}

/// Sends a signal; that the process has ended is seen by waiting.
fn send(to: impl Fn(i32) -> Result<(), Error>, signal: i32) -> Result<(), Failure> {
    for signal in [signal, GO_ON] {
        match to(signal) {
            Err(error) if error.errno() == Some(libc::ESRCH) => {}
            sent => sent?,
        }
    }
    Ok(())
}

/// Waits as long as the step says. A process that SIGKILL does not end may be held by a descendant (ptrace(2)): then all are killed.
fn wait_for_end(
    wait: impl Fn(Option<Duration>) -> Result<bool, Error>,
    step: &Step,
    kill_all: impl FnOnce() -> Result<(), Error>,
) -> Result<bool, Failure> {
    const HELD: Duration = Duration::from_secs(1);
    if step.signal != libc::SIGKILL {
        return Ok(wait(step.wait)?);
    }
    let held = step.wait.map_or(HELD, |time| HELD.min(time / 2));
    if !wait(Some(held))? {
        // What fails here is seen by the wait.
        let _ = kill_all();
    }
    Ok(wait(step.wait.map(|time| time - held))?)
}

/// Waits for those that the daemon has left and that still have the lock of its pid file: most are about to end themselves.
/// Those that do not are returned. The wait ends early when `is_over`.
fn wait_for_holders(file: &PidFile, is_over: impl Fn() -> bool) -> BTreeSet<i32> {
    let deadline = Instant::now() + GRACE;
    loop {
        let holders = holders::of(file);
        let left = deadline.saturating_duration_since(Instant::now());
        let first = holders.first().and_then(|holder| parts::Process::open(holder.pid).ok().flatten());
        match first {
            Some(first) if !left.is_zero() && !is_over() => drop(first.wait(Some(left.min(STEP)))),
            _ => return holders.iter().map(|holder| holder.pid).collect(),
        }
    }
}

/// What a killed daemon leaves; a file that cannot be removed is stale, and blocks nothing.
fn remove(file: &PidFile) {
    let _ = file.remove();
}

pub(crate) fn numbers(pids: &BTreeSet<i32>) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}
