//! Standard output and standard error to syslog.

use crate::Test;
use crate::house::{House, children, descriptors, exists, field, left_behind, signal, stat, wait};
use crate::streams::{Obedient, begin};
use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("syslog: a message for each line", a_message_for_each_line),
    ("syslog: two streams, two priorities", two_streams),
    ("syslog: lines in pieces, long lines, last words", lines),
    ("syslog: ten thousand lines in order", ten_thousand),
    ("syslog: what the logger is", what_the_logger_is),
    ("syslog: the logger outlives the group", outlives_the_group),
    ("syslog: no syslogd, and what it cannot be", refused),
    ("syslog: a start that fails leaves its last words and nothing else", a_failing_start),
    ("syslog: a logger that cannot be made", no_logger),
    ("syslog: a start that takes too long", takes_too_long),
    ("syslog: Daemon::fork", forked),
    ("syslog: not detached", not_detached),
    ("syslog: standard error at ready()", at_ready),
    ("syslog: a syslogd that is started again", started_again),
    ("syslog: a syslogd that does not read", does_not_read),
    ("syslog: a syslogd that takes a stream", a_stream),
    ("syslog: nothing is allocated", nothing_is_allocated),
];

const LONG: Duration = Duration::from_secs(20);

/// A `/dev` with a null device and a syslogd: for the programs only, in a mount namespace of their own.
pub struct Dev {
    log: Option<UnixDatagram>,
}

pub fn may_mount() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("(needs root: skipped)");
    }
    root
}

/// What makes a folder of the house the program's `/dev`. Runs between fork and exec: system calls only.
pub fn around(house: &House) -> impl FnMut() + Send + Sync + use<> {
    let dev = house.path("dev");
    fs::create_dir_all(&dev).unwrap();
    fs::write(dev.join("null"), "").unwrap();
    let name = |path: &std::path::Path| CString::new(path.to_str().unwrap()).unwrap();
    let (dev, null) = (name(&dev), name(&dev.join("null")));
    move || {
        let bind = |from: &CString, to: &CString| {
            // SAFETY: both are NUL-terminated, a bind needs neither type nor data.
            unsafe {
                libc::mount(
                    from.as_ptr(),
                    to.as_ptr(),
                    std::ptr::null(),
                    libc::MS_BIND | libc::MS_REC,
                    std::ptr::null(),
                )
            }
        };
        // SAFETY: unshare takes a number; the strings are NUL-terminated.
        let ok = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    c"none".as_ptr(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && bind(&c"/dev/null".to_owned(), &null) == 0
                && bind(&dev, &c"/dev".to_owned()) == 0
        };
        if !ok {
            // SAFETY: abort does not return.
            unsafe { libc::abort() };
        }
    }
}

