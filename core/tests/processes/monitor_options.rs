//! What a launch with a monitor obeys, and what it says when it cannot.

use crate::Test;
use crate::house::{House, before_exec, exists, field, refuse, signal_any, stat, until};
use crate::monitor::{SLEEP, found, launch, state_files, stop};
use crate::monitor_names::{borrowed, read_pid, shell};
use crate::reused::{in_own_namespace, mount_run};
use crate::syslog::{Dev, around, may_mount};
use daemonctx::{Monitored, MonitoredOutput, MonitoredState, PidFile, StopRequest, Stopped};
use std::ffi::{CStr, CString};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

const FULL: &str = "monitor: gives up while the disk is full";
const NO_ROOM: &str = "monitor: a launch without room for its state file";

pub const TESTS: &[Test] = &[
    ("monitor: half a second without a kind of readiness", usual_readiness),
    ("monitor: goes into the background", forked),
    ("monitor: listens", listens),
    ("monitor: a forged row of a socket is no listener", forged_row),
    ("monitor: a file appears", file),
    ("monitor: kinds of readiness that cannot be", bad_readiness),
    ("monitor: messages from another network namespace", network_namespace),
    ("monitor: stop signal, timeout and kill mode", stopping),
    ("monitor: a stop by the pid file is the end of a daemon that is restarted", stop_by_pid_file),
    ("monitor: a directory of the daemon's own", runtime_directory),
    ("monitor: a directory of a launch that fails", runtime_directory_of_a_failure),
    ("monitor: log files are opened again", logs),
    ("monitor: syslog over restarts", syslog),
    ("monitor: syslog names each life that wrote, however late it is read", late_logger),
    ("monitor: last words of a launch that fails", last_words),
    ("monitor: gives up", gives_up),
    (FULL, gives_up_on_full_disk),
    (NO_ROOM, starts_on_full_disk),
    ("monitor: pid file of a program that closes its lock", closed_lock),
    ("monitor: neither /run nor XDG_RUNTIME_DIR", no_runtime_directory),
    ("monitor: PID 1 of a container", container),
];

fn usual_readiness(house: &mut House) {
    let script = shell(house, "echo $$ > $D/own; sleep 0.1; exit 3", &["ready=usual"]);
    house.start("launching", &borrowed(&script)).is(0, "");
    let said = house.hear_from("failed ");
    let expected = format!("3 None start failed: PID {}: exited with status 3", read_pid(house, "own"));
    assert!(said.starts_with(&expected), "{said}");
    let begun = Instant::now();
    let (_, monitor) = launch(house, &[&SLEEP[..], &["ready=usual"]].concat());
    assert!(begun.elapsed() >= Duration::from_millis(500));
    stop(house, monitor);
}

fn forked(house: &mut House) {
    let script = "sh -c 'echo $$ > $D/own; exec sleep 1000' & while ! [ -s $D/own ]; do sleep 0.01; done; exit 0";
    let named = format!("ready=forked:{}", house.path("own").display());
    for ready in ["ready=forked", &named] {
        let script = shell(house, script, &[ready]);
        let (daemon, monitor) = launch(house, &borrowed(&script));
        assert_eq!((daemon, house.pid()), (read_pid(house, "own"), daemon));
        stop(house, monitor);
        fs::remove_file(house.path("own")).unwrap();
    }
}

