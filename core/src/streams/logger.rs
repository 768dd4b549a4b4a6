//! The process that passes on to syslog what the daemon writes, line by line.
//!
//! The daemon makes it as its last step, with the privileges, the root and the directory that it has by then. It is nobody's
//! child when it begins: the daemon hears of no child that it knows nothing of. It leads a session of its own and has all
//! signals blocked, so it lives until nobody can write any more, and the daemon's last words are logged whatever the daemon's
//! group is sent. Like all that a start does it neither allocates nor takes a lock.
#![allow(unsafe_code, reason = "the two forks; their children make system calls and nothing else")]

use crate::descriptors::Keep;
use crate::error::{Error, Failure, Step, Subject};
use crate::report::{Record, Reporter};
use crate::signals::Quiet;
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::line_reader::LineReader;
use crate::sys::process::{self, Ended, Forked, Pid, SecondFork};
use crate::sys::socket::{self, SYSTEM_LOG};
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, fd};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Longer lines become several messages. Together with what stands before it, it fits into a [`MessageBuf`].
const LONGEST_LINE: usize = 4096;

/// How long a line is kept for a syslogd that is away or does not read; meanwhile the daemon may have to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a syslogd that is away is looked for.
const PAUSE: Duration = Duration::from_millis(100);

/// The logger's descriptors are the standard ones, so that it need not keep any: standard output's pipe, standard error's,
/// and the socket.
const PIPES: [RawFd; 2] = [0, 1];
const SOCKET: RawFd = 2;

/// What the logger needs, made in the starter. Nothing of it is freed before the report.
#[derive(Default)]
pub(super) struct Plan {
    pipes: [Option<OwnedFd>; 2],
    /// What stands before each line, as far as the daemon's PID.
    heads: [CBuf; 2],
    socket: Option<OwnedFd>,
}

/// The connection to the system log that `step` needs.
pub(super) fn connect(step: Step) -> Result<OwnedFd, Error> {
    socket::connect_to_system_log().map_err(|errno| Error::os(step, Subject::Word(SYSTEM_LOG), errno))
}

impl Plan {
    /// Has `step` go to syslog; gives the descriptor to write to.
    pub(super) fn add(&mut self, step: Step, text: CBuf) -> Result<OwnedFd, Error> {
        let failed = |word| move |errno| Error::os(step, Subject::Word(word), errno);
        if self.socket.is_none() {
            self.socket = Some(connect(step)?);
        }
        let (reader, writer) = fd::pipe().map_err(failed("pipe"))?;
        let ([output, error], [output_head, error_head]) = (&mut self.pipes, &mut self.heads);
        let (pipe, head) = if step == Step::Stderr { (error, error_head) } else { (output, output_head) };
        (*pipe, *head) = (Some(reader), text);
        Ok(writer)
    }

    pub(super) fn reads(&self, step: Step) -> bool {
        let [output, error] = &self.pipes;
        if step == Step::Stderr { error.is_some() } else { output.is_some() }
    }

    /// What the logger of a program that is launched needs, if there is anything to log.
    pub(super) fn ends(&self) -> Option<Ends> {
        let pipes = self.pipes.each_ref().map(|pipe| pipe.as_ref().map(AsRawFd::as_raw_fd));
        let socket = self.socket.as_ref()?.as_raw_fd();
        Some(Ends { pipes, heads: self.heads.clone(), socket })
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.pipes.iter().chain([&self.socket]).flatten().map(AsRawFd::as_raw_fd)
    }

    pub(super) fn close(&mut self) {
        self.pipes = [None, None];
        self.socket = None;
    }

