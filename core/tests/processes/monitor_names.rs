//! One daemon for a name: launches beside launches, after stops, and after what others have killed.

use crate::Test;
use crate::house::{House, exists, signal, signal_any, until};
use crate::monitor::{SLEEP, found, launch, state_files, stop};
use daemonctx::{Monitored, MonitoredState, StopRequest};
use std::fs;
use std::process::Child;

pub const TESTS: &[Test] = &[
    ("monitor: a launch beside a program that was just killed", just_killed),
    ("monitor: another command has the name", another_command),
    ("monitor: a launch during a launch waits for its outcome", during_a_launch),
    ("monitor: a launch during a launch that fails", during_a_failure),
    ("monitor: a launch during a stop waits", during_a_stop),
    ("monitor: a launch that waits is cancelled", cancelled),
    ("monitor: killed, then stopped", killed_then_stopped),
    ("monitor: killed, then taken over", killed_then_taken_over),
    ("monitor: killed, and the program too", both_killed),
    ("monitor: killed with its socket for messages", killed_with_socket),
    ("monitor: what outlives the program", descendants_stay),
    ("monitor: an end that is recorded", recorded),
    ("monitor: all daemons", all),
];

/// Words that run a shell script, which has the folder as `$D`.
pub fn shell(house: &House, script: &str, more: &[&str]) -> Vec<String> {
    let own = ["path=/bin/sh".to_owned(), "arg=sh".into(), "arg=-c".into(), format!("arg={script}")];
    let folder = format!("env=D={}", house.folder.display());
    own.into_iter().chain([folder]).chain(more.iter().map(|word| (*word).to_owned())).collect()
}

pub fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn begin(house: &House, all: &[&str]) -> Child {
    house.program("launching", all).spawn().unwrap()
}

fn touch(house: &House, name: &str) {
    fs::write(house.path(name), "").unwrap();
}

pub fn read_pid(house: &House, name: &str) -> i32 {
    until(|| fs::read_to_string(house.path(name)).is_ok_and(|text| text.ends_with('\n')));
    fs::read_to_string(house.path(name)).unwrap().trim().parse().unwrap()
}

fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('Z')))
}

fn refused(house: &mut House, all: &[&str]) -> String {
    house.start("launching", all).is(0, "");
    house.hear_from("failed ")
}

fn another_command(house: &mut House) {
    let (daemon, monitor) = launch(house, &SLEEP);
    let said = refused(house, &["path=/bin/sleep", "arg=sleep", "arg=2000"]);
    assert_eq!(said, format!("1 None another command runs under this name as PID {daemon}: sleep 1000"));
    stop(house, monitor);
}

/// A program whose memory takes the kernel a while to free.
pub fn large() -> ! {
    const SIZE: usize = 1 << 29;
    let room = std::hint::black_box(vec![1_u8; SIZE]);
    fs::write(std::env::args().nth(1).expect("a file"), format!("{}\n", room.len())).expect("a folder");
    loop {
        std::thread::park();
    }
}

/// It is alive until its memory is freed, and no daemon any more.
fn just_killed(house: &mut House) {
    let script = r#"DAEMONCTX_PROGRAM=large exec "$DAEMONCTX_BINARY" "$D/large""#;
    let all = shell(house, script, &[]);
    for number in [libc::SIGTERM, libc::SIGKILL] {
        let (daemon, monitor) = launch(house, &borrowed(&all));
        read_pid(house, "large");
        fs::remove_file(house.path("large")).unwrap();
        signal_any(daemon, number);
        house.start("launching", &borrowed(&all)).is(0, "");
        let next: i32 = house.hear_from("pid ").parse().unwrap();
        assert!(next != daemon && is_gone(daemon) && is_gone(monitor));
        let monitor = found(house).monitor_pid();
        stop(house, monitor);
    }
}

const WHEN_TOLD: &str =
    "while ! [ -e $D/go ]; do sleep 0.01; done; [ -e $D/fail ] && exit 3; echo >&3; exec sleep 1000";