impl Dev {
    pub fn new(house: &House) -> Self {
        fs::create_dir_all(house.path("dev")).unwrap();
        let log = UnixDatagram::bind(house.path("dev/log")).unwrap();
        fs::set_permissions(house.path("dev/log"), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        log.set_read_timeout(Some(LONG * crate::house::slowness())).unwrap();
        Self { log: Some(log) }
    }

    pub fn hear(&self) -> String {
        let mut message = [0; 10_000];
        let length = self.log.as_ref().unwrap().recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// Nothing more comes, for as long as the logger is gone.
    fn is_silent(&self) -> bool {
        let log = self.log.as_ref().unwrap();
        log.set_nonblocking(true).unwrap();
        log.recv(&mut [0; 10]).is_err()
    }
}

/// Starts with the syslogd of the house.
fn logged(house: &mut House, words: &[&str]) -> Obedient {
    let around = around(house);
    let mut daemon = begin(house, words, around);
    daemon.left(0);
    daemon
}

/// The daemon's logger: adopted by this process, once the starter has left.
fn logger() -> i32 {
    let named = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "daemonctx-log\n");
    let loggers: Vec<i32> = children().into_iter().filter(named).collect();
    assert_eq!(loggers.len(), 1, "{loggers:?}");
    loggers[0]
}

/// Ends a daemon and looks that its logger ends too.
fn dismiss(daemon: Obedient) {
    let logger = logger();
    daemon.dismiss();
    assert_eq!(wait(logger), 0);
}

fn a_message_for_each_line(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog="]);
    daemon.tell(house, "out hello world");
    assert_eq!(dev.hear(), format!("<30>program[{}]: hello world", daemon.pid));
    daemon.tell(house, "out again");
    assert_eq!(dev.hear(), format!("<30>program[{}]: again", daemon.pid));
    assert_eq!(daemon.tell(house, "children"), "-1", "the daemon has no child");
    assert_eq!(descriptors(daemon.pid).iter().filter(|(fd, to)| *fd > 2 && to.starts_with("socket")).count(), 0);
    dismiss(daemon);
    assert!(dev.is_silent());
}

fn two_streams(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog=", "err_syslog=other name"]);
    daemon.tell(house, "out one");
    assert_eq!(dev.hear(), format!("<30>program[{}]: one", daemon.pid));
    daemon.tell(house, "err two");
    assert_eq!(dev.hear(), format!("<27>other name[{}]: two", daemon.pid));
    assert_eq!(daemon.tell(house, "reopen"), "reopened", "there is nothing to open");
    dismiss(daemon);
    let mut daemon = logged(house, &["out_syslog=a\nb", "log_to=16.4"]);
    daemon.tell(house, "out local0.warning");
    assert_eq!(dev.hear(), format!("<132>a?b[{}]: local0.warning", daemon.pid));
    dismiss(daemon);
}

fn lines(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog=me"]);
    let head = format!("<30>me[{}]: ", daemon.pid);
    daemon.tell(house, "part one ");
    daemon.tell(house, "part li");
    daemon.tell(house, "out ne");
    assert_eq!(dev.hear(), format!("{head}one line"));
    daemon.tell(house, "raw");
    for text in ["with", "a NUL", "and\ttab"] {
        assert_eq!(dev.hear(), format!("{head}{text}"), "a NUL ends a line, empty ones are none");
    }
    let exact = "x".repeat(4096);
    daemon.tell(house, &format!("out {exact}"));
    assert_eq!(dev.hear(), format!("{head}{exact}"));
    daemon.tell(house, &format!("out {exact}yz"));
    assert_eq!((dev.hear(), dev.hear()), (format!("{head}{exact}"), format!("{head}yz")));
    daemon.tell(house, "part last words");
    dismiss(daemon);
    assert_eq!(dev.hear(), format!("{head}last words"));
    assert!(dev.is_silent());
}

fn ten_thousand(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog=me"]);
    daemon.ask("many 10000");
    for number in 0..10_000 {
        assert_eq!(dev.hear(), format!("<30>me[{}]: line {number}", daemon.pid));
    }
    assert_eq!(house.hear(), "done");
    dismiss(daemon);
}

fn what_the_logger_is(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog=", "err_syslog=", "user=nobody", "no_groups", "no_new_privileges"]);
    let logger = logger();
    // When it passes something on, it has let go of everything else.
    daemon.tell(house, "out begun");
    dev.hear();
    for same in ["Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapInh", "NoNewPrivs", "Umask"] {
        assert_eq!(field(logger, same), field(daemon.pid, same), "{same}");
    }
    assert_eq!(field(logger, "Uid"), "65534 65534 65534 65534");
    let open = descriptors(logger);
    let kinds: Vec<_> = open.iter().map(|(fd, to)| (*fd, to.split(':').next().unwrap())).collect();
    assert_eq!(kinds, [(0, "pipe"), (1, "pipe"), (2, "socket")]);
    let theirs = descriptors(daemon.pid);
    assert_eq!((&open[0].1, &open[1].1), (&theirs[1].1, &theirs[2].1));
    let blocked = u64::from_str_radix(&field(logger, "SigBlk"), 16).unwrap();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE, libc::SIGUSR1] {
        assert_ne!(blocked & 1 << (signal - 1), 0, "{signal}");
    }
    assert_ne!((&stat(logger)[2], &stat(logger)[3]), (&stat(daemon.pid)[2], &stat(daemon.pid)[3]), "group, session");
    assert_ne!(stat(logger)[3], logger.to_string(), "it does not lead its session");
    // The pid file's lock is the daemon's alone: it ends with it.
    signal(logger, libc::SIGSTOP);
    signal(daemon.pid, libc::SIGKILL);
    wait(daemon.pid);
    let next = logged(house, &[]);
    signal(logger, libc::SIGCONT);
    assert_eq!(wait(logger), 0);
    next.dismiss();
    assert!(dev.is_silent());
}

