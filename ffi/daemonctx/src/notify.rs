//! Messages to a service manager.

use super::error::daemonctx_status::{self, *};
use crate::{Failure, limit};
use ::daemonctx::{Error, ErrorKind, ListenDescriptor};
use daemonctx_ffi_common::errno::set_errno;
use libc::{c_char, c_int, c_long, c_ulong, size_t};
use std::ffi::CStr;

/// More descriptors than fit into a message (`SCM_MAX_FD`).
const TOO_MANY: size_t = 254;

/// Sends assignments, one a line, such as "STATUS=reading the configuration", to the service manager (sd_notify(3)); readiness
/// is told by daemonctx_open() or daemonctx_ready(). *sent, if sent is not NULL, becomes 0 where there is no service manager:
/// NOTIFY_SOCKET is not set. May be called from any thread.
///
/// Errors: DAEMONCTX_ERROR_SYSTEM with errno: the socket cannot be sent to. DAEMONCTX_ERROR_USAGE (EINVAL): state is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_notify(state: *const c_char, sent: *mut c_int) -> daemonctx_status {
    if state.is_null() {
        set_errno(libc::EINVAL);
        return DAEMONCTX_ERROR_USAGE;
    }
    // SAFETY: not NULL; the header asks for a string.
    unsafe { told(::daemonctx::notify_bytes(CStr::from_ptr(state).to_bytes()), sent) }
}

/// The same, with copies of count descriptors (sd_pid_notify_with_fds(3)): "FDSTORE=1" has the manager keep them for the next
/// start, under the name that "FDNAME=..." on a line of its own gives.
///
/// Errors: as for daemonctx_notify(); DAEMONCTX_ERROR_SYSTEM with E2BIG for more than 253, with EBADF for one that is not open.
/// DAEMONCTX_ERROR_USAGE (EINVAL): state is NULL, or fds with a count that is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_notify_descriptors(
    state: *const c_char,
    fds: *const c_int,
    count: size_t,
    sent: *mut c_int,
) -> daemonctx_status {
    if state.is_null() || fds.is_null() && count > 0 {
        set_errno(libc::EINVAL);
        return DAEMONCTX_ERROR_USAGE;
    }
    // One more than a message takes is enough to be too many; a number that no array has would be no slice.
    let count = count.min(TOO_MANY);
    // SAFETY: not NULL; the header asks for a string, for so many numbers, and for a place or NULL.
    unsafe {
        let fds = if count == 0 { &[] } else { std::slice::from_raw_parts(fds, count) };
        told(::daemonctx::notify_with_descriptors(CStr::from_ptr(state).to_bytes(), fds), sent)
    }
}

/// Says that the daemon is reading its configuration again ("RELOADING=1", with the time that Type=notify-reload wants);
/// daemonctx_notify() with "READY=1" says that it is done. *sent as for daemonctx_notify().
///
/// Errors: DAEMONCTX_ERROR_SYSTEM with errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_notify_reloading(sent: *mut c_int) -> daemonctx_status {
    // SAFETY: the header asks for a place or NULL.
    unsafe { told(::daemonctx::notify_reloading(), sent) }
}

/// Waits until the service manager has dealt with all that was sent before (sd_notify_barrier(3)), at most for so many milliseconds,
/// which may be DAEMONCTX_FOREVER: afterwards the process may end and nothing of it is lost. *sent as for daemonctx_notify().
///
/// Errors: DAEMONCTX_ERROR_SYSTEM with errno; ETIMEDOUT when the time passed first. DAEMONCTX_ERROR_USAGE (EINVAL): another negative
/// number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_notify_barrier(milliseconds: c_long, sent: *mut c_int) -> daemonctx_status {
    let barrier = limit(milliseconds).and_then(|limit| Ok(::daemonctx::notify_barrier(limit)?));
    let barrier = barrier.map_err(|failure: Failure| failure.of("daemonctx_notify_barrier"));
    // SAFETY: the header asks for a place or NULL.
    unsafe { told(barrier, sent) }
}

/// How often, in microseconds, the service manager wants to hear "WATCHDOG=1" at the least (sd_watchdog_enabled(3)); 0 where it
/// does not. Notify at twice this rate.
#[unsafe(no_mangle)]
pub extern "C" fn daemonctx_watchdog_interval() -> c_ulong {
    let interval = ::daemonctx::watchdog_interval();
    interval.map_or(0, |interval| c_ulong::try_from(interval.as_micros()).unwrap_or(c_ulong::MAX))
}

/// Takes over the sockets that a service manager has opened for this process (sd_listen_fds_with_names(3)): numbers 3 and the
/// following, close-on-exec from now on; the variables are removed, so that no child takes them for its own. *count becomes how
/// many there are. May be called before daemonctx_open() or after it; the second time there are none.
///
/// With names, if names is not NULL, *names becomes an array of as many strings and NULL at its end, the units' names of the
/// sockets ("unknown" without one), in one piece for free(3).
///
/// Errors: DAEMONCTX_ERROR_SYSTEM with errno: EBADF when one is not open, ENOMEM.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_listen_descriptors(
    count: *mut c_int,
    names: *mut *mut *mut c_char,
) -> daemonctx_status {
    let taken = match ::daemonctx::take_listen_descriptors() {
        Ok(taken) => taken,
        Err(error) => return failed(&error),
    };
    // SAFETY: the header asks for places or NULL.
    let (count, names) = unsafe { (count.as_mut(), names.as_mut()) };
    if let Some(names) = names {
        *names = one_piece(&taken);
        if names.is_null() {
            set_errno(libc::ENOMEM);
            return DAEMONCTX_ERROR_SYSTEM;
        }
    }
    if let Some(count) = count {
        *count = c_int::try_from(taken.len()).unwrap_or(c_int::MAX);
    }
    DAEMONCTX_OK
}

/// An array of pointers and the strings behind it; NULL when there is no memory.
fn one_piece(taken: &[ListenDescriptor]) -> *mut *mut c_char {
    let pointers = (taken.len() + 1) * size_of::<*mut c_char>();
    let text: usize = taken.iter().map(|it| it.name().len() + 1).sum();
    // SAFETY: malloc takes a number. Each pointer and each string with its NUL goes where the sums above have made room.
    unsafe {
        let array = libc::malloc(pointers + text).cast::<*mut c_char>();
        if array.is_null() {
            return array;
        }
        let mut place = array.cast::<c_char>().add(pointers);
        for (index, name) in taken.iter().map(ListenDescriptor::name).enumerate() {
            array.add(index).write(place);
            std::ptr::copy_nonoverlapping(name.as_ptr().cast(), place, name.len());
            place.add(name.len()).write(0);
            place = place.add(name.len() + 1);
        }
        array.add(taken.len()).write(std::ptr::null_mut());
        array
    }
}

fn failed(error: &Error) -> daemonctx_status {
    set_errno(error.errno().unwrap_or(libc::EIO));
    if error.kind() == ErrorKind::Usage { DAEMONCTX_ERROR_USAGE } else { DAEMONCTX_ERROR_SYSTEM }
}

/// # Safety
/// `sent` is NULL or a place that the caller owns.
unsafe fn told(result: Result<bool, Error>, sent: *mut c_int) -> daemonctx_status {
    // SAFETY: the caller keeps the contract.
    if let Some(sent) = unsafe { sent.as_mut() } {
        *sent = c_int::from(result.as_ref().is_ok_and(|sent| *sent));
    }
    result.map_or_else(|error| failed(&error), |_| DAEMONCTX_OK)
}
