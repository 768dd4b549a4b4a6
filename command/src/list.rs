//! `list`: the daemons of this user.

use crate::answer::{Answer, Failure};
use crate::monitored;
use crate::process;
use crate::run_directories;
use crate::screen::{Screen, columns};
use crate::time;
use daemonctx::Monitored;
use serde_json::{Value, json};

pub(crate) fn list() -> Result<Answer, Failure> {
    let daemons = run_directories::own_daemons()?;
    let json = json!({ "result": "listed", "daemons": daemons.iter().map(in_json).collect::<Value>() });
    Ok(Answer::drawn(table(&daemons), json).report())
}

/// Of all processes of a daemon, in bytes.
fn memory(daemon: &Monitored) -> Option<u64> {
    let sizes: Vec<u64> = daemon.processes().into_iter().filter_map(|pid| process::memory(pid).rss).collect();
    (!sizes.is_empty()).then(|| sizes.iter().sum())
}

fn since(daemon: &Monitored) -> Option<i64> {
    i64::try_from(daemon.since().as_secs()).ok()
}

fn pid(daemon: &Monitored) -> Option<i32> {
    daemon.pid().filter(|_| !monitored::is_over(daemon))
}

fn in_json(daemon: &Monitored) -> Value {
    let (restarts, limit) = daemon.restarts();
    json!({
        "name": daemon.name().to_string_lossy(),
        "state": monitored::word(daemon.state()),
        "pid": pid(daemon),
        "pidfile": daemon.pid_file().map(|path| path.to_string_lossy()),
        "since": since(daemon).and_then(time::rfc3339),
        "restarts": restarts,
        "restart_limit": limit,
        "last_end": monitored::last_end(daemon),
        "memory": memory(daemon),
        "command": daemon.command().iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>(),
    })
}

fn table(daemons: &[Monitored]) -> String {
    let screen = Screen::of(&std::io::stdout());
    let titles = ["NAME", "STATE", "PID", "SINCE", "RESTARTS", "MEMORY"].map(str::to_owned);
    let dash = || "-".to_owned();
    let row = |daemon: &Monitored| {
        [
            screen.harmless(daemon.name().as_encoded_bytes()),
            monitored::word(daemon.state()).to_owned(),
            pid(daemon).map_or_else(dash, |pid| pid.to_string()),
            since(daemon).and_then(time::local).unwrap_or_else(dash),
            daemon.restarts().0.to_string(),
            memory(daemon).map_or_else(dash, time::size),
        ]
    };
    let rows: Vec<_> = [titles].into_iter().chain(daemons.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| columns(&row[column])).max().unwrap_or_default();
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells =
            row.iter().zip(&widths).map(|(cell, width)| [cell, " ".repeat(width - columns(cell)).as_str()].concat());
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
