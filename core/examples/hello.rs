//! The smallest daemon with a pid file.

use daemonctx::Daemon;

fn main() {
    // SAFETY: there are no other threads, and no descriptor that is used again.
    if let Err(why) = unsafe { Daemon::new().pid_file("/tmp/hello.pid").open() } {
        eprintln!("hello: {why}");
        std::process::exit(1);
    }
    loop {
        std::thread::park(); // only the daemon gets here
    }
}
