//! The process that stays with a launched program: it keeps what that leaves behind together, and starts it again.

use crate::Test;
use crate::house::{House, field, helper_of, is_buried, signal, stat, until};
use crate::launch::{at, launch, launch_ready, paths};
use daemonctx::{PidFile, Status};
use std::collections::BTreeSet;
use std::fs;

pub const TESTS: &[Test] = &[
    ("keeper: a process that keeps the tree together", keeper),
    ("keeper: nobody can adopt what is left behind", nobody_adopts),
    ("keeper: one that cannot adopt fails the start", cannot_adopt),
    ("keeper: one that cannot settle fails the start", cannot_settle),
    ("keeper: started again when it fails", respawned),
    ("keeper: started again no more", respawned_no_more),
    ("keeper: the one that starts again is told to stop", keeper_told_to_stop),
    ("keeper: the one that starts again is told to stop while it starts", keeper_told_in_a_start),
];

/// The process that stays, which is the daemon's parent.
fn keeper_of(daemon: i32) -> i32 {
    helper_of(daemon)
}

fn keeper(house: &mut House) {
    let script =
        "arg=trap : USR1; setsid sh -c 'echo $$ > orphan; kill -USR1 $0; exec sleep 1000' $$ & wait; exec sleep 1000";
    let daemon =
        launch_ready(house, &["together", "path=/bin/sh", "arg=sh", "arg=-c", script, &at(house), "ready=running:200"]);
    let keeper = keeper_of(daemon);
    let orphan: i32 = fs::read_to_string(house.path("orphan")).unwrap().trim().parse().unwrap();
    assert_eq!(stat(keeper)[3], keeper.to_string(), "a session of its own");
    let null = || "/dev/null".to_owned();
    let pid_file = house.pid_file().to_str().unwrap().to_owned();
    let expected = BTreeSet::from([null(), "anon_inode:[signalfd]".to_owned(), pid_file]);
    until(|| BTreeSet::from_iter(paths(keeper)) == expected);
    assert_eq!(fs::read_to_string(format!("/proc/{keeper}/comm")).unwrap(), "daemonctx-keep\n");
    assert_eq!(fs::read_link(format!("/proc/{keeper}/cwd")).unwrap(), std::path::Path::new("/"));
    signal(keeper, libc::SIGTERM);
    crate::house::signal_any(daemon, libc::SIGTERM);
    until(|| field(orphan, "PPid") == keeper.to_string());
    assert!(house.pid_file().exists(), "as long as there is a process");
    crate::house::signal_any(orphan, libc::SIGTERM);
    assert_eq!(crate::house::wait(keeper), 0);
    assert!(!house.pid_file().exists());
}

