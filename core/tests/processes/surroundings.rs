//! Where a start begins: signals, descriptors, parents.

use crate::Test;
use crate::house::{House, before_exec, descriptors, field, stat};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

pub const TESTS: &[Test] = &[
    ("surroundings: SIGCHLD and SIGHUP ignored", inherited_ignored),
    ("surroundings: all signals blocked", all_blocked),
    ("surroundings: any of descriptors 0 to 2 closed", closed_streams),
    ("surroundings: below inetd", below_inetd),
    ("surroundings: a socket pair as standard input is no inetd", a_socket_pair_is_no_inetd),
    ("surroundings: a child of PID 1 in a PID namespace", child_of_init),
    ("surroundings: a child of a shell that is PID 1 and has signals blocked for a moment", child_of_busy_shell),
    ("surroundings: a child of a container's init stays", below_a_containers_init),
    ("surroundings: a child of a supervisor stays", below_a_supervisor),
    ("surroundings: a descendant of supervisord detaches", a_descendant_of_supervisord),
    ("surroundings: NOTIFY_SOCKET", notify_socket),
];

fn inherited_ignored(house: &mut House) {
    let ignore = || {
        // SAFETY: signal with SIG_IGN is safe between fork and exec.
        unsafe {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
    };
    let mut command = house.program("daemon", &[]);
    before_exec(&mut command, ignore);
    house.finish(command).is(0, "");
    let pid = house.hear_number();
    let ignored = u64::from_str_radix(&field(pid, "SigIgn"), 16).unwrap();
    assert_eq!(ignored & (1 << (libc::SIGCHLD - 1) | 1 << (libc::SIGHUP - 1)), 0);
    house.end(pid, libc::SIGTERM);

    let mut command = house.program("ending", &["manual", "then=exit 4"]);
    before_exec(&mut command, ignore);
    house.finish(command).is(4, "exited with status 4");
}

fn all_blocked(house: &mut House) {
    let mut command = house.program("daemon", &[]);
    before_exec(&mut command, || {
        // SAFETY: the set is filled before it is used; both calls are safe between fork and exec.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        }
    });
    house.finish(command).is(0, "");
    let pid = house.hear_number();
    assert_eq!(field(pid, "SigBlk"), "0000000000000000");
    house.end(pid, libc::SIGTERM);
}

fn closed_streams(house: &mut House) {
    for closed in 0..8 {
        let mut command = house.program("daemon", &[]);
        before_exec(&mut command, move || {
            for fd in (0..3).filter(|fd| closed & 1 << fd != 0) {
                // SAFETY: close takes a number and is safe between fork and exec.
                unsafe { libc::close(fd) };
            }
        });
        assert_eq!(house.finish(command).code(), 0, "{closed:03b}");
        let pid = house.hear_number();
        let open = descriptors(pid);
        assert!(open.iter().take(3).all(|(_, target)| target == "/dev/null"), "{closed:03b}: {open:?}");
        house.end(pid, libc::SIGTERM);
    }
}

fn below_inetd(house: &mut House) {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (connection, _) = server.accept().unwrap();
    let [a, b, c] = [(); 3].map(|()| Stdio::from(OwnedFd::from(connection.try_clone().unwrap())));
    let mut command = house.program("daemon", &[]);
    let mut service = command.stdin(a).stdout(b).stderr(c).spawn().unwrap();
    let pid = house.hear_number();
    assert_eq!(pid, i32::try_from(service.id()).unwrap(), "it did not fork");
    let open = descriptors(pid);
    assert!(open.iter().take(3).all(|(_, target)| target.starts_with("socket:")), "{open:?}");
    service.kill().unwrap();
    service.wait().unwrap();
}

fn a_socket_pair_is_no_inetd(house: &mut House) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = house.program("daemon", &[]);
    command.stdin(Stdio::from(OwnedFd::from(theirs)));
    house.finish(command).is(0, "");
    let pid = house.hear_number();
    assert_ne!(field(pid, "PPid"), "0");
    assert_eq!(descriptors(pid)[0].1, "/dev/null", "it detached ({})", ours.as_raw_fd());
    house.end(pid, libc::SIGTERM);
}

fn child_of_init(house: &mut House) {
    // PID 1 starts the daemon, sees the starter leave, and ends: the namespace and all in it end with it.
    let script = "\"$@\"; status=$?; read -r daemon < \"$2\"; \
                  echo \"$status $(ps -o ppid= -p $daemon) $(ps -o sid= -p $daemon) $daemon\" >&2";
    detaches_below(house, &["sh", "-c", script, "sh"]);
}

