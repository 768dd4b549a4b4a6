//! Pid files: taking one, and asking about the daemon that holds it.

use super::error::{self, Record, daemonctx_status};
use crate::{Failure, limit, store, string, time};
use ::daemonctx::{Error, PidFile, PidFileLock, Status, Stopped};
use daemonctx_ffi_common::errno::set_errno;
use daemonctx_ffi_common::heap::{from_c, to_c};
use daemonctx_pidfile_state::*;
use daemonctx_stop::*;
use libc::{c_char, c_int, c_long, pid_t};
use std::ffi::OsStr;

/// What a pid file says about its daemon: daemonctx_pidfile_status().
#[repr(C)]
pub enum daemonctx_pidfile_state {
    /// The daemon runs.
    DAEMONCTX_RUNNING = 0,
    /// There is a file and no process holds it, so the daemon died without removing it.
    DAEMONCTX_STALE = 1,
    /// A start holds the file and has not written a PID yet.
    DAEMONCTX_STARTING = 2,
    /// There is no file.
    DAEMONCTX_NOT_RUNNING = 3,
    /// The file cannot be read by this user, or nothing proves that its process is the daemon.
    DAEMONCTX_UNKNOWN = 4,
}

/// How a daemon ended: daemonctx_pidfile_stop().
#[repr(C)]
pub enum daemonctx_stop {
    /// It was not running.
    DAEMONCTX_STOP_NOT_RUNNING = 0,
    /// It ended on SIGTERM.
    DAEMONCTX_STOP_TERMINATED = 1,
    /// It did not, and was killed.
    DAEMONCTX_STOP_KILLED = 2,
}

/// A pid file, by its path: to take, or to ask about the daemon that holds it. A handle belongs to one thread at a time.
pub struct daemonctx_pidfile {
    file: PidFile,
    lock: Option<PidFileLock>,
    error: Record,
}

/// Runs `call` for `function` on the file behind a handle, and keeps the error it ends with.
///
/// # Safety
/// `handle` is NULL or a live handle that nobody else uses meanwhile.
unsafe fn with(
    handle: *mut daemonctx_pidfile,
    function: &'static str,
    call: impl FnOnce(&PidFile, &mut Option<PidFileLock>) -> Result<(), Failure>,
) -> daemonctx_status {
    // SAFETY: the caller keeps the contract.
    let Some(handle) = (unsafe { handle.as_mut() }) else { return error::null_handle() };
    let result = call(&handle.file, &mut handle.lock).map_err(|failure| failure.of(function));
    handle.error.keep(result)
}

/// A pid file that its daemon locks, as this library's do. Nothing happens to the file system. A relative path is made
/// absolute. The caller owns the handle and gives it to daemonctx_pidfile_free().
///
/// NULL with errno: EINVAL: path is NULL. ENOENT: it is empty. ENAMETOOLONG. ENOMEM.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_new(path: *const c_char) -> *mut daemonctx_pidfile {
    // SAFETY: the header asks for a string or NULL.
    handle("daemonctx_pidfile_new", unsafe { string(path, "path") }, PidFile::new)
}

/// A pid file of a program that does not lock it: instead of the lock, the process must have begun before the file was
/// written. This proves nothing, and the status is DAEMONCTX_UNKNOWN, where others than root and the caller can write the file or
/// its directory, where the file is dated in the future, where another process has the file locked, or where a process of another
/// PID namespace may be meant. Otherwise as daemonctx_pidfile_new().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_foreign(path: *const c_char) -> *mut daemonctx_pidfile {
    // SAFETY: the header asks for a string or NULL.
    handle("daemonctx_pidfile_foreign", unsafe { string(path, "path") }, PidFile::foreign)
}

fn handle<'a>(
    function: &'static str,
    path: Result<&'a OsStr, Failure>,
    make: fn(&'a OsStr) -> Result<PidFile, Error>,
) -> *mut daemonctx_pidfile {
    let handle = match path.map_err(|failure| failure.of(function)).and_then(make) {
        Ok(file) => to_c(daemonctx_pidfile { file, lock: None, error: Record::new() }),
        Err(error) => {
            set_errno(error.errno().unwrap_or(libc::EINVAL));
            return std::ptr::null_mut();
        }
    };
    if handle.is_null() {
        set_errno(libc::ENOMEM);
    }
    handle
}

/// Frees a handle; NULL is nothing. If it has acquired the file, that is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_free(file: *mut daemonctx_pidfile) {
    // SAFETY: the header asks for a handle that is not used again, or NULL.
    drop(unsafe { from_c(file) });
}

/// Takes the file for this process and writes its PID, for programs that daemonctx_open() does not start. The end of the
/// process by exit(3) releases it.
///
/// Errors: DAEMONCTX_ERROR_ALREADY_RUNNING (EAGAIN): another process holds it. DAEMONCTX_ERROR_USAGE (EALREADY): acquired
/// already. DAEMONCTX_ERROR_PID_FILE.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_acquire(file: *mut daemonctx_pidfile) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(file, "daemonctx_pidfile_acquire", |file, lock| {
            if lock.is_some() {
                return Err(Error::bad_handle(true).into());
            }
            *lock = Some(file.acquire()?);
            Ok(())
        })
    }
}

