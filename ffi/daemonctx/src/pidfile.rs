//! Pid files: taking one, and asking about the daemon that holds it.

use super::error::{self, Record, daemonctx_status};
use super::options::duration;
use crate::string;
use ::daemonctx::{Error, PidFile, PidFileLock, Status, Stopped};
use daemonctx_ffi_common::errno::set_errno;
use daemonctx_ffi_common::heap::{from_c, to_c};
use libc::{c_char, c_int, c_long, pid_t};

/// daemonctx_pidfile_status(): the daemon runs.
pub const DAEMONCTX_RUNNING: c_int = 0;
/// daemonctx_pidfile_status(): there is a file and nobody holds it, so the daemon died without removing it.
pub const DAEMONCTX_STALE: c_int = 1;
/// daemonctx_pidfile_status(): a start holds the file and has not written a PID yet.
pub const DAEMONCTX_STARTING: c_int = 2;
/// daemonctx_pidfile_status(): there is no file.
pub const DAEMONCTX_NOT_RUNNING: c_int = 3;
/// daemonctx_pidfile_status(): the file cannot be read by this user.
pub const DAEMONCTX_UNKNOWN: c_int = 4;

/// daemonctx_pidfile_stop(): the daemon was not running.
pub const DAEMONCTX_STOP_NOT_RUNNING: c_int = 0;
/// daemonctx_pidfile_stop(): it ended on SIGTERM.
pub const DAEMONCTX_STOP_TERMINATED: c_int = 1;
/// daemonctx_pidfile_stop(): it did not and was killed.
pub const DAEMONCTX_STOP_KILLED: c_int = 2;

/// A pid file, by its path: to take, or to ask about the daemon that holds it. A handle belongs to one thread at a time.
pub struct daemonctx_pidfile {
    file: PidFile,
    lock: Option<PidFileLock>,
    error: Record,
}

/// Runs `call` on the file behind a handle, and keeps the error it ends with.
///
/// # Safety
/// `handle` is NULL or a live handle that nobody else uses meanwhile.
unsafe fn with(
    handle: *mut daemonctx_pidfile,
    call: impl FnOnce(&PidFile, &mut Option<PidFileLock>) -> Result<(), Error>,
) -> daemonctx_status {
    // SAFETY: the caller keeps the contract.
    let Some(handle) = (unsafe { handle.as_mut() }) else { return error::null_handle() };
    let result = call(&handle.file, &mut handle.lock);
    handle.error.keep(result)
}

/// Keeps a result's value where C wants it.
///
/// # Safety
/// `place` is NULL or a place that the caller owns.
unsafe fn store<T>(place: *mut T, value: T) {
    // SAFETY: the caller keeps the contract.
    if let Some(place) = unsafe { place.as_mut() } {
        *place = value;
    }
}

/// A pid file that its daemon locks, as this library's do. Nothing happens to the file system. A relative path is made
/// absolute. The caller owns the handle and gives it to daemonctx_pidfile_free().
///
/// NULL with errno: EINVAL: path is NULL. ENOENT: it is empty. ENAMETOOLONG. ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_new(path: *const c_char) -> *mut daemonctx_pidfile {
    // SAFETY: the header asks for a string or NULL.
    handle(unsafe { string(path) }.and_then(PidFile::new))
}

/// A pid file of a program that does not lock it: instead of the lock, the process must have begun before the file was
/// written. This proves nothing, and the status is DAEMONCTX_UNKNOWN, where others than root and the caller can write the file or
/// its directory, where the file is dated in the future, where another process has the file locked, or where a process of another
/// PID namespace may be meant. Otherwise as daemonctx_pidfile_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_foreign(path: *const c_char) -> *mut daemonctx_pidfile {
    // SAFETY: the header asks for a string or NULL.
    handle(unsafe { string(path) }.and_then(PidFile::foreign))
}

fn handle(file: Result<PidFile, Error>) -> *mut daemonctx_pidfile {
    let handle = match file {
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
pub unsafe extern "C" fn daemonctx_pidfile_acquire(file: *mut daemonctx_pidfile) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe {
        with(file, |file, lock| {
            if lock.is_some() {
                return Err(Error::bad_handle(true));
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
    unsafe { with(file, |_, lock| lock.take().map(PidFileLock::release).ok_or_else(|| Error::bad_handle(false))) }
}

/// The PID in the file, whoever that is by now; *pid becomes 0 when there is no file, or no PID in it.
///
/// Errors: DAEMONCTX_ERROR_PID_FILE: it is not a pid file, or cannot be read. EINVAL: it holds something other than one number. ELOOP,
/// EMLINK: it is a symbolic link, or has other names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_read(file: *mut daemonctx_pidfile, pid: *mut pid_t) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(file, |file, _| {
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
pub unsafe extern "C" fn daemonctx_pidfile_status(
    file: *mut daemonctx_pidfile,
    status: *mut c_int,
    pid: *mut pid_t,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and places, or NULL.
    unsafe {
        with(file, |file, _| {
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
pub unsafe extern "C" fn daemonctx_pidfile_signal(file: *mut daemonctx_pidfile, signum: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle or NULL.
    unsafe { with(file, |file, _| file.signal(signum)) }
}

/// Ends the daemon: SIGTERM, so many milliseconds to follow it (none when negative), then SIGKILL. Comes back when the process
/// is gone and its file with it. *how, if how is not NULL, becomes DAEMONCTX_STOP_NOT_RUNNING, DAEMONCTX_STOP_TERMINATED or
/// DAEMONCTX_STOP_KILLED.
///
/// Errors: as for daemonctx_pidfile_signal(); a daemon that does not run is none. ETIMEDOUT: the process has not ended within 10 seconds
/// after SIGKILL, as one does not that waits for a dead file system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_stop(
    file: *mut daemonctx_pidfile,
    milliseconds: c_long,
    how: *mut c_int,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(file, |file, _| {
            let stopped = match file.stop(duration(milliseconds).unwrap_or_default())? {
                Stopped::NotRunning => DAEMONCTX_STOP_NOT_RUNNING,
                Stopped::Terminated => DAEMONCTX_STOP_TERMINATED,
                Stopped::Killed => DAEMONCTX_STOP_KILLED,
            };
            store(how, stopped);
            Ok(())
        })
    }
}

/// Waits until the daemon has ended, for so many milliseconds at the most, any time when negative. *ended becomes 1, or 0 when
/// the time passed first. Nothing is sent.
///
/// Errors: DAEMONCTX_ERROR_PID_FILE: the file is no regular file, or cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemonctx_pidfile_wait(
    file: *mut daemonctx_pidfile,
    milliseconds: c_long,
    ended: *mut c_int,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a place, or NULL.
    unsafe {
        with(file, |file, _| {
            store(ended, c_int::from(file.wait(duration(milliseconds))?));
            Ok(())
        })
    }
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
