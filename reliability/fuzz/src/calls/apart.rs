//! A sequence in a process of its own, which may start daemons, close everything and end; and none of its processes crashes.

use super::{Where, furnish, sequence};
use crate::house::{self, wrong};
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// What AddressSanitizer ends a process with (`exitcode=86`).
const SANITIZER: c_int = 86;
/// What nobody who does as it should is ended by. SIGABRT is the standard library's end, and that of [`wrong`].
const CRASHES: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS];

/// Tries one sequence; waits for all that it has started, and ends it after a while.
pub fn run_apart(input: &[u8]) {
    furnish();
    // SAFETY: takes numbers; orphans become this process's children.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    // SAFETY: there is one thread; the child ends by _exit.
    match unsafe { libc::fork() } {
        0 => {
            say_nothing();
            sequence(input, Where::Apart);
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        -1 => wrong("fork fails"),
        _ => reap(),
    }
}

/// What is logged to standard output is nobody's to read.
fn say_nothing() {
    // SAFETY: a string, and numbers.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY) };
    // SAFETY: numbers.
    unsafe { libc::dup2(null, 1) };
    // SAFETY: this function's own.
    unsafe { libc::close(null) };
}

/// All of them: after two seconds they are killed, as some wait for a signal or for each other.
fn reap() {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        let mut status = 0;
        // SAFETY: a valid place.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid < 0 {
            return;
        }
        if pid > 0 {
            judge(status);
        } else {
            if Instant::now() > end {
                house::children().into_iter().for_each(kill);
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

/// A child that has not been waited for: its number is its own.
fn kill(child: libc::pid_t) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(child, libc::SIGKILL) };
}

fn judge(status: c_int) {
    if libc::WIFSIGNALED(status) && CRASHES.contains(&libc::WTERMSIG(status)) {
        wrong(&format!("a process is ended by signal {}", libc::WTERMSIG(status)));
    }
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == SANITIZER {
        wrong("AddressSanitizer has ended a process");
    }
}
