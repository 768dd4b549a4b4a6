//! Programs that launch themselves again as the daemon.

use crate::Test;
use crate::house::{House, descriptors, field, is_buried, signal, stat, until};
use crate::monitor::{found, state_files, stop};
use crate::programs::{described, pause_for_ever, pid, report};
use daemonctx::{PidFile, Status};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

pub const TESTS: &[Test] = &[
    ("relaunch: the program is its own daemon", its_own_daemon),
    ("relaunch: with other threads", with_threads),
    ("relaunch: standard error is the starter's until it is ready", standard_error),
    ("relaunch: the reason that the daemon gives", reason),
    ("relaunch: a daemon that stays after it has given a reason", stays),
    ("relaunch: ends before the call and behind it", ends_early),
    ("relaunch: an option that the daemon cannot apply", not_applied),
    ("relaunch: cancelled by a signal", cancelled),
    ("relaunch: the starter is killed", starter_killed),
    ("relaunch: a child of the daemon is none", child),
    ("relaunch: a second call", second_call),
    ("relaunch: in the foreground", foreground),
];

fn then(what: &str) -> bool {
    std::env::args().any(|word| word.strip_prefix("then=") == Some(what))
}

/// Relaunches itself, and does what `then=` says.
pub fn run() -> ! {
    let pid_file = std::env::args().nth(1).expect("a pid file");
    let is_daemon = std::env::var("DAEMONCTX_RELAUNCHED_PID").is_ok_and(|named| named == pid().to_string());
    eprintln!("before");
    if then("thread") {
        let (begin, begun) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            begin.send(()).expect("somebody waits");
            pause_for_ever()
        });
        begun.recv().expect("a thread");
    }
    if then("exit before") && is_daemon {
        std::process::exit(4);
    }
    if then("remove") && is_daemon {
        fs::remove_dir(Path::new(&pid_file).with_file_name("gone")).expect("a directory");
    }
    let opened = fs::File::open("/dev/zero").expect("a device");
    let mut daemon = described();
    daemon.state_directory(Path::new(&pid_file).parent().expect("a folder"));
    let mut context = daemon.relaunch().unwrap_or_else(|error| {
        eprintln!("refused: {error}");
        std::process::exit(error.exit_status())
    });
    eprintln!("behind");
    report(format!("pid {} {} {}", pid(), context.is_detached(), opened.as_raw_fd()));
    if then("exit") {
        std::process::exit(5);
    }
    if then("wait") {
        pause_for_ever();
    }
    if then("fail") || then("fail and stay") {
        context.fail(9, "the port is taken").expect("somebody who hears it");
        if then("fail") {
            std::process::exit(0);
        }
        pause_for_ever();
    }
    if then("twice") {
        report(daemon.relaunch().expect_err("a second call"));
        report(daemonctx::Daemon::new().relaunch().expect_err("another one"));
    }
    context.ready().expect("the starter hears it");
    eprintln!("ready");
    if then("child") {
        let mut child = Command::new(crate::house::this_binary());
        let child = child.args([&pid_file]).stderr(Stdio::piped()).output().expect("a child");
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        report(format!("child {:?} {}", child.status.code(), said.lines().last().unwrap_or_default()));
    }
    pause_for_ever()
}

/// Starts it, and gives the PIDs of daemon and monitor.
fn relaunched(house: &mut House, words: &[&str]) -> (i32, i32) {
    house.start("relaunching", words).is(0, "");
    let said = house.hear_from("pid ");
    let daemon = said.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a PID");
    (daemon, found(house).monitor_pid())
}

fn nothing_is_left(house: &House) {
    house.wait_for_all();
    assert!(state_files(house).is_empty() && !house.pid_file().exists());
}

fn its_own_daemon(house: &mut House) {
    let (daemon, monitor) = relaunched(house, &["umask=027"]);
    assert_eq!((house.pid(), stat(daemon)[1].parse()), (daemon, Ok(monitor)));
    let arguments = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let own = crate::house::this_binary();
    let expected = [own.to_str().unwrap(), house.pid_file().to_str().unwrap(), "umask=027", ""].join("\0");
    assert_eq!(arguments(daemon), expected);
    assert_eq!(fs::read_link(format!("/proc/{daemon}/cwd")).unwrap(), Path::new("/"));
    assert_eq!(field(daemon, "Umask"), "0027");
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Running(daemon));
    // Of the start nothing is left; the pipe is what programs under test report on.
    let pipes = |pid| descriptors(pid).into_iter().filter(|(_, path)| path.starts_with("pipe:")).count();
    until(|| pipes(daemon) == 1);
    let again = house.start("relaunching", &["umask=027"]);
    again.is(1, &format!("already running as PID {daemon}"));
    stop(house, monitor);
}

