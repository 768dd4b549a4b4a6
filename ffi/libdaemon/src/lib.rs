//! `libdaemon.so.0`: the interface of libdaemon 0.14, `#include <libdaemon/daemon.h>`, and nothing else.
//!
//! One file for each header. What takes a variable number of arguments is in the C file of the same name, which turns them
//! into an array; so are the data objects, which programs linked at a fixed address share with the library by copy relocations.
//! What each function promises is said in the headers, `include/libdaemon`. Nothing here can panic; `make check-library` checks the
//! release build for that.

mod dexec;
mod dfork;
mod dlog;
mod dnonblock;
mod dpid;
mod dsignal;

use ::daemonctx::Error;
use daemonctx_ffi_common::errno::set_errno;
use libc::c_int;

/// What a function gives back that failed: -1 and errno.
fn fail(errno: c_int) -> c_int {
    set_errno(errno);
    -1
}

/// What a function gives back: 0, or -1 with the error logged and its errno set, `otherwise` where it has none.
fn result(result: Result<(), Error>, otherwise: c_int) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => {
            dlog::error(libc::LOG_ERR, &error);
            fail(error.errno().unwrap_or(otherwise))
        }
    }
}

/// A list of numbers from C, up to the first that is less than `least`; none for NULL.
///
/// # Safety
/// `list` is NULL or an array that ends in such a number, and stays as it is for `'a`.
unsafe fn list<'a>(list: *const c_int, least: c_int) -> Option<&'a [c_int]> {
    if list.is_null() {
        return None;
    }
    let mut length = 0;
    // SAFETY: the end has not been reached yet, so there is a number here.
    while unsafe { *list.add(length) } >= least {
        length += 1;
    }
    // SAFETY: these were all read just now.
    Some(unsafe { std::slice::from_raw_parts(list, length) })
}
