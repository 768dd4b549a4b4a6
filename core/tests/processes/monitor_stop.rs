//! Stops of a launched daemon that are asked for from inside, and stops that cannot end everything.

use crate::Test;
use crate::house::{House, exists, signal_any, stat, until, wait};
use crate::monitor::{SLEEP, found, launch, state_files, stop};
use crate::monitor_names::{borrowed, read_pid, shell};
use crate::programs::report;
use daemonctx::{Monitored, MonitoredState, PidFile, Status, StopRequest};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("monitor: a restart from inside the daemon", restart_from_inside),
    ("monitor: a restart from inside a daemon whose monitor was killed", restart_without_monitor),
    ("monitor: a stop from outside ends who asked inside", stop_from_outside),
    ("monitor: the program itself is not spared", own_stop),
    ("monitor: a program whose main thread has ended", without_main_thread),
    ("monitor: a stop of a program that cannot be killed", unkillable),
];

const LONG: Duration = Duration::from_secs(20);

/// Stops the daemon of its pid file, as the word `request=` says, and launches another.
pub fn restarting() -> ! {
    let pid_file = std::env::args().nth(1).expect("a pid file");
    let (pid_file, request) = (Path::new(&pid_file), std::env::args().find(|word| word.starts_with("request=")));
    let daemon = Monitored::find("program", Some(pid_file), pid_file.parent()).expect("readable").expect("a daemon");
    let stopped = match request.as_deref() {
        Some("request=kill") => daemon.stop(StopRequest::Kill, Some(LONG)),
        Some("request=program") => {
            let told = daemon.stop(StopRequest::EndWithProgram, Some(Duration::ZERO));
            assert_eq!(told.ok(), Some(false));
            signal_any(daemon.pid().expect("a program"), libc::SIGTERM);
            daemon.stop(StopRequest::EndWithProgram, Some(LONG))
        }
        _ => daemon.stop(StopRequest::Terminate, Some(LONG)),
    };
    report(format!("stopped {:?}", stopped.map_err(|error| error.to_string())));
    crate::launch::run("launching")
}

/// A program with a worker, and a hook below another shell that restarts it.
fn hooked(house: &House, request: &str, more: &[&str]) -> Vec<String> {
    let script = r#"setsid sleep 1000 & echo $! > $D/worker
        sh -c 'while ! [ -e $D/go ]; do sleep 0.01; done; rm $D/go
            DAEMONCTX_PROGRAM=restarting "$DAEMONCTX_BINARY" "$D/pid" "$@" & echo $! > $D/hook; wait' sh "$@" & wait"#;
    let mut all = shell(house, script, more);
    let hook = ["sh", request, SLEEP[0], SLEEP[1], SLEEP[2]].map(|word| format!("arg={word}"));
    all.extend(hook);
    all
}

fn restart_from_inside(house: &mut House) {
    for request in ["request=terminate", "request=kill", "request=program"] {
        let all = hooked(house, request, &["ready=running:10"]);
        let (daemon, monitor) = launch(house, &borrowed(&all));
        let worker = read_pid(house, "worker");
        let begun = Instant::now();
        fs::write(house.path("go"), "").unwrap();
        assert_eq!(house.hear_from("stopped "), "Ok(true)", "{request}");
        let next: i32 = house.hear_from("pid ").parse().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(4), "not by the timeout: {request}");
        let next_monitor = found(house).monitor_pid();
        assert!(next != daemon && next_monitor != monitor && house.pid() == next);
        assert!([daemon, worker].into_iter().all(is_gone), "{request}");
        stop(house, next_monitor);
    }
}

