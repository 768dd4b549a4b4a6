//! `reload`: a signal to the daemon, and to nobody else.

use crate::answer::{Answer, Failure, code};
use crate::monitored;
use crate::options::Reload;
use crate::place::Place;
use crate::signals;
use crate::stop::did_you_mean;
use daemonctx::{Error, PidFile};
use serde_json::json;

/// Sends a signal.
type Send = Box<dyn Fn(i32) -> Result<(), Error>>;

pub(crate) fn reload(options: &Reload) -> Result<Answer, Failure> {
    let place = Place::of_daemon(&options.which)?;
    let name = &place.name;
    let (signal, dry) = (options.signal, options.say.dry_run);
    let Some((pid, send)) = daemon(&place)? else { return Err(does_not_run(&place)) };
    match send(if dry { 0 } else { signal }) {
        // It has ended meanwhile.
        Err(error) if error.errno() == Some(libc::ESRCH) => return Err(does_not_run(&place)),
        sent => sent?,
    }
    let called = signals::name(signal);
    let text = if dry {
        format!("{name}: would send {called} to PID {pid}")
    } else {
        format!("{name}: sent {called} to PID {pid}")
    };
    let result = if dry { "would_signal" } else { "signalled" };
    let json = json!({ "result": result, "dry_run": dry, "name": name, "pid": pid, "signal": called });
    Ok(Answer::new(text, json))
}

fn daemon(place: &Place) -> Result<Option<(i32, Send)>, Failure> {
    if let Some(program) = place.monitored()?.as_ref().and_then(monitored::program) {
        return Ok(Some((program.pid(), Box::new(move |signal| program.signal(signal)))));
    }
    let running = place.pid_file.as_ref().map(PidFile::running).transpose()?.flatten();
    Ok(running.map(|daemon| (daemon.pid(), Box::new(move |signal| daemon.signal(signal)) as Send)))
}

fn does_not_run(place: &Place) -> Failure {
    Failure::new(code::NOT_RUNNING, ["does not run", &did_you_mean(place)].concat()).of(&place.name)
}