/// The first launch is under way, and so is the second.
fn two(house: &mut House) -> (Child, Child) {
    let script = shell(house, WHEN_TOLD, &["ready=newline:3"]);
    let first = begin(house, &borrowed(&script));
    house.hear_from("waiting");
    until(|| found_state(house) == Some(MonitoredState::Starting));
    let second = begin(house, &borrowed(&script));
    // It looks for a signal as soon as it has found the other.
    until(|| fs::read_to_string(format!("/proc/{}/wchan", second.id())).is_ok_and(|it| it.contains("poll")));
    (first, second)
}

fn found_state(house: &House) -> Option<MonitoredState> {
    let found = Monitored::find("program", Some(&house.pid_file()), Some(&house.folder));
    found.ok().flatten().map(|found| found.state())
}

fn during_a_launch(house: &mut House) {
    let (mut first, mut second) = two(house);
    touch(house, "go");
    let daemon = house.hear_from("pid ");
    let said = house.hear_from("failed ");
    assert!(said.contains(&format!("program (already running as PID {daemon})")), "{said}");
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

fn during_a_failure(house: &mut House) {
    let (mut first, mut second) = two(house);
    touch(house, "fail");
    touch(house, "go");
    let said = house.hear_from("failed ");
    assert!(said.starts_with("3 None start failed"), "{said}");
    house.hear_from("waiting");
    let said = house.hear_from("failed ");
    assert!(said.starts_with("3 None start failed"), "the second was started too: {said}");
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    house.wait_for_all();
    assert!(state_files(house).is_empty());
}

fn during_a_stop(house: &mut House) {
    let script =
        "trap 'while ! [ -e $D/go ]; do sleep 0.01; done; exit 0' TERM; echo >&3; while :; do sleep 0.01; done";
    let script = shell(house, script, &["ready=newline:3"]);
    let (_, monitor) = launch(house, &borrowed(&script));
    signal_any(monitor, libc::SIGTERM);
    until(|| found_state(house) == Some(MonitoredState::Stopping));
    let mut second = begin(house, &borrowed(&script));
    until(|| fs::read_to_string(format!("/proc/{}/wchan", second.id())).is_ok_and(|it| it.contains("poll")));
    touch(house, "go");
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    assert!(second.wait().unwrap().success());
    let again = found(house);
    assert_eq!((again.state(), again.pid()), (MonitoredState::Running, Some(daemon)));
    stop(house, again.monitor_pid());
}

fn cancelled(house: &mut House) {
    let (mut first, mut second) = two(house);
    signal(second.id().try_into().unwrap(), libc::SIGINT);
    let said = house.hear_from("failed ");
    assert!(said.starts_with("1 Some(2)"), "{said}");
    second.wait().unwrap();
    touch(house, "go");
    house.hear_from("pid ");
    first.wait().unwrap();
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

/// A program with a worker in its group, and one in a session of its own below that.
const WORKERS: &str = "(sh -c 'echo $$ > $D/worker; setsid sh -c \"echo \\$\\$ > $D/other; exec sleep 1000\" & wait') &
    while ! [ -s $D/other ]; do sleep 0.01; done; exec sleep 1000";

fn killed(house: &mut House) -> [i32; 3] {
    let script = shell(house, WORKERS, &["ready=running:10"]);
    let (daemon, monitor) = launch(house, &borrowed(&script));
    let all = [daemon, read_pid(house, "worker"), read_pid(house, "other")];
    signal_any(monitor, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Unmonitored);
    let mut processes = found(house).processes();
    assert_eq!(processes.first(), Some(&daemon));
    processes.retain(|pid| !all.contains(pid));
    // The subshell between.
    assert!(processes.len() <= 1, "{processes:?}");
    all
}

fn killed_then_stopped(house: &mut House) {
    let all = killed(house);
    assert!(found(house).stop(StopRequest::Terminate, None).expect("it can be stopped"));
    assert!(all.iter().all(|pid| is_gone(*pid)), "{all:?}");
    assert!(state_files(house).is_empty() && !exists(&house.pid_file()), "{:?}", state_files(house));
    house.wait_for_all();
}

fn killed_then_taken_over(house: &mut House) {
    let all = killed(house);
    let script = shell(house, WORKERS, &["ready=running:10"]);
    let said = refused(house, &borrowed(&script));
    let [daemon, ..] = all;
    assert!(said.contains(&format!("its monitor was killed, PID {daemon} is alive")), "{said}");
    assert!(!all.iter().any(|pid| is_gone(*pid)));
    fs::remove_file(house.path("other")).unwrap();
    let (_, monitor) = launch(house, &[&borrowed(&script)[..], &["take_over"]].concat());
    assert!(all.iter().all(|pid| is_gone(*pid)), "{all:?}");
    stop(house, monitor);
}

fn both_killed(house: &mut House) {
    let all = killed(house);
    let [daemon, worker, _] = all;
    signal_any(daemon, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Lost);
    let left = found(house).processes();
    assert!(left.contains(&worker) && !left.contains(&daemon), "{left:?}");
    let script = shell(house, WORKERS, &["ready=running:10"]);
    let said = refused(house, &borrowed(&script));
    assert!(said.contains("its monitor was killed"), "{said}");
    assert!(found(house).stop(StopRequest::Terminate, None).expect("it can be stopped"));
    assert!(is_gone(worker) && state_files(house).is_empty());
    // That one has left the session and lost its parent: nobody can tell whose it is.
    signal_any(all[2], libc::SIGKILL);
    house.wait_for_all();
}

fn killed_with_socket(house: &mut House) {
    let script = "import os, socket, time; name = os.environ['NOTIFY_SOCKET']
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', name); time.sleep(1000)";
    let program = ["path=/usr/bin/env", "arg=env", "arg=python3", "arg=-c", &format!("arg={script}"), "ready=notify:"];
    let (_, monitor) = launch(house, &program);
    signal_any(monitor, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Unmonitored);
    assert!(found(house).stop(StopRequest::Terminate, None).expect("it can be stopped"));
    assert!(state_files(house).is_empty(), "{:?}", state_files(house));
    house.wait_for_all();
}

fn descendants_stay(house: &mut House) {
    let script = shell(house, WORKERS, &["ready=running:10"]);
    let (daemon, monitor) = launch(house, &borrowed(&script));
    let workers = [read_pid(house, "worker"), read_pid(house, "other")];
    signal_any(daemon, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Left);
    let processes = found(house).processes();
    assert!(workers.iter().all(|pid| processes.contains(pid)), "{processes:?}");
    let said = refused(house, &borrowed(&script));
    assert!(said.contains("the program has ended, its descendant PID"), "{said}");
    fs::remove_file(house.path("other")).unwrap();
    let (_, next) = launch(house, &[&borrowed(&script)[..], &["take_over"]].concat());
    assert!(workers.iter().all(|pid| is_gone(*pid)) && is_gone(monitor));
    stop(house, next);
}

fn recorded(house: &mut House) {
    let script = shell(house, "while ! [ -e $D/go ]; do sleep 0.01; done", &["ready=running:10"]);
    let (_, monitor) = launch(house, &borrowed(&script));
    touch(house, "go");
    until(|| is_gone(monitor));
    let ended = found(house);
    assert_eq!((ended.state(), ended.end().to_str()), (MonitoredState::Ended, Some("exited 0")));
    assert!(ended.stop(StopRequest::Terminate, None).expect("nothing to stop"));
    assert!(state_files(house).is_empty(), "{:?}", state_files(house));
    house.wait_for_all();
}

fn all(house: &mut House) {
    let names = |house: &House| -> Vec<String> {
        let listed = Monitored::list(Some(&house.folder)).expect("a directory");
        listed.iter().map(|found| found.name().to_str().unwrap().to_owned()).collect()
    };
    assert!(names(house).is_empty());
    for name in ["two", "one"] {
        let pid_file = format!("pid_file={}", house.path(name).display());
        launch(house, &[&SLEEP[..], &[&format!("name={name}"), &pid_file]].concat());
    }
    assert_eq!(names(house), ["one", "two"]);
    for found in Monitored::list(Some(&house.folder)).expect("a directory") {
        assert!(found.stop(StopRequest::Kill, None).expect("a monitor"));
    }
    house.wait_for_all();
    assert!(names(house).is_empty());
}