/// Has a system call fail whose argument at this place is this, as a kernel may: `PR_GET_CHILD_SUBREAPER` before Linux 3.4.
pub fn refuse(call: libc::c_long, place: u32, argument: libc::c_int, errno: libc::c_int) {
    let step = |code: u32, jump_else, k| libc::sock_filter { code: code as u16, jt: 0, jf: jump_else, k };
    let load = |offset| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    let unless = |is: u32, skip| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, skip, is);
    let answer = |what| step(libc::BPF_RET | libc::BPF_K, 0, what);
    // The number of the call, and the lower half of an argument (`struct seccomp_data`).
    let lower = if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut code = [
        load(0),
        unless(call as u32, 3),
        load(16 + 8 * place + lower),
        unless(argument as u32, 1),
        answer(libc::SECCOMP_RET_ERRNO | errno as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    // SAFETY: the program is as long as it says; prctl is safe between fork and exec.
    let filtered = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if !filtered {
        // SAFETY: abort does not return.
        unsafe { libc::abort() };
    }
}

fn nobody_adopts(house: &mut House) {
    for wish in ["together", "respawn=10"] {
        let mut command = house.program("launching", &[wish, "path=/bin/sleep", "arg=sleep", "arg=1000"]);
        crate::house::before_exec(&mut command, || {
            refuse(libc::SYS_prctl, 0, libc::PR_GET_CHILD_SUBREAPER, libc::EINVAL);
        });
        house.finish(command).is(1, "start failed: subreaper: Function not implemented (38 ENOSYS)");
        assert!(!house.pid_file().exists());
    }
}

fn cannot_adopt(house: &mut House) {
    let mut command = house.program("launching", &["together", "path=/bin/sleep", "arg=sleep", "arg=1000"]);
    crate::house::before_exec(&mut command, || {
        refuse(libc::SYS_prctl, 0, libc::PR_SET_CHILD_SUBREAPER, libc::EIO);
    });
    house.finish(command).is(1, "start failed: supervisor process: Input/output error (5 EIO)");
    assert!(!house.pid_file().exists());
}

/// Nothing can be opened any more when it would have to.
fn cannot_settle(house: &mut House) {
    const LIMIT: libc::rlim_t = 5;
    let words =
        ["together", "ready=notify", "timeout=20000", "arg=x", "arg=say:waits", "arg=await", "arg=notify:READY=1"];
    let mut starter = house.program("launching", &words).spawn().unwrap();
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    house.hear_from("waits");
    let limit = libc::rlimit { rlim_cur: LIMIT, rlim_max: LIMIT };
    // SAFETY: the limit is valid for reads, and nothing is asked for.
    let limited =
        unsafe { libc::prlimit(keeper_of(daemon), libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(limited, 0);
    crate::house::signal_any(daemon, libc::SIGUSR1);
    let told = house.hear();
    assert_eq!(told, crate::house::worded("1 None start failed: supervisor process: Too many open files (24 EMFILE)"));
    assert!(starter.wait().unwrap().success());
    assert!(!house.pid_file().exists() && is_buried(daemon));
}

/// Fails as often as its argument says, counting its lives; then goes on.
const FAILING: &str = "arg=echo >> lives; echo lives >&2; test $(wc -l < lives) -gt $0 || { sleep 0.1; exit 1; }; echo >> lives; exec sleep 1000";

fn respawned(house: &mut House) {
    let log = format!("stderr={}", house.path("log").display());
    let words = ["respawn=10", "path=/bin/sh", "arg=sh", "arg=-c", FAILING, "arg=2", &at(house), &log];
    let first = launch_ready(house, &words);
    let keeper = keeper_of(first);
    let daemon = loop {
        match fs::read_to_string(house.path("lives")).unwrap_or_default().len() {
            4 => break house.pid(),
            _ => std::thread::yield_now(),
        }
    };
    assert_ne!(daemon, first);
    assert_eq!(PidFile::of_either_kind(house.pid_file()).unwrap().status().unwrap(), Status::Running(daemon));
    assert_eq!(fs::read_to_string(house.path("log")).unwrap(), "lives\n".repeat(3), "each life has the same streams");
    // Ended in good order it is not started again.
    signal(keeper, libc::SIGTERM);
    crate::house::signal_any(daemon, libc::SIGTERM);
    assert_eq!(crate::house::wait(keeper), 0);
    assert!(!house.pid_file().exists());
}

fn respawned_no_more(house: &mut House) {
    let daemon = launch(
        house,
        &["respawn=10", "path=/bin/sh", "arg=sh", "arg=-c", FAILING, "arg=9", &at(house), "ready=running:20000"],
    );
    let line = house.hear();
    assert!(
        line.contains(&format!("PID {daemon}: exited with status 1 before it was ready")),
        "the first must succeed: {line}"
    );
    fs::remove_file(house.path("lives")).unwrap();
    let script = "arg=echo >> lives; sleep 0.1; exit 1";
    launch_ready(house, &["respawn=10", "path=/bin/sh", "arg=sh", "arg=-c", script, &at(house)]);
    // The process that stays leaves when the limit of two is reached.
    house.wait_for_all();
    assert_eq!(fs::read_to_string(house.path("lives")).unwrap().len(), 3);
    assert!(!house.pid_file().exists());
}

fn keeper_told_to_stop(house: &mut House) {
    let script = "arg=echo >> lives; exec sleep 1000";
    let daemon = launch_ready(house, &["respawn=60000", "path=/bin/sh", "arg=sh", "arg=-c", script, &at(house)]);
    let keeper = keeper_of(daemon);
    until(|| fs::read(house.path("lives")).is_ok_and(|lives| !lives.is_empty()));
    crate::house::signal_any(daemon, libc::SIGKILL);
    until(|| fs::metadata(format!("/proc/{daemon}")).is_err());
    // It waits for its minute.
    signal(keeper, libc::SIGTERM);
    assert_eq!(crate::house::wait(keeper), 0);
    assert_eq!(fs::read_to_string(house.path("lives")).unwrap_or_default().len(), 1);
    assert!(!house.pid_file().exists());
}

fn keeper_told_in_a_start(house: &mut House) {
    let mut told = 0;
    while told < 40 {
        // It does little else than start: the signal mostly comes while it does.
        launch(
            house,
            &["respawn=0", "for_ever", "ready=running:1", "path=/bin/sh", "arg=sh", "arg=-c", "arg=sleep 0.01; exit 1"],
        );
        if house.hear() != "ready" {
            // On a busy machine it has ended before it was seen to run.
            house.wait_for_all();
            continue;
        }
        let keepers = house.children();
        let keeper = keepers.into_iter().find(|pid| stat(*pid)[3] == pid.to_string()).unwrap();
        signal(keeper, libc::SIGTERM);
        assert_eq!(crate::house::wait(keeper), 0);
        house.wait_for_all();
        assert!(!house.pid_file().exists());
        told += 1;
    }
}
