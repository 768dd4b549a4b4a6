//! The two C interfaces, called in any order with any arguments: a byte for the function, then its arguments.
//!
//! Out of scope: a handle that was freed, a string without a NUL, an array shorter than it says. In scope: NULL, numbers of all kinds,
//! any order. Whatever is called: no crash, every failure says why, and in the end, when all is given back, the process is what it
//! was.

mod apart;
mod libdaemon;
mod new;

pub use apart::run_apart;

use crate::choice::Choices;
use crate::house::{self, wrong};
use std::ffi::c_int;

/// Where pid files and others are looked for.
pub(crate) const PATHS: [&str; 10] =
    ["a.pid", "b.pid", "log", "./a.pid", "", "/", "/dev/null", "missing/a", "fifo", "link"];
/// Sent to whom a file names, this process too: those that do nothing, and none.
pub(crate) const HARMLESS: [c_int; 8] = [0, libc::SIGURG, libc::SIGWINCH, -1, 65, 1000, c_int::MAX, c_int::MIN];

/// Whether a sequence has a process of its own, and so may fork, close everything, and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    Inside,
    Apart,
}

pub(crate) fn errno() -> c_int {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(value: c_int) {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = value };
}

/// Tries one sequence in this process.
pub fn run(input: &[u8]) {
    furnish();
    let actions = actions();
    let before = house::state();
    sequence(input, Where::Inside);
    put_back(&actions);
    let after = house::state();
    if before != after {
        wrong(&format!("the process has become another:\n{before:?}\n{after:?}"));
    }
}

/// The calls, and everything given back.
pub(crate) fn sequence(input: &[u8], place: Where) {
    let mut choices = Choices::new(input);
    let mut handles = new::Handles::default();
    while !choices.is_empty() {
        if choices.byte() % 3 == 0 {
            libdaemon::call(&mut choices, place);
        } else {
            handles.call(&mut choices, place);
        }
    }
    drop(handles);
    libdaemon::give_back();
}

/// What stands where a pid file could: a FIFO and a link.
fn furnish() {
    for name in ["a.pid", "b.pid", "log"] {
        let _ = std::fs::remove_file(name);
    }
    if !std::fs::exists("fifo").unwrap_or(true) {
        // SAFETY: a string.
        unsafe { libc::mkfifo(c"fifo".as_ptr(), 0o600) };
        let _ = std::os::unix::fs::symlink("a.pid", "link");
    }
}

/// What signals do is the program's: daemon_signal_done() leaves the handlers, as libdaemon does.
fn actions() -> Vec<libc::sigaction> {
    (1..=64)
        .map(|signal| {
            // SAFETY: numbers and a set, for which zeros are a value.
            let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: valid; a number that is no signal is refused.
            unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
            now
        })
        .collect()
}

fn put_back(actions: &[libc::sigaction]) {
    for (signal, action) in (1..).zip(actions) {
        // SAFETY: what was in force before.
        unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
    }
}
