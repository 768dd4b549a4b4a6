//! Another program as a daemon.

use super::error::daemonctx_status;
use super::options::choose;
use crate::{DAEMONCTX_FOREVER, Failure, daemonctx, store, string, time, with};
use ::daemonctx::{KillMode, Launching, Program, Respawn};
use libc::{c_char, c_int, c_long, pid_t};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

/// Which processes the stop of a launched program ends: daemonctx_set_kill_mode().
#[repr(C)]
pub enum daemonctx_kill_mode {
    /// The program and all its descendants. The default.
    DAEMONCTX_KILL_TREE = 0,
    /// The program alone: its descendants go on.
    DAEMONCTX_KILL_PROCESS = 1,
}

/// What C passes as a `daemonctx_kill_mode`: any number.
pub type daemonctx_kill_mode_value = c_int;

/// When a program that daemonctx_launch() starts is ready, as `daemonctx start --notify` has it (daemonctx(1)):
///
/// - "running:500ms": when it has run for so long; 500 ms is the default;
/// - "exec": as soon as it was executed;
/// - "fd" or "fd:N": when it writes a newline to descriptor 3, or N;
/// - "systemd": when it, or a descendant, sends READY=1 to NOTIFY_SOCKET (sd_notify(3));
/// - "forking" or "forking:PIDFILE": when it has put itself into the background, or that file names the daemon;
/// - "listen:PORT", "listen:ADDRESS:PORT" or "listen:PATH": when it, or a descendant, listens there;
/// - "file:PATH": when that file is there and newer than the launch.
///
/// Errors: DAEMONCTX_ERROR_OPTION (EINVAL): something else; the text says what is allowed.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_readiness(ctx: *mut daemonctx, readiness: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_readiness", |ctx| {
            // What is no UTF-8 is none of them, and is named as far as it is.
            let text = string(readiness, "readiness")?.to_str().unwrap_or("invalid UTF-8");
            ctx.readiness = text.parse()?;
            Ok(())
        })
    }
}

/// How many times a launched program that fails (exits with another status than 0, or is killed) is started again, each time so many
/// milliseconds after its end. 0: never, the default. DAEMONCTX_FOREVER: without limit. A program that has run for a minute has all of
/// its times again.
///
/// Errors: DAEMONCTX_ERROR_USAGE (EINVAL): another negative number, or more than 4294967295 times.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_respawn(
    ctx: *mut daemonctx,
    times: c_long,
    milliseconds: c_long,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_respawn", |ctx| {
            let delay = time(milliseconds)?;
            #[allow(clippy::useless_conversion, reason = "32 bits on other machines")]
            let limit = match times {
                DAEMONCTX_FOREVER => None,
                times => Some(u32::try_from(times).map_err(|_| Failure::Invalid(i64::from(times)))?),
            };
            ctx.respawn = (limit != Some(0)).then_some(Respawn { delay, limit, ..Respawn::default() });
            Ok(())
        })
    }
}

/// The signal that asks a launched program to end, SIGTERM unless set.
///
/// Errors: EINVAL: no signal has that number.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stop_signal(ctx: *mut daemonctx, signal: c_int) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_stop_signal", |ctx| {
            ctx.daemon.stop_signal(signal);
            Ok(())
        })
    }
}

/// How many milliseconds a launched program may take to end before it is killed, 5000 unless set.
///
/// Errors: DAEMONCTX_ERROR_USAGE (EINVAL): negative.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_stop_timeout(ctx: *mut daemonctx, milliseconds: c_long) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_stop_timeout", |ctx| {
            ctx.daemon.stop_timeout(time(milliseconds)?);
            Ok(())
        })
    }
}

/// Which processes the stop of a launched program ends: DAEMONCTX_KILL_TREE or DAEMONCTX_KILL_PROCESS.
///
/// Errors: EINVAL: none of them.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_kill_mode(
    ctx: *mut daemonctx,
    mode: daemonctx_kill_mode_value,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_kill_mode", |ctx| {
            let choices = [
                (daemonctx_kill_mode::DAEMONCTX_KILL_TREE as c_int, KillMode::Tree),
                (daemonctx_kill_mode::DAEMONCTX_KILL_PROCESS as c_int, KillMode::Process),
            ];
            ctx.daemon.kill_mode(choose(mode, choices)?);
            Ok(())
        })
    }
}

