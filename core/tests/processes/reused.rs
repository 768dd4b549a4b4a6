//! A PID that another process was given, in a PID namespace of the test's own, where the next one can be chosen.

use crate::Test;
use crate::house::{House, before_exec, field, refuse, signal_any, stat, this_binary, until, wait};
use crate::launch::await_signal;
use crate::messages::{NOBODY, is_read, receiver_of};
use crate::monitor::{SLEEP, found, launch, state_files};
use crate::programs::report;
use crate::tracing::{self, Traced};
use crate::trust::{is_root, is_unharmed};
use daemonctx::{Monitored, MonitoredState, PidFile, Status, StopRequest, Stopped};
use std::ffi::CStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    (MESSAGE, message),
    (PROGRAM_OF_A_DEAD_MONITOR, program_of_a_dead_monitor),
    (GROUP_OF_A_DEAD_MONITOR, group_of_a_dead_monitor),
    (DURING_A_STOP, during_a_stop),
    (BEFORE_A_SIGNAL, before_a_signal),
    (CHILDREN, children),
    (CHILDREN_WITHOUT_MONITOR, children_without_monitor),
];

const MESSAGE: &str = "reused PID: a message of a process whose PID is a descendant's by now is not believed";
const PROGRAM_OF_A_DEAD_MONITOR: &str = "reused PID: the program's, after its monitor was killed";
const GROUP_OF_A_DEAD_MONITOR: &str = "reused PID: the monitor's and the program's, as a session and a group";
const DURING_A_STOP: &str = "reused PID: a descendant's, during a stop without a monitor";
const BEFORE_A_SIGNAL: &str = "reused PID: a descendant's, when the monitor is about to signal it";
const CHILDREN: &str = "reused PID: a descendant's, when the monitor is about to look for its children";
const CHILDREN_WITHOUT_MONITOR: &str = "reused PID: the same in a stop without a monitor";

const LONG: Duration = Duration::from_secs(20);
const LAST: &str = "/proc/sys/kernel/ns_last_pid";

/// Runs a test of this name once more, in a PID namespace of its own.
pub fn in_own_namespace(house: &mut House, name: &str, test: impl FnOnce(&mut House)) {
    const INSIDE: &str = "DAEMONCTX_OWN_NAMESPACE";
    // A start below the first process of a namespace does not detach, so that is a shell.
    const NAMESPACE: [&str; 8] =
        ["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", r#""$@"; exit $?"#, "sh"];
    if std::env::var_os(INSIDE).is_some() {
        return test(house);
    }
    let enter = || {
        let mut command = Command::new("unshare");
        command.args(NAMESPACE);
        command
    };
    if !is_root() {
        return;
    }
    if !enter().arg("true").output().is_ok_and(|done| done.status.success()) {
        return println!("    skipped: unshare(1) cannot make a PID namespace here");
    }
    if !Path::new(LAST).exists() {
        return println!("    skipped: the kernel does not let the next PID be chosen (CONFIG_CHECKPOINT_RESTORE)");
    }
    let inside = enter().arg(this_binary()).arg(name).env(INSIDE, "1").env("TMPDIR", &house.folder).output().unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    for line in said.lines().filter(|line| line.contains("skipped")) {
        println!("{line}");
    }
    let is_good = inside.status.success() && said.contains("1 passed; 0 failed");
    assert!(is_good, "{said}{}", String::from_utf8_lossy(&inside.stderr));
}

/// A process, and when it began, in clock ticks since boot.
#[derive(Clone, Copy, Debug)]
struct Former {
    pid: i32,
    start: u64,
}

impl Former {
    fn of(pid: i32) -> Self {
        const START: usize = 19;
        Self { pid, start: stat(pid)[START].parse().unwrap() }
    }

    /// When it was reaped: the next process gets its PID. Processes that begin in one clock tick cannot be told apart.
    fn give_away(self) {
        let now = || {
            let uptime = fs::read_to_string("/proc/uptime").unwrap();
            let (seconds, hundredths) = uptime.split(' ').next().unwrap().split_once('.').unwrap();
            seconds.parse::<u64>().unwrap() * 100 + hundredths.parse::<u64>().unwrap()
        };
        until(|| now() > self.start + 1);
        fs::write(LAST, (self.pid - 1).to_string()).unwrap();
    }

    /// The process that gets it.
    fn given_to(self, mut command: Command) -> Child {
        self.give_away();
        let child = command.spawn().unwrap();
        assert_eq!(i32::try_from(child.id()).unwrap(), self.pid, "the PID can be had");
        child
    }
}

fn sleeping() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// The program of `launch.rs`, beside the daemon.
fn beside(house: &House, all: &[&str]) -> Command {
    let mut command = house.program("launched", &[]);
    command.args(all);
    command
}

/// The PID of the child that a program has reported.
fn child_of(house: &mut House, parent: i32) -> i32 {
    house.hear_from(&format!("{parent} stays ")).parse().unwrap()
}

fn kill(pid: i32) {
    signal_any(pid, libc::SIGKILL);
    wait(pid);
}

// --- messages -------------------------------------------------------------------------------------------------------

/// What a message of another process comes with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sender {
    /// A pidfd.
    SameUser,
    /// A descriptor in its place.
    OtherUser,
    /// Neither: a kernel without `SO_PASSPIDFD`.
    OtherUserOnOldKernel,
}

