//! What the monitor has to tell when nobody is there who could ask: a line to the system log.

use super::files::{Facts, LastEnd};
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::process::{self, Ended};
use crate::sys::{Sys, fd, socket};
use std::os::fd::AsRawFd;

/// The program is not started any more. A log that is away is not waited for: state file and status say the same.
pub(super) fn gave_up(name: &CBuf, facts: &Facts) {
    /// Facility `daemon`, severity `warning` (RFC 5424).
    const PRIORITY: i64 = 3 << 3 | 4;
    let mut line = MessageBuf::new();
    line.push(b"<").push_number(PRIORITY).push(b">").push_printable(name.as_bytes()).push(b"[");
    line.push_number(i64::from(process::id())).push(b"]: gave up after ");
    line.push_number(i64::from(facts.restarts)).push(b" restarts: ");
    match facts.end {
        Some(LastEnd::Of(Ended::Exited(status))) => {
            line.push(b"the program exited with status ").push_number(i64::from(status))
        }
        Some(LastEnd::Of(Ended::Killed(signal))) => {
            line.push(b"the program was killed by signal ").push_number(i64::from(signal))
        }
        Some(LastEnd::NotStarted(failure)) => {
            line.push(b"the program cannot be started: ").push(failure.step.as_str().as_bytes()).push(b": ");
            failure.errno.describe(&mut line);
            &mut line
        }
        Some(LastEnd::Of(Ended::Unknown)) | None => line.push(b"the program has ended"),
    };
    if let Ok(socket) = socket::connect_to_system_log() {
        if socket::is_stream(socket.as_raw_fd()) {
            line.push(&[0]);
        }
        let _: Sys<usize> = fd::write(socket.as_raw_fd(), line.as_bytes());
    }
}
