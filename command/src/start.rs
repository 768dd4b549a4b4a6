//! `start`, `restart`, `try-restart` and `run`.

use crate::answer::{Answer, Failure};
use crate::arguments::Arguments;
use crate::cgroup::{Group, Inside};
use crate::described::{Described, command_line};
use crate::place::Place;
use crate::priority;
use crate::stop::Stop;
use daemonctx::{Detach, Error, ErrorKind, parts};
use serde_json::{Value, json};
use std::time::Instant;

pub(crate) fn start(arguments: &Arguments) -> Result<Answer, Failure> {
    let place = Place::of_program(arguments)?;
    let described = Described::new(arguments, &place, Detach::Yes)?;
    if arguments.has("dry-run") {
        return preview(arguments, &place, &described, "would_start", "would start");
    }
    begin(arguments, &place, described, "started", Instant::now())
}

/// Stops only when it is sure that what comes then can be started, as far as that can be known.
pub(crate) fn restart(arguments: &Arguments) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let place = Place::of_program(arguments)?;
    let described = Described::new(arguments, &place, Detach::Yes)?;
    if arguments.has("dry-run") {
        return preview(arguments, &place, &described, "would_restart", "would stop, then start");
    }
    check(&described)?;
    let stopped = place.pid_file.as_ref().map(|file| Stop::new(arguments, &place, file)?.stop()).transpose()?;
    let ran = stopped.is_some_and(|stopped| stopped.was_running());
    begin(arguments, &place, described, if ran { "restarted" } else { "started" }, begun)
}

pub(crate) fn try_restart(arguments: &Arguments) -> Result<Answer, Failure> {
    let place = Place::of_program(arguments)?;
    let running = place.pid_file.as_ref().map(daemonctx::PidFile::running).transpose()?.flatten();
    if running.is_none() {
        let json = json!({ "result": "not_running", "name": place.name });
        return Ok(Answer::new(format!("{}: does not run, so it is not started", place.name), json));
    }
    restart(arguments)
}

/// Becomes the program, so it only comes back with a failure.
pub(crate) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let place = Place::of_program(arguments)?;
    let mut described = Described::new(arguments, &place, Detach::No)?;
    if arguments.has("dry-run") {
        return preview(arguments, &place, &described, "would_run", "would run");
    }
    described.nice.map_or(Ok(()), priority::add)?;
    match described.daemon.launch(&described.executable) {
        Ok(_) => Ok(Answer::text("")),
        Err(error) => Err(Failure::from(error).of(&place.name)),
    }
}

/// What a restart may find wrong before it stops anything. That the daemon runs is what it is for.
fn check(described: &Described) -> Result<(), Failure> {
    match described.daemon.check() {
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => Ok(()),
        checked => Ok(checked?),
    }
}

/// Starts and waits until it is ready. What calls the start off waits until somebody waits for the daemon.
fn begin(
    arguments: &Arguments,
    place: &Place,
    mut described: Described,
    result: &str,
    begun: Instant,
) -> Result<Answer, Failure> {
    described.nice.map_or(Ok(()), priority::add)?;
    let group = group(arguments, place, &mut described);
    parts::block_only(&[libc::SIGINT, libc::SIGQUIT, libc::SIGTERM])?;
    let launched = described.daemon.launch(&described.executable);
    let group = group.map(Inside::leave);
    let ready = launched.and_then(|mut starting| starting.wait_unless_called_off().map(|()| starting.pid()));
    parts::block_only(&[])?;
    if let (Err(_), Some(group)) = (&ready, group) {
        group.remove();
    }
    match ready {
        Ok(pid) => Ok(started(place, pid, result, begun)),
        Err(error) => runs_already(place, &error).ok_or_else(|| Failure::from(error).of(&place.name)),
    }
}

/// Where the daemon's processes are to be found together: in a control group, else below a process that stays.
fn group(arguments: &Arguments, place: &Place, described: &mut Described) -> Option<Inside> {
    if !arguments.has("tree") {
        return None;
    }
    let entered = Group::make(&place.name).map(Group::enter);
    match entered {
        Ok(Ok(inside)) => return Some(inside),
        Ok(Err((group, _))) => group.remove(),
        Err(_) => {}
    }
    described.executable.keep_together(true);
    None
}

fn started(place: &Place, pid: i32, result: &str, begun: Instant) -> Answer {
    let text = format!("{}: {result}, PID {pid}", place.name);
    let json = json!({
        "result": result,
        "name": place.name,
        "pid": pid,
        "pidfile": pid_file(place),
        "seconds": begun.elapsed().as_secs_f64(),
    });
    Answer::new(text, json)
}

/// A daemon that runs already is what was wanted. One that is being started may still fail: nobody can say so yet.
fn runs_already(place: &Place, error: &Error) -> Option<Answer> {
    let pid = error.holder().filter(|_| error.kind() == ErrorKind::AlreadyRunning)?;
    let text = format!("{}: runs already, PID {pid}", place.name);
    let json = json!({ "result": "already_running", "name": place.name, "pid": pid, "pidfile": pid_file(place) });
    Some(Answer::new(text, json))
}

fn pid_file(place: &Place) -> Option<String> {
    place.pid_file.as_ref().map(|file| file.path().to_string_lossy().into_owned())
}

fn preview(
    arguments: &Arguments,
    place: &Place,
    described: &Described,
    result: &str,
    words: &str,
) -> Result<Answer, Failure> {
    match described.daemon.check() {
        Err(error) if error.kind() == ErrorKind::AlreadyRunning && result != "would_run" => {
            if result == "would_start" {
                return runs_already(place, &error).ok_or_else(|| Failure::from(error).of(&place.name));
            }
        }
        checked => checked?,
    }
    let mut lines = vec![format!("{}: {words} {}", place.name, command_line(arguments))];
    lines.push(format!("  program   {}", described.program.to_string_lossy()));
    if let Some(file) = pid_file(place) {
        lines.push(format!("  pid file  {file}"));
    }
    for (long, value) in arguments.said() {
        lines.push(format!("  {long:<9} {}", value.to_string_lossy()));
    }
    Ok(Answer::new(lines.join("\n"), plan(arguments, place, described, result)))
}

fn plan(arguments: &Arguments, place: &Place, described: &Described, result: &str) -> Value {
    let words: Vec<_> = arguments.operands.iter().map(|word| word.to_string_lossy()).collect();
    json!({
        "result": result,
        "dry_run": true,
        "name": place.name,
        "program": described.program.to_string_lossy(),
        "command": words,
        "pidfile": pid_file(place),
    })
}
