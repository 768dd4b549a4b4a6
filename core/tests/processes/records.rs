//! A daemon that sends its starter what it should not: forged records, and bytes that are none.

use crate::Test;
use crate::guard;
use crate::house::{House, Left, field, helper_of, is_buried, signal_any, stat, until};
use crate::programs::{described, descriptor, open, pause_for_ever, pid, report};
use daemonctx::{Context, Fork};
use std::fs;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("records: a forged PID is not signalled", a_forged_pid),
    ("records: a logger is signalled only if the daemon could", a_forged_logger),
    ("records: what no daemon sends fails the start", what_no_daemon_sends),
    ("records: a half record does not stall the starter", half_records),
    ("records: a flood does not stall the starter", floods),
    ("records: a forged status is no success", forged_status),
    ("records: control characters are escaped", control_characters),
    ("records: forged on every pipe of a daemon with a helper", with_a_helper),
    ("records: forged below a service manager", below_a_manager),
    ("records: a daemon whose helper was killed", helper_killed),
];

const FORKED: u8 = 0;
const READY: u8 = 1;
const FAILED: u8 = 2;
const SAID: u8 = 3;
const EXITED: u8 = 4;
const TIMED_OUT: u8 = 7;
const VALUE: u8 = 8;
const LOGGER: u8 = 9;

/// A record as bytes, and its beginning alone.
const RECORD: usize = 512;
const HEADER: usize = 16;

const REFUSED: &str = "report failed: invalid record from the daemon: Bad message (74 EBADMSG)";

// --- the hostile programs ---

pub fn run(name: &str) -> ! {
    match name {
        "forging" => forging(),
        _ => forging_aside(),
    }
}

/// A child of the starter's own, with its privileges.
fn begin_victim() -> i32 {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => pause_for_ever(),
        victim => {
            report(format!("victim {victim}"));
            victim
        }
    }
}

fn forging() -> ! {
    let victim = begin_victim();
    let context = open();
    report(format!("daemon {}", pid()));
    misbehave(context, victim)
}

fn forging_aside() -> ! {
    let victim = begin_victim();
    guard::forbid_children();
    let mut daemon = described();
    // SAFETY: this process has one thread, and all descriptors are kept or unused.
    let forked = unsafe { daemon.fork() };
    guard::allow();
    match forked.expect("a daemon") {
        Fork::Daemon(context) => {
            report(format!("daemon {}", pid()));
            misbehave(context, victim)
        }
        Fork::Starter(mut starting) => {
            report(format!("starter {}", starting.pid()));
            match starting.wait(None) {
                Ok(ready) => report(format!("ready {ready}")),
                Err(error) => report(format!("{} {error}", error.exit_status())),
            }
            std::process::exit(0)
        }
    }
}

/// Does what its words say, with every pipe that it can write to.
fn misbehave(mut context: Context, victim: i32) -> ! {
    let pipes = pipes();
    assert!(!pipes.is_empty(), "a line to the starter");
    for word in std::env::args() {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("forge", what) => send(&pipes, &forged(what, victim)),
            ("bytes", count) => send(&pipes, &vec![0xA5; count.parse().expect("a number")]),
            ("flood", what) => (0..4096).for_each(|_| send(&pipes, &forged(what, victim))),
            ("fail", what) => context.fail(9, what.replace('E', "\x1b")).expect("somebody who listens"),
            ("pause", _) => pause_until_told(),
            ("ready", _) => report(format!("said {:?}", context.ready().map_err(|error| error.errno()))),
            ("exit", status) => std::process::exit(status.parse().expect("a status")),
            _ => {}
        }
    }
    pause_for_ever()
}

/// `KIND:NUMBER:SIZE`; the number may be `victim`.
fn forged(what: &str, victim: i32) -> Vec<u8> {
    let parts: Vec<_> = what.split(':').collect();
    let [kind, number, size] = parts[..] else { panic!("{what}") };
    let number: i32 = if number == "victim" { victim } else { number.parse().expect("a number") };
    let mut record = vec![kind.parse().expect("a kind"), 0, 0, 0];
    record.extend(number.to_ne_bytes());
    record.resize(size.parse().expect("a size"), 0);
    record
}