fn outlives_the_group(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog="]);
    let logger = logger();
    signal(logger, libc::SIGTERM);
    daemon.tell(house, "part last words");
    daemon.ask(&format!("group {}", libc::SIGKILL));
    assert_eq!(wait(daemon.pid), libc::SIGKILL);
    assert_eq!(dev.hear(), format!("<30>program[{}]: last words", daemon.pid));
    assert_eq!(wait(logger), 0);
}

fn refused(house: &mut House) {
    if !may_mount() {
        return;
    }
    let around = around(house);
    let mut command = house.program("daemon", &["err_syslog="]);
    crate::house::before_exec(&mut command, around);
    house.finish(command).is(1, "refused: stderr failed: /dev/log: No such file or directory (2 ENOENT)");
    assert!(!exists(&house.pid_file()));
    let long = format!("out_syslog={}", "x".repeat(129));
    house.start("daemon", &[&long]).is(1, "File name too long (36 ENAMETOOLONG)");
}

/// What is said before ready() fails the start is in the log, by the time the starter leaves; no process is left.
fn a_failing_start(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let around = around(house);
    let mut daemon = begin(house, &["manual", "out_syslog="], around);
    daemon.tell(house, "out why it failed");
    daemon.ask("fail the port is taken");
    assert_eq!(house.hear(), "done");
    let pid = daemon.pid;
    let starter = daemon.starter.take().unwrap();
    drop(daemon);
    let status = { starter }.wait().unwrap();
    assert_eq!(status.code(), Some(9));
    assert_eq!(left_behind().len(), 0, "nothing is left: neither daemon nor logger");
    assert_eq!(dev.hear(), format!("<30>program[{pid}]: why it failed"));
    assert!(dev.is_silent());
}

/// The new user may have no process more than the daemon itself.
fn no_logger(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let around = around(house);
    let mut command = house.program("daemon", &["out_syslog=", "user=nobody"]);
    crate::house::before_exec(&mut command, around);
    crate::house::before_exec(&mut command, || {
        let one = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: a valid limit; safe between fork and exec.
        unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const one) };
    });
    house.finish(command).is(1, "logger failed: Resource temporarily unavailable (11 EAGAIN)");
    assert!(!exists(&house.pid_file()) && left_behind().is_empty());
    assert!(dev.is_silent());
}

/// The daemon is ended by force, in a group that gets SIGKILL: its words are logged all the same.
fn takes_too_long(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let around = around(house);
    let mut daemon = begin(house, &["manual", "out_syslog=", "timeout=300"], around);
    daemon.ask("part unfinished");
    let mut starter = daemon.starter.take().unwrap();
    assert_eq!(starter.wait().unwrap().code(), Some(124));
    assert_eq!(left_behind().len(), 0);
    assert_eq!(dev.hear(), format!("<30>program[{}]: unfinished", daemon.pid));
    assert_eq!(house.hear(), "done");
}

/// The program that goes on holds nothing of the daemon's streams: the log ends with the daemon.
fn forked(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let around = around(house);
    let mut command = house.program("forking", &["out_syslog=", "err_syslog=", "then=stay"]);
    crate::house::before_exec(&mut command, around);
    let mut program = command.spawn().unwrap();
    let mut said: Vec<String> = (0..4).map(|_| house.hear()).collect();
    said.sort();
    assert!(said.contains(&"ready true".to_owned()), "{said:?}");
    let pid: i32 = said[0].strip_prefix("daemon ").unwrap().parse().unwrap();
    let logger = logger();
    house.end(pid, libc::SIGKILL);
    assert_eq!(wait(logger), 0);
    assert!(dev.is_silent());
    program.kill().unwrap();
    program.wait().unwrap();
}