/// Also where no process may look at another's descriptors, as below Docker's filter of system calls.
fn listens(house: &mut House) {
    let socket = house.path("socket").display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let unix = format!("s = socket.socket(socket.AF_UNIX); s.bind({socket:?}); s.listen()");
    let internet = |family: &str, host: &str| {
        let reuse = "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)";
        format!("s = socket.socket(socket.{family}); {reuse}; s.bind(({host:?}, {port})); s.listen()")
    };
    std::os::unix::fs::symlink(&house.folder, house.path("link")).unwrap();
    for (body, ready) in [
        (unix.clone(), format!("socket:{socket}")),
        (unix, format!("socket:{}/socket", house.path("link").display())),
        (internet("AF_INET", "127.0.0.1"), format!("port:{port}")),
        (internet("AF_INET6", "::ffff:127.0.0.1"), format!("port:{port}")),
    ] {
        let script = format!("arg=import socket, time; time.sleep(0.1); {body}; time.sleep(1000)");
        let ready = format!("ready={ready}");
        let program = ["path=/usr/bin/env", "arg=env", "arg=python3", "arg=-c", &script, &ready];
        for is_refused in [false, true] {
            let mut command = house.program("launching", &program);
            if is_refused {
                before_exec(&mut command, || refuse(libc::SYS_pidfd_getfd, 2, 0, libc::EPERM));
            }
            house.finish(command).is(0, "");
            let daemon: i32 = house.hear_from("pid ").parse().unwrap();
            let is_there = match ready.starts_with("ready=socket") {
                true => UnixStream::connect(&socket).is_ok(),
                false => TcpStream::connect(("127.0.0.1", port)).is_ok(),
            };
            assert!(is_there, "{ready} {is_refused}");
            stop(house, field(daemon, "PPid").parse().unwrap());
            let _ = fs::remove_file(&socket);
        }
    }
}

/// Another process listens at the path, and the name of a socket has a newline and what looks like a row of the program's own.
fn forged_row(house: &mut House) {
    let path = house.path("socket");
    let _other = UnixListener::bind(&path).unwrap();
    let (own, _peer) = UnixStream::pair().unwrap();
    let inode = fs::metadata(format!("/proc/self/fd/{}", own.as_raw_fd())).unwrap().ino();
    let row = format!("{}\n0: 00000002 00000000 00010000 0001 01 {inode} {}", house.folder.display(), path.display());
    let _forger = UnixListener::bind_addr(&SocketAddr::from_abstract_name(row).unwrap()).unwrap();
    assert!(fs::read_to_string("/proc/net/unix").unwrap().contains(&format!(" {inode} {}", path.display())));
    let keep = format!("keep={}", own.as_raw_fd());
    let ready = format!("ready=socket:{}", path.display());
    // SAFETY: fcntl takes numbers.
    assert_eq!(unsafe { libc::fcntl(own.as_raw_fd(), libc::F_SETFD, 0) }, 0);
    house.start("launching", &[&SLEEP[..], &[&keep, &ready, "timeout=300"]].concat()).is(0, "");
    let said = house.hear_from("failed ");
    assert!(said.contains("nothing listens there"), "{said}");
    house.wait_for_all();
}

fn file(house: &mut House) {
    let ready = format!("ready=file:{}", house.path("ready").display());
    let script = shell(house, "sleep 0.1; : > $D/ready; exec sleep 1000", &[&ready]);
    let (_, monitor) = launch(house, &borrowed(&script));
    assert!(exists(&house.path("ready")));
    stop(house, monitor);
}

fn bad_readiness(house: &mut House) {
    for (ready, line) in [
        ("ready=port:0", "ready failed: listen: Invalid argument (22 EINVAL)"),
        ("ready=newline:2", "ready failed: 2: Bad file descriptor (9 EBADF)"),
        ("ready=file:", "ready failed: file: No such file or directory (2 ENOENT)"),
    ] {
        house.start("launching", &[&SLEEP[..], &[ready]].concat()).is(0, "");
        let said = house.hear_from("failed ");
        assert_eq!(said, format!("1 None {}", crate::house::worded(line)));
    }
    assert!(state_files(house).is_empty());
}

fn network_namespace(house: &mut House) {
    // SAFETY: geteuid takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return println!("skipped: needs root");
    }
    let script = "import os, socket, time; name = os.environ['NOTIFY_SOCKET']
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', name); time.sleep(1000)";
    let program = ["path=/usr/bin/unshare", "arg=unshare", "arg=-n", "arg=python3", "arg=-c", &format!("arg={script}")];
    let (_, monitor) = launch(house, &[&program[..], &["ready=notify:"]].concat());
    until(|| !state_files(house).iter().any(|name| name.ends_with(".notify")));
    stop(house, monitor);
}

