//! A small service: answers every HTTP request with a greeting. In Rust; beside it the same in C and Python.
//!
//!     greeter [-p PORT] [-c CONFIG] [-l LOG] [-i PIDFILE] [-u USER]
//!
//! SIGHUP reads the greeting again, SIGUSR1 opens the log anew, SIGTERM ends it. README.md says how to run it.

use daemonctx::parts::signal_queue;
use daemonctx::{Context, Daemon, LogFile, notify, notify_reloading, watchdog_interval};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::exit;
use std::time::Duration;

type Anything = Box<dyn std::error::Error>;

/// How long a client has to say what it wants.
const PATIENCE: Duration = Duration::from_secs(1);

struct Options {
    port: u16,
    config: String,
    log: String,
    pid_file: String,
    user: String,
}

impl Options {
    fn read() -> Result<Self, Anything> {
        let mut options = Self {
            port: 80,
            config: "/etc/greeter.conf".into(),
            log: "/var/log/greeter.log".into(),
            pid_file: "/run/greeter.pid".into(),
            user: "nobody".into(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(option) = words.next() {
            let value = words.next().ok_or_else(|| format!("{option}: a value is missing"))?;
            match option.as_str() {
                "-p" => options.port = port_number(&value)?,
                "-c" => options.config = value,
                "-l" => options.log = value,
                "-i" => options.pid_file = value,
                "-u" => options.user = value,
                _ => return Err(format!("{option}: no such option").into()),
            }
        }
        Ok(options)
    }
}

fn port_number(word: &str) -> Result<u16, Anything> {
    let number = word.parse().ok().filter(|number| *number != 0);
    Ok(number.ok_or_else(|| format!("port: {word}: not a number from 1 to 65535"))?)
}

struct Greeter {
    listener: TcpListener,
    config: String,
    greeting: String,
}

/// The first line of the configuration.
fn read_greeting(config: &str) -> Result<String, Anything> {
    let text = std::fs::read_to_string(config).map_err(|why| format!("{config}: {why}"))?;
    Ok(text.lines().next().ok_or_else(|| format!("{config}: empty"))?.to_owned())
}

impl Greeter {
    /// Listens from here on: as root, if the port is one of root's.
    fn new(options: &Options) -> Result<Self, Anything> {
        let greeting = read_greeting(&options.config)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).map_err(|why| format!("port: {why}"))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, config: options.config.clone(), greeting })
    }

    /// One at a time, each for a second at most. What it asks for does not matter.
    fn answer(&self) -> io::Result<()> {
        let (mut client, _) = self.listener.accept()?;
        client.set_nonblocking(false)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        if client.read(&mut [0; 4096])? > 0 {
            self.reply(&mut client)?;
        }
        Ok(())
    }

    fn reply(&self, client: &mut TcpStream) -> io::Result<()> {
        let (greeting, length) = (&self.greeting, self.greeting.len() + 1);
        let head = format!("Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close");
        client.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{greeting}\n").as_bytes())
    }

    /// Keeps the greeting that it has where there is no other.
    fn reload(&mut self) -> Result<(), Anything> {
        notify_reloading()?;
        match read_greeting(&self.config) {
            Ok(greeting) => {
                eprintln!("greeter: greets with: {greeting}");
                self.greeting = greeting;
            }
            Err(why) => eprintln!("greeter: {why}"),
        }
        notify("READY=1")?;
        Ok(())
    }

    /// Until a signal ends it. Nothing that fails for one client, or for a service manager, ends it.
    fn serve(&mut self, context: &mut Context) -> Result<(), Anything> {
        let interval = watchdog_interval();
        loop {
            if interval.is_some() {
                let _ = notify("WATCHDOG=1");
            }
            if self.wait(interval.map(|interval| interval / 2)) {
                let _ = self.answer();
            }
            while let Some(signal) = signal_queue::next()? {
                let done = match signal {
                    libc::SIGHUP => self.reload(),
                    libc::SIGUSR1 => context.reopen_streams().map_err(Anything::from),
                    _ => return Ok(()),
                };
                if let Err(why) = done {
                    eprintln!("greeter: {why}");
                }
            }
        }
    }

    /// Whether a client asks; comes back without one when a signal has come, or the time is over.
    fn wait(&self, time: Option<Duration>) -> bool {
        let signals = signal_queue::descriptor().unwrap_or(-1);
        let mut fds =
            [self.listener.as_raw_fd(), signals].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let milliseconds = time.map_or(-1, |time| i32::try_from(time.as_millis()).unwrap_or(i32::MAX));
        // SAFETY: an array of two, which is ours.
        unsafe { libc::poll(fds.as_mut_ptr(), 2, milliseconds) };
        fds[0].revents != 0
    }
}

/// Comes back in the daemon, which is another user by then.
fn become_daemon(options: &Options, greeter: &Greeter) -> Result<Context, Anything> {
    let mut daemon = Daemon::new();
    daemon.pid_file(&options.pid_file).user(&options.user);
    daemon.stderr(LogFile::new(&options.log).user(&options.user));
    daemon.keep(&greeter.listener).manual_ready(true);
    // SAFETY: there are no other threads, and no descriptor that is used again but the one that is kept.
    Ok(unsafe { daemon.open() }?)
}

fn run() -> Result<(), Anything> {
    let options = Options::read()?;
    let mut greeter = Greeter::new(&options)?;
    let mut context = become_daemon(&options, &greeter)?;
    for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGTERM, libc::SIGINT] {
        signal_queue::catch(signal)?;
    }
    context.ready()?; // clients are answered from here on
    greeter.serve(&mut context)?;
    let _ = notify("STOPPING=1");
    context.close(); // the pid file, before others may look
    Ok(())
}

fn main() {
    if let Err(why) = run() {
        eprintln!("greeter: {why}");
        exit(1);
    }
}
