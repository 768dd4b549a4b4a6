//! Says hello on a TCP port, with the crate daemonize.

use daemonize::Daemonize;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: hello FOLDER")?;
    let log = File::create(format!("{folder}/hello.log"))?;
    let daemonize = Daemonize::new()
        .pid_file(format!("{folder}/hello.pid"))
        .chown_pid_file(true)
        .umask(0o027)
        .stdout(log.try_clone()?)
        .stderr(log)
        .privileged_action(|| TcpListener::bind("127.0.0.1:0"));
    let listener = daemonize.start()??;
    println!("listening on {}", listener.local_addr()?);
    for connection in listener.incoming() {
        connection?.write_all(b"hello\n")?;
    }
    Ok(())
}
