//! Statuses, and the error that a handle remembers.

use crate::{daemonctx, store};
use ::daemonctx::{Error, ErrorKind};
use daemonctx_ffi_common::errno::set_errno;
use libc::{c_char, c_int};
use std::ffi::CStr;

/// What a function returns. With an error, errno is set too (0 where no system call failed), and the handle keeps the rest for
/// daemonctx_error_text() and daemonctx_error().
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum daemonctx_status {
    /// Success.
    DAEMONCTX_OK = 0,
    /// The interface was used wrongly: a NULL handle or argument, a value that an argument cannot have, opened twice, not opened yet.
    DAEMONCTX_ERROR_USAGE = 1,
    /// An option has an invalid value.
    DAEMONCTX_ERROR_OPTION = 2,
    /// A system call failed.
    DAEMONCTX_ERROR_SYSTEM = 3,
    /// The pid file cannot be used or read, or the process it names cannot be reached.
    DAEMONCTX_ERROR_PID_FILE = 4,
    /// Another process holds the pid file.
    DAEMONCTX_ERROR_ALREADY_RUNNING = 5,
    /// Privileges could not be dropped, or were still there afterwards.
    DAEMONCTX_ERROR_PRIVILEGES = 6,
    /// The start failed after the fork (daemonctx_wait_ready() and daemonctx_launch(); otherwise the starter exits).
    DAEMONCTX_ERROR_START = 7,
    /// The daemon was not ready in time (the same).
    DAEMONCTX_ERROR_TIMEOUT = 8,
    /// A daemon with another command line runs under the name (daemonctx_launch()).
    DAEMONCTX_ERROR_NAME_TAKEN = 9,
}

use daemonctx_status::*;

fn status(kind: ErrorKind) -> daemonctx_status {
    match kind {
        ErrorKind::Usage => DAEMONCTX_ERROR_USAGE,
        ErrorKind::Option => DAEMONCTX_ERROR_OPTION,
        ErrorKind::PidFile => DAEMONCTX_ERROR_PID_FILE,
        ErrorKind::AlreadyRunning => DAEMONCTX_ERROR_ALREADY_RUNNING,
        ErrorKind::Privileges => DAEMONCTX_ERROR_PRIVILEGES,
        ErrorKind::Start => DAEMONCTX_ERROR_START,
        ErrorKind::Timeout => DAEMONCTX_ERROR_TIMEOUT,
        ErrorKind::NameTaken => DAEMONCTX_ERROR_NAME_TAKEN,
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
            store(step, self.step.as_ptr().cast());
            store(errnum, self.errno);
            store(text, self.text.as_ptr().cast());
        }
        self.status
    }
}

/// What a function does that is given NULL for a handle, and so has nowhere to keep the error.
pub(super) fn null_handle() -> daemonctx_status {
    set_errno(libc::EINVAL);
    DAEMONCTX_ERROR_USAGE
}

/// The handle's last error as one line for people, without the program's name and without a newline:
///
///     pid file failed: /run/hello.pid (already running as PID 4711): Resource temporarily unavailable (11 EAGAIN)
///
/// The string belongs to the handle and stays until its next error; it is empty before any. For a NULL handle, which
/// daemonctx_new() returns when there is no memory, it is "out of memory".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_error_text(ctx: *const daemonctx) -> *const c_char {
    // SAFETY: the header asks for a handle or NULL.
    text(unsafe { ctx.as_ref() }.map(|ctx| &ctx.error), c"out of memory")
}

/// The text of a handle's last error, or why there is no handle.
pub(super) fn text(error: Option<&Record>, without: &'static CStr) -> *const c_char {
    error.map_or(without.as_ptr(), |error| error.text.as_ptr().cast())
}

/// The handle's last error: its status, and through the pointers that are not NULL the step that failed ("pid file"), errno
/// (0 where no system call failed) and the line of daemonctx_error_text().
///
/// The strings belong to the handle and stay until its next error. Success of a function leaves them as they are; before
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
/// 128 + N where signal N killed it, 124 after the timeout, else 1; 0 before any error; 1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_exit_status(ctx: *const daemonctx) -> c_int {
    // SAFETY: the header asks for a handle or NULL.
    unsafe { ctx.as_ref() }.map_or(libc::EXIT_FAILURE, |ctx| ctx.error.exit_status)
}
