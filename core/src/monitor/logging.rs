//! What the monitor tells the logger of syslog output.
//!
//! Lines carry the PID of the program that wrote them, and the pipes do not say whose a line is. So a restart waits until the logger has
//! read all that the life before has written. Then the next PID is told, and only after that the next program writes.

use super::launch::Launch;
use crate::streams::Output;
use crate::sys::process::Pid;
use crate::sys::time::Deadline;
use crate::sys::{Sys, fd};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How long a restart is put off for a logger that does not read. It waits as long itself for a syslogd that is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the pipes are looked at meanwhile.
pub(super) const STEP: Duration = Duration::from_millis(10);

pub(super) struct Logging {
    pids: Option<OwnedFd>,
    /// The last PID that was told.
    told: Option<Pid>,
    /// The end of the patience, while the logger is behind.
    limit: Option<Deadline>,
}

impl Logging {
    pub(super) fn to(pids: Option<OwnedFd>) -> Self {
        Self { pids, told: None, limit: None }
    }

    /// Tells the PID of the program whose lines come from now on. A logger that was killed is told nothing.
    pub(super) fn tell(&mut self, program: Option<Pid>) {
        /// The program writes next, and a write that fails need not fail again.
        const TRIES: u32 = 10;
        let news = program.filter(|_| program != self.told);
        if let (Some(pids), Some(pid)) = (&self.pids, news) {
            let told = (0..TRIES).find_map(|_| fd::write(pids.as_raw_fd(), &pid.to_ne_bytes()).ok());
            self.told = told.and(program);
        }
    }

    /// Whether the next life is to wait for the logger, which has not read all lines yet.
    pub(super) fn is_behind(&mut self, launch: &Launch) -> bool {
        let is_behind = self.pids.is_some() && pipes(launch).any(holds_lines);
        let limit = *self.limit.get_or_insert_with(|| Deadline::after(Some(PATIENCE)));
        let waits = is_behind && !limit.passed();
        if !waits {
            self.limit = None;
        }
        waits
    }
}

/// The ends that the program writes to.
fn pipes(launch: &Launch) -> impl Iterator<Item = RawFd> {
    let [_, outputs @ ..] = &launch.streams;
    let to_log = launch.outputs.iter().zip(outputs).filter(|(output, _)| matches!(output, Output::Syslog));
    to_log.filter_map(|(_, pipe)| *pipe)
}

/// Whether a pipe holds bytes that somebody may still read. One that cannot be asked may hold some.
fn holds_lines(pipe: RawFd) -> bool {
    let mut end = [fd::writable(pipe)];
    let _: Sys<bool> = fd::poll(&mut end, 0);
    let has_reader = end.iter().all(|end| end.revents & libc::POLLERR == 0);
    has_reader && fd::unread(pipe) != Ok(0)
}
