//! Options that cannot be: an error that names them, and nothing has happened.

use crate::Test;
use crate::house::House;
use daemonctx::{Daemon, Error, ErrorKind, LogFile, PidFile, Program, SignalAction, Step, Stream};
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("bad input: an invalid value is reported when it is applied", an_invalid_value_is_reported_when_it_is_applied),
    ("bad input: the first invalid option is reported", the_first_invalid_option_is_reported),
    (
        "bad input: an invalid program is reported when it is executed",
        an_invalid_program_is_reported_when_it_is_executed,
    ),
    ("bad input: what open refuses", what_open_refuses),
    ("bad input: a refused process is as it was", a_refused_process_is_as_it_was),
];

/// A setter's invalid value, and what each call that applies the options says of it.
type Case = (fn(&mut Daemon) -> &mut Daemon, &'static str);

const INVALID: &[Case] = &[
    (|daemon| daemon.program_name(""), "program name failed: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.working_directory(""), "working directory failed: No such file or directory (2 ENOENT)"),
    (|daemon| daemon.working_directory("/a\0b"), "working directory failed: /a: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.chroot("/a\0b"), "chroot failed: /a: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.umask(0o1000), "umask failed: 01000: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.user(""), "user failed: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.user_id(u32::MAX), "user failed: -1: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.group("a\0b"), "group failed: a: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.group_id(u32::MAX), "group failed: -1: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.keep_descriptor(-1), "keep descriptor failed: -1: Bad file descriptor (9 EBADF)"),
    (|daemon| daemon.stdin(Stream::file("/a\0b")), "stdin failed: /a: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.stdout(Stream::descriptor(-1)), "stdout failed: -1: Bad file descriptor (9 EBADF)"),
    (|daemon| daemon.stderr(LogFile::new("/a").mode(0o10000)), "stderr failed: 010000: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.signal(0, SignalAction::Ignore), "signal map failed: signal 0: Invalid argument (22 EINVAL)"),
    (
        |daemon| daemon.signal(libc::SIGKILL, SignalAction::Ignore),
        "signal map failed: signal 9 (SIGKILL) (cannot be caught): Invalid argument (22 EINVAL)",
    ),
    (|daemon| daemon.ready_timeout(Some(Duration::ZERO)), "ready timeout failed: 0 s: Invalid argument (22 EINVAL)"),
    (|daemon| daemon.ready_descriptor(-1), "ready descriptor failed: -1: Bad file descriptor (9 EBADF)"),
    (|daemon| daemon.pid_file(""), "pid file failed: No such file or directory (2 ENOENT)"),
    (|daemon| daemon.runtime_directory(""), "runtime directory failed: No such file or directory (2 ENOENT)"),
    (|daemon| daemon.monitor(""), "execve failed: No such file or directory (2 ENOENT)"),
    (|daemon| daemon.state_directory(""), "state directory failed: No such file or directory (2 ENOENT)"),
    (|daemon| daemon.stop_signal(0), "stop signal failed: signal 0: Invalid argument (22 EINVAL)"),
];

/// Every call that applies the options, in this process: none gets beyond the invalid one.
fn reports(daemon: &mut Daemon) -> [Error; 8] {
    let program = Program::new("/bin/true");
    // SAFETY: neither forks.
    let opened = unsafe { [daemon.open().map(drop), daemon.fork().map(drop)] };
    let [opened, forked] = opened.map(|refused| refused.expect_err("an invalid option"));
    let refused = |result: Result<(), Error>| result.expect_err("an invalid option");
    let checked = refused(daemon.check());
    let with_program = refused(daemon.check_program(&program));
    let dropped = refused(daemon.drop_privileges());
    let launched = refused(daemon.launch(&program).map(drop));
    let relaunched = refused(daemon.relaunch().map(drop));
    [opened, forked, checked, with_program, dropped, launched, relaunched, daemon.exec(&program)]
}

fn an_invalid_value_is_reported_when_it_is_applied(_: &mut House) {
    for (set, words) in INVALID {
        for error in reports(set(&mut Daemon::new())) {
            assert_eq!(error.to_string(), *words);
            assert!(error.errno().is_some());
            let kind = if words.starts_with("pid file") {
                ErrorKind::PidFile
            } else if words.starts_with("execve") {
                ErrorKind::System
            } else {
                ErrorKind::Option
            };
            assert_eq!(error.kind(), kind, "{words}");
        }
    }
    let long = "x".repeat(5000);
    let error = PidFile::new(&long).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENAMETOOLONG));
}

fn the_first_invalid_option_is_reported(_: &mut House) {
    let mut daemon = Daemon::new();
    daemon.umask(0o1000).user("").keep_descriptor(-1);
    let first = |daemon: &Daemon| daemon.check().map_err(|error| error.step());
    assert_eq!(first(&daemon), Err(Step::Umask));
    // An option has its last value, valid or not; a list has all that it was given.
    daemon.umask(0o77).keep_descriptor(0);
    assert_eq!(first(&daemon), Err(Step::User));
    daemon.user_id(0);
    assert_eq!(first(&daemon), Err(Step::KeepDescriptor));
    let mut daemon = Daemon::new();
    daemon.umask(0o77).umask(0o1000);
    assert_eq!(first(&daemon), Err(Step::Umask));
    daemon.umask(0o22);
    assert_eq!(first(&daemon), Ok(()));
}

fn an_invalid_program_is_reported_when_it_is_executed(_: &mut House) {
    type Case = (fn(&mut Program) -> &mut Program, &'static str);
    const CASES: [Case; 3] = [
        (|program| program.arg("a\0b"), "argument failed: a: Invalid argument (22 EINVAL)"),
        (|program| program.env("A=B", "1"), "argument failed: A=B: Invalid argument (22 EINVAL)"),
        (|program| program.env_remove(""), "argument failed: Invalid argument (22 EINVAL)"),
    ];
    let daemon = Daemon::new();
    for (set, words) in CASES {
        let mut program = Program::new("/bin/true");
        set(&mut program);
        let launched = daemon.launch(&program).map(drop).expect_err(words);
        let run = daemonctx::parts::run(&program, None, |_| {}).map(drop).expect_err(words);
        for error in [launched, run, daemon.exec(&program)] {
            assert_eq!(error.to_string(), words);
        }
    }
}

fn what_open_refuses(house: &mut House) {
    for (word, said) in [
        ("directory=/nonexistent", "working directory failed: /nonexistent: No such file or directory (2 ENOENT)"),
        ("directory=/etc/passwd", "working directory failed: /etc/passwd: Not a directory (20 ENOTDIR)"),
        ("chroot=/nonexistent", "chroot failed: /nonexistent: No such file or directory (2 ENOENT)"),
        ("user=nobody-at-all", "user failed: nobody-at-all (no such user): No such file or directory (2 ENOENT)"),
        ("group=nobody-at-all", "group failed: nobody-at-all (no such group): No such file or directory (2 ENOENT)"),
        ("user=54321", "group failed: 54321 (a user without an entry in the user database needs a group)"),
        ("keep=987", "keep descriptor failed: 987: Bad file descriptor (9 EBADF)"),
        ("stderr=/nonexistent/log", "stderr failed: /nonexistent/log: No such file or directory (2 ENOENT)"),
    ] {
        house.start("daemon", &[word]).is(1, &format!("refused: {said}"));
        assert!(!house.pid_file().exists(), "{word}");
    }
    let left = house.start("daemon", &["chroot=/tmp", "directory=here"]);
    left.is(1, "working directory failed: here (relative below a chroot): Invalid argument (22 EINVAL)");
}

fn a_refused_process_is_as_it_was(house: &mut House) {
    house.start("retrying", &[]).is(0, "");
    assert_eq!(house.hear(), "working directory failed: /nonexistent: No such file or directory (2 ENOENT)");
    assert_eq!(house.hear(), "unchanged");
    assert_eq!(house.hear(), "handle failed: opened already: Operation already in progress (114 EALREADY)");
    let pid = house.pid();
    house.end(pid, libc::SIGTERM);
}
