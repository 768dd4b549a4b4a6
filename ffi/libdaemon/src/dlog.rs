//! What the library itself has to say.

use ::daemonctx::Error;
use libc::c_int;
use std::sync::atomic::{AtomicU32, Ordering};

const SYSLOG: u32 = 1;
const AUTO: u32 = 8;

unsafe extern "C" {
    fn libdaemon_say(prio: c_int, prefix_length: usize, prefix: *const u8, length: usize, text: *const u8);
    fn libdaemon_forget_syslog();
    /// Shared with the program; an `enum` in C.
    static daemon_log_use: AtomicU32;
}

/// Logs `text` behind `prefix`.
pub(super) fn say(priority: c_int, prefix: &[u8], text: &[u8]) {
    // SAFETY: both are valid for reads of their lengths.
    unsafe { libdaemon_say(priority, prefix.len(), prefix.as_ptr(), text.len(), text.as_ptr()) };
}

/// Logs an error, as it would be printed.
pub(super) fn error(priority: c_int, error: &Error) {
    error.with_message(|message| say(priority, b"", message));
}

/// In the daemon: with `DAEMON_LOG_AUTO`, syslog alone from now on.
pub(super) fn follow_daemon() {
    // SAFETY: the object is the program's or the library's, of this size, and there as long as both.
    let log_use = unsafe { &daemon_log_use };
    if log_use.load(Ordering::Relaxed) & AUTO != 0 {
        log_use.store(SYSLOG, Ordering::Relaxed);
    }
}

/// Gives up the connection to syslog, before its descriptor is closed.
pub(super) fn forget_syslog() {
    // SAFETY: takes nothing.
    unsafe { libdaemon_forget_syslog() };
}