fn send(pipes: &[i32], bytes: &[u8]) {
    for &pipe in pipes {
        // SAFETY: `bytes` is valid for reads of its length.
        unsafe { libc::write(pipe, bytes.as_ptr().cast(), bytes.len()) };
    }
}

/// The pipes that this process can write to, but that on which it reports to the test. The last one comes first: what is forged on
/// the first ends the daemon.
fn pipes() -> Vec<i32> {
    const LAST: i32 = 256;
    // SAFETY: signal takes two numbers: a starter that is gone is no reason to end.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // SAFETY: fcntl with F_GETFL takes a number.
    let writes = |fd: i32| unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_ACCMODE == libc::O_WRONLY;
    // Not by /proc: this process may have none.
    (3..LAST).rev().filter(|&fd| fd != descriptor() && is_pipe(fd) && writes(fd)).collect()
}

fn is_pipe(fd: i32) -> bool {
    // SAFETY: `stat` is a C struct of integers, and fstat writes one.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &raw mut status) == 0 && status.st_mode & libc::S_IFMT == libc::S_IFIFO
    }
}

fn pause_until_told() {
    daemonctx::parts::block_only(&[libc::SIGUSR1]).expect("a signal");
    report("pauses");
    crate::launch::await_signal();
}

// --- the tests ---

fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("(needs root, to drop privileges: skipped)");
    }
    root
}

/// What a daemon drops to, where it can.
fn dropped() -> &'static str {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 { "user=nobody" } else { "manual" }
}

fn forge(kind: u8, number: &str, size: usize) -> String {
    format!("forge={kind}:{number}:{size}")
}

/// Starts a hostile daemon, of which nothing may be left; the victim must be.
fn start(house: &mut House, words: &[&str]) -> Left {
    let mut all = vec!["manual", dropped()];
    all.extend(words);
    let left = house.start("forging", &all);
    let victim = house.hear_from("victim ").parse().unwrap();
    let daemon = house.hear_from("daemon ").parse().unwrap();
    assert!(!house.pid_file().exists() && is_buried(daemon), "nothing is left of the start");
    is_unharmed(house, victim);
    house.forget();
    left
}

fn is_unharmed(house: &House, victim: i32) {
    // The starter has exited, so this process adopts it.
    until(|| {
        fs::metadata(format!("/proc/{victim}")).is_err() || field(victim, "PPid") == std::process::id().to_string()
    });
    assert!(fs::metadata(format!("/proc/{victim}")).is_ok_and(|_| stat(victim)[0] != "Z"), "the victim lives");
    house.end(victim, libc::SIGKILL);
}

fn a_forged_pid(house: &mut House) {
    for size in [HEADER, RECORD] {
        start(house, &[&forge(FORKED, "victim", size), "exit=3"]).is(1, REFUSED);
        start(house, &[&forge(FORKED, "victim", size), &forge(TIMED_OUT, "0", size)]).is(1, REFUSED);
    }
    start(house, &[&forge(FORKED, "-1", RECORD), &forge(FORKED, "0", RECORD), "exit=3"]).is(1, REFUSED);
}

fn a_forged_logger(house: &mut House) {
    if !is_root() {
        return;
    }
    // The victim is the starter's child, and root's.
    for size in [HEADER, RECORD] {
        let left = start(house, &["user=nobody", &forge(LOGGER, "victim", size), "exit=3"]);
        assert_ne!(left.code(), 0, "{left:?}");
    }
    start(house, &["user=nobody", &forge(LOGGER, "victim", RECORD), &forge(LOGGER, "1", RECORD)]).is(1, REFUSED);
}

fn what_no_daemon_sends(house: &mut House) {
    for kind in [FORKED, EXITED, TIMED_OUT, VALUE, 77, 255] {
        start(house, &[&forge(kind, "0", RECORD)]).is(1, REFUSED);
    }
}