/// The executable that stays with a launched program: daemonctx-monitor, which is installed with the library and found beside it unless set.
///
/// Errors: ENOENT: empty. ENAMETOOLONG. Whether it can be executed is found by daemonctx_launch().
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_set_monitor(ctx: *mut daemonctx, path: *const c_char) -> daemonctx_status {
    // SAFETY: the header asks for a handle and a string, or NULL.
    unsafe {
        with(ctx, "daemonctx_set_monitor", |ctx| {
            ctx.daemon.monitor(string(path, "path")?);
            Ok(())
        })
    }
}

/// Starts a program as a daemon, another one or this one again, waits until it is ready (daemonctx_set_readiness()), and goes on. *daemon, if
/// daemon is not NULL, becomes its PID then. The calling program may have threads: it does not fork. The daemon's parent is a process of its
/// own, the monitor, which stays with it, so that it and all its descendants are known.
///
/// path is the executable, "/proc/self/exe" for this program again; PATH is not searched. argv are its arguments, the first of which is what it is called, and envp its environment,
/// as for execve(2); argv may be NULL for path alone, envp for this program's environment.
///
/// All options of the handle count but daemonctx_set_signal(), daemonctx_set_detach(), daemonctx_set_allow_threads(),
/// daemonctx_set_manual_ready() and daemonctx_set_ready_descriptor(): the program begins with the signals of a fresh process. The handle can
/// be used again, also after an error.
///
/// The daemon's name is the one that daemonctx_set_program_name() set; `daemonctx list`, `status NAME` and `stop NAME` (daemonctx(1)) know it
/// by that, and there is one daemon for a name, which has no slash and no leading dot. With a pid file it is stopped by daemonctx_pidfile_stop() as well.
///
/// Errors: the launch has failed then, and nothing is left of it. DAEMONCTX_ERROR_ALREADY_RUNNING: it runs. DAEMONCTX_ERROR_NAME_TAKEN.
/// DAEMONCTX_ERROR_START: the program ended before it was ready. DAEMONCTX_ERROR_TIMEOUT. DAEMONCTX_ERROR_SYSTEM (ENOENT): no such
/// program, or no monitor; (EPERM): this process is PID 1.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn daemonctx_launch(
    ctx: *mut daemonctx,
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
    daemon: *mut pid_t,
) -> daemonctx_status {
    // SAFETY: the header asks for a handle, strings and lists that NULL ends, or NULL, and a place or NULL.
    unsafe {
        with(ctx, "daemonctx_launch", |ctx| {
            let mut program = Program::new(string(path, "path")?);
            let mut arguments = list(argv);
            if let Some(name) = arguments.next() {
                program.arg0(name);
            }
            program.args(arguments);
            if !envp.is_null() {
                program.env_clear();
                for assignment in list(envp) {
                    add_variable(&mut program, assignment);
                }
            }
            program.readiness(std::mem::take(&mut ctx.readiness)).respawn(ctx.respawn);
            let launched = ctx.daemon.launch(&program).and_then(Launching::confirm);
            ctx.readiness = program.take_readiness();
            store(daemon, launched?);
            Ok(())
        })
    }
}

/// The strings of a list that NULL ends, or of none.
///
/// # Safety
/// `first` is NULL or such a list, which stays as it is for `'a`.
unsafe fn list<'a>(first: *const *const c_char) -> impl Iterator<Item = &'a OsStr> {
    let mut next = first;
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: the caller keeps the contract, and the end was not reached yet.
        let string = unsafe { *next };
        if string.is_null() {
            next = std::ptr::null();
            return None;
        }
        next = next.wrapping_add(1);
        // SAFETY: not NULL; the caller keeps the rest.
        Some(OsStr::from_bytes(unsafe { CStr::from_ptr(string) }.to_bytes()))
    })
}

/// What is no assignment is nobody's variable.
fn add_variable(program: &mut Program, assignment: &OsStr) {
    let mut parts = assignment.as_bytes().splitn(2, |byte| *byte == b'=').map(OsStr::from_bytes);
    if let (Some(name), Some(value)) = (parts.next().filter(|name| !name.is_empty()), parts.next()) {
        program.env(name, value);
    }
}
