//! Says hello on a TCP port, on tokio.

use daemonctx::{Context, Daemon, Stream};
use std::error::Error;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

fn main() -> Result<(), Box<dyn Error>> {
    // Before the runtime, which begins threads.
    let mut daemon = Daemon::new();
    daemon.pid_file("/tmp/hello.pid").stderr(Stream::file("/tmp/hello.log")).manual_ready(true);
    // SAFETY: there are no other threads, and no descriptor that was opened before is used again.
    let context = unsafe { daemon.open()? };
    tokio::runtime::Runtime::new()?.block_on(serve(context))
}

async fn serve(mut context: Context) -> Result<(), Box<dyn Error>> {
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let listener = match TcpListener::bind("127.0.0.1:8094").await {
        Ok(listener) => listener,
        Err(why) => {
            context.fail(1, format!("port 8094: {why}"))?; // the starter prints it, and exits with 1
            std::process::exit(1);
        }
    };
    context.ready()?; // the starter exits with 0
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut stream, _) = accepted?;
                connections.spawn(async move { stream.write_all(b"hello\n").await });
            }
            Some(_) = connections.join_next() => {}
            _ = hangup.recv() => context.reopen_streams()?, // after logrotate
            _ = terminate.recv() => break,
        }
    }
    daemonctx::notify("STOPPING=1")?;
    drop(listener);
    // Connections that are open have ten seconds.
    let _ = tokio::time::timeout(Duration::from_secs(10), connections.join_all()).await;
    Ok(()) // the end of the process removes the pid file
}
