//! `start`, `restart`, `try-restart` and `run`.

use crate::answer::{Answer, Failure, code};
use crate::arguments::Arguments;
use crate::cgroup::{Group, Inside};
use crate::described::{Described, command_line};
use crate::holders;
use crate::place::Place;
use crate::priority;
use crate::process::Process;
use crate::stop::{Stop, left_behind};
use daemonctx::{Detach, Error, ErrorKind, PidFile, parts};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) fn start(arguments: &Arguments) -> Result<Answer, Failure> {
    let place = Place::of_program(arguments)?;
    let described = Described::new(arguments, &place, Detach::Yes)?;
    if arguments.has("dry-run") {
        return preview(arguments, &place, &described, "would_start", "would start");
    }
    described.nice.map_or(Ok(()), priority::add)?;
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
    described.nice.map_or(Ok(()), priority::add)?;
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

/// How long a start is tried again whose pid file is held, and names a daemon that does not run.
struct Patience {
    begun: Instant,
    /// When others than that daemon were not there yet.
    alone: Instant,
}

impl Patience {
    const STEP: Duration = Duration::from_millis(1);
    /// For the daemon itself, which just leaves: it gives its descriptors up before its locks, so nobody can be seen, and on a
    /// busy machine seconds may pass until it runs again.
    const WITH_DAEMON: Duration = Duration::from_secs(10);
    /// For what it has left, which may be about to end as well.
    const WITH_OTHERS: Duration = Duration::from_secs(2);

    fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, alone: now }
    }

    fn has_with(&mut self, others: &[Process]) -> bool {
        if others.is_empty() {
            self.alone = Instant::now();
            return self.begun.elapsed() < Self::WITH_DAEMON;
        }
        self.alone.elapsed() < Self::WITH_OTHERS
    }
}

/// Starts, or finds out why not.
fn begin(
    arguments: &Arguments,
    place: &Place,
    mut described: Described,
    result: &str,
    begun: Instant,
) -> Result<Answer, Failure> {
    let mut patience = Patience::begin();
    loop {
        let error = match launch(arguments, place, &mut described) {
            Ok(pid) => return Ok(started(place, pid, result, begun)),
            Err(error) => error,
        };
        if let Some(answer) = runs_already(place, &error) {
            return Ok(answer);
        }
        let left = left_by_daemon(place, &error);
        if !left.as_deref().is_some_and(|left| patience.has_with(left)) {
            return Err(refused(place, error, left.as_deref()));
        }
        std::thread::sleep(Patience::STEP);
    }
}

/// Starts and waits until it is ready. What calls the start off waits until somebody waits for the daemon.
fn launch(arguments: &Arguments, place: &Place, described: &mut Described) -> Result<i32, Error> {
    let group = group(arguments, place, described);
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
fn group(arguments: &Arguments, place: &Place, described: &mut Described) -> Option<Inside> {
    if !arguments.has("tree") {
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

/// Who holds the file, where it names a daemon that is gone or leaving: others than that, and no start, which writes its own. None
/// where the file is not to blame.
fn left_by_daemon(place: &Place, error: &Error) -> Option<Vec<Process>> {
    let daemon = error.holder().filter(|_| error.kind() == ErrorKind::AlreadyRunning)?;
    let mut holders = holders::of(place.pid_file.as_ref()?.path());
    holders.retain(|holder| holder.pid != daemon);
    Some(holders)
}

fn refused(place: &Place, error: Error, left: Option<&[Process]>) -> Failure {
    let (Some(left), Some(file)) = (left, &place.pid_file) else { return Failure::from(error).of(&place.name) };
    let keeper = left.iter().find(|holder| holders::is_keeper(holder));
    let again = keeper.map(|keeper| format!("it has failed and is about to be started again, by PID {}", keeper.pid));
    let why = again.unwrap_or_else(|| left_behind(file, &left.iter().map(|holder| holder.pid).collect()));
    Failure::new(code::FAILED, format!("start failed: {why}")).of(&place.name)
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
                return runs_already(place, &error).ok_or_else(|| {
                    let left = left_by_daemon(place, &error);
                    refused(place, error, left.as_deref())
                });
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
