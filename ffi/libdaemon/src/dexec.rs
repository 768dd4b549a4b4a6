//! Running another program.

use super::{dlog, fail};
use ::daemonctx::parts::{self, OutputLine};
use ::daemonctx::{Error, Program, Step};
use libc::{c_char, c_int};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitStatus;

/// What a program counts as that could not be executed: what the shell's `exec` in a child would exit with.
const NOT_EXECUTED: c_int = libc::EXIT_FAILURE;

/// `daemon_exec()`, with its arguments in an array.
#[unsafe(no_mangle)]
unsafe extern "C" fn libdaemon_run(
    dir: *const c_char,
    ret: *mut c_int,
    prog: *const c_char,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: the header asks for strings or NULL; dexec.c ends the array in NULL.
    let ran = unsafe { program(prog, argv).and_then(|program| run(&program, string(dir))) };
    let code = match ran {
        Ok(status) => status.code().ok_or(libc::ECANCELED),
        Err(error) => {
            dlog::error(libc::LOG_ERR, &error);
            match error.step() {
                Step::Execute => Ok(NOT_EXECUTED),
                _ => Err(error.errno().unwrap_or(libc::EIO)),
            }
        }
    };
    match code {
        Ok(code) => {
            // SAFETY: the header asks for a place or NULL.
            if let Some(ret) = unsafe { ret.as_mut() } {
                *ret = code;
            }
            0
        }
        Err(errno) => fail(errno),
    }
}

/// A string from C; none for NULL.
///
/// # Safety
/// `string` is NULL or NUL-terminated, and stays as it is for `'a`.
unsafe fn string<'a>(string: *const c_char) -> Option<&'a OsStr> {
    // SAFETY: the caller keeps the contract.
    (!string.is_null()).then(|| OsStr::from_bytes(unsafe { CStr::from_ptr(string) }.to_bytes()))
}

/// # Safety
/// `path` is NULL or a string, `arguments` an array of strings that ends in NULL.
unsafe fn program(path: *const c_char, mut arguments: *const *const c_char) -> Result<Program, Error> {
    // SAFETY: the caller keeps the contract.
    let path = unsafe { string(path) }.ok_or_else(|| Error::null_argument("daemon_exec", "prog"))?;
    let mut program = Program::new(path);
    let mut is_name = true;
    // SAFETY: the end has not been reached yet.
    while let Some(argument) = unsafe { string(*arguments) } {
        if is_name {
            program.arg0(argument)
        } else {
            program.arg(argument)
        };
        is_name = false;
        // SAFETY: this was not the end.
        arguments = unsafe { arguments.add(1) };
    }
    Ok(program)
}

fn run(program: &Program, directory: Option<&OsStr>) -> Result<ExitStatus, Error> {
    match parts::run(program, directory.map(Path::new), log) {
        Err(error) if error.step() == Step::ChangeDirectory => {
            dlog::error(libc::LOG_WARNING, &error);
            parts::run(program, Some(Path::new("/")), log)
        }
        ran => ran,
    }
}

fn log(line: OutputLine<'_>) {
    let priority = if line.is_ended { libc::LOG_INFO } else { libc::LOG_WARNING };
    dlog::say(priority, b"client: ", line.text);
}
