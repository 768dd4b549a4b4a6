//! The smallest daemon with a pid file: writes a line to syslog every second until it is told to end.

use daemonctx::{Daemon, Error};
use std::time::Duration;

fn start() -> Result<daemonctx::Context, Error> {
    let mut daemon = Daemon::new()?;
    daemon.pid_file(std::env::args_os().nth(1).unwrap_or("/run/hello.pid".into()))?.umask(0o022)?;
    // SAFETY: there are no other threads and no descriptors of ours.
    unsafe { daemon.open() }
}

fn main() {
    let _context = start().unwrap_or_else(|error| {
        eprintln!("hello: {error}");
        std::process::exit(error.exit_status());
    });
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
