//! Statuses, and the error that a handle remembers.

use crate::daemonctx;
use ::daemonctx::{Error, ErrorKind};
use daemonctx_ffi_common::errno::set_errno;
use libc::{c_char, c_int};

/// What a function gives back: DAEMONCTX_OK or one of the errors below. With an error, errno is set too (0 where no system
/// call is to blame), and the handle remembers the rest for daemonctx_error().
pub type daemonctx_status = c_int;

/// It worked.
pub const DAEMONCTX_OK: daemonctx_status = 0;
/// The interface was used wrongly: a NULL handle or argument, opened twice, not opened yet.
pub const DAEMONCTX_ERROR_USAGE: daemonctx_status = 1;
/// An option cannot be what it was set to.
pub const DAEMONCTX_ERROR_OPTION: daemonctx_status = 2;
/// A system call on the way failed.
pub const DAEMONCTX_ERROR_SYSTEM: daemonctx_status = 3;
/// The pid file cannot be used or read, or the process it names cannot be reached.
pub const DAEMONCTX_ERROR_PID_FILE: daemonctx_status = 4;
/// Another process holds the pid file.
pub const DAEMONCTX_ERROR_ALREADY_RUNNING: daemonctx_status = 5;
/// Privileges could not be dropped, or were still there afterwards.
pub const DAEMONCTX_ERROR_PRIVILEGES: daemonctx_status = 6;
/// The start failed after the fork (daemonctx_wait_ready() only; otherwise the starter leaves).
pub const DAEMONCTX_ERROR_START: daemonctx_status = 7;
/// The daemon was not ready in time (daemonctx_wait_ready() only).
pub const DAEMONCTX_ERROR_TIMEOUT: daemonctx_status = 8;

fn status(kind: ErrorKind) -> daemonctx_status {
    match kind {
        ErrorKind::Usage => DAEMONCTX_ERROR_USAGE,
        ErrorKind::Option => DAEMONCTX_ERROR_OPTION,
        ErrorKind::PidFile => DAEMONCTX_ERROR_PID_FILE,
        ErrorKind::AlreadyRunning => DAEMONCTX_ERROR_ALREADY_RUNNING,
        ErrorKind::Privileges => DAEMONCTX_ERROR_PRIVILEGES,
        ErrorKind::Start => DAEMONCTX_ERROR_START,
        ErrorKind::Timeout => DAEMONCTX_ERROR_TIMEOUT,
        _ => DAEMONCTX_ERROR_SYSTEM,
    }
}

/// Room for a path and what is said about it, NUL included.
const TEXT_ROOM: usize = 4096 + 512;
const STEP_ROOM: usize = 32;

/// The last error of a handle, in C's shape.
pub struct Record {
    status: daemonctx_status,
    errno: c_int,
    exit_status: c_int,
    step: [u8; STEP_ROOM],
    text: [u8; TEXT_ROOM],
}

fn copy(text: &[u8], to: &mut [u8]) {
    let room = to.len().saturating_sub(1);
    let mut written = 0;
    for (to, from) in to.iter_mut().take(room).zip(text) {
        *to = *from;
        written += 1;
    }
    if let Some(end) = to.get_mut(written) {
        *end = 0;
    }
}

impl Record {
    pub(super) const fn new() -> Self {
        Self { status: DAEMONCTX_OK, errno: 0, exit_status: 0, step: [0; STEP_ROOM], text: [0; TEXT_ROOM] }
    }

    /// Keeps an error, and says which status it is. Success leaves the last error as it is, as errno does.
    pub(super) fn keep(&mut self, result: Result<(), Error>) -> daemonctx_status {
        let Err(error) = result else { return DAEMONCTX_OK };
        self.status = status(error.kind());
        self.errno = error.errno().unwrap_or(0);
        self.exit_status = error.exit_status();
        copy(error.step().as_str().as_bytes(), &mut self.step);
        error.with_message(|message| copy(message, &mut self.text));
        set_errno(self.errno);
        self.status
    }

    pub(super) unsafe fn give(
        &self,
        step: *mut *const c_char,
        errnum: *mut c_int,
        text: *mut *const c_char,
    ) -> daemonctx_status {
        // SAFETY: each is NULL or a place that the caller owns.
        unsafe {
            if let Some(step) = step.as_mut() {
                *step = self.step.as_ptr().cast();
            }
            if let Some(errnum) = errnum.as_mut() {
                *errnum = self.errno;
            }
            if let Some(text) = text.as_mut() {
                *text = self.text.as_ptr().cast();
            }
        }
        self.status
    }
}

/// What a function does that is given NULL for a handle, and so has nowhere to remember the error.
pub(super) fn null_handle() -> daemonctx_status {
    set_errno(libc::EINVAL);
    DAEMONCTX_ERROR_USAGE
}

/// The handle's last error: its status, and through the pointers that are not NULL the step that failed ("pid file"), errno
/// (0 where no system call is to blame) and one line for people, without the program's name and without a newline:
///
///     pid file failed: /run/hello.pid (already running as PID 4711): Resource temporarily unavailable (11 EAGAIN)
///
/// Both strings belong to the handle and stay until its next error. Success of a function leaves them as they are; before
/// any error the status is DAEMONCTX_OK and the strings are empty. ctx NULL gives DAEMONCTX_ERROR_USAGE and nothing else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_error(
    ctx: *const daemonctx,
    step: *mut *const c_char,
    errnum: *mut c_int,
    text: *mut *const c_char,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL, and for places or NULL.
    match unsafe { ctx.as_ref() } {
        // SAFETY: as above.
        Some(ctx) => unsafe { ctx.error.give(step, errnum, text) },
        None => null_handle(),
    }
}

/// The status that a program should exit with on the handle's last error: what the daemon exited with before it was ready,
/// 128 + N where signal N killed it, 124 after the timeout, else 1; 0 before any error and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_exit_status(ctx: *const daemonctx) -> c_int {
    // SAFETY: the header asks for a handle or NULL.
    unsafe { ctx.as_ref() }.map_or(0, |ctx| ctx.error.exit_status)
}
