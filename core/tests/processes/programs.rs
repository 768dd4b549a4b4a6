//! The programs under test: what this binary does when it is one of them. The first argument is the pid file.

use crate::guard;
use crate::house::REPORT;
use daemonctx::{Context, Daemon, Detach, Facility, Fork, Groups, KillMode, LogFile, Severity, Stream, Syslog};
use std::time::Duration;

/// Reports a line, without allocating.
fn report_bytes(line: &[u8]) {
    let fd = descriptor();
    // SAFETY: `line` is valid for reads of its length.
    unsafe { libc::write(fd, line.as_ptr().cast(), line.len()) };
}

pub fn report(line: impl std::fmt::Display) {
    report_bytes(format!("{line}\n").as_bytes());
}

pub fn descriptor() -> i32 {
    std::env::var(REPORT).ok().and_then(|fd| fd.parse().ok()).expect("a descriptor to report on")
}

/// A daemon as the program's words describe it: `user=nobody`, `manual`, `timeout=300` …
pub fn described() -> Daemon {
    let mut daemon = Daemon::new();
    let pid_file = std::env::args_os().nth(1).expect("a pid file");
    daemon.program_name("program").keep_descriptor(descriptor());
    for word in std::env::args().skip(2) {
        let (name, value) = word.split_once('=').unwrap_or((&word, ""));
        match name {
            "user" => drop(daemon.user(value)),
            "group" => drop(daemon.group(value)),
            "no_groups" => drop(daemon.supplementary_groups(Groups::None)),
            "no_new_privileges" => drop(daemon.no_new_privileges(true)),
            "directory" => drop(daemon.working_directory(value)),
            "chroot" => drop(daemon.chroot(value)),
            "runtime" => drop(daemon.runtime_directory(value)),
            "umask" => drop(daemon.umask(u32::from_str_radix(value, 8).expect("a mode"))),
            "keep" => drop(daemon.keep_descriptor(value.parse().expect("a number"))),
            "stdin" => drop(daemon.stdin(Stream::file(value))),
            "stderr" => drop(daemon.stderr(Stream::file(value))),
            "stdout" => drop(daemon.stdout(Stream::file(value))),
            "out_log" => drop(daemon.stdout(log_file(value))),
            "err_log" => drop(daemon.stderr(log_file(value))),
            "out_syslog" => drop(daemon.stdout(syslog(value))),
            "err_syslog" => drop(daemon.stderr(syslog(value))),
            "manual" => drop(daemon.manual_ready(true)),
            "allow_threads" => drop(daemon.allow_threads(true)),
            "timeout" => {
                daemon.ready_timeout(Some(Duration::from_millis(value.parse().expect("a number"))));
            }
            "stop_signal" => drop(daemon.stop_signal(value.parse().expect("a number"))),
            "stop_timeout" => drop(daemon.stop_timeout(Duration::from_millis(value.parse().expect("a time")))),
            "spare" => drop(daemon.kill_mode(KillMode::Process)),
            "take_over" => drop(daemon.take_over(true)),
            "name" => drop(daemon.program_name(value)),
            "detach" => drop(daemon.detach(if value == "no" { Detach::No } else { Detach::Yes })),
            "usual_run" | "exec" | "stranger" | "remove_self" | "path" | "arg" | "env" | "clean" | "ready"
            | "respawn" | "for_ever" => {}
            "forge" | "bytes" | "flood" | "fail" | "pause" | "exit" | "nothing" => {}
            "request" | "anonymous" | "pid_file" | "then" | "log_mode" | "log_user" | "log_group" | "log_truncate"
            | "log_to" => {}
            other => panic!("no word {other}"),
        }
    }
    if !std::env::args().any(|word| word == "anonymous") {
        let other = std::env::args().find_map(|word| word.strip_prefix("pid_file=").map(Into::into));
        daemon.pid_file(other.unwrap_or(pid_file));
    }
    daemon
}

/// A log file, as the words that begin with `log_` describe it.
fn log_file(path: &str) -> LogFile {
    std::env::args().skip(2).fold(LogFile::new(path), |file, word| match word.split_once('=') {
        Some(("log_mode", mode)) => file.mode(u32::from_str_radix(mode, 8).expect("a mode")),
        Some(("log_user", user)) => file.user(user),
        Some(("log_group", group)) => file.group(group),
        _ if word == "log_truncate" => file.truncate(true),
        _ => file,
    })
}

