//! The pid file. The public functions are in dpid.c, which asks the program for the path.

use super::{dlog, fail, result};
use ::daemonctx::{Error, PidFile, PidFileLock, Status, parts};
use libc::{c_char, c_int, pid_t};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// The file at `path`, which the program named; `errno_of` an error, which it may log.
///
/// # Safety
/// `path` is NULL or a string.
unsafe fn file(path: *const c_char, errno_of: fn(&Error) -> c_int) -> Result<PidFile, c_int> {
    if path.is_null() {
        return Err(libc::EINVAL);
    }
    // SAFETY: not NULL; the caller keeps the rest.
    let path = OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes());
    parts::libdaemon_pid_file(path).map_err(|error| errno_of(&error))
}

fn silent(error: &Error) -> c_int {
    error.errno().unwrap_or(libc::EIO)
}

fn logged(error: &Error) -> c_int {
    dlog::error(libc::LOG_ERR, error);
    silent(error)
}

/// For a question. That there is no file is an answer to it.
fn warned(error: &Error) -> c_int {
    if error.errno() != Some(libc::ENOENT) {
        dlog::error(libc::LOG_WARNING, error);
    }
    silent(error)
}

/// For a signal that was not sent. Only why it may not be sent is more than its errno says.
fn refused(error: &Error) -> c_int {
    if error.errno() == Some(libc::EPERM) {
        dlog::error(libc::LOG_WARNING, error);
    }
    silent(error)
}

fn has_no_descriptor(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::EMFILE | libc::ENFILE))
}

/// The file and the daemon that it means. A stale file is removed.
///
/// # Safety
/// `path` is NULL or a string.
unsafe fn find(path: *const c_char) -> Result<(PidFile, pid_t), c_int> {
    // SAFETY: the caller keeps the contract.
    let file = unsafe { file(path, warned) }?;
    match parts::known_status(&file).map_err(|error| warned(&error))? {
        Status::Running(pid) => Ok((file, pid)),
        Status::NotRunning => Err(libc::ENOENT),
        Status::Starting => Err(libc::EAGAIN),
        Status::Unknown => Err(libc::EACCES),
        Status::Stale => {
            let errno = if parts::is_corrupt(&file) { libc::EINVAL } else { libc::ESRCH };
            match file.remove() {
                Ok(()) => {
                    dlog::say(libc::LOG_WARNING, b"removed the stale pid file ", file.path().as_os_str().as_bytes());
                }
                Err(error) => dlog::error(libc::LOG_WARNING, &error),
            }
            Err(errno)
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn libdaemon_pid_file_create(path: *const c_char) -> c_int {
    // SAFETY: dpid.c passes on what the header asks the program for: NULL or a string.
    let file = match unsafe { file(path, logged) } {
        Ok(file) => file,
        Err(errno) => return fail(errno),
    };
    let acquired = file.acquire().map(PidFileLock::keep);
    // A daemon's, or something that is no pid file: what open(2) with O_EXCL says of both, if it has a descriptor for it.
    let exists = acquired.as_ref().is_err_and(|error| !has_no_descriptor(error)) && file.exists();
    let result = result(acquired, libc::EIO);
    if exists { fail(libc::EEXIST) } else { result }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn libdaemon_pid_file_remove(path: *const c_char) -> c_int {
    // SAFETY: as above.
    let removed = unsafe { file(path, silent) }.and_then(|file| {
        // The lock is given up even if the file has been moved away.
        let exists = file.exists();
        file.remove().map_err(|error| silent(&error))?;
        if exists { Ok(()) } else { Err(libc::ENOENT) }
    });
    removed.map_or_else(fail, |()| 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn libdaemon_pid_file_is_running(path: *const c_char) -> pid_t {
    // SAFETY: as above.
    unsafe { find(path) }.map_or_else(fail, |(_, pid)| pid)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn libdaemon_pid_file_kill(path: *const c_char, s: c_int) -> c_int {
    // SAFETY: as above.
    let killed = unsafe { find(path) }.and_then(|(file, _)| file.signal(s).map_err(|error| refused(&error)));
    killed.map_or_else(fail, |()| 0)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn libdaemon_pid_file_kill_wait(path: *const c_char, s: c_int, m: c_int) -> c_int {
    let timeout = Some(Duration::from_secs(u64::try_from(m).unwrap_or(0)));
    // SAFETY: as above.
    let killed =
        unsafe { find(path) }.and_then(|(file, _)| file.signal_and_wait(s, timeout).map_err(|error| refused(&error)));
    match killed {
        Ok(true) => 0,
        Ok(false) => fail(libc::ETIME),
        Err(errno) => fail(errno),
    }
}