/// Shells block all signals while they make a child (vfork(2)), which may run before they go on.
fn child_of_busy_shell(house: &mut House) {
    const SHELL: &str = "
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, setsigmask=[])
end = time.monotonic() + 0.1
while time.monotonic() < end: pass
signal.pthread_sigmask(signal.SIG_SETMASK, [])
status = os.waitpid(child, 0)[1]
daemon = int(open(sys.argv[2]).read())
parent = open(f'/proc/{daemon}/stat').read().rpartition(')')[2].split()[1]
print(status, parent, os.getsid(daemon), daemon, file=sys.stderr)";
    detaches_below(house, &["python3", "-c", SHELL]);
}

/// `unshare` is util-linux's; making a PID namespace needs root.
fn detaches_below(house: &mut House, init: &[&str]) {
    let this = house.program("daemon", &[]);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).args(init);
    command.arg(this.get_program()).args(this.get_args());
    command.envs(this.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let left = house.finish(command);
    let seen: Vec<i32> = left.said.split_whitespace().map(|word| word.parse().expect(&left.said)).collect();
    let [status, parent, session, daemon] = seen[..] else { panic!("{left:?}") };
    assert_eq!((status, parent), (0, 1), "it detached, and init adopted it");
    assert_ne!(session, daemon);
    assert_eq!(house.hear_number(), daemon);
}

/// tini, catatonit and dumb-init block signals, to wait for them, or give their child a process group. A shell does neither here.
fn below_a_containers_init(house: &mut House) {
    for (init, blocked) in [("set -m; \"$@\"; echo $?", false), ("\"$@\"; echo $?", true)] {
        let this = house.program("ending", &["then=exit 5"]);
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "bash", "-c", init, "bash"]);
        command.arg(this.get_program()).args(this.get_args());
        command.envs(this.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        if blocked {
            before_exec(&mut command, || {
                // SAFETY: the set is filled before it is used; both calls are safe between fork and exec.
                unsafe {
                    let mut all: libc::sigset_t = std::mem::zeroed();
                    libc::sigfillset(&raw mut all);
                    libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
                }
            });
        }
        let said = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "5\n", "{init}: {said:?}");
        house.hear_number();
    }
}

fn below_a_supervisor(house: &mut House) {
    for name in ["runsv", "s6-supervise", "supervise", "supervise-daemon", "systemd"] {
        let supervisor = house.path(name);
        std::fs::copy("/bin/sh", &supervisor).unwrap();
        let this = house.program("ending", &["then=exit 5"]);
        let mut command = Command::new(&supervisor);
        command.args(["-c", "setsid --wait \"$@\"; exit $?", "sh"]);
        command.envs(this.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        // setsid(1) forks where it leads a process group, as it does not here.
        command.arg(this.get_program()).args(this.get_args());
        assert_eq!(command.status().unwrap().code(), Some(5), "{name}");
        house.hear_number();
    }
    let mut command = house.program("ending", &["then=exit 5"]);
    command.env("SUPERVISOR_ENABLED", "1").process_group(0);
    assert_eq!(command.status().unwrap().code(), Some(5), "supervisord");
    house.hear_number();
    let mut command = house.program("ending", &["then=exit 5"]);
    assert_eq!(below_its_own_pid(&mut command).code(), Some(5), "SYSTEMD_EXEC_PID");
    house.hear_number();
}

/// Runs a program as systemd does, which says in the environment what its PID is.
fn below_its_own_pid(program: &mut Command) -> std::process::ExitStatus {
    let mut command = Command::new("sh");
    command.args(["-c", "SYSTEMD_EXEC_PID=$$ exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    command.status().unwrap()
}

fn a_descendant_of_supervisord(house: &mut House) {
    let mut command = house.program("daemon", &[]);
    command.env("SUPERVISOR_ENABLED", "1").env("SYSTEMD_EXEC_PID", "1");
    house.finish(command).is(0, "");
    let pid = house.hear_number();
    house.end(pid, libc::SIGTERM);
}

fn notify_socket(house: &mut House) {
    let path = house.path("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    // A service's own process stays, a child of it does not.
    let mut service = house.program("daemon", &[]).env("NOTIFY_SOCKET", &path).stderr(Stdio::null()).spawn().unwrap();
    let pid = house.hear_number();
    assert_eq!(pid, i32::try_from(service.id()).unwrap());
    let mut message = [0; 256];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(std::str::from_utf8(&message[..length]).unwrap(), format!("READY=1\nMAINPID={pid}"));
    service.kill().unwrap();
    service.wait().unwrap();

    let mut command = house.program("daemon", &[]);
    command.env("NOTIFY_SOCKET", &path).env("SYSTEMD_EXEC_PID", "1");
    house.finish(command).is(0, "");
    let pid = house.hear_number();
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(std::str::from_utf8(&message[..length]).unwrap(), format!("READY=1\nMAINPID={pid}"));
    assert_ne!(stat(pid)[3], pid.to_string());
    house.end(pid, libc::SIGTERM);
}