/// Syslog under this identity, if any; `log_to=FACILITY.SEVERITY`.
fn syslog(identity: &str) -> Syslog {
    let syslog = if identity.is_empty() { Syslog::new() } else { Syslog::new().identity(identity) };
    let to = std::env::args().find_map(|word| word.strip_prefix("log_to=").map(str::to_owned));
    let Some((facility, severity)) = to.as_ref().and_then(|to| to.split_once('.')) else { return syslog };
    let facility = Facility::from_number(facility.parse().expect("a number")).expect("a facility");
    syslog.facility(facility).severity(Severity::from_number(severity.parse().expect("a number")).expect("a severity"))
}

/// Opens; a refusal is reported on standard error as a program would. The builder is dropped only when all may allocate and
/// free again.
pub fn open() -> Context {
    let mut daemon = described();
    // SAFETY: where there are other threads they hold no lock that the daemon takes, and all descriptors are kept or unused.
    let opened = unsafe { daemon.open() };
    guard::allow();
    opened.unwrap_or_else(|error| {
        eprintln!("refused: {error}");
        std::process::exit(error.exit_status());
    })
}

pub fn pause_for_ever() -> ! {
    loop {
        // SAFETY: pause takes nothing.
        unsafe { libc::pause() };
    }
}

pub fn pid() -> i32 {
    i32::try_from(std::process::id()).expect("a PID")
}

/// Other threads that allocate and free without pause. All have begun: a thread that begins holds a lock of the standard library's,
/// which would stay held in the daemon, and exit() takes it there.
fn allocate_beside() {
    const SIZES: [usize; 4] = [16, 100, 3000, 70_000];
    let begun = std::sync::Arc::new(std::sync::Barrier::new(SIZES.len() + 1));
    for size in SIZES {
        let begun = begun.clone();
        std::thread::spawn(move || {
            begun.wait();
            loop {
                std::hint::black_box(vec![1_u8; size]);
            }
        });
    }
    begun.wait();
}

pub fn run(name: &str) -> ! {
    match name {
        "daemon" => daemon(),
        "ending" => ending(),
        "failing" => failing(),
        "waiting" => waiting(),
        "worker" => worker(),
        "managed" => managed(),
        "unwritable" => {
            let full = std::fs::File::create("/dev/full").expect("the device");
            // SAFETY: dup2 takes two numbers; standard output is nobody's.
            assert_eq!(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&full), 1) }, 1);
            print!("lost");
            drop(full);
            let _context = open();
            report(pid());
            std::process::exit(0);
        }
        "guarded" => {
            guard::forbid_children();
            let _context = open();
            report(pid());
            pause_for_ever();
        }
        "threaded" => {
            allocate_beside();
            let _context = open();
            report(pid());
            std::process::exit(0);
        }
        "launching" | "launched" => crate::launch::run(name),
        "relaunching" => crate::relaunch::run(),
        "leaving" => {
            let _context = open();
            report(pid());
            crate::launch::leave_to_another_thread()
        }
        "stopping" => crate::reused::stopping(),
        "restarting" => crate::monitor_stop::restarting(),
        "large" => crate::monitor_names::large(),
        "rewriting" | "executing" => crate::trust::run(name),
        "forking" => forking(),
        "signal_hook" | "tokio" | "chaining" | "restoring" => crate::handlers::run(name),
        "forging" | "forging_aside" => crate::records::run(name),
        "asking" => {
            let file = daemonctx::PidFile::new(std::env::args().nth(1).expect("a pid file"));
            report(format!("status {:?}", file.and_then(|file| file.status())));
            std::process::exit(0)
        }
        "retrying" => retrying(),
        "obeying" => crate::streams::obeying(),
        "activated" | "early" | "watched" | "talking" | "quiet" => crate::supervisors::run(name),
        other => crate::parts::run(other),
    }
}

/// Says its PID when it is a daemon, and then is one.
fn daemon() -> ! {
    let _context = open();
    report(pid());
    pause_for_ever()
}

