//! Programs that are launched, or executed in place.

use crate::Test;
use crate::house::{
    House, PROGRAM, before_exec, descriptors, field, is_buried, refuse, signal, signal_any, stat, until, worded,
};
use crate::monitor::{SLEEP, found, launch, state_files, stop};
use crate::programs::{described, pause_for_ever, pid, report};
use daemonctx::{Error, Launching, ListenAddress, MonitoredState, PidFile, Program, Readiness, Respawn, Status};
use std::fs;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("launch: a program becomes the daemon", a_program),
    ("launch: arguments and environment", arguments_and_environment),
    ("launch: a program that is not there, or may not be run", no_program),
    ("launch: the lock goes along, and stays with children", the_lock),
    ("launch: a lock that cannot be kept fails the start", lock_not_kept),
    ("launch: signals as in a fresh process", fresh_signals),
    ("launch: ready by a newline", newline),
    ("launch: ready by a newline on a descriptor that is in use", newline_in_use),
    ("launch: the descriptor closed without a newline", no_newline),
    ("launch: ready by a message", message),
    ("launch: ready by a message of a child", message_of_a_child),
    ("launch: ready by a message with a descriptor", message_with_descriptor),
    ("launch: more time", more_time),
    ("launch: more time has an end", more_time_has_an_end),
    ("launch: more time is not less", more_time_is_not_less),
    ("launch: more time where there is no limit", more_time_where_there_is_no_limit),
    ("launch: ready when it still runs", still_running),
    ("launch: ends before it is ready", ends_early),
    ("launch: not ready in time", not_in_time),
    ("launch: cancelled by a signal", cancelled),
    ("launch: the launcher is killed", launcher_killed),
    ("launch: undone unless it is confirmed", not_confirmed),
    ("launch: not in the foreground", not_detached),
    ("launch: an executable that was removed is its own monitor", removed),
    ("launch: an installed monitor is found", installed),
    ("launch: a set-user-ID program is no monitor", set_user_id),
    ("exec: in this very process", in_place),
    ("exec: a program that is not there", nothing_to_execute),
    ("exec: a lock that cannot be kept", lock_not_kept_in_place),
];

pub fn run(name: &str) -> ! {
    match name {
        "launching" => launching(),
        _ => launched(),
    }
}

fn words(start: &str) -> Vec<String> {
    std::env::args().filter_map(|word| word.strip_prefix(start).map(str::to_owned)).collect()
}

/// Launches what `path=` and `arg=` say, this binary unless they do, and reports what becomes of it.
fn launching() -> ! {
    let path = words("path=").pop();
    let own = crate::house::this_binary().to_str().expect("UTF-8").to_owned();
    let mut executable = Program::new(path.as_ref().unwrap_or(&own));
    let mut arguments = words("arg=").into_iter();
    if let Some(name) = arguments.next() {
        executable.arg0(name);
    }
    executable.args(arguments);
    if words("clean").iter().any(String::is_empty) {
        executable.env_clear();
    }
    for assignment in words("env=") {
        match assignment.split_once('=') {
            Some((name, value)) => executable.env(name, value),
            None => executable.env_remove(assignment),
        };
    }
    executable.env(PROGRAM, "launched");
    if words("ready=") != ["usual"] {
        executable.readiness(readiness());
    }
    let delay = |time: String| Duration::from_millis(time.parse().expect("a time"));
    let limit = if words("for_ever").is_empty() { Some(2) } else { None };
    let again = |time| Respawn { delay: delay(time), limit, ..Respawn::default() };
    executable.respawn(words("respawn=").pop().map(again));
    let has = |word: &str| words(word).iter().any(String::is_empty);
    if has("exec") {
        let error = described().exec(&executable);
        report(failed(&error));
        std::process::exit(error.exit_status());
    }
    if has("remove_self") {
        fs::remove_file(std::env::current_exe().expect("/proc")).expect("it can be removed");
    }
    // What comes between launch and wait waits.
    daemonctx::parts::block_only(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP]).expect("signals");
    let mut daemon = described();
    let pid_file = std::env::args().nth(1).expect("a pid file");
    if !has("usual_run") {
        daemon.state_directory(Path::new(&pid_file).parent().expect("a folder"));
    }
    match daemon.launch(&executable).and_then(ready) {
        Ok(pid) => report(format!("pid {pid}")),
        Err(error) => report(failed(&error)),
    }
    std::process::exit(0)
}

fn failed(error: &Error) -> String {
    format!("failed {} {:?} {error}", error.exit_status(), error.signal())
}