fn message(house: &mut House) {
    in_own_namespace(house, MESSAGE, |house| {
        for sender in [Sender::SameUser, Sender::OtherUser, Sender::OtherUserOnOldKernel] {
            message_of_former(house, sender);
        }
    });
}

/// The receiver stands still from before the message until the sender's PID is that of a child of the daemon. The daemon fails then:
/// what comes of the start shows whether the message was believed.
fn message_of_former(house: &mut House, sender: Sender) {
    const WORDS: [&str; 9] = [
        "ready=notify",
        "timeout=60000",
        "arg=x",
        "arg=variable:NOTIFY_SOCKET",
        "arg=pid",
        "arg=await",
        "arg=stay:x",
        "arg=await",
        "arg=exit:3",
    ];
    const SO_PASSPIDFD: i32 = 76;
    let mut program = house.program("launching", &WORDS);
    if sender == Sender::OtherUserOnOldKernel {
        before_exec(&mut program, || refuse(libc::SYS_setsockopt, 2, SO_PASSPIDFD, libc::ENOPROTOOPT));
    }
    let mut starter = program.spawn().unwrap();
    house.hear_from("waiting");
    let line = house.hear_from("NOTIFY_SOCKET ");
    let daemon: i32 = house.hear().parse().unwrap();
    let receiver = receiver_of(field(daemon, "PPid").parse().unwrap());
    signal_any(receiver, libc::SIGSTOP);
    until(|| stat(receiver)[0] == "T");
    // The name is reported with escapes.
    let socket = line.split('"').nth(1).unwrap().replace(r"\\", r"\");
    // SAFETY: no other thread of this process looks at its environment.
    unsafe { std::env::set_var("NOTIFY_SOCKET", socket) };
    let stranger = stranger_that_sends(sender);
    stranger.give_away();
    signal_any(daemon, libc::SIGUSR1);
    assert_eq!(child_of(house, daemon), stranger.pid, "the PID can be had");
    signal_any(receiver, libc::SIGCONT);
    is_read();
    // SAFETY: as above.
    unsafe { std::env::remove_var("NOTIFY_SOCKET") };
    signal_any(daemon, libc::SIGUSR1);
    let outcome = house.hear();
    assert!(outcome.starts_with("failed 3 None start failed"), "{sender:?}: {outcome}");
    assert!(starter.wait().unwrap().success() && !house.pid_file().exists());
    house.wait_for_all();
}

/// A process that has sent a message, and was reaped.
fn stranger_that_sends(sender: Sender) -> Former {
    // SAFETY: the child makes system calls, and takes no lock that another thread of this process could hold.
    let child = unsafe { libc::fork() };
    if child == 0 {
        if sender != Sender::SameUser {
            // SAFETY: takes numbers.
            unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
        }
        let descriptors: &[i32] = if sender == Sender::OtherUser { &[1] } else { &[] };
        let sent = daemonctx::notify_with_descriptors(b"READY=1", descriptors);
        // SAFETY: _exit takes a number and does not return.
        unsafe { libc::_exit(i32::from(sent.ok() != Some(true))) };
    }
    let former = Former::of(child);
    assert_eq!(wait(child), 0, "it was sent");
    former
}

// --- the program and its session, after the monitor was killed --------------------------------------------------------------------------

/// A daemon that was killed after its monitor.
fn killed(house: &mut House) -> (Former, Former) {
    let (daemon, monitor) = launch(house, &[&SLEEP[..], &["ready=running:10"]].concat());
    let formers = (Former::of(daemon), Former::of(monitor));
    kill(monitor);
    kill(daemon);
    formers
}

fn program_of_a_dead_monitor(house: &mut House) {
    in_own_namespace(house, PROGRAM_OF_A_DEAD_MONITOR, |house| {
        for request in [StopRequest::Terminate, StopRequest::Kill, StopRequest::EndWithProgram] {
            let (daemon, _) = killed(house);
            let innocent = daemon.given_to(sleeping());
            is_stale(house, request);
            is_unharmed(innocent);
        }
        by_pid_file(house);
    });
}

/// A /run of the test's own, whose mount namespace is its own.
pub fn mount_run(options: &CStr) {
    let (kind, place) = (c"tmpfs".as_ptr(), c"/run".as_ptr());
    // SAFETY: mount takes strings.
    assert_eq!(unsafe { libc::mount(kind, place, kind, 0, options.as_ptr().cast()) }, 0);
}

/// What a pid file means is looked up in state files at the usual place.
fn by_pid_file(house: &mut House) {
    mount_run(c"size=1m");
    let (daemon, monitor) = launch(house, &[&SLEEP[..], &["ready=running:10", "usual_run"]].concat());
    let daemon = Former::of(daemon);
    kill(monitor);
    kill(daemon.pid);
    let innocent = daemon.given_to(sleeping());
    let file = PidFile::new(house.pid_file()).unwrap();
    assert_eq!((file.status(), file.stop(LONG)), (Ok(Status::Stale), Ok(Stopped::NotRunning)));
    is_unharmed(innocent);
    let state = Monitored::find("program", Some(&house.pid_file()), None).unwrap().expect("a state file");
    assert_eq!(state.state(), MonitoredState::Lost);
}

/// Nothing of it is alive, and nothing is left after a stop.
fn is_stale(house: &House, request: StopRequest) {
    let (file, state) = (PidFile::new(house.pid_file()).unwrap(), found(house));
    assert_eq!((state.state(), state.processes()), (MonitoredState::Lost, Vec::new()));
    assert_eq!(file.status(), Ok(Status::Stale));
    assert_eq!(file.signal(libc::SIGTERM).unwrap_err().errno(), Some(libc::ESRCH));
    assert!(state.stop(request, Some(LONG)).unwrap());
    assert!(state_files(house).is_empty() && !house.pid_file().exists());
}

/// A session with the monitor's number, and in it a process group with the program's.
fn group_of_a_dead_monitor(house: &mut House) {
    in_own_namespace(house, GROUP_OF_A_DEAD_MONITOR, |house| {
        for leaders_live in [true, false] {
            group_of_former(house, leaders_live);
        }
    });
}

/// Its leaders may have ended while a member lives: the numbers are nobody's then, but not the daemon's again.
fn group_of_former(house: &mut House, leaders_live: bool) {
    let (daemon, monitor) = killed(house);
    let mut leader = beside(house, &["say:here", "await", "stay:group stay:x say:grouped"]);
    // SAFETY: setsid takes nothing.
    before_exec(&mut leader, || assert_ne!(unsafe { libc::setsid() }, -1));
    let mut leader = monitor.given_to(leader);
    house.hear_from("here");
    daemon.give_away();
    signal_any(monitor.pid, libc::SIGUSR1);
    assert_eq!(child_of(house, monitor.pid), daemon.pid, "the PID can be had");
    let member = child_of(house, daemon.pid);
    house.hear_from("grouped");
    if leaders_live {
        is_stale(house, StopRequest::Terminate);
        are_unharmed((leader, daemon.pid));
    } else {
        leader.kill().unwrap();
        leader.wait().unwrap();
        kill(daemon.pid);
        is_stale(house, StopRequest::Terminate);
    }
    assert_eq!(field(member, "ShdPnd"), format!("{:016x}", 0), "no signal is on its way");
    signal_any(member, libc::SIGKILL);
    assert_eq!(wait(member), libc::SIGKILL, "nothing else has ended it");
}

/// The descendant is known when the stop begins. The program takes its time, and reaps it.
fn during_a_stop(house: &mut House) {
    in_own_namespace(house, DURING_A_STOP, |house| {
        let own = [
            "path=",
            "arg=x",
            "arg=stay:x",
            "arg=await",
            "arg=say:asked",
            "arg=reap",
            "arg=say:reaped",
            "arg=await",
            "arg=exit:0",
        ];
        let stop_signal = format!("stop_signal={}", libc::SIGUSR1);
        let all = [&own[1..], &["ready=running:10", "stop_timeout=20000", &stop_signal]].concat();
        let (daemon, monitor) = launch(house, &all);
        let worker = Former::of(child_of(house, daemon));
        kill(monitor);
        let state = found(house);
        assert_eq!(state.processes(), [daemon, worker.pid]);
        let innocent = std::thread::scope(|scope| {
            let stop = scope.spawn(|| state.stop(StopRequest::Terminate, Some(LONG)).unwrap());
            house.hear_from("asked");
            signal_any(worker.pid, libc::SIGKILL);
            house.hear_from("reaped");
            let innocent = worker.given_to(sleeping());
            signal_any(daemon, libc::SIGUSR1);
            wait(daemon);
            assert!(stop.join().unwrap());
            innocent
        });
        is_unharmed(innocent);
        assert!(state_files(house).is_empty() && !house.pid_file().exists());
    });
}

// --- descendants, while they are looked for ---------------------------------------------------------------------------------------------

/// A program whose child has a child, which it reaps: the daemon, the monitor, the child, the grandchild.
fn with_grandchild(house: &mut House, child: &str) -> (i32, i32, i32, Former) {
    let child = format!("arg=stay:{child} stay:x reap say:reaped");
    let (daemon, monitor) = launch(house, &["arg=x", &child, "ready=running:10", "stop_timeout=100"]);
    let child = child_of(house, daemon);
    let grandchild = Former::of(child_of(house, child));
    (daemon, monitor, child, grandchild)
}

/// Ends it, when who looks for it stands still.
fn end_grandchild(house: &mut House, grandchild: Former) {
    signal_any(grandchild.pid, libc::SIGKILL);
    house.hear_from("reaped");
}

/// Whether a process is about to read the list of threads of another, with their children.
fn lists_children(of: i32) -> impl FnMut(&Traced, (libc::c_long, [u64; 6])) -> bool {
    let path = format!("/proc/{of}/task");
    move |traced, (_, arguments)| arguments[..2].iter().any(|argument| traced.text_at(*argument) == path)
}

fn before_a_signal(house: &mut House) {
    if !tracing::is_possible() {
        return;
    }
    in_own_namespace(house, BEFORE_A_SIGNAL, |house| {
        let (_, monitor, _, worker) = with_grandchild(house, "deaf");
        let traced = Traced::new(monitor);
        let state = found(house);
        let innocent = std::thread::scope(|scope| {
            let stop = scope.spawn(|| state.stop(StopRequest::Terminate, Some(LONG)).unwrap());
            traced
                .hold_before(|_, (call, arguments)| call == libc::SYS_pidfd_open && arguments[0] == worker.pid as u64);
            end_grandchild(house, worker);
            let innocent = worker.given_to(sleeping());
            drop(traced);
            assert!(stop.join().unwrap());
            innocent
        });
        is_unharmed(innocent);
        house.wait_for_all();
    });
}

/// The innocent has a child as well.
fn children(house: &mut House) {
    if !tracing::is_possible() {
        return;
    }
    in_own_namespace(house, CHILDREN, |house| {
        let (_, monitor, _, worker) = with_grandchild(house, "x");
        let traced = Traced::new(monitor);
        let state = found(house);
        let innocents = std::thread::scope(|scope| {
            let stop = scope.spawn(|| state.stop(StopRequest::Terminate, Some(LONG)).unwrap());
            traced.hold_before(lists_children(worker.pid));
            let innocents = parent_and_child(house, worker);
            drop(traced);
            assert!(stop.join().unwrap());
            innocents
        });
        are_unharmed(innocents);
        house.wait_for_all();
    });
}

fn parent_and_child(house: &mut House, worker: Former) -> (Child, i32) {
    end_grandchild(house, worker);
    let parent = worker.given_to(beside(house, &["stay:x"]));
    (parent, child_of(house, worker.pid))
}

fn are_unharmed((parent, child): (Child, i32)) {
    assert_eq!(field(child, "ShdPnd"), format!("{:016x}", 0), "no signal is on its way");
    is_unharmed(parent);
    signal_any(child, libc::SIGKILL);
    assert_eq!(wait(child), libc::SIGKILL, "nothing else has ended it");
}

/// Stops the daemon of its pid file, when it is told to.
pub fn stopping() -> ! {
    let pid_file = std::env::args().nth(1).expect("a pid file");
    daemonctx::parts::block_only(&[libc::SIGUSR1]).expect("a signal");
    report("here");
    await_signal();
    let (pid_file, run) = (Path::new(&pid_file), Path::new(&pid_file).parent());
    let daemon = Monitored::find("program", Some(pid_file), run).expect("readable").expect("a daemon");
    report(format!("stopped {:?}", daemon.stop(StopRequest::Terminate, Some(LONG)).ok()));
    std::process::exit(0)
}

fn children_without_monitor(house: &mut House) {
    if !tracing::is_possible() {
        return;
    }
    in_own_namespace(house, CHILDREN_WITHOUT_MONITOR, |house| {
        let (_, monitor, _, worker) = with_grandchild(house, "x");
        kill(monitor);
        let mut stopper = house.program("stopping", &[]).spawn().unwrap();
        house.hear_from("here");
        let stopper_pid = i32::try_from(stopper.id()).unwrap();
        let traced = Traced::new(stopper_pid);
        signal_any(stopper_pid, libc::SIGUSR1);
        traced.hold_before(lists_children(worker.pid));
        let innocents = parent_and_child(house, worker);
        drop(traced);
        assert_eq!(house.hear_from("stopped "), "Some(true)");
        assert!(stopper.wait().unwrap().success());
        are_unharmed(innocents);
        house.wait_for_all();
    });
}