/// Ends before it is ready, as `then=` says: `exit 3`, `kill 11`.
fn ending() -> ! {
    let then = std::env::args().find_map(|word| word.strip_prefix("then=").map(str::to_owned)).expect("an end");
    let (how, number) = then.split_once(' ').expect("a number");
    let number: i32 = number.parse().expect("a number");
    let _context = open();
    report(pid());
    if how == "kill" {
        // SAFETY: raise takes a number.
        unsafe { libc::raise(number) };
    }
    std::process::exit(number)
}

/// Says why it cannot become ready.
fn failing() -> ! {
    open().fail(9, "the port is taken").expect("the starter hears it");
    std::process::exit(0)
}

/// Is not ready until it gets SIGUSR1; then says what came of it.
fn waiting() -> ! {
    let mut context = open();
    // SAFETY: the set is initialised by sigemptyset before it is used, and the signal is blocked before it is awaited.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        report(pid());
        let mut signal = 0;
        libc::sigwait(&raw const set, &raw mut signal);
    }
    match context.ready() {
        Ok(()) => report("ready"),
        Err(error) => {
            report(error);
            std::process::exit(1);
        }
    }
    pause_for_ever()
}

/// Forks a worker that lives on when the daemon is killed.
fn worker() -> ! {
    let _context = open();
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => report(format!("worker {}", pid())),
        _ => report(format!("daemon {}", pid())),
    }
    pause_for_ever()
}

/// Forks a worker before it says that it is ready.
fn managed() -> ! {
    let mut context = open();
    report(pid());
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => report(pid()),
        _ => context.ready().expect("somebody who waits"),
    }
    pause_for_ever()
}

/// Starts a daemon and goes on; reports what it knows of it.
fn forking() -> ! {
    let own = daemonctx::PidFile::new(std::env::args().nth(1).expect("a pid file") + ".own").expect("a path");
    let lock = own.acquire().expect("our own pid file");
    let starter = pid();
    guard::forbid_children();
    let mut daemon = described();
    // SAFETY: this process has one thread, and all descriptors are kept or unused.
    let forked = unsafe { daemon.fork() };
    guard::allow();
    match forked {
        Ok(Fork::Daemon(_context)) => {
            report(format!("daemon {}", pid()));
            if std::env::args().any(|word| word == "then=exit") {
                std::process::exit(5);
            }
            pause_for_ever()
        }
        Ok(Fork::Starter(mut starting)) => {
            report(format!("starter {} {}", starting.pid(), starter == pid()));
            match starting.wait(None) {
                Ok(ready) => report(format!("ready {ready}")),
                Err(error) => report(format!("{} {error}", error.exit_status())),
            }
            report(format!("own {:?}", own.read_pid().expect("our own pid file") == Some(pid())));
            if std::env::args().any(|word| word == "then=stay") {
                pause_for_ever();
            }
        }
        Err(error) => report(error),
    }
    lock.release();
    std::process::exit(0)
}

/// What an outsider can see of this process.
fn state() -> Vec<String> {
    let open = (0..200).filter(|fd| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok());
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let kept = ["Sig", "Umask", "Uid", "Gid", "Groups", "Threads"];
    // SigQ counts for the user, whatever else runs.
    let lines =
        status.lines().filter(|line| kept.iter().any(|start| line.starts_with(start)) && !line.starts_with("SigQ"));
    let directory = std::env::current_dir().expect("a working directory");
    open.map(|fd| fd.to_string()).chain(lines.map(str::to_owned)).chain([format!("{}", directory.display())]).collect()
}

/// Is refused, compares itself with before, mends the option and is opened; a third time is refused.
fn retrying() -> ! {
    let before = state();
    let mut daemon = described();
    daemon.working_directory("/nonexistent");
    // SAFETY: this process has one thread, and all descriptors are kept or unused.
    let refused = unsafe { daemon.open() }.expect_err("there is no such directory");
    report(refused);
    report(if before == state() { "unchanged".to_owned() } else { format!("{before:?} became {:?}", state()) });
    daemon.working_directory("/");
    // SAFETY: as above.
    let _context = unsafe { daemon.open() }.expect("it can be now");
    // SAFETY: as above.
    report(unsafe { daemon.open() }.expect_err("it is open already"));
    pause_for_ever()
}