fn not_detached(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let around = around(house);
    let mut service = begin(house, &["detach=no", "out_syslog="], around);
    service.tell(house, "out here");
    assert_eq!(dev.hear(), format!("<30>program[{}]: here", service.pid));
    assert_eq!(service.tell(house, "children"), "-1");
    dismiss(service);
}

fn at_ready(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let around = around(house);
    let mut daemon = begin(house, &["manual", "err_syslog="], around);
    daemon.tell(house, "err early");
    assert_eq!(fs::read_to_string(house.path("said")).unwrap(), "early\n");
    daemon.tell(house, "ready");
    daemon.left(0);
    daemon.tell(house, "err late");
    assert_eq!(dev.hear(), format!("<27>program[{}]: late", daemon.pid));
    dismiss(daemon);
}

/// What is written while it is away, and back within the logger's patience, is not lost.
fn started_again(house: &mut House) {
    if !may_mount() {
        return;
    }
    let mut dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog="]);
    drop(dev.log.take());
    daemon.tell(house, "out refused");
    fs::remove_file(house.path("dev/log")).unwrap();
    daemon.tell(house, "out missing");
    let dev = Dev::new(house);
    for text in ["refused", "missing"] {
        assert_eq!(dev.hear(), format!("<30>program[{}]: {text}", daemon.pid));
    }
    dismiss(daemon);
}

/// It holds the daemon up once, for five seconds; then lines are dropped, and counted.
fn does_not_read(house: &mut House) {
    if !may_mount() {
        return;
    }
    let dev = Dev::new(house);
    let mut daemon = logged(house, &["out_syslog=me"]);
    let begun = Instant::now();
    daemon.tell(house, "many 50000");
    let took = begun.elapsed();
    assert!((4..12).contains(&took.as_secs()), "{took:?}");
    let head = format!("<30>me[{}]: ", daemon.pid);
    let mut expected = 0;
    let lost: u32 = loop {
        let message = dev.hear();
        let text = message.strip_prefix(&head).unwrap();
        match text.strip_prefix("line ") {
            Some(number) => assert_eq!(number.parse(), Ok(expected)),
            None => break text.strip_suffix(" lines lost").unwrap().parse().unwrap(),
        }
        expected += 1;
        if expected == 5 {
            // Room again: this is said behind what was lost.
            daemon.tell(house, "out and on");
        }
    };
    assert!(lost > 40_000);
    // The rest of the last lines were read by the logger when there was room.
    let mut last = dev.hear();
    while !last.ends_with("and on") {
        last = dev.hear();
    }
    dismiss(daemon);
}

fn a_stream(house: &mut House) {
    if !may_mount() {
        return;
    }
    fs::create_dir_all(house.path("dev")).unwrap();
    let listener = UnixListener::bind(house.path("dev/log")).unwrap();
    let mut daemon = logged(house, &["out_syslog="]);
    let (mut connection, _) = listener.accept().unwrap();
    daemon.tell(house, "out one");
    daemon.tell(house, "out two");
    let expected = format!("<30>program[{0}]: one\0<30>program[{0}]: two\0", daemon.pid);
    let mut got = vec![0; expected.len()];
    connection.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), expected);
    drop(connection);
    daemon.tell(house, "out three");
    let (mut connection, _) = listener.accept().unwrap();
    let mut got = vec![0; expected.len() / 2 + 2];
    connection.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), format!("<30>program[{}]: three\0", daemon.pid));
    dismiss(daemon);
}

fn nothing_is_allocated(house: &mut House) {
    if !may_mount() {
        return;
    }
    let _dev = Dev::new(house);
    for words in [&["out_syslog=", "err_syslog="][..], &["out_syslog=", "user=nobody", "no_groups"][..]] {
        let around = around(house);
        let mut command = house.program("guarded", words);
        crate::house::before_exec(&mut command, around);
        house.finish(command).is(0, "");
        let pid = house.hear_number();
        let logger = logger();
        house.end(pid, libc::SIGTERM);
        assert_eq!(wait(logger), 0);
    }
}
