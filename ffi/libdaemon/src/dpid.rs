//! The pid file.

use super::{dlog, fail, result};
use ::daemonctx::{Error, PidFile, PidFileLock, Status, parts};
use libc::{c_char, c_int, pid_t};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

type Proc = unsafe extern "C" fn() -> *const c_char;

unsafe extern "C" {
    /// A [`Proc`], or NULL; shared with the program.
    static daemon_pid_file_proc: AtomicPtr<()>;
}

/// The file that the program means.
fn file() -> Result<PidFile, c_int> {
    // SAFETY: the object is the program's or the library's, a pointer, and there as long as both.
    let function = unsafe { &daemon_pid_file_proc }.load(Ordering::Relaxed);
    // SAFETY: a function pointer and NULL are what the header allows there, and what an optional `extern "C" fn` is.
    let Some(function) = (unsafe { std::mem::transmute::<*mut (), Option<Proc>>(function) }) else {
        return Err(libc::EINVAL);
    };
    // SAFETY: the header gives this type to the function.
    let path = unsafe { function() };
    if path.is_null() {
        return Err(libc::EINVAL);
    }
    // SAFETY: not NULL, so a string that stays until the function is called again.
    let path = OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes());
    parts::libdaemon_pid_file(path).map_err(|error| logged(libc::LOG_ERR, &error))
}

fn logged(priority: c_int, error: &Error) -> c_int {
    dlog::error(priority, error);
    error.errno().unwrap_or(libc::EIO)
}

/// The file and the daemon that it means. A stale file is removed.
fn find() -> Result<(PidFile, pid_t), c_int> {
    let file = file()?;
    match parts::known_status(&file).map_err(|error| logged(libc::LOG_WARNING, &error))? {
        Status::Running(pid) => Ok((file, pid)),
        Status::NotRunning => Err(libc::ENOENT),
        Status::Starting => Err(libc::EAGAIN),
        Status::Unknown => Err(libc::EACCES),
        Status::Stale => {
            let errno = if parts::is_corrupt(&file) { libc::EINVAL } else { libc::ESRCH };
            dlog::say(libc::LOG_WARNING, b"removing the stale pid file ", file.path().as_os_str().as_bytes());
            if let Err(error) = file.remove() {
                dlog::error(libc::LOG_WARNING, &error);
            }
            Err(errno)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn daemon_pid_file_create() -> c_int {
    let file = match file() {
        Ok(file) => file,
        Err(errno) => return fail(errno),
    };
    let acquired = file.acquire().map(PidFileLock::keep);
    // A daemon's, or something that is no pid file: what open(2) with O_EXCL says of both.
    let exists = acquired.is_err() && file.exists();
    let result = result(acquired, libc::EIO);
    if exists { fail(libc::EEXIST) } else { result }
}

#[unsafe(no_mangle)]
extern "C" fn daemon_pid_file_remove() -> c_int {
    match file().and_then(|file| file.remove().map_err(|error| error.errno().unwrap_or(libc::EIO))) {
        Ok(()) => 0,
        Err(errno) => fail(errno),
    }
}

#[unsafe(no_mangle)]
extern "C" fn daemon_pid_file_is_running() -> pid_t {
    find().map_or_else(fail, |(_, pid)| pid)
}

#[unsafe(no_mangle)]
extern "C" fn daemon_pid_file_kill(s: c_int) -> c_int {
    let killed = find().and_then(|(file, _)| file.signal(s).map_err(|error| logged(libc::LOG_WARNING, &error)));
    killed.map_or_else(fail, |()| 0)
}

#[unsafe(no_mangle)]
extern "C" fn daemon_pid_file_kill_wait(s: c_int, m: c_int) -> c_int {
    let timeout = Some(Duration::from_secs(u64::try_from(m).unwrap_or(0)));
    let killed = find()
        .and_then(|(file, _)| file.signal_and_wait(s, timeout).map_err(|error| logged(libc::LOG_WARNING, &error)));
    match killed {
        Ok(true) => 0,
        Ok(false) => fail(libc::ETIME),
        Err(errno) => fail(errno),
    }
}
