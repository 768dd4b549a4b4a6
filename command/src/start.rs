//! `start`, `restart`, `try-restart` and `run`.

use crate::Given;
use crate::answer::{Answer, Failure, code};
use crate::described::{Described, command_line};
use crate::found::user_name;
use crate::monitored::{self, failure};
use crate::options::{Launch, Program, Restart, Run, Streams};
use crate::place::Place;
use crate::priority;
use crate::progress::Progress;
use crate::stop::Stop;
use crate::{other_program, process, sys, values};
use daemonctx::{Error, ErrorKind, Launching, Monitored, MonitoredState, PidFile, Running, parts};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) fn start(options: &Launch, given: &[Given], monitor: &Path) -> Result<Answer, Failure> {
    refuse_as_init()?;
    let place = Place::of_program(&options.program)?;
    let described = Described::launched(options, &place)?;
    if options.say.dry_run {
        return preview(&options.program, given, &place, &described, "would_start", "would start");
    }
    described.nice.map_or(Ok(()), priority::add)?;
    begin(options, &place, described, monitor, "started", Instant::now())
}

/// Stops only when it is sure that what comes then can be started, as far as that can be known.
pub(crate) fn restart(restart: &Restart, given: &[Given], monitor: &Path) -> Result<Answer, Failure> {
    let begun = Instant::now();
    refuse_as_init()?;
    refuse_name_as_program(restart)?;
    let options = &restart.launch;
    let place = Place::of_program(&options.program)?;
    let described = Described::launched(options, &place)?;
    if options.say.dry_run {
        return preview(&options.program, given, &place, &described, "would_restart", "would stop, then start");
    }
    check(&described, &place.name)?;
    described.nice.map_or(Ok(()), priority::add)?;
    let ran = Stop::new(&restart.ending, &place).stop()?.was_running();
    begin(options, &place, described, monitor, if ran { "restarted" } else { "started" }, begun)
}

pub(crate) fn try_restart(options: &Restart, given: &[Given], monitor: &Path) -> Result<Answer, Failure> {
    refuse_name_as_program(options)?;
    let place = Place::of_program(&options.launch.program)?;
    if !runs(&place)? {
        let json = json!({ "result": "not_running", "name": place.name });
        return Ok(Answer::new(format!("{}: does not run, so it is not started", place.name), json));
    }
    restart(options, given, monitor)
}

/// Becomes the program, so it only comes back with a failure.
pub(crate) fn run(options: &Run, given: &[Given]) -> Result<Answer, Failure> {
    let place = Place::of_program(&options.program)?;
    let described = Described::in_foreground(&options.program, &place)?;
    if options.say.dry_run {
        return preview(&options.program, given, &place, &described, "would_run", "would run");
    }
    described.nice.map_or(Ok(()), priority::add)?;
    Err(Failure::from(described.daemon.exec(&described.executable)).of(&place.name))
}

/// `restart NAME`, as init systems have it: it would end the daemon and start the program NAME without its arguments, if there is one.
fn refuse_name_as_program(restart: &Restart) -> Result<(), Failure> {
    let program = &restart.launch.program;
    let [word] = program.words.as_slice() else { return Ok(()) };
    if program.naming.name.is_some() || !values::is_daemon_name(word) {
        return Ok(());
    }
    // Which of several is meant matters where one is stopped.
    let Ok(place) = Place::named(word) else { return Ok(()) };
    let daemon = place.monitored()?.filter(|daemon| place.is_own() && daemon.command() != [word.as_os_str()]);
    let Some(daemon) = daemon else { return Ok(()) };
    if !monitored::is_over(&daemon) || !Described::has_program(program) {
        let line = [&place.naming_options(), " -- ", &monitored::shell_words(&daemon)].concat();
        let why = ["restart needs the whole command line, with the options of its start: daemonctx restart ", &line];
        return Err(failure(&place.name, why.concat()));
    }
    Ok(())
}

/// A container ends with its first process, and so would the daemon.
fn refuse_as_init() -> Result<(), Failure> {
    const INIT: u32 = 1;
    if std::process::id() != INIT {
        return Ok(());
    }
    Err(Failure::new(code::FAILED, "start as PID 1 ends the container with the start; use `daemonctx run`"))
}

fn runs(place: &Place) -> Result<bool, Failure> {
    if let Some(daemon) = place.monitored()? {
        return Ok(monitored::runs(&daemon));
    }
    Ok(place.pid_file.as_ref().map_or(Ok(None), PidFile::running)?.is_some())
}

/// What a restart may find wrong before it stops anything. That the daemon runs is what it is for.
fn check(described: &Described, name: &str) -> Result<(), Failure> {
    match described.daemon.check_program(&described.executable) {
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => Ok(()),
        checked => checked.map_err(|error| Failure::from(error).of(name)),
    }
}

