//! `start`, `restart`, `try-restart` and `run`.

use crate::Given;
use crate::answer::{Answer, Failure, code};
use crate::cgroup::{Group, Inside};
use crate::described::{Described, command_line};
use crate::holders;
use crate::options::{Launch, Program, Restart, Run};
use crate::place::Place;
use crate::priority;
use crate::stop::Stop;
use daemonctx::parts::{self, Process};
use daemonctx::{Error, ErrorKind, PidFile};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) fn start(options: &Launch, given: &[Given]) -> Result<Answer, Failure> {
    let place = Place::of_program(&options.program)?;
    let described = Described::launched(options, &place)?;
    if options.say.dry_run {
        return preview(&options.program, given, &place, &described, "would_start", "would start");
    }
    described.nice.map_or(Ok(()), priority::add)?;
    begin(options, &place, described, "started", Instant::now())
}

/// Stops only when it is sure that what comes then can be started, as far as that can be known.
pub(crate) fn restart(restart: &Restart, given: &[Given]) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let options = &restart.launch;
    let place = Place::of_program(&options.program)?;
    let described = Described::launched(options, &place)?;
    if options.say.dry_run {
        return preview(&options.program, given, &place, &described, "would_restart", "would stop, then start");
    }
    check(&described)?;
    described.nice.map_or(Ok(()), priority::add)?;
    let stop = |file| Stop::new(&restart.ending, false, &place, file).stop();
    let stopped = place.pid_file.as_ref().map(stop).transpose()?;
    let ran = stopped.is_some_and(|stopped| stopped.was_running());
    begin(options, &place, described, if ran { "restarted" } else { "started" }, begun)
}

pub(crate) fn try_restart(options: &Restart, given: &[Given]) -> Result<Answer, Failure> {
    let place = Place::of_program(&options.launch.program)?;
    let running = place.pid_file.as_ref().map(daemonctx::PidFile::running).transpose()?.flatten();
    if running.is_none() {
        let json = json!({ "result": "not_running", "name": place.name });
        return Ok(Answer::new(format!("{}: does not run, so it is not started", place.name), json));
    }
    restart(options, given)
}

/// Becomes the program, so it only comes back with a failure.
pub(crate) fn run(options: &Run, given: &[Given]) -> Result<Answer, Failure> {
    let place = Place::of_program(&options.program)?;
    let mut described = Described::in_foreground(&options.program, &place)?;
    if options.say.dry_run {
        return preview(&options.program, given, &place, &described, "would_run", "would run");
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

/// Starts, or finds out why not.
fn begin(
    options: &Launch,
    place: &Place,
    mut described: Described,
    result: &str,
    begun: Instant,
) -> Result<Answer, Failure> {
    /// A daemon may end while it is looked at, and be started again.
    const TRIES: u32 = 10;
    let mut tries = 0;
    loop {
        let error = match launch(options, place, &mut described) {
            Ok(pid) => return Ok(started(place, pid, result, begun)),
            Err(error) => error,
        };
        if let Some(answer) = runs_already(place, &error) {
            return Ok(answer);
        }
        let has_changed = error.holder().is_some() || error.remaining().is_some_and(ends_soon);
        tries += 1;
        if !has_changed || tries == TRIES {
            return Err(refused(place, error));
        }
    }
}

/// Waits a little for a worker whose daemon was killed.
fn ends_soon(worker: i32) -> bool {
    const GRACE: Duration = Duration::from_secs(2);
    match Process::open(worker) {
        Ok(Some(worker)) => worker.wait(Some(GRACE)).unwrap_or(false),
        _ => true,
    }
}

/// Starts and waits until it is ready. What calls the start off waits until somebody waits for the daemon.
fn launch(options: &Launch, place: &Place, described: &mut Described) -> Result<i32, Error> {
    let group = group(options, place, described);
    parts::block_only(&[libc::SIGINT, libc::SIGQUIT, libc::SIGTERM])?;
    let launched = described.daemon.launch(&described.executable);
    let group = group.map(Inside::leave);
    let ready = launched.and_then(|mut starting| starting.wait_unless_called_off().map(|()| starting.pid()));
    parts::block_only(&[])?;
    if let (Err(_), Some(group)) = (&ready, group) {
        group.remove();
    }
    ready
}

/// Where the daemon's processes are to be found together: in a control group, else below a process that stays.
fn group(options: &Launch, place: &Place, described: &mut Described) -> Option<Inside> {
    if !options.respawn.tree {
        return None;
    }
    let entered = Group::make(&place.name, place.pid_file.as_ref().map(PidFile::path)).map(Group::enter);
    match entered {
        Ok(Ok(inside)) => return Some(inside),
        Ok(Err((group, _))) => drop(group.remove()),
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

/// A daemon that runs already is what was wanted. One that is being started may still fail: nobody can say so yet. The PID in a
/// file that somebody holds may be that of a daemon which is gone.
fn runs_already(place: &Place, error: &Error) -> Option<Answer> {
    error.holder().filter(|_| error.kind() == ErrorKind::AlreadyRunning)?;
    let pid = place.pid_file.as_ref()?.running().ok()??.pid();
    let text = format!("{}: runs already, PID {pid}", place.name);
    let json = json!({ "result": "already_running", "name": place.name, "pid": pid, "pidfile": pid_file(place) });
    Some(Answer::new(text, json))
}

/// A keeper holds the file of a program that has failed.
fn refused(place: &Place, error: Error) -> Failure {
    let is_starting = error.kind() == ErrorKind::AlreadyRunning && error.holder().is_none();
    let file = place.pid_file.as_ref().filter(|_| is_starting);
    let holders = file.map(holders::of).unwrap_or_default();
    match holders::keeper_among(&holders) {
        Some(keeper) => {
            let why = format!("start failed: it has failed and is about to be started again, by PID {}", keeper.pid);
            Failure::new(code::FAILED, why).of(&place.name)
        }
        None => Failure::from(error).of(&place.name),
    }
}

fn pid_file(place: &Place) -> Option<String> {
    place.pid_file.as_ref().map(|file| file.path().to_string_lossy().into_owned())
}

fn preview(
    program: &Program,
    given: &[Given],
    place: &Place,
    described: &Described,
    result: &str,
    words: &str,
) -> Result<Answer, Failure> {
    match described.daemon.check() {
        Err(error) if error.kind() == ErrorKind::AlreadyRunning && result != "would_run" => {
            if result == "would_start" {
                return runs_already(place, &error).ok_or_else(|| refused(place, error));
            }
        }
        checked => checked?,
    }
    let mut lines = vec![format!("{}: {words} {}", place.name, command_line(program))];
    lines.push(format!("  program   {}", described.program.to_string_lossy()));
    if let Some(file) = pid_file(place) {
        lines.push(format!("  pid file  {file}"));
    }
    for Given { long, value } in given {
        lines.push(format!("  {long:<9} {value}"));
    }
    Ok(Answer::new(lines.join("\n"), plan(program, place, described, result)))
}

fn plan(program: &Program, place: &Place, described: &Described, result: &str) -> Value {
    let words: Vec<_> = program.words.iter().map(|word| word.to_string_lossy()).collect();
    json!({
        "result": result,
        "dry_run": true,
        "name": place.name,
        "program": described.program.to_string_lossy(),
        "command": words,
        "pidfile": pid_file(place),
    })
}
