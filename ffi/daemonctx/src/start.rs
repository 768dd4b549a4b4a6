//! The start, and the daemon's life after it.

use super::error::daemonctx_status;
use crate::{Failure, daemonctx, limit, store, string, with};
use ::daemonctx::{Error, Fork};
use libc::{c_char, c_int, c_long, pid_t};
use std::os::unix::ffi::OsStrExt;

/// Starts the daemon. Only the daemon comes back from it with DAEMONCTX_OK. The starter waits until the daemon is ready and
/// leaves then by _exit(0), without running atexit handlers; when the start fails it prints one line on standard error,
///
///     PROGRAM: STEP failed: PATH-or-value: strerror (ERRNO NAME)
///
/// leaves with a status that is not 0 (see daemonctx_exit_status()), and nothing stays behind. While it waits, SIGINT, SIGQUIT
/// and SIGTERM call the start off.
///
/// An error is given back only in the starter and before the fork: nothing has happened then, and it can be tried again.
/// In a process that does not detach any step may give one.
///
/// What printf() has buffered for standard output is written out before. All descriptors above 2 that are not kept are
/// closed. Other threads would not exist in the daemon: a process that has any is refused, unless daemonctx_set_allow_threads() says
/// otherwise. Between the fork and the readiness nothing is allocated and no code of the program runs, except atfork handlers.
///
/// Errors: DAEMONCTX_ERROR_USAGE (EALREADY): opened already; (EOPNOTSUPP): there are other threads. Else that of the step.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_open(ctx: *mut daemonctx) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL, and says what happens to threads and descriptors.
    unsafe {
        with(ctx, "daemonctx_open", |ctx| {
            ctx.context = Some(ctx.daemon.open_unflushed()?);
            Ok(())
        })
    }
}

/// Starts the daemon from a program that goes on, like fork(2): it comes back in both. *daemon becomes the daemon's PID in
/// the program, where daemonctx_wait_ready() tells what becomes of it, and 0 in the daemon. A helper process waits between
/// them: the daemon is no child of the program, the helper is until it is waited for.
///
/// Errors: as for daemonctx_open(), and what fails before the daemon has a PID.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_fork(ctx: *mut daemonctx, daemon: *mut pid_t) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL, and says what happens to threads and descriptors.
    unsafe {
        with(ctx, "daemonctx_fork", |ctx| {
            if daemon.is_null() {
                return Err(Failure::Null("daemon"));
            }
            store(daemon, 0);
            match ctx.daemon.fork_unflushed()? {
                Fork::Daemon(context) => ctx.context = Some(context),
                Fork::Starter(starting) => {
                    store(daemon, starting.pid());
                    ctx.starting = Some(starting);
                }
            }
            Ok(())
        })
    }
}

/// In a program that used daemonctx_fork(): waits until the daemon is ready, at most for so many milliseconds, which may be
/// DAEMONCTX_FOREVER. *ready becomes 1, or 0 when the time passed first.
///
/// Errors: DAEMONCTX_ERROR_START, DAEMONCTX_ERROR_TIMEOUT or that of the daemon's step: the start failed, and nothing is left
/// of it; daemonctx_exit_status() says how. DAEMONCTX_ERROR_USAGE: EBADF: nothing was forked; EINVAL: another
/// negative number, ready is NULL.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_wait_ready(
    ctx: *mut daemonctx,
    milliseconds: c_long,
    ready: *mut c_int,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(ctx, "daemonctx_wait_ready", |ctx| {
            if ready.is_null() {
                return Err(Failure::Null("ready"));
            }
            let starting = ctx.starting.as_mut().ok_or_else(|| Error::bad_handle(false))?;
            let limit = limit(milliseconds)?;
            store(ready, c_int::from(starting.wait(limit)?));
            Ok(())
        })
    }
}

/// In the daemon: says that it is ready. Standard error is switched to where it was meant to go, the starter leaves with 0,
/// and a service manager that asked for it (NOTIFY_SOCKET) is told. Without daemonctx_set_manual_ready(), and when called
/// again, it does nothing.
///
/// Errors: DAEMONCTX_ERROR_SYSTEM (EPIPE): the starter was killed; whoever ran it was told that the start failed, so the
/// daemon should end. DAEMONCTX_ERROR_USAGE (EBADF): not opened.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_ready(ctx: *mut daemonctx) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(ctx, "daemonctx_ready", |ctx| Ok(ctx.context.as_mut().ok_or_else(|| Error::bad_handle(false))?.ready()?))
    }
}

/// In the daemon: says that it cannot become ready, and why. The starter prints the message behind the program's name and
/// leaves with status, 1 to 255. The daemon should end then; one that stays is killed after five seconds. A process that did
/// not detach prints the line itself.
///
/// Errors: DAEMONCTX_ERROR_USAGE (EINVAL): another status, or no message (NULL). DAEMONCTX_ERROR_START (EALREADY): it is ready already.
/// DAEMONCTX_ERROR_SYSTEM (EPIPE): the starter is gone. DAEMONCTX_ERROR_USAGE (EBADF): not opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_fail(
    ctx: *mut daemonctx,
    status: c_int,
    message: *const c_char,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_fail", |ctx| {
            let message = string(message, "message")?;
            let context = ctx.context.as_mut().ok_or_else(|| Error::bad_handle(false))?;
            Ok(context.fail(status, message.as_bytes())?)
        })
    }
}

/// In the daemon: opens the files again that standard output and standard error go to, by their paths: what a daemon does when
/// its log files have been moved away, mostly on SIGHUP. A file is appended to, and made like the first one where there is none.
/// The switch is a single step (dup2), so nothing that other threads write is lost; what stdio has buffered goes to the new file
/// unless fflush() is called before. Streams that go elsewhere stay. Not to be called in a signal handler.
///
/// The daemon's own rights, root directory and paths count: one that has changed its user may be refused, and below a chroot a
/// file outside it is ENOENT.
///
/// Errors: DAEMONCTX_ERROR_OPTION with the error number of open(2): its stream goes on with the old file, and the other is done
/// all the same; where both fail it is standard output's. DAEMONCTX_ERROR_USAGE (EBADF): not opened.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_reopen_streams(ctx: *mut daemonctx) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(ctx, "daemonctx_reopen_streams", |ctx| {
            Ok(ctx.context.as_mut().ok_or_else(|| Error::bad_handle(false))?.reopen_streams()?)
        })
    }
}

/// In the daemon: removes the pid file and gives up its lock. The end of the process does it too, by exit(3) or by SIGTERM,
/// SIGINT and SIGHUP where the program does not handle them.
///
/// A handler that ends the process otherwise leaves the file behind, stale: one that calls _exit(2), or sets the default action and raises
/// the signal again. PHP and Ruby have such handlers from the beginning: install another that exits, or set the signal to
/// DAEMONCTX_SIGNAL_DEFAULT by daemonctx_set_signal() before daemonctx_open(). A program that sets the default action itself afterwards
/// (SIG_DFL) leaves the file behind as well.
///
/// Errors: DAEMONCTX_ERROR_USAGE (EBADF): not opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_close(ctx: *mut daemonctx) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(ctx, "daemonctx_close", |ctx| {
            ctx.context.as_mut().ok_or_else(|| Error::bad_handle(false))?.close();
            Ok(())
        })
    }
}