/// Starts, or finds out why not.
fn begin(
    options: &Launch,
    place: &Place,
    mut described: Described,
    monitor: &Path,
    result: &str,
    begun: Instant,
) -> Result<Answer, Failure> {
    /// A daemon may end while it is looked at, and be started again.
    const TRIES: u32 = 10;
    let mut tries = 0;
    loop {
        let error = match launch(options, place, &mut described, monitor) {
            Ok(launching) => return Ok(started(place, launching, result, begun)),
            Err(error) => error,
        };
        if let Some(answer) = runs_already(&options.program, &described.program, place, &error)? {
            return Ok(answer);
        }
        tries += 1;
        let may_have_ended = error.kind() == ErrorKind::AlreadyRunning && error.holder().is_some();
        if !may_have_ended || tries == TRIES {
            let hint = why_it_ended(&options.program.streams, &error);
            return Err(refused(place, error).with_hint(&hint));
        }
    }
}

/// Where the reason is, of a program that ended before it was ready.
fn why_it_ended(streams: &Streams, error: &Error) -> String {
    let is_program = error.with_subject(|subject| subject.starts_with(b"PID "));
    if error.kind() != ErrorKind::Start || error.errno().is_some() || !is_program {
        return String::new();
    }
    match &streams.stderr {
        Some(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            ["; see ", &path.to_string_lossy()].concat()
        }
        None if streams.syslog => "; see the system log".to_owned(),
        None => "; add --stderr FILE to see why".to_owned(),
    }
}

/// Starts and waits until it is ready. Signals cancel the start as long as it waits; afterwards they are too late.
fn launch(options: &Launch, place: &Place, described: &mut Described, monitor: &Path) -> Result<Launching, Error> {
    parts::block_only(&[libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP])?;
    let limit = Some(options.ready.ready_timeout).filter(|limit| !limit.is_zero());
    let report = &options.say.report;
    let progress = Progress::begin(&place.name, limit, !report.quiet && !report.json);
    let launched = described.daemon.monitor(monitor).launch(&described.executable);
    let ready = launched.and_then(|mut launching| launching.wait_unless_cancelled().map(|()| launching));
    drop(progress);
    if ready.is_err() {
        parts::block_only(&[])?;
    }
    ready
}

/// The answer confirms the start before it is printed.
fn started(place: &Place, launching: Launching, result: &str, begun: Instant) -> Answer {
    // It is ready, so it has one.
    let pid = launching.pid().unwrap_or_default();
    let text = format!("{}: {result}, PID {pid}", place.name);
    let json = json!({
        "result": result,
        "name": place.name,
        "pid": pid,
        "pidfile": place.path(),
        "seconds": begun.elapsed().as_secs_f64(),
    });
    Answer::new(text, json).confirming(launching, &place.name)
}

/// A daemon that runs already is what was wanted, if its state file proves it, or a pid file that no other user chose and whose process may
/// run the program. None where it has ended meanwhile.
fn runs_already(program: &Program, executable: &Path, place: &Place, error: &Error) -> Result<Option<Answer>, Failure> {
    if error.kind() != ErrorKind::AlreadyRunning {
        return Ok(None);
    }
    let monitored = place.monitored().ok().flatten();
    let pid = match (&monitored, &place.pid_file) {
        (Some(daemon), _) => {
            daemon.pid().filter(|pid| error.holder() == Some(*pid) && monitored::program(daemon).is_some())
        }
        (None, Some(file)) if error.holder().is_some() => match file.running().ok().flatten() {
            Some(running) => {
                let pid = check_users(program, place, file, &running)?;
                if pid.is_some() { check_command(program, executable, place, &running)? } else { None }
            }
            None => None,
        },
        _ => None,
    };
    let Some(pid) = pid else { return Ok(None) };
    let text = format!("{}: runs already, PID {pid}", place.name);
    let pid_file = monitored.map_or_else(|| place.path(), |daemon| monitored::pid_file(&daemon));
    let json = json!({ "result": "already_running", "name": place.name, "pid": pid, "pidfile": pid_file });
    Ok(Some(Answer::new(text, json)))
}

/// The PID, where both the pid file and the process are root's, the caller's, or those of the user asked for; none if the process has
/// ended.
fn check_users(program: &Program, place: &Place, file: &PidFile, running: &Running) -> Result<Option<i32>, Failure> {
    let (pid, owner) = (running.pid(), running.named_by());
    let users = process::users(pid);
    if running.wait(Some(Duration::ZERO))? {
        return Ok(None);
    }
    let is_own = |user: u32| user == 0 || user == sys::effective_user();
    let is_asked_for = |user: u32| {
        let asked = program.owner.user.as_deref().map(|owner| values::split(owner, b':').0);
        asked.is_some_and(|asked| asked == user_name(user).as_str() || asked == user.to_string().as_str())
    };
    let stranger = users.iter().find(|user| !is_own(**user) && !is_asked_for(**user));
    if is_own(owner) && !users.is_empty() && stranger.is_none() {
        return Ok(Some(pid));
    }
    let runs_as =
        stranger.or(users.first()).map_or_else(|| "a user that is hidden".to_owned(), |user| user_name(*user));
    let (path, owner) = (file.path().to_string_lossy(), user_name(owner));
    Err(failure(&place.name, format!("start failed: {path} of user {owner} names PID {pid}, which runs as {runs_as}")))
}

