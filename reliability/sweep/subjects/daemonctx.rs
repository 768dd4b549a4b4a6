//! A start with Rust's own API. Arguments: how, a folder for the pid file and the log; as `daemonctx.c` has them.

use daemonctx::{Context, Daemon, Detach, Error, Fork, LogFile, Stream, Syslog};
use std::process::exit;

unsafe extern "C" {
    fn raise(signal: i32) -> i32;
    fn close(fd: i32) -> i32;
}

/// As in `mark.h`.
const MARK: i32 = 0x5357_4545;
const SIGURG: i32 = 23;

/// One line, and the status that a program should leave with.
fn complain(error: &Error) -> ! {
    eprintln!("subject: {error}");
    exit(error.exit_status());
}

fn configure(how: &str, folder: &str) -> Daemon {
    let mut daemon = Daemon::new();
    daemon.detach(Detach::Yes).user("daemon").pid_file(format!("{folder}/daemon.pid")).umask(0o022);
    if how == "syslog" {
        daemon.stdout(Syslog::new()).stderr(Syslog::new());
    } else {
        let log = LogFile::new(format!("{folder}/daemon.log")).truncate(true).mode(0o640).user("daemon");
        daemon.stdout(log).stderr(Stream::file(format!("{folder}/daemon.log")));
    }
    daemon.manual_ready(how == "manual" || how == "fork");
    daemon
}

fn start(how: &str, daemon: &mut Daemon) -> Result<Context, Error> {
    if how != "fork" {
        // SAFETY: there are no other threads, and no descriptor that is used again.
        return unsafe { daemon.open() };
    }
    // SAFETY: as above.
    match unsafe { daemon.fork() }? {
        Fork::Starter(mut starting) => exit(if starting.wait(None)? { 0 } else { 71 }),
        Fork::Daemon(context) => Ok(context),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [how, folder] = words.as_slice() else { exit(64) };
    let mut daemon = configure(how, folder);
    // SAFETY: nothing happens where nobody watches: SIGURG is ignored.
    unsafe { raise(SIGURG) };
    let mut context = start(how, &mut daemon).unwrap_or_else(|error| complain(&error));
    // The program's part: with nobody to tell, it ends.
    if how == "manual" || how == "fork" {
        context.ready().unwrap_or_else(|error| complain(&error));
    }
    // SAFETY: there is no such descriptor.
    unsafe { close(MARK) };
    loop {
        std::thread::park();
    }
}