fn ready(mut launching: Launching) -> Result<i32, Error> {
    report("waiting");
    launching.wait_unless_cancelled()?;
    match words("then=").pop().as_deref() {
        Some("cancel") => {
            let pid = launching.pid().expect("it is ready");
            launching.cancel();
            report("cancelled");
            Ok(pid)
        }
        Some("drop") => {
            let pid = launching.pid().expect("it is ready");
            drop(launching);
            report("dropped");
            Ok(pid)
        }
        _ => launching.confirm(),
    }
}

fn readiness() -> Readiness {
    match words("ready=").pop().as_deref().map(|word| word.split_once(':').unwrap_or((word, ""))) {
        Some(("newline", fd)) => Readiness::Newline(fd.parse().expect("a descriptor")),
        Some(("running", time)) => Readiness::StillRunning(Duration::from_millis(time.parse().expect("a time"))),
        Some(("notify", _)) => Readiness::Notify,
        Some(("forked", "")) => Readiness::Forked(None),
        Some(("forked", path)) => Readiness::Forked(Some(path.into())),
        Some(("port", port)) => Readiness::Listening(ListenAddress::Port(None, port.parse().expect("a port"))),
        Some(("socket", path)) => Readiness::Listening(ListenAddress::Unix(path.into())),
        Some(("file", path)) => Readiness::File(path.into()),
        _ => Readiness::Executed,
    }
}

const LONG: Option<Duration> = Some(Duration::from_secs(10));

/// Does what its arguments say.
fn launched() -> ! {
    daemonctx::parts::block_only(&[libc::SIGUSR1]).expect("a signal");
    let mut stays = None;
    for word in std::env::args().skip(1) {
        match word.split_once(':').unwrap_or((&word, "")) {
            ("say", what) => report(what),
            ("pid", _) => report(pid()),
            ("variable", name) => report(format!("{name} {:?}", std::env::var(name).ok())),
            ("write", fd) => write(fd.parse().expect("a descriptor")),
            ("close", fd) => drop(own(fd.parse().expect("a descriptor"))),
            ("notify_fd", state) => {
                assert_eq!(daemonctx::notify_with_descriptors(state.as_bytes(), &[1]), Ok(true));
            }
            ("notify", state) => drop(daemonctx::notify(state).expect("somebody who listens")),
            ("barrier", _) => assert_eq!(daemonctx::notify_barrier(LONG).ok(), Some(true)),
            ("barrier_or_gone", _) => drop(daemonctx::notify_barrier(LONG)),
            ("child", word) => child(&[word, "barrier_or_gone"], false),
            ("brief", word) => child(&[word], false),
            ("session", word) => child(&[word, "barrier_or_gone"], true),
            ("orphan", word) => orphan(word),
            ("stay", words) => stays = Some(staying_child(words)),
            ("reap", _) => drop(stays.take().expect("a child").wait().expect("its end")),
            // SAFETY: signal takes two numbers.
            ("deaf", _) => drop(unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) }),
            // SAFETY: setpgid takes two numbers.
            ("group", _) => assert_eq!(unsafe { libc::setpgid(0, 0) }, 0),
            ("leave", _) => leave_to_another_thread(),
            ("adopted", parent) => until(|| parent_id() != parent),
            ("await", _) => await_signal(),
            ("sleep", time) => std::thread::sleep(Duration::from_millis(time.parse().expect("a time"))),
            ("exit", status) => std::process::exit(status.parse().expect("a status")),
            _ => {}
        }
    }
    pause_for_ever()
}

fn own(fd: i32) -> fs::File {
    // SAFETY: the program was given the descriptor for this.
    unsafe { fs::File::from_raw_fd(fd) }
}

fn write(fd: i32) {
    own(fd).write_all(b"almost\n").expect("somebody who reads");
}

fn child(words: &[&str], in_new_session: bool) {
    let mut child = Command::new(crate::house::this_binary());
    child.args(words).arg("exit:0");
    if in_new_session {
        // SAFETY: setsid takes nothing.
        crate::house::before_exec(&mut child, || assert_ne!(unsafe { libc::setsid() }, -1));
    }
    assert!(child.status().expect("a child").success());
}

/// A child which does what the words say, and stays. Its PID is reported.
fn staying_child(words: &str) -> Child {
    let mut child = Command::new(crate::house::this_binary());
    let child = child.args(words.split(' ')).spawn().expect("a child");
    report(format!("{} stays {}", pid(), child.id()));
    child
}

