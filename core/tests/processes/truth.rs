//! The starter's status and line, whatever becomes of the daemon.

use crate::Test;
use crate::house::{House, field, is_buried, signal, until, wait};
use std::fs;
use std::process::Stdio;

pub const TESTS: &[Test] = &[
    ("truth: an exit before ready is the starter's", an_exit_is_the_starters),
    ("truth: a killing signal is named", a_killing_signal_is_named),
    ("truth: a daemon that takes too long is ended", a_daemon_that_takes_too_long),
    ("truth: the daemon's own words", the_daemons_own_words),
    ("truth: a step that fails in the daemon", a_step_that_fails_in_the_daemon),
    ("truth: ready is when the daemon says so", ready_is_when_the_daemon_says_so),
    ("truth: a starter that is killed tells nobody 0", a_starter_that_is_killed),
    ("truth: SIGINT calls it off, SIGHUP does not", calling_off),
    ("truth: all that below a service manager", below_a_manager),
    ("truth: a manager is told while the starter is there", told_in_time),
];

/// A helper watches there instead of the starter, and nobody can tell from what is said.
fn below_a_manager(house: &mut House) {
    house.with_manager();
    for test in [
        an_exit_is_the_starters,
        a_killing_signal_is_named,
        a_daemon_that_takes_too_long,
        the_daemons_own_words,
        a_step_that_fails_in_the_daemon,
        ready_is_when_the_daemon_says_so,
        calling_off,
    ] {
        test(house);
        house.forget();
    }
    // The helper sees that the starter is gone.
    let mut starter = house.program("waiting", &["manual"]).stderr(Stdio::null()).spawn().unwrap();
    let daemon = house.hear_number();
    starter.kill().and_then(|()| starter.wait()).unwrap();
    until(|| !house.pid_file().exists() && is_buried(daemon));
    house.wait_for_all();
}

fn told_in_time(house: &mut House) {
    house.with_manager();
    for words in [&[][..], &["manual"]] {
        let mut starter = house.program("managed", words).spawn().unwrap();
        let daemon = house.hear_number();
        assert_eq!(house.managers_message(), format!("READY=1\nMAINPID={daemon}"));
        assert_eq!(field(daemon, "PPid"), std::process::id().to_string(), "nobody's child but the subreaper's");
        // A worker that was forked before has all that the daemon had open, and does not keep the starter.
        let worker = house.hear_number();
        assert!(starter.wait().unwrap().success());
        house.end(daemon, libc::SIGKILL);
        house.end(worker, libc::SIGKILL);
    }
}

fn nothing_is_left(house: &House) {
    assert!(!house.pid_file().exists(), "the pid file is gone");
}

fn an_exit_is_the_starters(house: &mut House) {
    house.start("ending", &["manual", "then=exit 3"]).is(3, "exited with status 3 before it was ready");
    nothing_is_left(house);
    house.start("ending", &["manual", "then=exit 0"]).is(1, "exited with status 0 before it was ready");
    nothing_is_left(house);
    house.hear_number();
    house.hear_number();
    house.start("ending", &["then=exit 3"]).is(0, "");
    let late = house.hear_number();
    assert_eq!(libc::WEXITSTATUS(wait(late)), 3, "what it does once it is ready is its own affair");
}

fn a_killing_signal_is_named(house: &mut House) {
    house.start("ending", &["manual", "then=kill 9"]).is(137, "killed by signal 9 (SIGKILL) before it was ready");
    house.start("ending", &["manual", "then=kill 15"]).is(143, "killed by signal 15 (SIGTERM) before it was ready");
    nothing_is_left(house);
}

fn a_daemon_that_takes_too_long(house: &mut House) {
    let left = house.start("waiting", &["manual", "timeout=200"]);
    left.is(124, "program: ready failed: 0.200 s: Connection timed out (110 ETIMEDOUT)");
    house.hear_number();
    nothing_is_left(house);
}

fn the_daemons_own_words(house: &mut House) {
    house.start("failing", &["manual"]).is(9, "program: start failed: the port is taken");
    nothing_is_left(house);
}

fn a_step_that_fails_in_the_daemon(house: &mut House) {
    // A working directory below a chroot that leads out of it by a link: found in the daemon, as only there it is inside.
    let root = house.path("root");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink("/usr", root.join("link")).unwrap();
    let root = format!("chroot={}", root.display());
    let left = house.start("daemon", &[&root, "directory=/link"]);
    left.is(1, "program: chdir failed: /link: No such file or directory (2 ENOENT)");
    nothing_is_left(house);
}

fn ready_is_when_the_daemon_says_so(house: &mut House) {
    let log = house.path("log");
    let stderr = format!("stderr={}", log.display());
    let mut starter = house.program("waiting", &["manual", &stderr]).stderr(Stdio::null()).spawn().unwrap();
    let daemon = house.hear_number();
    assert!(starter.try_wait().unwrap().is_none(), "the starter waits");
    signal(daemon, libc::SIGUSR1);
    assert_eq!(house.hear(), "ready");
    assert!(starter.wait().unwrap().success());
    assert_eq!(fs::read_link(format!("/proc/{daemon}/fd/2")).unwrap(), log);
    house.end(daemon, libc::SIGTERM);
}

fn a_starter_that_is_killed(house: &mut House) {
    let mut starter = house.program("waiting", &["manual"]).stderr(Stdio::null()).spawn().unwrap();
    let daemon = house.hear_number();
    starter.kill().unwrap();
    starter.wait().unwrap();
    signal(daemon, libc::SIGUSR1);
    assert_eq!(house.hear(), "report failed: starter: Broken pipe (32 EPIPE)");
    wait(daemon);
    nothing_is_left(house);
}

fn calling_off(house: &mut House) {
    let mut starter = house.program("waiting", &["manual"]).stderr(Stdio::null()).spawn().unwrap();
    let daemon = house.hear_number();
    let pid = i32::try_from(starter.id()).unwrap();
    signal(pid, libc::SIGHUP);
    signal(pid, libc::SIGINT);
    let status = std::os::unix::process::ExitStatusExt::signal(&starter.wait().unwrap());
    assert_eq!(status, Some(libc::SIGINT), "it dies by the signal that called it off, not by SIGHUP");
    assert!(is_buried(daemon), "the daemon is gone, and waited for");
    nothing_is_left(house);
}
