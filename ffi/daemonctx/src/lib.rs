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

pub mod launch;

pub mod notify;

pub mod pidfile;

use ::daemonctx::{Context, Daemon, Error, PendingStart, Readiness, Respawn};
use error::{Record, daemonctx_status};
use libc::{c_char, c_long};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A daemon: what it is to be, and after daemonctx_open() what it is.
///
/// A handle belongs to one thread at a time: functions on the same handle must not run at once, functions on different
/// handles may. After daemonctx_open() the daemon's handle is a copy of the starter's.
pub struct daemonctx {
    daemon: Daemon,
    context: Option<Context>,
    starting: Option<PendingStart>,
    readiness: Readiness,
    respawn: Option<Respawn>,
    error: Record,
}

/// Why a call fails: by the core, or because of an argument. `with` adds the name of the function to the latter.
enum Failure {
    Core(Error),
    /// The argument of this name is NULL.
    Null(&'static str),
    /// A number that is none of the values that the argument may have.
    Invalid(i64),
}

impl Failure {
    fn of(self, function: &'static str) -> Error {
        match self {
            Self::Core(error) => error,
            Self::Null(argument) => Error::null_argument(function, argument),
            Self::Invalid(value) => Error::bad_argument(function, value),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

/// A path or name from C, which is the function's `argument`.
///
/// # Safety
/// `string` is NULL or a NUL-terminated string that stays as it is for `'a`.
unsafe fn string<'a>(string: *const c_char, argument: &'static str) -> Result<&'a OsStr, Failure> {
    // SAFETY: the caller keeps the contract.
    unsafe { optional(string) }.ok_or(Failure::Null(argument))
}

/// The same where NULL is for nothing.
///
/// # Safety
/// As for [`string`].
unsafe fn optional<'a>(string: *const c_char) -> Option<&'a OsStr> {
    if string.is_null() {
        return None;
    }
    // SAFETY: not NULL; the caller keeps the rest.
    Some(OsStr::from_bytes(unsafe { CStr::from_ptr(string) }.to_bytes()))
}

/// Writes a result to where C wants it, if anywhere. What is there need not be a value of this type yet.
///
/// # Safety
/// `place` is NULL or a place that the caller owns.
unsafe fn store<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not NULL; the caller keeps the rest.
        unsafe { place.write(value) };
    }
}

/// Runs `call` for `function` on the daemon behind a handle, and keeps the error it ends with.
///
/// # Safety
/// `ctx` is NULL or a live handle that nobody else uses meanwhile.
unsafe fn with(
    ctx: *mut daemonctx,
    function: &'static str,
    call: impl FnOnce(&mut daemonctx) -> Result<(), Failure>,
) -> daemonctx_status {
    // SAFETY: the caller keeps the contract.
    match unsafe { ctx.as_mut() } {
        None => error::null_handle(),
        Some(ctx) => {
            let called = call(ctx).map_err(|failure| failure.of(function));
            // A setter's error is its function's.
            let result = called.and_then(|()| ctx.daemon.take_option_error());
            ctx.error.keep(result)
        }
    }
}

/// For every time limit: no limit.
pub const DAEMONCTX_FOREVER: c_long = -1;

/// Milliseconds as C counts them, and [`DAEMONCTX_FOREVER`].
fn limit(milliseconds: c_long) -> Result<Option<Duration>, Failure> {
    if milliseconds == DAEMONCTX_FOREVER { Ok(None) } else { time(milliseconds).map(Some) }
}

/// The same where there must be a limit.
fn time(milliseconds: c_long) -> Result<Duration, Failure> {
    // Not wider than i64 anywhere.
    #[allow(clippy::useless_conversion, reason = "32 bits on other machines")]
    u64::try_from(milliseconds).map(Duration::from_millis).map_err(|_| Failure::Invalid(i64::from(milliseconds)))
}

/// The version of the library that the program runs with, as DAEMONCTX_VERSION is that of the header it was compiled with: "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn daemonctx_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
