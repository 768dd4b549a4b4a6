//! Options that cannot be: an error that names them, and nothing has happened.

use crate::Test;
use crate::house::House;
use daemonctx::{Daemon, Error, ErrorKind, PidFile, SignalAction, Stream};

pub const TESTS: &[Test] = &[
    ("bad input: what a setter refuses", what_a_setter_refuses),
    ("bad input: what open refuses", what_open_refuses),
    ("bad input: a refused process is as it was", a_refused_process_is_as_it_was),
];

fn refused(set: impl FnOnce(&mut Daemon) -> Result<&mut Daemon, Error>, words: &str) {
    let mut daemon = Daemon::new().unwrap();
    let error = set(&mut daemon).map(drop).expect_err(words);
    assert_eq!(error.to_string(), words);
    assert_eq!(error.kind(), if words.starts_with("pid file") { ErrorKind::PidFile } else { ErrorKind::Option });
    assert!(error.errno().is_some());
}

fn what_a_setter_refuses(_: &mut House) {
    let long = "x".repeat(5000);
    refused(|daemon| daemon.working_directory(""), "working directory failed: No such file or directory (2 ENOENT)");
    refused(|daemon| daemon.working_directory("/a\0b"), "working directory failed: /a: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.chroot("/a\0b"), "chroot failed: /a: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.umask(0o1000), "umask failed: 01000: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.user(""), "user failed: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.user_id(u32::MAX), "user failed: -1: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.group("a\0b"), "group failed: a: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.keep_descriptor(-1), "keep descriptor failed: -1: Bad file descriptor (9 EBADF)");
    refused(|daemon| daemon.stdin(Stream::file("/a\0b")), "stdin failed: /a: Invalid argument (22 EINVAL)");
    refused(|daemon| daemon.stdout(Stream::descriptor(-1)), "stdout failed: -1: Bad file descriptor (9 EBADF)");
    refused(
        |daemon| daemon.signal(0, SignalAction::Ignore),
        "signal map failed: signal 0: Invalid argument (22 EINVAL)",
    );
    refused(
        |daemon| daemon.signal(libc::SIGKILL, SignalAction::Ignore),
        "signal map failed: signal 9 (SIGKILL) (cannot be caught): Invalid argument (22 EINVAL)",
    );
    refused(
        |daemon| daemon.ready_timeout(Some(std::time::Duration::ZERO)),
        "ready timeout failed: 0 s: Invalid argument (22 EINVAL)",
    );
    refused(|daemon| daemon.pid_file(""), "pid file failed: No such file or directory (2 ENOENT)");
    let error = PidFile::new(&long).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENAMETOOLONG));
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
