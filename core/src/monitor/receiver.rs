//! The process that receives the program's messages, in the monitor's place.
//!
//! Every process of the machine may send to the socket, and with a message descriptors. To close one may take as long as its sender likes:
//! a socket that lingers, a file of a FUSE server that does not answer. No signal ends the latter. So the monitor has another process
//! receive, and learns from it on a pipe what was understood.
#![allow(unsafe_code, reason = "the fork; this process has one thread")]

use super::descendants;
use super::event::Event;
use crate::descriptors::Keep;
use crate::procfs::real_user;
use crate::sys::alarm::Interrupted;
use crate::sys::c_buf::CBuf;
use crate::sys::parse_decimal;
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Forked, Pid};
use crate::sys::socket::{Letterbox, Sender, SenderProcess};
use crate::sys::{Errno, Sys, fd, file};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What was understood: the time by which the start may take longer, in microseconds, or readiness.
type Record = [u8; 8];
const READY: u64 = u64::MAX;

/// The receiving process. It ends with this.
pub(super) struct Receiver {
    records: OwnedFd,
    process: Option<Process>,
    /// As `NOTIFY_SOCKET` has it.
    name: CBuf,
    path: Option<CBuf>,
}

impl Receiver {
    /// Binds the socket and makes the process: a sibling of this one, which counts its own descendants.
    pub(super) fn begin(path: Option<&CBuf>) -> Sys<Self> {
        let monitor = process::id();
        let path = path.map(|path| CBuf::path(path.as_bytes())).transpose()?;
        let (records, reports) = fd::pipe()?;
        fd::set_nonblocking(records.as_raw_fd(), true)?;
        let letterbox = Letterbox::new(path.as_ref())?;
        // From here on a failure removes what is at the path.
        let name = CBuf::path(letterbox.name());
        // SAFETY: this process has one thread.
        match name.and_then(|name| Ok((name, unsafe { process::fork_sibling() }?))) {
            Ok((_, Forked::Child)) => receive(&letterbox, &reports, monitor),
            // Its copy of the socket is closed here while the other process has one: it is the one to close what waits in the queue.
            Ok((name, Forked::Parent(pid))) => Ok(Self { records, process: Process::open(pid).ok(), name, path }),
            Err(errno) => {
                let _: Option<Sys<()>> = path.map(|path| file::unlink(path.as_c_str()));
                Err(errno)
            }
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.records.as_raw_fd()
    }

    /// What was understood next, if anything.
    ///
    /// # Errors
    /// EPIPE: the process was killed.
    pub(super) fn next(&self) -> Sys<Option<Event>> {
        let mut record = Record::default();
        match fd::read(self.as_raw_fd(), &mut record) {
            Ok(0) => Err(Errno::EPIPE),
            Ok(_) => Ok(Some(match u64::from_ne_bytes(record) {
                READY => Event::Sign,
                time => Event::Extend(Duration::from_micros(time)),
            })),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Receiver {
    /// One that closes a descriptor is not waited for longer than a moment: it ends when it can.
    fn drop(&mut self) {
        const MOMENT: Duration = Duration::from_secs(1);
        if let Some(path) = &self.path {
            let _: Sys<()> = file::unlink(path.as_c_str());
        }
        if let Some(process) = &self.process {
            let _: Sys<()> = process.signal(libc::SIGKILL);
            let _: Sys<bool> = process.wait(Some(MOMENT));
        }
    }
}

fn receive(letterbox: &Letterbox, reports: &OwnedFd, monitor: Pid) -> ! {
    let kept = [letterbox.as_raw_fd(), reports.as_raw_fd()];
    let mut keep = Keep::default();
    if kept.into_iter().any(|fd| keep.add(fd).is_err()) {
        process::exit_now(1);
    }
    keep.close_others();
    process::rename(c"daemonctx-recv");
    // The pipe has an error when the monitor has closed its end.
    loop {
        let mut fds = [fd::readable(letterbox.as_raw_fd()), fd::broken(reports.as_raw_fd())];
        let polled = fd::poll(&mut fds, -1);
        let [message, report] = fds.map(|fd| fd.revents != 0);
        if report || polled.is_err() {
            process::exit_now(0);
        }
        if let Some(record) = Some(letterbox).filter(|_| message).and_then(|letterbox| read_message(letterbox, monitor))
        {
            // Where the pipe is full the senders wait: what says that the program is ready must not be lost.
            let _: Sys<usize> = fd::write(reports.as_raw_fd(), &record.to_ne_bytes());
        }
    }
}

/// A message counts if it comes from a descendant of the monitor that still exists: systemd-notify(1) waits for the barrier that it sends
/// after the message.
fn read_message(letterbox: &Letterbox, monitor: Pid) -> Option<u64> {
    /// systemd takes no longer ones.
    const MESSAGE: usize = 4096;
    let mut room = [0; MESSAGE];
    let interrupted = Interrupted::begin();
    let message = letterbox.receive(&mut room);
    drop(interrupted);
    let (sender, text) = message.ok()?;
    if !descendants::is_below(sender.pid, monitor) || !has_number(&sender) {
        return None;
    }
    let mut found = None;
    for line in text.split(|&byte| byte == b'\n') {
        if line == b"READY=1" {
            return Some(READY);
        }
        let more = line.strip_prefix(b"EXTEND_TIMEOUT_USEC=").and_then(parse_decimal).filter(|time| *time != READY);
        found = more.or(found);
    }
    found
}

/// Whether the sender of a message still has its PID, so that what was found out about the PID is about the sender. Asked afterwards.
/// Before Linux 6.5, and where the message came with descriptors, another process of the same user can have it.
fn has_number(sender: &Sender) -> bool {
    match &sender.process {
        // One that has ended keeps its number until it is reaped.
        SenderProcess::Known(process) => process.signal(0) != Err(Errno::ESRCH),
        SenderProcess::Displaced | SenderProcess::Unknown => {
            real_user(sender.pid).is_none_or(|user| user == sender.user)
        }
    }
}