    /// Makes the logger, where there is something to log, and comes back when it has let go of everything of the daemon's.
    pub(super) fn begin(&mut self, fork: SecondFork, reporter: Option<&Reporter>) -> Result<(), Failure> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let daemon = process::id();
        let quiet = Quiet::begin();
        // SAFETY: the child makes system calls only: it does not matter what other threads hold.
        let made = match unsafe { fork.fork() } {
            Ok(Forked::Child) => {
                quiet.leave_as_it_is();
                self.beget(socket, fork, daemon, reporter)
            }
            Ok(Forked::Parent(child)) => made(process::wait(child, true)),
            Err(errno) => Err(errno),
        };
        drop(quiet);
        self.close();
        made.map_err(|errno| Failure::new(Step::Logger, errno))
    }

    /// The life of the process between daemon and logger. It closes what is not the logger's, so that when it has ended nothing
    /// of the daemon's is held by another any more: neither a pid file's lock nor the pipes' ends.
    fn beget(&self, socket: &OwnedFd, fork: SecondFork, daemon: Pid, reporter: Option<&Reporter>) -> ! {
        // SAFETY: as in `begin`.
        let made = self.furnish(socket, reporter).and_then(|()| unsafe { fork.fork() });
        match (made, reporter) {
            (Ok(Forked::Child), reporter) => {
                if let Some(reporter) = reporter {
                    fd::close(reporter.as_raw_fd());
                }
                pass_on(&self.heads, daemon, -1)
            }
            (Ok(Forked::Parent(logger)), Some(reporter)) => {
                let _: Sys<()> = reporter.send(&Record::Logger(logger));
                process::exit_now(0)
            }
            (Ok(_), None) => process::exit_now(0),
            (Err(errno), _) => process::exit_now(errno.value()),
        }
    }

    fn furnish(&self, socket: &OwnedFd, reporter: Option<&Reporter>) -> Sys<()> {
        process::new_session()?;
        // Who looks for the daemon by its name is to find one.
        process::rename(c"daemonctx-log");
        for (pipe, number) in self.pipes.iter().zip(PIPES) {
            match pipe {
                Some(pipe) => fd::connect(pipe.as_raw_fd(), number)?,
                None => fd::close(number),
            }
        }
        fd::connect(socket.as_raw_fd(), SOCKET)?;
        Keep::only(reporter.map_or(SOCKET, Reporter::as_raw_fd));
        Ok(())
    }
}

/// Logs what the pipes bring until both are at their end. On `pids`, if that is open, come the PIDs of the programs that write, one
/// after the other. A PID is told when the pipes were read empty and before its program writes, so it is taken before the pipes are read.
fn pass_on(heads: &[CBuf; 2], daemon: Pid, pids: RawFd) -> ! {
    let mut log = Log { daemon: read_pid(pids).unwrap_or(daemon), lost: 0 };
    let (mut output, mut error) = ([0; LONGEST_LINE], [0; LONGEST_LINE]);
    let mut lines = [LineReader::new(&mut output), LineReader::new(&mut error)];
    let [output, error] = PIPES.map(|number| if fd::is_open(number) { number } else { -1 });
    let mut open = [output, error, pids].map(fd::readable);
    while open.iter().take(PIPES.len()).any(|pipe| pipe.fd >= 0) {
        let _: Sys<bool> = fd::poll(&mut open, -1);
        let [pipes @ .., pids] = &mut open;
        if pids.revents != 0 {
            match read_pid(pids.fd) {
                Some(pid) => {
                    for (lines, head) in lines.iter_mut().zip(heads) {
                        lines.end(&mut |text, _| log.write(head.as_bytes(), text));
                    }
                    log.daemon = pid;
                }
                None => pids.fd = -1,
            }
        }
        for ((pipe, lines), head) in
            pipes.iter_mut().zip(&mut lines).zip(heads).filter(|((pipe, _), _)| pipe.revents != 0)
        {
            let mut each = |text: &[u8], _| log.write(head.as_bytes(), text);
            if lines.read(pipe.fd, &mut each) != Ok(true) {
                pipe.fd = -1;
            }
        }
    }
    let last = heads.iter().rfind(|head| !head.as_bytes().is_empty());
    // There is nothing else to wait for any more, and nobody who would have to.
    log.confess(last.map_or(&[], |head| head.as_bytes()), PATIENCE);
    process::exit_now(0)
}

fn read_pid(from: RawFd) -> Option<Pid> {
    let mut bytes = [0; size_of::<Pid>()];
    (fd::read(from, &mut bytes) == Ok(bytes.len())).then_some(Pid::from_ne_bytes(bytes))
}

