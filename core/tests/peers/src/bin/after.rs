//! Says hello on a TCP port, with the crate daemonctx.

use daemonctx::{Daemon, LogFile};
use std::error::Error;
use std::io::Write;
use std::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: hello FOLDER")?;
    let log = LogFile::new(format!("{folder}/hello.log")).truncate(true);
    let listener = TcpListener::bind("127.0.0.1:0")?; // with the privileges of the starter
    let mut daemon = Daemon::new();
    daemon.pid_file(format!("{folder}/hello.pid")).umask(0o027).stdout(log.clone()).stderr(log);
    daemon.keep(&listener).manual_ready(true);
    // SAFETY: there are no other threads, and of the descriptors only the listener's is used again, which is kept.
    let mut context = unsafe { daemon.open()? };
    println!("listening on {}", listener.local_addr()?);
    context.ready()?; // the starter exits with 0
    for connection in listener.incoming() {
        connection?.write_all(b"hello\n")?;
    }
    Ok(())
}