fn stopping(house: &mut House) {
    let script = "trap 'echo $$ > $D/usr1; exit 0' USR1; trap '' TERM; setsid sleep 1000 & echo $! > $D/worker
        echo >&3; while :; do sleep 0.01; done";
    let signal = format!("stop_signal={}", libc::SIGUSR1);
    let words = shell(house, script, &["ready=newline:3", &signal, "spare"]);
    let (daemon, monitor) = launch(house, &borrowed(&words));
    let worker = read_pid(house, "worker");
    stop_but(house, monitor);
    assert_eq!(read_pid(house, "usr1"), daemon);
    signal_any(worker, libc::SIGKILL);
    house.wait_for_all();
    // SIGTERM is ignored, so it is the timeout that ends it.
    let words = shell(house, script, &["ready=newline:3", "stop_timeout=200"]);
    let (_, monitor) = launch(house, &borrowed(&words));
    let begun = Instant::now();
    stop(house, monitor);
    assert!(begun.elapsed() >= Duration::from_millis(200) && begun.elapsed() < Duration::from_secs(4));
}

/// Descendants stay.
fn stop_but(house: &mut House, monitor: i32) {
    assert_eq!(found(house).monitor_pid(), monitor);
    assert!(found(house).stop(StopRequest::Terminate, None).expect("a monitor"));
}

/// The program ends by itself, by the signal, or by SIGKILL; its child is ended after it.
fn stop_by_pid_file(house: &mut House) {
    let words = ["ready=newline:3", "respawn=10", "stop_timeout=5000"];
    for (trap, program, how) in [
        (":", "exec sleep 1000", Stopped::Terminated),
        ("trap 'exit 143' TERM", "while :; do sleep 0.02; done", Stopped::Terminated),
        ("trap '' TERM", "exec sleep 1000", Stopped::Killed),
    ] {
        let script = format!("sleep 2000 & {trap}; echo x >> $D/lives; echo >&3; exec 3>&-; {program}");
        let (daemon, _) = launch(house, &borrowed(&shell(house, &script, &words)));
        signal_any(daemon, libc::SIGKILL);
        let lives = || fs::read_to_string(house.path("lives")).unwrap_or_default().lines().count();
        until(|| lives() == 2 && found(house).pid().is_some_and(|pid| pid != daemon && pid == house.pid()));
        let file = PidFile::new(house.pid_file()).unwrap();
        assert_eq!(file.stop(Duration::from_millis(300)), Ok(how), "{trap}");
        assert!(!house.pid_file().exists() && state_files(house).is_empty() && lives() == 2, "{trap}");
        house.wait_for_all();
        fs::remove_file(house.path("lives")).unwrap();
    }
}

fn runtime_directory(house: &mut House) {
    let (directory, pid_file) = (house.path("own"), house.path("own/pid"));
    let words = ["ready=running:10", "respawn=10"];
    let own = [format!("runtime={}", directory.display()), format!("pid_file={}", pid_file.display())];
    let all = shell(house, "echo x >> $D/lives; exec sleep 1000", &words);
    let all = [&borrowed(&all)[..], &borrowed(&own)[..]].concat();
    let (daemon, monitor) = launch(house, &all);
    let lives = || fs::read_to_string(house.path("lives")).unwrap_or_default().lines().count();
    until(|| lives() == 1);
    signal_any(daemon, libc::SIGKILL);
    until(|| lives() == 2);
    assert!(exists(&pid_file), "kept over restarts");
    let found = Monitored::find("program", Some(&pid_file), Some(&house.folder)).unwrap().unwrap();
    assert_eq!(found.monitor_pid(), monitor);
    assert!(found.stop(StopRequest::Terminate, None).unwrap());
    assert!(!exists(&directory));
    house.wait_for_all();
}

