//! A daemon without `unsafe`: the program launches itself again.

#![forbid(unsafe_code)]

use daemonctx::Daemon;
use std::net::TcpListener;

fn main() {
    daemonctx::become_monitor_if_asked(); // first of all
    let mut daemon = Daemon::new();
    let mut context = daemon.pid_file("/tmp/relaunch.pid").manual_ready(true).relaunch().unwrap_or_else(|why| {
        eprintln!("relaunch: {why}");
        std::process::exit(1);
    });
    // Only the daemon gets here.
    let listener = TcpListener::bind("127.0.0.1:8093").unwrap_or_else(|why| {
        let _ = context.fail(1, format!("port 8093: {why}")); // the starter prints it, and exits with 1
        std::process::exit(1);
    });
    if context.ready().is_ok() {
        listener.incoming().for_each(drop);
    }
}
