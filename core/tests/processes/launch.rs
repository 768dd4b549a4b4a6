//! Programs that are made daemons without knowing of it.

use crate::Test;
use crate::house::{House, PROGRAM, descriptors, field, is_buried, signal, stat, until, worded};
use crate::programs::{described, pause_for_ever, pid, report};
use daemonctx::{Executable, ListenAddress, PidFile, Readiness, Respawn, Status};
use std::fs;
use std::io::Write;
use std::os::fd::FromRawFd;
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
    ("launch: called off", called_off),
    ("launch: the one who wants to know is killed", caller_killed),
    ("launch: in this very process", in_place),
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
    let mut executable = Executable::new(path.as_ref().unwrap_or(&own)).expect("a path");
    for argument in words("arg=") {
        executable.argument(argument).expect("an argument");
    }
    for assignment in words("env=") {
        match assignment.split_once('=') {
            Some((name, value)) => executable.variable(name, value).expect("a variable"),
            None => executable.without_variable(assignment).expect("a variable"),
        };
    }
    executable.inherit_environment(!words("clean").iter().any(String::is_empty));
    executable.variable(PROGRAM, "launched").expect("a variable");
    if words("ready=") != ["usual"] {
        executable.readiness(readiness());
    }
    let delay = |time: String| Duration::from_millis(time.parse().expect("a time"));
    let limit = if words("for_ever").is_empty() { Some(2) } else { None };
    let again = |time| Respawn { delay: delay(time), limit, ..Respawn::default() };
    executable.respawn(words("respawn=").pop().map(again));
    // What comes between start and wait waits.
    daemonctx::parts::block_only(&[libc::SIGTERM]).expect("a signal");
    if words("monitored").iter().any(String::is_empty) {
        crate::monitor::launching(&executable);
    }
    let mut starting = described().and_then(|mut daemon| daemon.launch(&executable)).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    });
    report(format!("pid {}", starting.pid()));
    match starting.wait_unless_called_off() {
        Ok(()) => report("ready"),
        Err(error) => report(format!("{} {:?} {error}", error.exit_status(), error.signal())),
    }
    std::process::exit(0)
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

/// Starts; gives the PID that the starter has told.
pub fn launch(house: &mut House, words: &[&str]) -> i32 {
    let words: Vec<_> = words.iter().copied().chain([]).collect();
    house.start("launching", &words).is(0, "");
    house.hear_from("pid ").parse().unwrap()
}

/// The same, until it is ready.
pub fn launch_ready(house: &mut House, words: &[&str]) -> i32 {
    let daemon = launch(house, words);
    house.hear_from("ready");
    daemon
}

fn a_program(house: &mut House) {
    let daemon = launch_ready(house, &["path=/bin/sleep", "arg=sleep", "arg=1000"]);
    assert_eq!(fs::read(format!("/proc/{daemon}/cmdline")).unwrap(), b"sleep\x001000\0");
    assert_eq!(house.pid(), daemon);
    let (session, group, terminal) = (&stat(daemon)[3], &stat(daemon)[2], &stat(daemon)[4]);
    assert!(*session != daemon.to_string() && session == group && terminal == "0", "a session without a terminal");
    let pid_file = house.pid_file().to_str().unwrap().to_owned();
    let null = || "/dev/null".to_owned();
    let expected = [null(), null(), null(), pid_file];
    // Its loader is at work at first; the pipe is what programs under test report on.
    until(|| paths(daemon).iter().filter(|path| !path.starts_with("pipe:")).eq(&expected));
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Running(daemon));
    house.end(daemon, libc::SIGTERM);
}

/// What a process has open, by number.
pub fn paths(pid: i32) -> Vec<String> {
    descriptors(pid).into_iter().map(|(_, path)| path).collect()
}

fn arguments_and_environment(house: &mut House) {
    let given = ["env=ONE=1", "env=HOME", "env=EMPTY=", "arg=name", "arg=variable:ONE", "arg=variable:HOME"];
    let more = ["arg=variable:EMPTY", "arg=variable:PATH", "arg=pid"];
    let words: Vec<_> = given.iter().chain(&more).copied().collect();
    let path = format!("PATH {:?}", std::env::var("PATH").ok());
    let daemon = launch(house, &words);
    let mut lines: Vec<_> = (0..6).map(|_| house.hear()).filter(|line| line != "ready").collect();
    assert_eq!(lines.pop(), Some(daemon.to_string()));
    assert_eq!(lines, ["ONE Some(\"1\")", "HOME None", "EMPTY Some(\"\")", &path]);
    house.end(daemon, libc::SIGTERM);
    let daemon = launch_ready(house, &["clean", "path=/bin/sleep", "arg=sleep", "arg=1000", "env=ONLY=this"]);
    assert_eq!(fs::read(format!("/proc/{daemon}/environ")).unwrap(), b"ONLY=this\0DAEMONCTX_PROGRAM=launched\0");
    house.end(daemon, libc::SIGTERM);
}