/// Ends the main thread alone.
pub fn leave_to_another_thread() -> ! {
    std::thread::spawn(|| pause_for_ever());
    // SAFETY: exit(2) ends this thread, which nobody waits for and whose stack stays.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("it has ended")
}

/// A grandchild in a session of its own, which does what the word says when its parent has ended.
fn orphan(word: &str) {
    let script = r#"setsid "$0" "adopted:$$" "$1" barrier_or_gone exit:0 & exit 0"#;
    let status = Command::new("/bin/sh").args(["-c", script]).arg(crate::house::this_binary()).arg(word).status();
    assert!(status.expect("a child").success());
}

fn parent_id() -> String {
    std::os::unix::process::parent_id().to_string()
}

/// Waits for SIGUSR1, which is blocked.
pub fn await_signal() {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        let mut signal = 0;
        libc::sigwait(&raw const set, &raw mut signal);
    }
}

/// Launches something that fails; gives what it says.
fn refused(house: &mut House, words: &[&str]) -> String {
    house.start("launching", words).is(0, "");
    let said = house.hear_from("failed ");
    house.wait_for_all();
    assert!(state_files(house).is_empty() && !house.pid_file().exists(), "{said}");
    said
}

fn a_program(house: &mut House) {
    let (daemon, monitor) = launch(house, &SLEEP);
    assert_eq!(fs::read(format!("/proc/{daemon}/cmdline")).unwrap(), b"sleep\x001000\0");
    assert_eq!(house.pid(), daemon);
    let (session, terminal) = (&stat(daemon)[3], &stat(daemon)[4]);
    assert!(*session == monitor.to_string() && terminal == "0", "the monitor's session, without a terminal");
    let pid_file = house.pid_file().to_str().unwrap().to_owned();
    let null = || "/dev/null".to_owned();
    let expected = [null(), null(), null(), pid_file];
    // Its loader is at work at first; the pipe is what programs under test report on.
    until(|| paths(daemon).iter().filter(|path| !path.starts_with("pipe:")).eq(&expected));
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Running(daemon));
    stop(house, monitor);
}

/// What a process has open, by number.
pub fn paths(pid: i32) -> Vec<String> {
    descriptors(pid).into_iter().map(|(_, path)| path).collect()
}

fn arguments_and_environment(house: &mut House) {
    let given = ["env=ONE=1", "env=HOME", "env=EMPTY=", "arg=name", "arg=variable:ONE", "arg=variable:HOME"];
    let more = ["arg=variable:EMPTY", "arg=variable:PATH", "arg=say:end"];
    let words: Vec<_> = given.iter().chain(&more).copied().collect();
    let path = format!("PATH {:?}", std::env::var("PATH").ok());
    let (_, monitor) = launch(house, &words);
    let lines: Vec<_> = std::iter::repeat_with(|| house.hear()).take_while(|line| line != "end").collect();
    let lines: Vec<_> = lines.iter().filter(|line| *line != "waiting").collect();
    assert_eq!(lines, ["ONE Some(\"1\")", "HOME None", "EMPTY Some(\"\")", &path]);
    stop(house, monitor);
    let (daemon, monitor) = launch(house, &[&["clean", "env=ONLY=this"], &SLEEP[..]].concat());
    assert_eq!(fs::read(format!("/proc/{daemon}/environ")).unwrap(), b"ONLY=this\0DAEMONCTX_PROGRAM=launched\0");
    stop(house, monitor);
}

fn no_program(house: &mut House) {
    for (path, why) in
        [("/nonexistent", "No such file or directory (2 ENOENT)"), ("/etc/passwd", "Permission denied (13 EACCES)")]
    {
        let said = refused(house, &[&format!("path={path}")]);
        assert_eq!(said, worded(&format!("1 None execve failed: {path}: {why}")));
    }
}

/// The descendants of a program that has ended hold the lock, and so does the monitor until they have ended.
fn the_lock(house: &mut House) {
    let file = PidFile::new(house.pid_file()).unwrap();
    let words = ["path=/bin/sh", "arg=sh", "arg=-c", "arg=sleep 1000 & echo $! > child; wait", &at(house)];
    let (daemon, monitor) = launch(house, &words);
    house.start("daemon", &[]).is(1, &format!("already running as PID {daemon}"));
    let child: i32 = loop {
        let written = fs::read_to_string(house.path("child")).unwrap_or_default();
        match written.trim().parse() {
            Ok(child) => break child,
            Err(_) => std::thread::yield_now(),
        }
    };
    signal_any(daemon, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Left);
    assert_ne!(file.status().unwrap(), Status::Running(daemon));
    signal_any(child, libc::SIGKILL);
    crate::house::wait(monitor);
    assert!(!house.pid_file().exists());
    assert_eq!((found(house).state(), found(house).end().to_str()), (MonitoredState::Ended, Some("killed 9")));
}