fn runtime_directory_of_a_failure(house: &mut House) {
    let directory = house.path("own");
    let own = [format!("runtime={}", directory.display()), format!("pid_file={}", house.path("own/pid").display())];
    for program in ["exit 3", "kill -9 $PPID; sleep 1000"] {
        let all = shell(house, program, &["ready=running:5000"]);
        house.start("launching", &[&borrowed(&all)[..], &borrowed(&own)[..]].concat()).is(0, "");
        house.hear_from("failed ");
        house.wait_for_all();
        assert!(!exists(&directory) && state_files(house).is_empty(), "{program}");
    }
}

fn logs(house: &mut House) {
    let script = "echo life; echo error >&2; while ! [ -e $D/go ]; do sleep 0.01; done; rm $D/go; exit 3";
    fs::write(house.path("out"), "before\n").unwrap();
    let (out, err) = (house.path("out"), house.path("err"));
    // Relative to the launcher's directory, which is not the monitor's.
    let more = ["out_log=out", "err_log=err", "log_truncate", "respawn=10", "for_ever", "ready=running:10"];
    let all = shell(house, script, &more);
    let mut command = house.program("launching", &borrowed(&all));
    command.current_dir(&house.folder);
    house.finish(command).is(0, "");
    house.hear_from("pid ");
    let read = |path: &std::path::Path| fs::read_to_string(path).unwrap_or_default();
    until(|| read(&out) == "life\n");
    assert_eq!(
        (found(house).stdout(), found(house).stderr()),
        (MonitoredOutput::File(&out), MonitoredOutput::File(&err))
    );
    fs::rename(&out, house.path("out.1")).unwrap();
    fs::write(house.path("go"), "").unwrap();
    until(|| read(&out) == "life\n" && read(&err) == "error\nerror\n");
    assert_eq!(read(&house.path("out.1")), "life\n");
    // Where it cannot be opened again, the open one goes on.
    fs::remove_file(&err).unwrap();
    fs::create_dir(&err).unwrap();
    fs::write(house.path("go"), "").unwrap();
    until(|| read(&out) == "life\nlife\n");
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

fn syslog(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let script = "printf '%s\\n' first; printf last; [ -e $D/go ] && exec sleep 1000; : > $D/go; sleep 0.05; exit 3";
    let all = shell(house, script, &["out_syslog=", "respawn=10", "ready=running:10"]);
    let mut command = house.program("launching", &borrowed(&all));
    before_exec(&mut command, around(house));
    house.finish(command).is(0, "");
    let first: i32 = house.hear_from("pid ").parse().unwrap();
    assert_eq!(found(house).stdout(), MonitoredOutput::Syslog);
    let heard: Vec<String> = (0..3).map(|_| dev.hear()).collect();
    until(|| found(house).state() == MonitoredState::Running && found(house).restarts().0 == 1);
    let second = found(house).pid().unwrap();
    let expected = [(first, "first"), (first, "last"), (second, "first")];
    assert_eq!(heard, expected.map(|(pid, text)| format!("<30>program[{pid}]: {text}")));
    let monitor = found(house).monitor_pid();
    assert_eq!(house.children().iter().filter(|pid| is_logger(**pid)).count(), 1);
    stop(house, monitor);
    assert_eq!(dev.hear(), format!("<30>program[{second}]: last"));
}

/// A logger that does not run while the program ends: the next life waits for it.
fn late_logger(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let script = "[ -e $D/first ] && { echo second; : > $D/second; exec sleep 1000; }
        while ! [ -e $D/go ]; do sleep 0.01; done; echo first; printf rest; : > $D/first; exit 3";
    let all = shell(house, script, &["out_syslog=", "respawn=10", "ready=running:10"]);
    let mut command = house.program("launching", &borrowed(&all));
    before_exec(&mut command, around(house));
    house.finish(command).is(0, "");
    let first: i32 = house.hear_from("pid ").parse().unwrap();
    let logger = house.children().into_iter().find(|pid| is_logger(*pid)).expect("a logger");
    signal_any(logger, libc::SIGSTOP);
    until(|| stat(logger)[0] == "T");
    fs::write(house.path("go"), "").unwrap();
    // A second life that does not wait begins after 10 ms.
    let begun = Instant::now();
    until(|| exists(&house.path("second")) || begun.elapsed() > Duration::from_millis(300));
    until(|| exists(&house.path("first")));
    signal_any(logger, libc::SIGCONT);
    let heard: Vec<String> = (0..3).map(|_| dev.hear()).collect();
    until(|| found(house).state() == MonitoredState::Running && found(house).restarts().0 == 1);
    let second = found(house).pid().unwrap();
    let expected = [(first, "first"), (first, "rest"), (second, "second")];
    assert_eq!(heard, expected.map(|(pid, text)| format!("<30>program[{pid}]: {text}")));
    let monitor = found(house).monitor_pid();
    stop(house, monitor);
}

fn is_logger(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == "daemonctx-log\n")
}

