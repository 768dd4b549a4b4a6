//! Our crate.

use daemonctx::{Context, Daemon, Detach, Error};

fn start() -> Result<Context, Error> {
    let mut daemon = Daemon::new();
    daemon.detach(Detach::Yes).pid_file(bench::pid_file());
    // SAFETY: there are no other threads, and no descriptor that is used again.
    unsafe { daemon.open() }
}

fn main() {
    match start() {
        Ok(_context) => bench::ready(),
        Err(error) => bench::fail(error),
    }
}
