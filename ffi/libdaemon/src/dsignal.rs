//! The queue of signals.

use super::{fail, result};
use ::daemonctx::parts::signal_queue;
use daemonctx_ffi_common::errno::keeping_errno;
use libc::c_int;

/// What `daemon_signal_init()` does before it looks at its list.
#[unsafe(no_mangle)]
extern "C" fn libdaemon_signal_open() -> c_int {
    result(signal_queue::open(), libc::EIO)
}

#[unsafe(no_mangle)]
extern "C" fn daemon_signal_install(s: c_int) -> c_int {
    result(signal_queue::catch(s), libc::EINVAL)
}

#[unsafe(no_mangle)]
extern "C" fn daemon_signal_next() -> c_int {
    match signal_queue::next() {
        Ok(signal) => signal.unwrap_or(0),
        Err(error) => {
            super::dlog::error(libc::LOG_ERR, &error);
            fail(error.errno().unwrap_or(libc::EIO))
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn daemon_signal_fd() -> c_int {
    signal_queue::descriptor().unwrap_or(-1)
}

#[unsafe(no_mangle)]
extern "C" fn daemon_signal_done() {
    keeping_errno(signal_queue::close);
}
