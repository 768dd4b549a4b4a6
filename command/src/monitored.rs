//! What the commands need of a daemon with a monitor, beside what its state file says.

use crate::answer::{Failure, code};
use crate::process;
use daemonctx::parts::Process;
use daemonctx::{Monitored, MonitoredState};
use std::time::Duration;

/// What a state is called, in lines and in JSON.
pub(crate) fn word(state: MonitoredState) -> &'static str {
    match state {
        MonitoredState::Starting => "starting",
        MonitoredState::Running => "running",
        MonitoredState::Left => "left",
        MonitoredState::Stopping => "stopping",
        MonitoredState::Waiting => "waiting",
        MonitoredState::GaveUp => "gave-up",
        MonitoredState::Ended => "ended",
        MonitoredState::Unmonitored => "unmonitored",
        MonitoredState::Lost => "lost",
        _ => "unknown",
    }
}

/// Whether the daemon counts as running: its program is there, or comes back.
pub(crate) fn runs(daemon: &Monitored) -> bool {
    match daemon.state() {
        MonitoredState::Running | MonitoredState::Waiting | MonitoredState::Unmonitored => true,
        MonitoredState::Starting => daemon.restarts().0 > 0,
        _ => false,
    }
}

/// Whether its program has ended and does not come back.
pub(crate) fn is_over(daemon: &Monitored) -> bool {
    matches!(daemon.state(), MonitoredState::Ended | MonitoredState::GaveUp | MonitoredState::Lost)
}

/// The program, held by a descriptor; none if it has none now. A child of the monitor, so nobody else has its PID until the monitor has
/// waited for it.
pub(crate) fn program(daemon: &Monitored) -> Option<Process> {
    let program = Process::open(daemon.pid()?).ok().flatten()?;
    let is_child = process::Process::read(program.pid()).is_some_and(|found| found.parent == daemon.monitor_pid());
    let is_there = is_child && program.wait(Some(Duration::ZERO)).is_ok_and(|ended| !ended);
    is_there.then_some(program)
}

/// `exited with status 3`, `killed by signal 9`, `could not be started again: …`; nothing if the program has not ended, or its monitor was killed before.
pub(crate) fn last_end(daemon: &Monitored) -> Option<String> {
    if daemon.state() == MonitoredState::Lost {
        return None;
    }
    let end = daemon.end().to_string_lossy().into_owned();
    match end.split_once(' ') {
        Some(("exited", status)) => Some(["exited with status ", status].concat()),
        Some(("killed", signal)) => Some(["killed by signal ", signal].concat()),
        Some(("failed", failure)) => not_started(failure),
        _ => None,
    }
}

/// From the errno and the step.
fn not_started(failure: &str) -> Option<String> {
    let (errno, step) = failure.split_once(' ')?;
    let error = std::io::Error::from_raw_os_error(errno.parse().ok()?).to_string();
    let error = error.split(" (os error").next().unwrap_or_default();
    Some(format!("could not be started again: {step}: {error}"))
}

/// The command line, for people.
pub(crate) fn command_line(daemon: &Monitored) -> String {
    daemon.command().iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The command line as a shell takes it.
pub(crate) fn shell_words(daemon: &Monitored) -> String {
    daemon.command().iter().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    const PLAIN: &str = "-_./:=@%+,";
    let is_plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || PLAIN.contains(letter));
    if is_plain && !word.is_empty() { word.to_owned() } else { ["'", &word.replace('\'', "'\\''"), "'"].concat() }
}

pub(crate) fn pid_file(daemon: &Monitored) -> Option<String> {
    daemon.pid_file().map(|path| path.to_string_lossy().into_owned())
}

/// A failure of a command on a daemon.
pub(crate) fn failure(name: &str, why: impl Into<String>) -> Failure {
    Failure::new(code::FAILED, why).of(name)
}