fn restart_without_monitor(house: &mut House) {
    let all = hooked(house, "request=terminate", &["ready=running:10"]);
    let (daemon, monitor) = launch(house, &borrowed(&all));
    let worker = read_pid(house, "worker");
    signal_any(monitor, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Unmonitored);
    fs::write(house.path("go"), "").unwrap();
    assert_eq!(house.hear_from("stopped "), "Ok(true)");
    let next: i32 = house.hear_from("pid ").parse().unwrap();
    assert!(next != daemon && [daemon, worker].into_iter().all(is_gone));
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

/// The hook has asked, and the worker holds the stop up. Then somebody else asks.
fn stop_from_outside(house: &mut House) {
    let script = r#"(trap '' TERM; while :; do sleep 0.01; done) & echo $! > $D/worker
        (while ! [ -e $D/go ]; do sleep 0.01; done; kill -TERM $PPID; while :; do sleep 1; done) & wait"#;
    let all = shell(house, script, &["ready=running:10", "stop_timeout=20000"]);
    let (_, monitor) = launch(house, &borrowed(&all));
    fs::write(house.path("go"), "").unwrap();
    until(|| found(house).state() == MonitoredState::Stopping);
    assert!(found(house).stop(StopRequest::Kill, Some(LONG)).unwrap());
    assert!(is_gone(monitor) && state_files(house).is_empty());
    house.wait_for_all();
}

fn own_stop(house: &mut House) {
    let script =
        "while ! [ -e $D/go ]; do sleep 0.01; done; trap '' TERM; kill -TERM $PPID; while :; do sleep 0.01; done";
    let all = shell(house, script, &["ready=running:10", "stop_timeout=100"]);
    let (daemon, monitor) = launch(house, &borrowed(&all));
    fs::write(house.path("go"), "").unwrap();
    until(|| is_gone(monitor));
    assert!(is_gone(daemon) && state_files(house).is_empty());
    house.wait_for_all();
}

/// It is alive, with its monitor and without.
fn without_main_thread(house: &mut House) {
    for state in [MonitoredState::Running, MonitoredState::Unmonitored] {
        let (daemon, monitor) = launch(house, &["arg=x", "arg=leave"]);
        until(|| stat(daemon)[0] == "Z");
        if state == MonitoredState::Unmonitored {
            signal_any(monitor, libc::SIGKILL);
            wait(monitor);
        }
        let state_file = found(house);
        assert_eq!((state_file.state(), state_file.processes()), (state, vec![daemon]));
        assert_eq!(PidFile::new(house.pid_file()).unwrap().status(), Ok(Status::Running(daemon)));
        assert!(state_file.stop(StopRequest::Terminate, Some(LONG)).unwrap());
        assert!(has_ended(daemon) && state_files(house).is_empty() && !exists(&house.pid_file()));
        house.wait_for_all();
    }
}

/// A tracer holds it: after SIGKILL it stays until the tracer has waited for it, as a process that waits for a device does.
fn unkillable(house: &mut House) {
    let (daemon, monitor) = launch(house, &[&SLEEP[..], &["ready=running:10", "stop_timeout=50"]].concat());
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: PTRACE_SEIZE takes no address and no data but options.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, daemon, nothing, nothing) } != 0 {
        println!("skipped: may not trace: {}", std::io::Error::last_os_error());
        return stop(house, monitor);
    }
    for request in [StopRequest::Terminate, StopRequest::Terminate, StopRequest::Kill] {
        let begun = Instant::now();
        assert!(!found(house).stop(request, Some(Duration::from_millis(300))).unwrap());
        assert!(begun.elapsed() < Duration::from_secs(10));
        let state = found(house);
        assert_eq!(
            (state.state(), state.pid(), state.monitor_pid()),
            (MonitoredState::Stopping, Some(daemon), monitor)
        );
    }
    assert!(exists(&house.pid_file()));
    // The monitor may be gone as soon as the tracer has waited.
    let held = found(house);
    wait(daemon);
    assert!(held.stop(StopRequest::Terminate, Some(LONG)).unwrap());
    assert!(state_files(house).is_empty() && !exists(&house.pid_file()));
    house.wait_for_all();
}

/// All of its threads.
fn has_ended(pid: i32) -> bool {
    const THREADS: usize = 17;
    !exists(Path::new(&format!("/proc/{pid}"))) || (&*stat(pid)[0], &*stat(pid)[THREADS]) == ("Z", "1")
}

fn is_gone(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}