/// No descriptor can be made close-on-exec, or not so.
fn lock_not_kept(house: &mut House) {
    let mut command = house.program("launching", &SLEEP);
    before_exec(&mut command, || refuse(libc::SYS_fcntl, 1, libc::F_SETFD, libc::EIO));
    house.finish(command).is(0, "");
    let said = house.hear_from("failed ");
    assert!(said.starts_with("1 None ") && said.ends_with("(5 EIO)"), "{said}");
    house.wait_for_all();
    assert!(state_files(house).is_empty() && !house.pid_file().exists());
}

/// The daemon's working directory is the test's folder.
pub fn at(house: &House) -> String {
    format!("directory={}", house.folder.display())
}

fn fresh_signals(house: &mut House) {
    let mut command = house.program("launching", &SLEEP);
    before_exec(&mut command, || {
        // SAFETY: these calls take numbers and a set that sigfillset initialises.
        unsafe {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
        }
    });
    house.finish(command).is(0, "");
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(field(daemon, set), "0000000000000000", "{set}");
    }
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

fn newline(house: &mut House) {
    for place in [3, 47] {
        let write = format!("arg=write:{place}");
        let words = [&format!("ready=newline:{place}"), "arg=x", "arg=sleep:50", &write];
        let (_, monitor) = launch(house, &words);
        stop(house, monitor);
    }
}