fn with_threads(house: &mut House) {
    let (daemon, monitor) = relaunched(house, &["then=thread", "manual"]);
    assert_eq!(field(daemon, "Threads"), "2");
    stop(house, monitor);
}

fn standard_error(house: &mut House) {
    let log = house.path("log");
    let left = house.start("relaunching", &["manual", &format!("stderr={}", log.display())]);
    assert_eq!((left.code(), left.said.as_str()), (0, "before\nbehind\n"));
    house.hear_from("pid ");
    until(|| fs::read_to_string(&log).unwrap() == "ready\n");
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

fn reason(house: &mut House) {
    house.start("relaunching", &["then=fail", "manual"]).is(9, "program: start failed: the port is taken");
    nothing_is_left(house);
}

fn stays(house: &mut House) {
    let words = ["then=fail and stay", "manual", "stop_timeout=100"];
    house.start("relaunching", &words).is(9, "program: start failed: the port is taken");
    nothing_is_left(house);
}

fn ends_early(house: &mut House) {
    for (then, status) in [("then=exit before", 4), ("then=exit", 5)] {
        let left = house.start("relaunching", &[then, "manual"]);
        left.is(status, &format!("exited with status {status} before it was ready"));
        assert!(left.said.starts_with("before\n") && left.said.matches("before\n").count() == 1, "{left:?}");
        nothing_is_left(house);
    }
}

fn not_applied(house: &mut House) {
    let gone = house.path("gone");
    fs::create_dir(&gone).unwrap();
    let left = house.start("relaunching", &["then=remove", &format!("directory={}", gone.display())]);
    left.is(1, &format!("program: start failed: working directory failed: {}: ", gone.display()));
    nothing_is_left(house);
}

fn cancelled(house: &mut House) {
    let mut starter = house.program("relaunching", &["then=wait", "manual"]).stderr(Stdio::null()).spawn().unwrap();
    let daemon = house.hear_from("pid ").split(' ').next().and_then(|pid| pid.parse().ok()).unwrap();
    signal(i32::try_from(starter.id()).unwrap(), libc::SIGINT);
    let ended = starter.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(libc::SIGINT));
    assert!(is_buried(daemon));
    nothing_is_left(house);
}

fn starter_killed(house: &mut House) {
    let mut starter = house.program("relaunching", &["then=wait", "manual"]).stderr(Stdio::null()).spawn().unwrap();
    let daemon = house.hear_from("pid ").split(' ').next().and_then(|pid| pid.parse().ok()).unwrap();
    starter.kill().and_then(|()| starter.wait()).unwrap();
    until(|| !house.pid_file().exists() && is_buried(daemon));
    nothing_is_left(house);
}

fn child(house: &mut House) {
    let (daemon, monitor) = relaunched(house, &["then=child", "manual"]);
    let said = house.hear_from("child ");
    assert!(said.starts_with("Some(1) refused: "), "{said}");
    assert_eq!(house.pid(), daemon);
    stop(house, monitor);
}

fn second_call(house: &mut House) {
    let (_, monitor) = relaunched(house, &["then=twice", "manual"]);
    for _ in 0..2 {
        let said = house.hear();
        assert!(said.starts_with("handle failed: opened already: "), "{said}");
    }
    stop(house, monitor);
}

fn foreground(house: &mut House) {
    let mut starter = house.program("relaunching", &["detach=no"]).stderr(Stdio::null()).spawn().unwrap();
    let (own, said) = (i32::try_from(starter.id()).unwrap(), house.hear_from("pid "));
    let opened = said.strip_prefix(&format!("{own} false ")).and_then(|fd| fd.parse().ok()).expect("this process");
    assert!(descriptors(own).contains(&(opened, "/dev/zero".to_owned())));
    assert_eq!(house.pid(), own);
    signal(own, libc::SIGTERM);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&starter.wait().unwrap()), Some(libc::SIGTERM));
    assert!(!house.pid_file().exists());
}
