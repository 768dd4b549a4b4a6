//! `libdaemonctx.so.0`: the crate `daemonctx` for C, `#include <daemonctx.h>`.
//!
//! A function here turns C's types into Rust's, calls the core, and turns the result back. Nothing here can panic; `make
//! check-library` checks the release build for that.
//!
//! What every function documents for C is in the header that `make header` generates from these files, `include/daemonctx.h`.
#![allow(non_camel_case_types, reason = "C's names")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the header says it for C; what Rust checks is said at each unsafe block"
)]

// In the order in which the header tells it.
pub mod error;

pub mod options;

pub mod start;

pub mod notify;

pub mod pidfile;

use ::daemonctx::{Context, Daemon, Error, Starting};
use error::{Record, daemonctx_status};
use libc::c_char;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

/// A daemon: what it is to be, and after daemonctx_open() what it is.
///
/// A handle belongs to one thread at a time: functions on the same handle must not run at once, functions on different
/// handles may. After daemonctx_open() the daemon's handle is a copy of the starter's.
pub struct daemonctx {
    daemon: Daemon,
    context: Option<Context>,
    starting: Option<Starting>,
    error: Record,
}

/// A path or name from C; the error that NULL is where one is wanted.
///
/// # Safety
/// `string` is NULL or a NUL-terminated string that stays as it is for `'a`.
unsafe fn string<'a>(string: *const c_char) -> Result<&'a OsStr, Error> {
    if string.is_null() {
        return Err(Error::null_argument());
    }
    // SAFETY: not NULL; the caller keeps the rest.
    Ok(OsStr::from_bytes(unsafe { CStr::from_ptr(string) }.to_bytes()))
}

/// The same where NULL is for nothing.
///
/// # Safety
/// As for [`string`].
unsafe fn optional<'a>(text: *const c_char) -> Option<&'a OsStr> {
    // SAFETY: the caller keeps the contract.
    unsafe { string(text) }.ok()
}

/// Runs `call` on the daemon behind a handle, and keeps the error it ends with.
///
/// # Safety
/// `ctx` is NULL or a live handle that nobody else uses meanwhile.
unsafe fn with(ctx: *mut daemonctx, call: impl FnOnce(&mut daemonctx) -> Result<(), Error>) -> daemonctx_status {
    // SAFETY: the caller keeps the contract.
    match unsafe { ctx.as_mut() } {
        None => error::null_handle(),
        Some(ctx) => {
            let result = call(ctx);
            ctx.error.keep(result)
        }
    }
}