/// The PID, unless the process runs another program; none if it has ended.
fn check_command(
    program: &Program,
    executable: &Path,
    place: &Place,
    running: &Running,
) -> Result<Option<i32>, Failure> {
    let pid = running.pid();
    // In another root the program has another path, and its interpreter as well.
    let has_root = program.owner.chroot.is_some();
    let another = (!has_root).then(|| other_program::command_of_another(pid, &program.words, executable)).flatten();
    if running.wait(Some(Duration::ZERO))? {
        return Ok(None);
    }
    another.map_or(Ok(Some(pid)), |command| Err(failure(&place.name, other_command(Some(pid), &command))))
}

/// Why a start is refused beside what is there. What is not known for sure is left to the error.
fn refused(place: &Place, error: Error) -> Failure {
    let name = &place.name;
    let why = place.monitored().ok().flatten().and_then(|daemon| why_refused(place, &error, &daemon));
    why.map_or_else(|| Failure::from(error).of(name), |why| failure(name, why))
}

fn why_refused(place: &Place, error: &Error, daemon: &Monitored) -> Option<String> {
    use MonitoredState::{Left, Lost, Unmonitored, Waiting};
    let command = error.with_subject(|command| String::from_utf8_lossy(command).into_owned());
    let left = || daemon.processes().first().copied();
    let stop = ["; `daemonctx stop ", &stop_words(place), "` ends it"].concat();
    match (error.kind(), daemon.state()) {
        (ErrorKind::NameTaken | ErrorKind::AlreadyRunning, Left | Lost) => {
            left().map(|pid| format!("start failed: its program has ended, PID {pid} of it is left{stop}"))
        }
        (ErrorKind::AlreadyRunning, Unmonitored) => {
            left().map(|pid| format!("start failed: its monitor was killed, PID {pid} of it is alive{stop}"))
        }
        (ErrorKind::AlreadyRunning, Waiting) => {
            let monitor = daemon.monitor_pid();
            Some(format!("start failed: it has failed and is about to be started again, by PID {monitor}"))
        }
        (ErrorKind::NameTaken, state) => Some(other_command(error.holder().filter(|_| state != Waiting), &command)),
        _ => None,
    }
}

/// Without a PID it is the delay before a restart.
fn other_command(pid: Option<i32>, command: &str) -> String {
    match pid {
        Some(pid) => format!("already running as PID {pid} with another command line: {command}"),
        None => format!("start failed: another command line is about to be started again: {command}"),
    }
}

/// What names this daemon to `stop`, and no other.
fn stop_words(place: &Place) -> String {
    match &place.pid_file {
        Some(file) if !place.has_usual_pid_file() => ["--pidfile ", &file.path().to_string_lossy()].concat(),
        _ => place.name.clone(),
    }
}

fn preview(
    program: &Program,
    given: &[Given],
    place: &Place,
    described: &Described,
    result: &str,
    words: &str,
) -> Result<Answer, Failure> {
    if let Some(daemon) = place.monitored()?.filter(|daemon| result == "would_start" && monitored::runs(daemon)) {
        let words = daemon.command();
        if !words.iter().eq(program.words.iter()) {
            return Err(failure(&place.name, other_command(daemon.pid(), &monitored::command_line(&daemon))));
        }
    }
    match described.daemon.check_program(&described.executable) {
        Err(error) if error.kind() == ErrorKind::AlreadyRunning && result != "would_run" => {
            if result == "would_start" {
                return runs_already(program, &described.program, place, &error)?.ok_or_else(|| refused(place, error));
            }
        }
        checked => checked.map_err(|error| Failure::from(error).of(&place.name))?,
    }
    let mut lines = vec![format!("{}: {words} {}", place.name, command_line(program))];
    lines.push(format!("  program   {}", described.program.to_string_lossy()));
    if let Some(file) = place.path() {
        lines.push(format!("  pid file  {file}"));
    }
    lines.extend(given.iter().map(|given| format!("  {}", given.as_typed())));
    Ok(Answer::of_lines(&lines, plan(program, place, described, result)))
}

fn plan(program: &Program, place: &Place, described: &Described, result: &str) -> Value {
    let words: Vec<_> = program.words.iter().map(|word| word.to_string_lossy()).collect();
    json!({
        "result": result,
        "dry_run": true,
        "name": place.name,
        "program": described.program.to_string_lossy(),
        "command": words,
        "pidfile": place.path(),
    })
}
