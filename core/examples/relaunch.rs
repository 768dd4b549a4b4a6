//! A daemon without `unsafe`: the program launches itself again.

#![forbid(unsafe_code)]

use daemonctx::{Context, Daemon};
use std::error::Error;
use std::net::TcpListener;

fn start() -> Result<(Context, TcpListener), Box<dyn Error>> {
    let mut daemon = Daemon::new();
    daemon.pid_file("/tmp/relaunch.pid").manual_ready(true);
    let mut context = daemon.relaunch()?;
    // Only the daemon gets here.
    let bound = TcpListener::bind("127.0.0.1:8093");
    if let Err(why) = &bound {
        context.fail(1, format!("port 8093: {why}"))?; // the starter prints it
    }
    Ok((context, bound?))
}

fn main() {
    daemonctx::become_monitor_if_asked(); // first of all
    let (mut context, listener) = start().unwrap_or_else(|why| {
        eprintln!("relaunch: {why}");
        std::process::exit(1);
    });
    if context.ready().is_ok() {
        for _connection in listener.incoming() {}
    }
}
