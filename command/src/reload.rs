//! `reload`: a signal to the daemon, and to nobody else.

use crate::answer::{Answer, Failure, code};
use crate::options::Reload;
use crate::place::Place;
use crate::schedule;
use serde_json::json;

pub(crate) fn reload(options: &Reload) -> Result<Answer, Failure> {
    let (place, file) = Place::of_daemon(&options.which)?;
    let name = &place.name;
    let signal = options.signal;
    let Some(daemon) = file.running()? else {
        return Err(does_not_run(name));
    };
    let dry = options.say.dry_run;
    match daemon.signal(if dry { 0 } else { signal }) {
        // It has ended meanwhile.
        Err(error) if error.errno() == Some(libc::ESRCH) => return Err(does_not_run(name)),
        sent => sent?,
    }
    let (called, pid) = (schedule::name(signal), daemon.pid());
    let text = if dry {
        format!("{name}: would send {called} to PID {pid}")
    } else {
        format!("{name}: sent {called} to PID {pid}")
    };
    let result = if dry { "would_signal" } else { "signalled" };
    let json = json!({ "result": result, "dry_run": dry, "name": name, "pid": pid, "signal": called });
    Ok(Answer::new(text, json))
}

fn does_not_run(name: &str) -> Failure {
    Failure::new(code::NOT_RUNNING, "does not run").of(name)
}
