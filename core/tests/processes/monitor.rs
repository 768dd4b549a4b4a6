//! Programs that are launched with a monitor.

use crate::Test;
use crate::house::{House, descriptors, field, signal, until};
use daemonctx::{Monitored, MonitoredState, PidFile, Status, StopRequest};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub const TESTS: &[Test] = &[
    ("monitor: stays with the program", stays),
    ("monitor: the program is another user", another_user),
    ("monitor: a program that closes its descriptors", closes),
    ("monitor: one launch for a name", one_for_a_name),
    ("monitor: nothing is left of a launch that fails", fails),
    ("monitor: a launcher that is cancelled or killed leaves nothing", cancelled),
    ("monitor: memory", memory),
];

pub fn launch(house: &mut House, more: &[&str]) -> (i32, i32) {
    house.start("launching", more).is(0, "");
    let daemon = house.hear_from("pid ").parse().unwrap();
    (daemon, field(daemon, "PPid").parse().unwrap())
}

pub fn state_files(house: &House) -> Vec<String> {
    let names = fs::read_dir(house.path("daemonctx"))
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect());
    names.unwrap_or_default()
}

pub fn found(house: &House) -> Monitored {
    let found = Monitored::find("program", Some(&house.pid_file()), Some(&house.folder));
    found.expect("readable").expect("a state file")
}

pub fn stop(house: &mut House, monitor: i32) {
    let found = found(house);
    assert_eq!(found.monitor_pid(), monitor);
    assert!(found.stop(StopRequest::Terminate, None).expect("a monitor"));
    assert!(state_files(house).is_empty() && !house.pid_file().exists());
    house.wait_for_all();
}

pub const SLEEP: [&str; 3] = ["path=/bin/sleep", "arg=sleep", "arg=1000"];

fn stays(house: &mut House) {
    let (daemon, monitor) = launch(house, &[&SLEEP[..], &["ready=running:50"]].concat());
    assert_eq!(house.pid(), daemon);
    assert_eq!(fs::read_to_string(format!("/proc/{monitor}/cmdline")).unwrap(), "daemonctx: program\0");
    let pid_file = house.pid_file().to_str().unwrap().to_owned();
    let of = |pid| descriptors(pid).into_iter().map(|(_, path)| path).filter(|path| *path == pid_file).count();
    assert_eq!((of(daemon), of(monitor)), (1, 1), "both hold the lock");
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Running(daemon));
    let state = found(house);
    assert_eq!((state.state(), state.pid(), state.restarts()), (MonitoredState::Running, Some(daemon), (0, None)));
    assert_eq!((state.name(), state.command()), (OsStr::new("program"), vec![OsStr::new("sleep"), OsStr::new("1000")]));
    assert_eq!(state.pid_file(), Some(house.pid_file().as_path()));
    stop(house, monitor);
}

fn another_user(house: &mut House) {
    // SAFETY: geteuid takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return println!("skipped: needs root");
    }
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o755)).unwrap();
    let (daemon, monitor) = launch(house, &[&SLEEP[..], &["user=nobody", "no_groups"]].concat());
    assert_eq!(
        (field(daemon, "Uid"), field(monitor, "Uid")),
        ("65534 65534 65534 65534".to_owned(), "0 0 0 0".to_owned())
    );
    let folder = house.folder.to_str().unwrap();
    let mut lock = descriptors(daemon).into_iter().filter(|(_, path)| path.starts_with(folder));
    let (number, _) = lock.next().expect("the lock");
    let flags = fs::read_to_string(format!("/proc/{daemon}/fdinfo/{number}")).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:\t")).unwrap();
    assert!(flags.ends_with('0') && lock.next().is_none(), "only to read: {flags}");
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status().unwrap(), Status::Running(daemon));
    stop(house, monitor);
}

/// Its state file says that it runs, whatever it does with the lock.
fn closes(house: &mut House) {
    let script = "import os, time; os.closerange(3, 1024); time.sleep(1000)";
    let program = ["path=/usr/bin/env", "arg=env", "arg=python3", "arg=-c", &format!("arg={script}")];
    let (daemon, monitor) = launch(house, &[&program[..], &["ready=running:10"]].concat());
    let folder = house.folder.to_str().unwrap();
    until(|| !descriptors(daemon).iter().any(|(_, path)| path.starts_with(folder)));
    assert_eq!((found(house).state(), found(house).pid()), (MonitoredState::Running, Some(daemon)));
    stop(house, monitor);
}

fn one_for_a_name(house: &mut House) {
    let (daemon, monitor) = launch(house, &SLEEP);
    house.start("launching", &SLEEP).is(0, "");
    let said = house.hear_from("failed ");
    assert!(said.starts_with(&format!("1 None pid file failed: program (already running as PID {daemon})")), "{said}");
    assert_eq!(house.pid(), daemon);
    stop(house, monitor);
}

fn fails(house: &mut House) {
    let cases: [(&[&str], &str); 3] = [
        (&["path=/nonexistent"], "1 None execve failed: /nonexistent: No such file or directory (2 ENOENT)"),
        (
            &["path=/bin/sh", "arg=sh", "arg=-c", "arg=setsid sleep 1000 & exit 7", "ready=running:5000"],
            "7 None start failed",
        ),
        (&["path=/bin/sleep", "arg=sleep", "arg=1000", "ready=newline:3", "timeout=100"], "124 None ready failed"),
    ];
    for (case, line) in cases {
        house.start("launching", case).is(0, "");
        let said = house.hear_from("failed ");
        assert!(said.starts_with(line), "{said}");
        house.wait_for_all();
        assert!(state_files(house).is_empty() && !house.pid_file().exists(), "{case:?}");
    }
}

fn cancelled(house: &mut House) {
    let program =
        ["path=/bin/sh", "arg=sh", "arg=-c", "arg=setsid sleep 1000 & wait", "ready=running:50000", "timeout=60000"];
    for by in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGKILL] {
        let mut launcher = house.program("launching", &program).spawn().unwrap();
        house.hear_from("waiting");
        signal(launcher.id().try_into().unwrap(), by);
        launcher.wait().unwrap();
        if by != libc::SIGKILL {
            let said = house.hear_from("failed ");
            assert!(said.contains(&format!("Some({by})")), "{said}");
        }
        house.wait_for_all();
        assert!(state_files(house).is_empty(), "{:?}", state_files(house));
    }
}

/// What a monitor takes for itself, and that a life more does not take more.
fn memory(house: &mut House) {
    const MOST: u64 = 124;
    let (_, monitor) = launch(house, &SLEEP);
    let sum = |field: &str| {
        let rollup = fs::read_to_string(format!("/proc/{monitor}/smaps_rollup")).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix(field).map(str::to_owned)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    println!("monitor: {} kB private and dirty, {} kB private and clean", sum("Private_Dirty:"), sum("Private_Clean:"));
    // Of a build for tests, with all that is in it; the command's own is smaller.
    assert!(sum("Private_Dirty:") <= 4 * MOST);
    stop(house, monitor);
}