fn last_words(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let all = shell(house, "echo out; echo broken >&2; exit 3", &["out_syslog=", "err_syslog=", "ready=running:5000"]);
    let mut command = house.program("launching", &borrowed(&all));
    before_exec(&mut command, around(house));
    house.finish(command).is(0, "");
    house.hear_from("failed 3 ");
    let mut heard = [dev.hear(), dev.hear()].map(|line| line.replace(|digit: char| digit.is_ascii_digit(), ""));
    heard.sort();
    assert_eq!(heard, ["<>program[]: broken", "<>program[]: out"]);
    house.wait_for_all();
}

fn gives_up(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let all = shell(house, "sleep 0.05; exit 3", &["respawn=10", "ready=running:10"]);
    let mut command = house.program("launching", &borrowed(&all));
    before_exec(&mut command, around(house));
    house.finish(command).is(0, "");
    house.hear_from("pid ");
    let monitor = found(house).monitor_pid();
    assert_eq!(
        dev.hear(),
        format!("<28>program[{monitor}]: gave up after 2 restarts: the program exited with status 3")
    );
    house.wait_for_all();
    assert_eq!(found(house).state(), MonitoredState::GaveUp);
    found(house).stop(StopRequest::Terminate, None).unwrap();
}

/// The program fills the directory of state files, in each of its lives.
fn gives_up_on_full_disk(house: &mut House) {
    in_own_namespace(house, FULL, |house| {
        mount_run(c"size=32k,mode=755");
        let script = "while ! [ -e $D/go ]; do sleep 0.01; done; head -c 100000 /dev/zero >> /run/fill; exit 3";
        let all = shell(house, script, &["respawn=10", "ready=running:10", "usual_run"]);
        house.start("launching", &borrowed(&all)).is(0, "");
        house.hear_from("pid ");
        fs::write(house.path("go"), "").unwrap();
        house.wait_for_all();
        let state = Monitored::find("program", Some(&house.pid_file()), None).unwrap().expect("a record");
        assert_eq!((state.state(), state.restarts().0), (MonitoredState::GaveUp, 2));
    });
}

/// There is no room for a state file. The error is that, and names the file.
fn starts_on_full_disk(house: &mut House) {
    in_own_namespace(house, NO_ROOM, |house| {
        mount_run(c"size=32k,mode=755");
        fs::create_dir("/run/daemonctx").unwrap();
        assert!(fs::write("/run/fill", [0; 100_000]).is_err(), "full");
        let all = shell(house, "sleep 1000", &["ready=running:10", "usual_run"]);
        house.start("launching", &borrowed(&all)).is(0, "");
        let line = house.hear_from("failed ");
        assert!(line.contains(".state: No space left on device (28 ENOSPC)"), "{line}");
        house.wait_for_all();
    });
}