fn newline_in_use(house: &mut House) {
    let place = house.keep_report_above(60) + 1;
    let mut command = house.program("launching", &["ready=newline:61", "arg=x", "arg=write:61"]);
    // SAFETY: dup2 takes two numbers.
    before_exec(&mut command, move || assert_eq!(unsafe { libc::dup2(0, place) }, place));
    house.finish(command).is(0, "");
    house.hear_from("pid ");
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

fn no_newline(house: &mut House) {
    let said = refused(house, &["ready=newline:3", "arg=x", "arg=close:3"]);
    assert_eq!(said, worded("1 None ready failed: (closed without a newline): Broken pipe (32 EPIPE)"));
}

fn message(house: &mut House) {
    let words =
        ["ready=notify", "arg=x", "arg=notify:STATUS=soon", "arg=barrier", "arg=say:soon", "arg=notify:X=1\nREADY=1"];
    let (_, monitor) = launch(house, &words);
    house.hear_from("soon");
    stop(house, monitor);
}

fn message_of_a_child(house: &mut House) {
    let (_, monitor) = launch(house, &["ready=notify", "arg=x", "arg=child:notify:READY=1", "arg=say:done"]);
    house.hear_from("done");
    stop(house, monitor);
}

/// As a service sends it that stores a descriptor at once: `READY=1` and `FDSTORE=1` together.
fn message_with_descriptor(house: &mut House) {
    let words = ["ready=notify", "timeout=20000", "arg=x", "arg=notify_fd:READY=1\nFDSTORE=1"];
    let (_, monitor) = launch(house, &words);
    stop(house, monitor);
}

fn more_time(house: &mut House) {
    let words = [
        "ready=notify",
        "timeout=1000",
        "arg=x",
        "arg=notify:EXTEND_TIMEOUT_USEC=20000000",
        "arg=sleep:1500",
        "arg=notify:READY=1",
    ];
    let (_, monitor) = launch(house, &words);
    stop(house, monitor);
}

fn more_time_has_an_end(house: &mut House) {
    let forever = format!("arg=notify:EXTEND_TIMEOUT_USEC={}", u64::MAX);
    let said = refused(house, &["ready=notify", "timeout=100", "arg=x", &forever, "arg=sleep:600000"]);
    assert!(said.starts_with("124 "), "{said}");
}

fn more_time_is_not_less(house: &mut House) {
    let words = [
        "ready=notify",
        "timeout=30000",
        "arg=x",
        "arg=notify:EXTEND_TIMEOUT_USEC=1",
        "arg=sleep:50",
        "arg=notify:READY=1",
    ];
    let (_, monitor) = launch(house, &words);
    stop(house, monitor);
}

fn more_time_where_there_is_no_limit(house: &mut House) {
    let words = ["ready=notify", "arg=x", "arg=notify:EXTEND_TIMEOUT_USEC=1", "arg=sleep:50", "arg=notify:READY=1"];
    let (_, monitor) = launch(house, &words);
    stop(house, monitor);
}

fn still_running(house: &mut House) {
    let begun = Instant::now();
    let (_, monitor) = launch(house, &["ready=running:300", "arg=x"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    stop(house, monitor);
    let said = refused(house, &["ready=running:20000", "arg=x", "arg=sleep:50", "arg=exit:7"]);
    assert!(said.starts_with("7 None start failed: PID ") && said.contains("exited with status 7"), "{said}");
}

fn ends_early(house: &mut House) {
    for (ready, status, words) in [("notify", "arg=exit:3", "3 None "), ("newline:3", "arg=exit:5", "5 None ")] {
        let said = refused(house, &[&format!("ready={ready}"), "arg=x", status]);
        assert!(said.starts_with(words) && said.contains("before it was ready"), "{said}");
    }
}

fn not_in_time(house: &mut House) {
    let said = refused(house, &["ready=notify", "timeout=200", "arg=x", "arg=say:here"]);
    assert_eq!(said, "124 None ready failed: 0.200 s: no READY=1 came");
    house.hear_from("here");
}

/// A launch under way: the launcher, and the program's PID.
fn begun(house: &mut House) -> (Child, i32) {
    let words = ["ready=notify", "arg=x", "arg=pid", "arg=say:waits"];
    let launcher = house.program("launching", &words).spawn().unwrap();
    house.hear_from("waiting");
    let daemon = house.hear_number();
    assert_eq!(house.hear(), "waits");
    (launcher, daemon)
}

fn cancelled(house: &mut House) {
    let (mut launcher, daemon) = begun(house);
    signal(i32::try_from(launcher.id()).unwrap(), libc::SIGTERM);
    let said = house.hear_from("failed ");
    assert_eq!(said, worded("1 Some(15) start failed: signal 15 (SIGTERM): Interrupted system call (4 EINTR)"));
    assert!(launcher.wait().unwrap().success());
    assert!(!house.pid_file().exists() && is_buried(daemon));
    house.wait_for_all();
}

fn launcher_killed(house: &mut House) {
    let (mut launcher, daemon) = begun(house);
    launcher.kill().and_then(|()| launcher.wait()).unwrap();
    until(|| !house.pid_file().exists() && is_buried(daemon));
    house.wait_for_all();
}

fn not_confirmed(house: &mut House) {
    for (then, said) in [("then=cancel", "cancelled"), ("then=drop", "dropped")] {
        house.start("launching", &[&SLEEP[..], &[then]].concat()).is(0, "");
        house.hear_from(said);
        let daemon = house.hear_from("pid ").parse().unwrap();
        assert!(is_buried(daemon) && !house.pid_file().exists() && state_files(house).is_empty(), "{then}");
        house.wait_for_all();
    }
}

fn not_detached(house: &mut House) {
    let said = refused(house, &[&["detach=no"], &SLEEP[..]].concat());
    let expected =
        "1 None detach failed: (a launched program is always detached: use exec): Invalid argument (22 EINVAL)";
    assert_eq!(said, worded(expected));
}

/// A copy of this binary, in the test's folder.
fn copied(house: &House, to: &str) -> std::path::PathBuf {
    let to = house.path(to);
    fs::create_dir_all(to.parent().expect("a folder")).unwrap();
    fs::copy(crate::house::this_binary(), &to).unwrap();
    to
}

/// The program under test, executed from another file.
fn executed_from(house: &House, file: &Path, words: &[&str]) -> Command {
    let usual = house.program("launching", words);
    let mut command = Command::new(file);
    command.args(usual.get_args()).envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn executable_of(pid: i32) -> String {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap().to_str().unwrap().to_owned()
}

fn removed(house: &mut House) {
    let copy = copied(house, "copy");
    house.finish(executed_from(house, &copy, &[&["remove_self"], &SLEEP[..]].concat())).is(0, "");
    house.hear_from("pid ");
    let monitor = found(house).monitor_pid();
    assert_eq!(executable_of(monitor), format!("{} (deleted)", copy.display()));
    stop(house, monitor);
}

/// For a program that is no monitor itself.
fn installed(house: &mut House) {
    let program = copied(house, "bin/program");
    let launch = |house: &mut House| {
        house.finish(executed_from(house, &program, &[&["stranger"], &SLEEP[..]].concat())).is(0, "");
    };
    let usual =
        ["/usr/local/libexec", "/usr/libexec"].map(|place| Path::new(place).join("daemonctx/daemonctx-monitor"));
    if !usual.iter().any(|place| place.exists()) {
        launch(house);
        let said = house.hear_from("failed ");
        assert!(
            said.starts_with("1 None execve failed: daemonctx-monitor (neither beside") && said.ends_with("(2 ENOENT)")
        );
    }
    for place in ["libexec/daemonctx/daemonctx-monitor", "bin/daemonctx-monitor"] {
        let copy = copied(house, place);
        launch(house);
        house.hear_from("pid ");
        let monitor = found(house).monitor_pid();
        assert_eq!(executable_of(monitor), copy.to_str().unwrap());
        stop(house, monitor);
    }
    // Everybody can write to the nearest, and to the folder of the next.
    fs::remove_dir_all(house.path("libexec/daemonctx")).unwrap();
    let nearest = house.path("bin/daemonctx-monitor");
    for unsafe_path in [nearest.clone(), house.path("bin")] {
        let mode = fs::metadata(&unsafe_path).unwrap().permissions();
        fs::set_permissions(&unsafe_path, fs::Permissions::from_mode(0o777)).unwrap();
        launch(house);
        let said = house.hear_from("failed ");
        let expected = format!("1 None execve failed: {} (another user can write or replace it)", nearest.display());
        assert!(said.starts_with(&expected), "{said}");
        fs::set_permissions(&unsafe_path, mode).unwrap();
    }
    assert!(state_files(house).is_empty());
}

/// Its caller chooses the environment, and with it what a monitor would execute.
fn set_user_id(house: &mut House) {
    // SAFETY: geteuid takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return println!("skipped: needs root");
    }
    if is_nosuid(&house.folder) {
        return println!("skipped: set-user-ID programs have no effect in {}", house.folder.display());
    }
    let copy = copied(house, "copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = executed_from(house, &copy, &SLEEP);
    command.env("DAEMONCTX_MONITOR", "0");
    // SAFETY: setresuid takes three numbers.
    before_exec(&mut command, || unsafe {
        if libc::setresuid(65534, 65534, 65534) != 0 {
            libc::abort();
        }
    });
    house.finish(command).is(0, "");
    let said = house.hear_from("failed ");
    let expected = "1 None start failed: set-user-ID program (real and effective ids differ): ";
    assert!(said.starts_with(expected) && said.ends_with("(1 EPERM)"), "{said}");
}

fn is_nosuid(folder: &Path) -> bool {
    let folder = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
    // SAFETY: `statvfs` is a C struct of integers, for which all zeroes is a value, and a valid place for the result.
    unsafe {
        let mut system: libc::statvfs = std::mem::zeroed();
        assert_eq!(libc::statvfs(folder.as_ptr(), &raw mut system), 0);
        system.f_flag & libc::ST_NOSUID != 0
    }
}

fn in_place(house: &mut House) {
    let words = ["exec", "ready=notify", "arg=x", "arg=pid", "arg=variable:NOTIFY_SOCKET", "arg=exit:0"];
    house.start("launching", &words).is(0, "");
    assert_eq!(house.hear(), house.pid().to_string());
    assert_eq!(house.hear(), "NOTIFY_SOCKET None");
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Stale);
}

fn nothing_to_execute(house: &mut House) {
    let cases = [
        (&["path=/nonexistent", "exec"][..], "execve failed: /nonexistent: No such file or directory (2 ENOENT)"),
        (&["respawn=10", "exec"], "execve failed: respawn (needs a monitor): Operation not supported (95 EOPNOTSUPP)"),
    ];
    for (words, said) in cases {
        house.start("launching", words).is(1, "");
        assert_eq!(house.hear(), format!("failed 1 None {}", worded(said)));
        assert!(!house.pid_file().exists());
    }
}

fn lock_not_kept_in_place(house: &mut House) {
    let mut command = house.program("launching", &[&["exec"], &SLEEP[..]].concat());
    before_exec(&mut command, || refuse(libc::SYS_fcntl, 1, libc::F_SETFD, libc::EIO));
    house.finish(command).is(1, "");
    let told = format!("failed 1 None pid file failed: {}: Input/output error (5 EIO)", house.pid_file().display());
    assert_eq!(house.hear(), worded(&told));
    assert!(!house.pid_file().exists());
}