/// The ends of the logger of a program that is launched, as numbers: they go to another program in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) pipes: [Option<RawFd>; 2],
    pub(crate) heads: [CBuf; 2],
    pub(crate) socket: RawFd,
}

impl Ends {
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.pipes.into_iter().flatten().chain([self.socket])
    }

    /// The life of the logger, a process of its own that holds nothing else. It ends when nobody can write any more.
    pub(crate) fn run(&self, pids: RawFd) -> ! {
        const PIDS: RawFd = 3;
        let made = process::new_session().and_then(|()| {
            process::rename(c"daemonctx-log");
            for (pipe, number) in self.pipes.iter().zip(PIPES) {
                match pipe {
                    Some(pipe) => fd::connect(*pipe, number)?,
                    None => fd::close(number),
                }
            }
            fd::connect(self.socket, SOCKET)?;
            fd::connect(pids, PIDS)?;
            Keep::only(PIDS);
            Ok(())
        });
        match made {
            Ok(()) => pass_on(&self.heads, 0, PIDS),
            Err(_) => process::exit_now(1),
        }
    }
}

/// What the process in between has come to; its exit status is an error number. Somebody else may have taken it.
fn made(ended: Option<Ended>) -> Sys<()> {
    match ended {
        Some(Ended::Exited(errno)) if errno != 0 => Err(Errno::new(errno)),
        Some(Ended::Killed(_)) => Err(Errno::ECHILD),
        _ => Ok(()),
    }
}

/// The system's log, as the logger sees it.
struct Log {
    daemon: Pid,
    /// Lines that could not be delivered since one could.
    lost: i64,
}

impl Log {
    fn write(&mut self, head: &[u8], text: &[u8]) {
        // The first line that cannot be delivered is waited for; those after it are lost before it comes to that.
        if !self.confess(head, Duration::ZERO) || !self.deliver(head, text, PATIENCE) {
            self.lost += 1;
        }
    }

    /// Says how many lines were lost, if any; false if that cannot be said either.
    fn confess(&mut self, head: &[u8], patience: Duration) -> bool {
        if self.lost > 0 {
            let mut line = MessageBuf::new();
            line.push_number(self.lost).push(b" lines lost");
            if !self.deliver(head, line.as_bytes(), patience) {
                return false;
            }
            self.lost = 0;
        }
        true
    }

    /// The message as glibc's syslog(3) writes it, but for the time: local time cannot be had here, and every syslogd has a
    /// clock. A message on a stream ends in NUL; a datagram ends where it ends.
    fn deliver(&self, head: &[u8], text: &[u8], patience: Duration) -> bool {
        let mut line = MessageBuf::new();
        line.push(head).push_number(i64::from(self.daemon)).push(b"]: ").push(text);
        if socket::is_stream(SOCKET) {
            line.push(c"".to_bytes_with_nul());
        }
        send(line.as_bytes(), patience)
    }
}

/// Sends a message; false if `patience` was not enough.
fn send(message: &[u8], patience: Duration) -> bool {
    let deadline = Deadline::after(Some(patience));
    let mut rest = message;
    let mut connected = false;
    while !rest.is_empty() {
        match fd::write(SOCKET, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::EAGAIN) => {
                if fd::poll(&mut [fd::writable(SOCKET)], deadline.poll_timeout()) != Ok(true) && deadline.passed() {
                    break;
                }
            }
            // It has gone. Where it is back already nothing has to be waited for.
            Err(_) if !connected && socket::connect_to_system_log().is_ok_and(take_over) => {
                (connected, rest) = (true, message);
            }
            Err(_) if deadline.passed() => break,
            Err(_) => {
                time::pause(PAUSE);
                connected = false;
            }
        }
    }
    // Half a message would be the beginning of the next.
    if !rest.is_empty() && rest.len() < message.len() {
        let _: bool = socket::connect_to_system_log().is_ok_and(take_over);
    }
    rest.is_empty()
}

fn take_over(socket: OwnedFd) -> bool {
    fd::connect(socket.as_raw_fd(), SOCKET).is_ok()
}