/// The program gives up the lock. Then its monitor has it, and after that its identity is in the state file.
fn closed_lock(house: &mut House) {
    if !may_mount() {
        return;
    }
    let script = "import os, time; os.closerange(3, 1024); os.write(1, b'x\\n'); time.sleep(1000)";
    let out = format!("stdout={}", house.path("out").display());
    let program = ["path=/usr/bin/env", "arg=env", "arg=python3", "arg=-c", &format!("arg={script}"), &out];
    let (daemon, monitor) = launch(house, &[&program[..], &["ready=running:10"]].concat());
    until(|| exists(&house.path("out")) && fs::metadata(house.path("out")).unwrap().len() > 0);
    let running = format!("Ok(Running({daemon}))");
    assert_eq!(ask(house, false), running, "by its monitor's lock");
    signal_any(monitor, libc::SIGKILL);
    until(|| found(house).state() == MonitoredState::Unmonitored);
    assert_eq!(ask(house, false), "Ok(Stale)", "state files are not looked for here");
    assert_eq!(ask(house, true), running, "by the state file");
    assert!(found(house).stop(StopRequest::Terminate, None).unwrap());
    house.wait_for_all();
}

/// What the pid file says; with the folder as `/run`.
fn ask(house: &mut House, sees_state: bool) -> String {
    let mut command = house.program("asking", &[]);
    if sees_state {
        let folder = CString::new(house.folder.to_str().unwrap()).unwrap();
        before_exec(&mut command, move || {
            let mount = |from: &CStr, to: &CStr, flags| {
                // SAFETY: the strings are NUL-terminated; neither type nor data is needed.
                unsafe { libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), flags, std::ptr::null()) }
            };
            // SAFETY: unshare takes a number.
            let is_own = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
            let is_private = is_own && mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE) == 0;
            if !is_private || mount(&folder, c"/run", libc::MS_BIND) != 0 {
                // SAFETY: abort does not return.
                unsafe { libc::abort() };
            }
        });
    }
    house.finish(command).is(0, "");
    house.hear_from("status ")
}

/// Neither `/run` nor `XDG_RUNTIME_DIR` is this user's: the directory below `/tmp` is, here in a name space of its own.
fn no_runtime_directory(house: &mut House) {
    if !may_mount() {
        return;
    }
    let script = r#"mount -t tmpfs none /mnt && mkdir -p /mnt/tmp /mnt/work && chmod 1777 /mnt/tmp /mnt/work && cp "$1" /mnt/work/binary &&
        mount --bind /mnt/tmp /tmp && cd / && shift && unset XDG_RUNTIME_DIR && DAEMONCTX_BINARY=/mnt/work/binary && export DAEMONCTX_BINARY &&
        setpriv --reuid 65534 --regid 65534 --clear-groups /mnt/work/binary /mnt/work/pid "$@" &&
        ls /tmp/daemonctx-65534/daemonctx && stat -c %a /tmp/daemonctx-65534 /tmp/daemonctx-65534/daemonctx"#;
    let mut command = std::process::Command::new("unshare");
    let binary = crate::house::this_binary();
    command.args(["-m", "sh", "-c", script, "sh"]).arg(&binary).args(SLEEP).arg("usual_run");
    let program = house.program("launching", &[]);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let out = house.path("out");
    command.stdin(std::process::Stdio::null()).stdout(fs::File::create(&out).unwrap());
    house.finish(command).is(0, "");
    let daemon: i32 = house.hear_from("pid ").parse().unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "-mnt-work-pid.lock\n-mnt-work-pid.state\n700\n700\n");
    let parent: i32 = crate::house::field(daemon, "PPid").parse().unwrap();
    signal_any(parent, libc::SIGTERM);
    house.wait_for_all();
}

fn container(house: &mut House) {
    if !may_mount() {
        return;
    }
    let mut command = house.program("launching", &SLEEP);
    // SAFETY: unshare takes a number, fork nothing; the child goes on to exec.
    before_exec(&mut command, || unsafe {
        if libc::unshare(libc::CLONE_NEWPID) != 0 {
            libc::abort();
        }
        let child = libc::fork();
        if child != 0 {
            let mut status = 0;
            libc::waitpid(child, &raw mut status, 0);
            libc::_exit(libc::WEXITSTATUS(status));
        }
    });
    house.finish(command).is(0, "");
    let said = house.hear_from("failed ");
    assert!(
        said.starts_with("1 None start failed: PID 1 (a container ends with it") && said.contains("use run"),
        "{said}"
    );
    assert!(state_files(house).is_empty());
}
