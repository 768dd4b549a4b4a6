//! Becoming a daemon.

use super::{dlog, fail, list, result};
use ::daemonctx::Error;
use ::daemonctx::parts::{self, Forked, Handshake};
use daemonctx_ffi_common::errno::keeping_errno;
use daemonctx_ffi_common::heap::{from_c, to_c};
use libc::{c_int, pid_t};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::time::Duration;

/// The header of the original says 777; this is what it did.
const UMASK: u32 = 0o077;

/// What `daemon_retval_init()` has made: NULL before, and after it was used.
static HANDSHAKE: AtomicPtr<Handshake> = AtomicPtr::new(std::ptr::null_mut());

/// The daemon that this process has started, 0 for none.
static DAEMON: AtomicI32 = AtomicI32::new(0);

#[unsafe(no_mangle)]
extern "C" fn daemon_fork() -> pid_t {
    // SAFETY: what fork(2) asks of a program that has threads, the header says.
    match unsafe { parts::fork(UMASK) } {
        Ok(Forked::Starter(daemon)) => {
            DAEMON.store(daemon, Ordering::Relaxed);
            daemon
        }
        Ok(Forked::Daemon) => {
            DAEMON.store(0, Ordering::Relaxed);
            dlog::follow_daemon();
            0
        }
        Err(error) => result(Err(error), libc::EIO),
    }
}

/// Takes the handshake; whoever has it uses it up.
fn take() -> Option<Handshake> {
    let taken = HANDSHAKE.swap(std::ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: only `keep` puts something there, and nobody else has it after the swap.
    unsafe { from_c(taken) }
}

/// Puts it (back) in its place; false when there is no memory.
fn keep(handshake: Handshake) -> bool {
    let kept = to_c(handshake);
    HANDSHAKE.store(kept, Ordering::Release);
    !kept.is_null()
}

#[unsafe(no_mangle)]
extern "C" fn daemon_retval_init() -> c_int {
    // One that cannot be waited for is the daemon's own, and is no use for a daemon that this process starts.
    let kept = take().filter(Handshake::has_listener);
    match kept.map_or_else(Handshake::new, Ok).map(keep) {
        Ok(true) => 0,
        Ok(false) => fail(libc::ENOMEM),
        Err(error) => result(Err(error), libc::EIO),
    }
}

#[unsafe(no_mangle)]
extern "C" fn daemon_retval_done() {
    keeping_errno(|| drop(take()));
}

#[unsafe(no_mangle)]
extern "C" fn daemon_retval_wait(timeout: c_int) -> c_int {
    let Some(mut handshake) = take() else {
        dlog::say(libc::LOG_ERR, b"daemon_retval_wait() failed: ", b"there is no pipe: Bad file descriptor (9 EBADF)");
        return fail(libc::EBADF);
    };
    let daemon = DAEMON.load(Ordering::Relaxed);
    let timeout = u64::try_from(timeout).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
    // A value of -1 is told from an error by errno.
    let waited = keeping_errno(|| handshake.wait((daemon != 0).then_some(daemon), timeout));
    if matches!(waited.as_ref().map_err(Error::errno), Err(Some(libc::ETIMEDOUT | libc::EINTR))) {
        keep(handshake);
    }
    match waited {
        Ok(value) => value,
        // The original's end of file was EINVAL, and programs print that.
        Err(error) => result(Err(error), libc::EINVAL),
    }
}

#[unsafe(no_mangle)]
extern "C" fn daemon_retval_send(s: c_int) -> c_int {
    match take() {
        Some(handshake) => result(handshake.send(s), libc::EIO),
        // Programs send a last number at their end, sent one already or not.
        None => fail(libc::EINVAL),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn daemon_close_allv(except_fds: *const c_int) -> c_int {
    // SAFETY: the header asks for an array that ends in -1, or NULL.
    let Some(except) = (unsafe { list(except_fds, 0) }) else { return fail(libc::EINVAL) };
    dlog::forget_syslog();
    let mut handshake = take();
    let sender = handshake.as_mut().and_then(|handshake| handshake.sender(except));
    let closed = parts::close_all_but(except.iter().copied().chain(sender));
    if handshake.is_some_and(|handshake| !keep(handshake)) {
        return fail(libc::ENOMEM);
    }
    result(closed, libc::EIO)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn daemon_unblock_sigsv(except: *const c_int) -> c_int {
    // SAFETY: the header asks for an array that ends in -1, or NULL.
    match unsafe { list(except, 1) } {
        // Without a message, as the original.
        Some(except) => {
            parts::block_only(except).map_or_else(|error| fail(error.errno().unwrap_or(libc::EINVAL)), |()| 0)
        }
        None => fail(libc::EINVAL),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn daemon_reset_sigsv(except: *const c_int) -> c_int {
    // SAFETY: the header asks for an array that ends in -1, or NULL.
    match unsafe { list(except, 1) } {
        Some(except) => {
            parts::reset_all_but(except);
            0
        }
        None => fail(libc::EINVAL),
    }
}