fn no_program(house: &mut House) {
    for (path, why) in
        [("/nonexistent", "No such file or directory (2 ENOENT)"), ("/etc/passwd", "Permission denied (13 EACCES)")]
    {
        launch(house, &[&format!("path={path}")]);
        assert_eq!(house.hear(), format!("1 None execve failed: {path}: {why}"));
        assert!(!house.pid_file().exists());
    }
}

fn the_lock(house: &mut House) {
    let file = PidFile::new(house.pid_file()).unwrap();
    let daemon = launch_ready(
        house,
        &["path=/bin/sh", "arg=sh", "arg=-c", "arg=sleep 1000 & echo $! > child; wait", &at(house)],
    );
    house.start("daemon", &[]).is(1, &format!("already running as PID {daemon}"));
    let child: i32 = loop {
        let written = fs::read_to_string(house.path("child")).unwrap_or_default();
        match written.trim().parse() {
            Ok(child) => break child,
            Err(_) => std::thread::yield_now(),
        }
    };
    house.end(daemon, libc::SIGKILL);
    assert_ne!(file.status().unwrap(), Status::Running(daemon));
    house.end(child, libc::SIGKILL);
    assert_eq!(file.status().unwrap(), Status::Stale);
}

fn lock_not_kept(house: &mut House) {
    let mut command = house.program("launching", &["path=/bin/sleep", "arg=sleep", "arg=1000"]);
    crate::house::before_exec(&mut command, || crate::house::refuse(libc::SYS_fcntl, 1, libc::F_SETFD, libc::EIO));
    house.finish(command).is(0, "");
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    let told = format!("1 None pid file failed: {}: Input/output error (5 EIO)", house.pid_file().display());
    assert_eq!(house.hear(), crate::house::worded(&told));
    assert!(!house.pid_file().exists() && is_buried(daemon));
}

/// The daemon's working directory is the test's folder.
pub fn at(house: &House) -> String {
    format!("directory={}", house.folder.display())
}

