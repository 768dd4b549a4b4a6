//! `stop`: the daemon is gone afterwards, and what belongs to it.

use crate::answer::{Answer, Failure, code};
use crate::arguments::Arguments;
use crate::place::Place;
use crate::schedule::{self, Schedule};
use crate::tree::{self, Tree};
use daemonctx::{PidFile, Running, Status};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

pub(crate) fn stop(arguments: &Arguments) -> Result<Answer, Failure> {
    let (place, file) = Place::of_daemon(arguments)?;
    let stop = Stop::new(arguments, &place, &file)?;
    if arguments.has("dry-run") { stop.preview() } else { Ok(stop.stop()?.answer(&place)) }
}

/// A daemon to be stopped.
pub(crate) struct Stop<'a> {
    place: &'a Place,
    file: &'a PidFile,
    schedule: Schedule,
    /// All that belongs to it, and not only what was made ready for that.
    all: bool,
}

/// What became of it.
pub(crate) struct Stopped {
    pid: Option<i32>,
    /// The signal that it ended after.
    by: Option<i32>,
    others: BTreeSet<i32>,
    begun: Instant,
}

impl<'a> Stop<'a> {
    pub(crate) fn new(arguments: &Arguments, place: &'a Place, file: &'a PidFile) -> Result<Self, Failure> {
        let schedule = arguments.read_as("retry", Schedule::read)?.unwrap_or_default();
        Ok(Self { place, file, schedule, all: arguments.has("tree") })
    }

    pub(crate) fn stop(&self) -> Result<Stopped, Failure> {
        let begun = Instant::now();
        let Some(daemon) = self.daemon()? else { return self.clear_up(begun) };
        let tree = Tree::of(daemon.pid(), self.file.path(), self.all);
        tree.announce_end();
        let by = self.end(&daemon)?;
        let others = self.end_tree(tree)?;
        self.remove_file();
        Ok(Stopped { pid: Some(daemon.pid()), by: Some(by), others, begun })
    }

    fn daemon(&self) -> Result<Option<Running>, Failure> {
        match self.file.status()? {
            Status::Unknown => {
                let path = self.file.path().to_string_lossy();
                Err(Failure::new(code::NOT_PERMITTED, format!("pid file failed: {path}: not permitted to read it")))
            }
            _ => Ok(self.file.running()?),
        }
    }

    /// Sends the signals in their order until it has ended; the one that it ended after.
    fn end(&self, daemon: &Running) -> Result<i32, Failure> {
        for step in &self.schedule.0 {
            match daemon.signal(step.signal) {
                Err(error) if error.errno() == Some(libc::ESRCH) => {}
                sent => sent?,
            }
            if daemon.wait(step.wait)? {
                return Ok(step.signal);
            }
        }
        let last = self.schedule.0.last().map_or(0, |step| step.signal);
        let message = format!("stop failed: PID {}: still there after {}", daemon.pid(), schedule::name(last));
        Err(Failure::new(code::FAILED, message).of(&self.place.name))
    }

    /// Ends what the daemon has left; who that was.
    fn end_tree(&self, tree: Tree) -> Result<BTreeSet<i32>, Failure> {
        if !tree.is_wanted() {
            return Ok(BTreeSet::new());
        }
        let others = tree.processes();
        let left = tree.end(&self.schedule);
        if !left.is_empty() {
            let message = format!("stop failed: PID {}: still there", numbers(&left));
            return Err(Failure::new(code::FAILED, message).of(&self.place.name));
        }
        tree.clear_away();
        Ok(others)
    }

    /// The daemon does not run. What it has left may.
    fn clear_up(&self, begun: Instant) -> Result<Stopped, Failure> {
        let holders = match self.file.status()? {
            Status::Starting => tree::holders(self.file.path()),
            _ => BTreeSet::new(),
        };
        let mut others = BTreeSet::new();
        if !holders.is_empty() {
            let tree = Tree::of_holders(self.file.path(), self.all);
            if !tree.is_wanted() {
                let message = format!(
                    "stop failed: {}: held by PID {}, which the daemon has left; --tree ends that too",
                    self.file.path().to_string_lossy(),
                    numbers(&holders)
                );
                return Err(Failure::new(code::FAILED, message).of(&self.place.name));
            }
            tree.announce_end();
            others = self.end_tree(tree)?;
        }
        self.remove_file();
        Ok(Stopped { pid: None, by: None, others, begun })
    }

    /// What a killed daemon leaves; one that cannot be removed is stale, and blocks nothing.
    fn remove_file(&self) {
        let _ = self.file.remove();
    }

    /// What would be done.
    pub(crate) fn preview(&self) -> Result<Answer, Failure> {
        let name = &self.place.name;
        let Some(daemon) = self.daemon()? else {
            let json = json!({ "result": "not_running", "dry_run": true, "name": name });
            return Ok(Answer::new(format!("{name}: does not run, nothing to stop"), json));
        };
        daemon.signal(0)?;
        let tree = Tree::of(daemon.pid(), self.file.path(), self.all);
        let mut others = if tree.is_wanted() { tree.processes() } else { BTreeSet::new() };
        others.remove(&daemon.pid());
        let signals: Vec<_> = self.schedule.0.iter().map(|step| schedule::name(step.signal)).collect();
        let more = if others.is_empty() { String::new() } else { format!(", then end PID {}", numbers(&others)) };
        let text = format!("{name}: would send {} to PID {}{more}", signals.join(", "), daemon.pid());
        let json = json!({
            "result": "would_stop", "dry_run": true, "name": name, "pid": daemon.pid(), "signals": signals,
            "others": others.iter().collect::<Vec<_>>(),
        });
        Ok(Answer::new(text, json))
    }
}

impl Stopped {
    pub(crate) fn was_running(&self) -> bool {
        self.pid.is_some()
    }

    pub(crate) fn answer(&self, place: &Place) -> Answer {
        let name = &place.name;
        let others = match self.others.len() {
            0 => String::new(),
            1 => " and a process that it left".to_owned(),
            count => format!(" and {count} processes that it left"),
        };
        let text = match (self.pid, self.by) {
            (Some(pid), Some(libc::SIGKILL)) => format!("{name}: killed, PID {pid}{others}"),
            (Some(pid), _) => format!("{name}: stopped, PID {pid}{others}"),
            (None, _) if !self.others.is_empty() => format!("{name}: did not run; stopped what it left"),
            (None, _) => format!("{name}: does not run"),
        };
        Answer::new(text, self.json(place))
    }

    fn json(&self, place: &Place) -> Value {
        json!({
            "result": if self.was_running() { "stopped" } else { "not_running" },
            "name": place.name,
            "pid": self.pid,
            "pidfile": place.pid_file.as_ref().map(|file| file.path().to_string_lossy()),
            "signal": self.by.map(schedule::name),
            "others": self.others.iter().collect::<Vec<_>>(),
            "seconds": self.begun.elapsed().as_secs_f64(),
        })
    }
}

pub(crate) fn numbers(pids: &BTreeSet<i32>) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}
