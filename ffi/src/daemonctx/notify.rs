//! Messages to a service manager.

use super::error::{DAEMONCTX_ERROR_SYSTEM, DAEMONCTX_ERROR_USAGE, DAEMONCTX_OK, daemonctx_status};
use crate::errno::set_errno;
use libc::{c_char, c_int};
use std::ffi::CStr;

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
    let result = ::daemonctx::notify_bytes(unsafe { CStr::from_ptr(state) }.to_bytes());
    // SAFETY: the header asks for a place or NULL.
    if let Some(sent) = unsafe { sent.as_mut() } {
        *sent = c_int::from(result.as_ref().is_ok_and(|sent| *sent));
    }
    match result {
        Ok(_) => DAEMONCTX_OK,
        Err(error) => {
            set_errno(error.errno().unwrap_or(libc::EIO));
            DAEMONCTX_ERROR_SYSTEM
        }
    }
}