/// Removes a file that was acquired and gives up its lock.
///
/// Errors: DAEMONCTX_ERROR_USAGE (EBADF): it was not acquired.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_release(file: *mut daemonctx_pidfile) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(file, "daemonctx_pidfile_release", |_, lock| {
            Ok(lock.take().map(PidFileLock::release).ok_or_else(|| Error::bad_handle(false))?)
        })
    }
}

/// The PID in the file, whoever that is by now; *pid becomes 0 when there is no file, or no PID in it.
///
/// Errors: DAEMONCTX_ERROR_PID_FILE: it is not a pid file, or cannot be read. EINVAL: it holds something other than one number. ELOOP,
/// EMLINK: it is a symbolic link, or has other names.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_read(file: *mut daemonctx_pidfile, pid: *mut pid_t) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(file, "daemonctx_pidfile_read", |file, _| {
            store(pid, file.read_pid()?.unwrap_or(0));
            Ok(())
        })
    }
}

/// What the file says about its daemon: *status becomes DAEMONCTX_RUNNING (and *pid the daemon's PID, else 0),
/// DAEMONCTX_STALE, DAEMONCTX_STARTING, DAEMONCTX_NOT_RUNNING or DAEMONCTX_UNKNOWN. Either may be NULL.
///
/// Errors: DAEMONCTX_ERROR_PID_FILE: it is not a pid file, or cannot be read for another reason than missing permission.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_status(
    file: *mut daemonctx_pidfile,
    status: *mut daemonctx_pidfile_state,
    pid: *mut pid_t,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and places, or NULL.
    unsafe {
        with(file, "daemonctx_pidfile_status", |file, _| {
            let (code, running) = match file.status()? {
                Status::Running(pid) => (DAEMONCTX_RUNNING, pid),
                Status::Stale => (DAEMONCTX_STALE, 0),
                Status::Starting => (DAEMONCTX_STARTING, 0),
                Status::NotRunning => (DAEMONCTX_NOT_RUNNING, 0),
                Status::Unknown => (DAEMONCTX_UNKNOWN, 0),
            };
            store(status, code);
            store(pid, running);
            Ok(())
        })
    }
}

/// Sends a signal to the daemon, and never to another process. Signal 0 only checks.
///
/// Errors: DAEMONCTX_ERROR_PID_FILE: ESRCH when the daemon does not run; EPERM when it may not be signalled, or nothing proves that
/// the process is the daemon; EINVAL for a number that is no signal, and a file that is not a pid file.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_signal(file: *mut daemonctx_pidfile, signum: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe { with(file, "daemonctx_pidfile_signal", |file, _| Ok(file.signal(signum)?)) }
}

/// Ends the daemon: SIGTERM, so many milliseconds to follow it, then SIGKILL. Returns when the process
/// is gone and its file with it. *how, if how is not NULL, becomes DAEMONCTX_STOP_NOT_RUNNING, DAEMONCTX_STOP_TERMINATED or
/// DAEMONCTX_STOP_KILLED.
///
/// Errors: as for daemonctx_pidfile_signal(); a daemon that does not run is none. DAEMONCTX_ERROR_USAGE (EINVAL): a negative number.
/// ETIMEDOUT: the process has not ended within 10 seconds
/// after SIGKILL, as one does not that waits for a dead file system.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_stop(
    file: *mut daemonctx_pidfile,
    milliseconds: c_long,
    how: *mut daemonctx_stop,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(file, "daemonctx_pidfile_stop", |file, _| {
            let stopped = match file.stop(time(milliseconds)?)? {
                Stopped::NotRunning => DAEMONCTX_STOP_NOT_RUNNING,
                Stopped::Terminated => DAEMONCTX_STOP_TERMINATED,
                Stopped::Killed => DAEMONCTX_STOP_KILLED,
            };
            store(how, stopped);
            Ok(())
        })
    }
}

/// Waits until the daemon has ended, at most for so many milliseconds, which may be DAEMONCTX_FOREVER. *ended becomes 1, or 0 when
/// the time passed first. Nothing is sent.
///
/// Errors: DAEMONCTX_ERROR_PID_FILE: the file is no regular file, or cannot be read. DAEMONCTX_ERROR_USAGE (EINVAL): another negative
/// number.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_pidfile_wait(
    file: *mut daemonctx_pidfile,
    milliseconds: c_long,
    ended: *mut c_int,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(file, "daemonctx_pidfile_wait", |file, _| {
            store(ended, c_int::from(file.wait(limit(milliseconds)?)?));
            Ok(())
        })
    }
}

/// The same as daemonctx_error_text(), for a pid file's handle. For NULL, which daemonctx_pidfile_new() returns, it is "bad path for a
/// pid file, or out of memory"; errno says which.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_error_text(file: *const daemonctx_pidfile) -> *const c_char {
    // SAFETY: the header asks for a handle or NULL.
    error::text(unsafe { file.as_ref() }.map(|file| &file.error), c"bad path for a pid file, or out of memory")
}

/// The same as daemonctx_error(), for a pid file's handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_error(
    file: *const daemonctx_pidfile,
    step: *mut *const c_char,
    errnum: *mut c_int,
    text: *mut *const c_char,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL, and for places or NULL.
    match unsafe { file.as_ref() } {
        // SAFETY: as above.
        Some(file) => unsafe { file.error.give(step, errnum, text) },
        None => error::null_handle(),
    }
}
