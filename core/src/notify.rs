//! Telling a service manager: systemd's notify protocol (sd_notify(3)), without its library.

use crate::error::{Error, Step, Subject};
use crate::sys::Errno;
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::time::{self, Deadline};
use crate::sys::{Sys, environment, fd, process, signal, socket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Sends assignments, one a line, such as `STATUS=reading the configuration`, to the service manager. Returns false where
/// there is none: `NOTIFY_SOCKET` is not set.
///
/// Readiness is told by [`Context::ready`](crate::Context::ready) and need not be sent. Others that managers know are
/// `STOPPING=1`, `STATUS=`, `ERRNO=`, `MAINPID=`, `EXTEND_TIMEOUT_USEC=`, `WATCHDOG_USEC=`.
///
/// ```
/// if !daemonctx::notify("STATUS=reading the configuration")? {
///     println!("nobody wants to know");
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
///
/// # Errors
/// The socket that `NOTIFY_SOCKET` names cannot be sent to. A daemon need not care: nothing is left undone but the message.
pub fn notify(state: &str) -> Result<bool, Error> {
    notify_bytes(state.as_bytes())
}

/// The same, for text that need not be UTF-8.
///
/// # Errors
/// As for [`notify`].
pub fn notify_bytes(state: &[u8]) -> Result<bool, Error> {
    notify_with_descriptors(state, &[])
}

/// The same, with copies of descriptors: `FDSTORE=1` has the manager keep them for the next start, under the name that
/// `FDNAME=` gives.
///
/// # Errors
/// As for [`notify`]; E2BIG for more than 253, EBADF for one that is not open.
pub fn notify_with_descriptors(state: &[u8], descriptors: &[RawFd]) -> Result<bool, Error> {
    let sent = environment::with(c"NOTIFY_SOCKET", |name| {
        if name.is_empty() {
            None
        } else {
            Some(send(name, state, descriptors).map_err(|errno| Error::about(Step::Notify, name, errno)))
        }
    });
    match sent.flatten() {
        None => Ok(false),
        Some(result) => result.map(|()| true),
    }
}

/// Says that the daemon is reading its configuration again; [`notify`] with `READY=1` says that it is done. With the time that
/// `Type=notify-reload` wants beside it.
///
/// # Errors
/// As for [`notify`].
pub fn notify_reloading() -> Result<bool, Error> {
    let mut line = MessageBuf::new();
    let now = i64::try_from(time::monotonic().as_micros()).unwrap_or(i64::MAX);
    line.push(b"RELOADING=1\nMONOTONIC_USEC=").push_number(now);
    notify_bytes(line.as_bytes())
}

/// Waits until the manager has dealt with all that was sent before: afterwards the process may end, or descriptors be closed,
/// and nothing of it is lost. False where there is no manager.
///
/// # Errors
/// As for [`notify`]; ETIMEDOUT when `timeout` (`None`: any time) has passed first, as it does with managers that do not know the
/// message.
pub fn notify_barrier(timeout: Option<Duration>) -> Result<bool, Error> {
    let failed = |errno| Error::os(Step::Notify, Subject::Word("BARRIER=1"), errno);
    let (ours, theirs) = fd::pipe().map_err(failed)?;
    if !notify_with_descriptors(b"BARRIER=1", &[theirs.as_raw_fd()])? {
        return Ok(false);
    }
    // Its copy is the last one then, and closing that is the answer.
    drop(theirs);
    let deadline = Deadline::after(timeout);
    loop {
        if fd::poll(&mut [fd::readable(ours.as_raw_fd())], deadline.poll_timeout()).map_err(failed)? {
            return Ok(true);
        }
        if deadline.passed() {
            return Err(failed(Errno::ETIMEDOUT));
        }
    }
}

/// How often the manager wants to hear `WATCHDOG=1` at the least, where it does: `WATCHDOG_USEC` is set, and `WATCHDOG_PID` is
/// this process or not set. Twice as often is well.
///
/// ```no_run
/// while let Some(interval) = daemonctx::watchdog_interval() {
///     daemonctx::notify("WATCHDOG=1")?;
///     std::thread::sleep(interval / 2);
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    let meant = environment::with(c"WATCHDOG_PID", crate::sys::parse_decimal);
    if meant.is_some_and(|pid| pid != u64::try_from(process::id()).ok()) {
        return None;
    }
    let microseconds = environment::with(c"WATCHDOG_USEC", crate::sys::parse_decimal).flatten();
    microseconds.filter(|time| *time > 0).map(Duration::from_micros)
}

/// Whether a service manager wants to be told.
pub(crate) fn is_wanted() -> bool {
    environment::with(c"NOTIFY_SOCKET", |name| !name.is_empty()) == Some(true)
}

fn send(name: &[u8], state: &[u8], descriptors: &[RawFd]) -> Sys<()> {
    match name.first() {
        Some(b'/' | b'@') => socket::send_to_unix(name, state, descriptors),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Says that the service is up, and which process it is. Neither allocates nor fails: a service manager that has gone
/// away must not end the daemon.
pub(crate) fn ready() {
    let mut line = MessageBuf::new();
    line.push(b"READY=1\nMAINPID=").push_number(i64::from(process::id()));
    environment::with(c"NOTIFY_SOCKET", |name| {
        let _: Sys<()> = send(name, line.as_bytes(), &[]);
    });
}

/// Says so to s6 and its like: a newline, and the descriptor is closed.
pub(crate) fn newline(descriptor: RawFd) {
    let _: Sys<usize> = signal::write_without_broken_pipe(descriptor, b"\n");
    fd::close(descriptor);
}