fn half_records(house: &mut House) {
    let begun = Instant::now();
    for bytes in ["bytes=1", "bytes=15", "bytes=511", "bytes=1000", "bytes=65536"] {
        start(house, &["timeout=20000", bytes]).is(1, REFUSED);
    }
    // A text that is longer than what there is of it, and than a record.
    for length in ["16777219", "-1"] {
        let left = start(house, &["timeout=20000", &format!("forge={SAID}:{length}:17")]);
        assert_ne!(left.code(), 0, "{left:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15) * crate::house::slowness(), "{:?}", begun.elapsed());
}

fn floods(house: &mut House) {
    for kind in [FORKED, LOGGER, VALUE] {
        start(house, &[&format!("flood={kind}:2147483647:{RECORD}")]).is(1, REFUSED);
    }
}

fn forged_status(house: &mut House) {
    for kind in [SAID, EXITED, FAILED] {
        let left = start(house, &[&forge(kind, "0", RECORD), "exit=0"]);
        assert_eq!(left.code(), 1, "{left:?}");
        assert_eq!(left.said.lines().count(), 1, "{left:?}");
    }
}

fn control_characters(house: &mut House) {
    let left = start(house, &["fail=E[2JE]0;titleE\\", "exit=9"]);
    left.is(9, "[2J");
    assert!(!left.said.trim_end().contains(|letter: char| letter.is_control()), "{left:?}");
}

/// Starts by `Daemon::fork`, so that helper and daemon have lines to a program that goes on; gives what that was told.
fn aside(house: &mut House, words: &[&str]) -> String {
    let mut all = vec!["manual", dropped(), "detach=yes"];
    all.extend(words);
    house.start("forging_aside", &all).is(0, "");
    let victim = house.hear_from("victim ").parse().unwrap();
    let daemon: i32 = house.hear_from("daemon ").parse().unwrap();
    assert_eq!(house.hear_from("starter "), daemon.to_string());
    let told = house.hear();
    assert!(!house.pid_file().exists());
    until(|| is_buried(daemon));
    is_unharmed(house, victim);
    house.forget();
    told
}

fn with_a_helper(house: &mut House) {
    for size in [HEADER, RECORD] {
        for kind in [FORKED, VALUE, EXITED, TIMED_OUT, LOGGER] {
            let words = [forge(FORKED, "victim", size), forge(kind, "victim", size)];
            let told = aside(house, &[&words[0], &words[1]]);
            assert_eq!(told, format!("1 {}", crate::house::worded(REFUSED)), "{kind}");
        }
    }
}

fn below_a_manager(house: &mut House) {
    house.with_manager();
    for (kind, number) in [(FORKED, "victim"), (EXITED, "0"), (VALUE, "victim")] {
        start(house, &[&forge(FORKED, "victim", RECORD), &forge(kind, number, RECORD)]).is(1, REFUSED);
    }
}

/// Only the daemon is left to say whether it is ready, and may say nothing else.
fn helper_killed(house: &mut House) {
    let forged = [forge(FORKED, "victim", RECORD), forge(EXITED, "0", RECORD), forge(VALUE, "0", RECORD)];
    for what in &forged {
        assert_eq!(lose_helper(house, "timeout=60000", what), "1 start failed: daemon: ended before it was ready");
    }
    assert_eq!(lose_helper(house, "timeout=60000", &forge(READY, "0", RECORD)), "ready true");
    // It says nothing, and is not waited for longer than it may take.
    let told = lose_helper(house, "timeout=3000", "nothing");
    assert_eq!(told, crate::house::worded("124 ready failed: 3 s: Connection timed out (110 ETIMEDOUT)"));
}

fn lose_helper(house: &mut House, timeout: &str, then: &str) -> String {
    let words = ["manual", dropped(), "detach=yes", timeout, "pause", then];
    let mut caller = house.program("forging_aside", &words).spawn().unwrap();
    let victim: i32 = house.hear_from("victim ").parse().unwrap();
    let daemon: i32 = house.hear_from("daemon ").parse().unwrap();
    house.hear_from("starter ");
    house.hear_from("pauses");
    signal_any(helper_of(daemon), libc::SIGKILL);
    until(|| field(daemon, "PPid") == std::process::id().to_string());
    signal_any(daemon, libc::SIGUSR1);
    let told = house.hear();
    assert!(caller.wait().unwrap().success());
    if told == "ready true" {
        house.end(daemon, libc::SIGKILL);
    } else {
        crate::house::wait(daemon);
        assert!(!house.pid_file().exists());
    }
    is_unharmed(house, victim);
    house.forget();
    told
}
