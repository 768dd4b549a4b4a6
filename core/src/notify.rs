//! Telling a service manager: systemd's notify protocol (sd_notify(3)), without its library.

use crate::error::{Error, Step};
use crate::line::Line;
use crate::sys::Errno;
use crate::sys::{Sys, environment, process, socket};
use crate::text::c_text;

/// Sends assignments, one a line, such as `STATUS=reading the configuration`, to the service manager. Returns false where
/// there is none: `NOTIFY_SOCKET` is not set.
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
    let sent = environment::with(c_text!("NOTIFY_SOCKET"), |name| {
        if name.is_empty() {
            None
        } else {
            Some(send(name, state).map_err(|errno| Error::about(Step::Notify, name, errno)))
        }
    });
    match sent.flatten() {
        None => Ok(false),
        Some(result) => result.map(|()| true),
    }
}

fn send(name: &[u8], state: &[u8]) -> Sys<()> {
    match name.first() {
        Some(b'/' | b'@') => socket::send_to_unix(name, state),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Says that the service is up, and which process it is. Neither allocates nor fails: a service manager that has gone
/// away must not end the daemon.
pub(crate) fn ready() {
    let mut line = Line::new();
    line.push(b"READY=1\nMAINPID=").push_number(i64::from(process::id()));
    environment::with(c_text!("NOTIFY_SOCKET"), |name| {
        let _: Sys<()> = send(name, line.as_bytes());
    });
}
