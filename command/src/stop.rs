//! `stop`: the daemon is gone afterwards, and what belongs to it.

use crate::answer::{Answer, Failure, code};
use crate::holders;
use crate::options::{self, Ending};
use crate::place::Place;
use crate::schedule::{self, Schedule};
use crate::tree::{GO_ON, Tree};
use daemonctx::parts::Process;
use daemonctx::{PidFile, Running, Status};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(crate) fn stop(options: &options::Stop) -> Result<Answer, Failure> {
    let (place, file) = Place::of_daemon(&options.which)?;
    let stop = Stop::new(&options.ending, options.tree, &place, &file);
    if options.say.dry_run { stop.preview() } else { Ok(stop.stop()?.answer(&place)) }
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
    /// Those that still have the lock of its pid file.
    left: BTreeSet<i32>,
    begun: Instant,
}

/// How often to look for some of the tree that were not seen.
const ROUNDS: u32 = 10;
/// How long workers may take to see that their daemon is gone.
const GRACE: Duration = Duration::from_secs(5);

impl<'a> Stop<'a> {
    pub(crate) fn new(ending: &Ending, all: bool, place: &'a Place, file: &'a PidFile) -> Self {
        Self { place, file, schedule: ending.retry.clone(), all }
    }

    pub(crate) fn stop(&self) -> Result<Stopped, Failure> {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            if let Some(daemon) = self.daemon()? {
                return self.stop_running(&daemon, begun);
            }
            if let Some(others) = self.clear_up()? {
                return Ok(Stopped { pid: None, by: None, others, left: BTreeSet::new(), begun });
            }
        }
        Err(Failure::new(code::FAILED, "stop failed: it is started again and again").of(&self.place.name))
    }

    fn stop_running(&self, daemon: &Running, begun: Instant) -> Result<Stopped, Failure> {
        // Checked first: who may not end the daemon ends nothing of it.
        daemon.signal(0).or_else(|error| if error.errno() == Some(libc::ESRCH) { Ok(()) } else { Err(error) })?;
        let mut tree = Tree::of(daemon.pid(), self.file, self.all);
        tree.announce_end();
        let by = self.end(daemon)?;
        tree.find_keeper(self.file);
        let others = self.end_tree(tree)?;
        let left = self.wait_for_holders();
        self.remove_file();
        Ok(Stopped { pid: Some(daemon.pid()), by: Some(by), others, left, begun })
    }

    fn daemon(&self) -> Result<Option<Running>, Failure> {
        Ok(self.file.running()?)
    }

    /// Sends the signals in their order until it has ended; the one that it ended after.
    fn end(&self, daemon: &Running) -> Result<i32, Failure> {
        for step in &self.schedule.0 {
            send(daemon, step.signal)?;
            if daemon.wait(step.wait)? {
                return Ok(step.signal);
            }
        }
        let last = self.schedule.0.last().map_or(0, |step| step.signal);
        let message = format!("stop failed: PID {}: still there after {}", daemon.pid(), schedule::name(last));
        Err(Failure::new(code::FAILED, message).of(&self.place.name))
    }

    /// Ends what the daemon has left; who that was.
    fn end_tree(&self, mut tree: Tree) -> Result<BTreeSet<i32>, Failure> {
        if !tree.is_wanted() {
            return Ok(BTreeSet::new());
        }
        let others = tree.processes();
        let mut left = BTreeSet::new();
        for _ in 0..ROUNDS {
            left = tree.end(&self.schedule);
            if !left.is_empty() {
                break;
            }
            left = tree.clear_away();
            if left.is_empty() {
                break;
            }
        }
        if !left.is_empty() {
            let message = format!("stop failed: PID {}: still there", numbers(&left));
            return Err(Failure::new(code::FAILED, message).of(&self.place.name));
        }
        Ok(others)
    }

    /// The daemon does not run. What it has left may: who that was. Nothing where it has been started again meanwhile.
    fn clear_up(&self) -> Result<Option<BTreeSet<i32>>, Failure> {
        let mut others = BTreeSet::new();
        let status = self.file.status()?;
        if matches!(status, Status::Starting | Status::Stale) {
            let tree = Tree::of_dead(self.file);
            tree.announce_end();
            others = self.end_tree(tree)?;
            let left = self.wait_for_holders();
            if !left.is_empty() {
                let why = format!("stop failed: {}", locked_by(self.file, &left));
                return Err(Failure::new(code::FAILED, why).of(&self.place.name));
            }
        }
        self.remove_file();
        Ok((!matches!(status, Status::Running(_))).then_some(others))
    }

    /// Waits for those that the daemon has left and that still have the lock of its pid file: most are about to end themselves.
    /// Those that do not are given back; no new daemon is started beside them.
    fn wait_for_holders(&self) -> BTreeSet<i32> {
        let deadline = Instant::now() + GRACE;
        loop {
            let holders = holders::of(self.file);
            let left = deadline.saturating_duration_since(Instant::now());
            let first = holders.first().and_then(|holder| Process::open(holder.pid).ok().flatten());
            match first {
                Some(first) if !left.is_zero() => drop(first.wait(Some(left))),
                _ => return holders.iter().map(|holder| holder.pid).collect(),
            }
        }
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
        let tree = Tree::of(daemon.pid(), self.file, self.all);
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
        let left = match self.left.is_empty() {
            true => String::new(),
            false => format!("; PID {} still has the lock of its pid file", numbers(&self.left)),
        };
        let text = match (self.pid, self.by) {
            (Some(pid), Some(libc::SIGKILL)) => format!("{name}: killed, PID {pid}{others}{left}"),
            (Some(pid), _) => format!("{name}: stopped, PID {pid}{others}{left}"),
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
            "left": self.left.iter().collect::<Vec<_>>(),
            "seconds": self.begun.elapsed().as_secs_f64(),
        })
    }
}

/// Sends a signal; that the daemon has ended is seen by waiting.
fn send(daemon: &Running, signal: i32) -> Result<(), Failure> {
    for signal in [signal, GO_ON] {
        match daemon.signal(signal) {
            Err(error) if error.errno() == Some(libc::ESRCH) => {}
            sent => sent?,
        }
    }
    Ok(())
}

/// That a daemon does not run, and processes have the lock of its pid file.
fn locked_by(file: &PidFile, holders: &BTreeSet<i32>) -> String {
    format!("{}: its daemon has ended, PID {} still has its lock", file.path().to_string_lossy(), numbers(holders))
}

pub(crate) fn numbers(pids: &BTreeSet<i32>) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}