fn fresh_signals(house: &mut House) {
    let mut command = house.program("launching", &["path=/bin/sleep", "arg=sleep", "arg=1000"]);
    crate::house::before_exec(&mut command, || {
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
    assert_eq!(house.hear(), "ready");
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(field(daemon, set), "0000000000000000", "{set}");
    }
    house.end(daemon, libc::SIGTERM);
}

fn newline(house: &mut House) {
    for place in [3, 1, 47] {
        let write = format!("arg=write:{place}");
        let daemon = launch_ready(house, &[&format!("ready=newline:{place}"), "arg=x", "arg=sleep:50", &write]);
        house.end(daemon, libc::SIGTERM);
    }
}

fn newline_in_use(house: &mut House) {
    let place = house.keep_report_above(60) + 1;
    let mut command = house.program("launching", &["ready=newline:61", "arg=x", "arg=write:61"]);
    // SAFETY: dup2 takes two numbers.
    crate::house::before_exec(&mut command, move || assert_eq!(unsafe { libc::dup2(0, place) }, place));
    house.finish(command).is(0, "");
    let daemon = house.hear_from("pid ").parse().unwrap();
    assert_eq!(house.hear(), "ready");
    house.end(daemon, libc::SIGTERM);
}

fn no_newline(house: &mut House) {
    launch(house, &["ready=newline:3", "arg=x", "arg=close:3"]);
    assert_eq!(house.hear(), "1 None ready failed: 3 (closed without a newline): Broken pipe (32 EPIPE)");
    assert!(!house.pid_file().exists());
}

fn message(house: &mut House) {
    let words =
        ["ready=notify", "arg=x", "arg=notify:STATUS=soon", "arg=barrier", "arg=say:soon", "arg=notify:X=1\nREADY=1"];
    let daemon = launch(house, &words);
    assert_eq!([house.hear(), house.hear()], ["soon", "ready"]);
    house.end(daemon, libc::SIGTERM);
}

fn message_of_a_child(house: &mut House) {
    let daemon = launch_ready(house, &["ready=notify", "arg=x", "arg=child:notify:READY=1", "arg=say:done"]);
    assert_eq!(house.hear(), "done", "the child has ended");
    house.end(daemon, libc::SIGTERM);
}

/// As a service sends it that stores a descriptor at once: `READY=1` and `FDSTORE=1` together.
fn message_with_descriptor(house: &mut House) {
    let daemon = launch_ready(house, &["ready=notify", "timeout=20000", "arg=x", "arg=notify_fd:READY=1\nFDSTORE=1"]);
    house.end(daemon, libc::SIGTERM);
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
    let daemon = launch_ready(house, &words);
    house.end(daemon, libc::SIGTERM);
}

fn more_time_has_an_end(house: &mut House) {
    let forever = format!("arg=notify:EXTEND_TIMEOUT_USEC={}", u64::MAX);
    launch(house, &["ready=notify", "timeout=100", "arg=x", &forever, "arg=sleep:600000"]);
    let line = house.hear();
    assert!(line.starts_with("124 "), "{line}");
    assert!(!house.pid_file().exists());
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
    let daemon = launch_ready(house, &words);
    house.end(daemon, libc::SIGTERM);
}

fn more_time_where_there_is_no_limit(house: &mut House) {
    let words = ["ready=notify", "arg=x", "arg=notify:EXTEND_TIMEOUT_USEC=1", "arg=sleep:50", "arg=notify:READY=1"];
    let daemon = launch_ready(house, &words);
    house.end(daemon, libc::SIGTERM);
}

fn still_running(house: &mut House) {
    let begun = Instant::now();
    let daemon = launch_ready(house, &["ready=running:300", "arg=x"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    house.end(daemon, libc::SIGTERM);
    launch(house, &["ready=running:20000", "arg=x", "arg=sleep:50", "arg=exit:7"]);
    let line = house.hear();
    assert!(line.starts_with("7 None start failed: PID ") && line.contains("exited with status 7"), "{line}");
    assert!(!house.pid_file().exists());
}

fn ends_early(house: &mut House) {
    for (ready, status, words) in [("notify", "arg=exit:3", "3 None "), ("newline:3", "arg=exit:5", "5 None ")] {
        launch(house, &[&format!("ready={ready}"), "arg=x", status]);
        let line = house.hear();
        assert!(line.starts_with(words) && line.contains("before it was ready"), "{line}");
        assert!(!house.pid_file().exists());
    }
}

fn not_in_time(house: &mut House) {
    let daemon = launch(house, &["ready=notify", "timeout=200", "arg=x"]);
    assert_eq!(house.hear(), worded("124 None ready failed: 0.200 s: Connection timed out (110 ETIMEDOUT)"));
    assert!(!house.pid_file().exists() && is_buried(daemon));
}

fn called_off(house: &mut House) {
    let mut starter = house.program("launching", &["ready=notify", "arg=x", "arg=say:waits"]).spawn().unwrap();
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    assert_eq!(house.hear(), "waits");
    signal(i32::try_from(starter.id()).unwrap(), libc::SIGTERM);
    assert_eq!(house.hear(), "1 Some(15) start failed: signal 15 (SIGTERM): Interrupted system call (4 EINTR)");
    assert!(starter.wait().unwrap().success());
    assert!(!house.pid_file().exists() && is_buried(daemon));
}

fn caller_killed(house: &mut House) {
    let mut starter = house.program("launching", &["ready=notify", "arg=x", "arg=say:waits"]).spawn().unwrap();
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    assert_eq!(house.hear(), "waits");
    starter.kill().and_then(|()| starter.wait()).unwrap();
    until(|| !house.pid_file().exists() && is_buried(daemon));
    house.wait_for_all();
}

fn in_place(house: &mut House) {
    let command = house.program(
        "launching",
        &["detach=no", "ready=notify", "arg=x", "arg=pid", "arg=variable:NOTIFY_SOCKET", "arg=exit:0"],
    );
    house.finish(command).is(0, "");
    assert_eq!(house.hear(), house.pid().to_string());
    assert_eq!(house.hear(), "NOTIFY_SOCKET None");
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Stale);
}
