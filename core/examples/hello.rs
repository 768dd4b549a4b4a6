//! The smallest daemon with a pid file.

use daemonctx::{Context, Daemon, Error};

fn start() -> Result<Context, Error> {
    let mut daemon = Daemon::new()?;
    daemon.pid_file("/tmp/hello.pid")?;
    // SAFETY: there are no other threads, and no descriptor that is used again.
    unsafe { daemon.open() }
}

fn main() {
    if let Err(why) = start() {
        eprintln!("hello: {why}");
        std::process::exit(1);
    }
    loop {
        std::thread::park(); // only the daemon gets here
    }
}
