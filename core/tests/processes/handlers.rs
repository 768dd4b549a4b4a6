//! Programs that install signal handlers of their own over ours: libraries for signals call the handler before them.

use crate::Test;
use crate::house::{House, exists};
use crate::programs::{open, pause_for_ever, pid, report};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const TESTS: &[Test] = &[
    ("handlers: signal-hook decides when the process exits", by_signal_hook),
    ("handlers: tokio decides when the process exits", by_tokio),
    ("handlers: one that calls the handler before it decides when the process exits", by_chaining),
    ("handlers: one that puts the handler before it back ends the process", by_restoring),
];

pub fn run(name: &str) -> ! {
    let _context = open();
    match name {
        "signal_hook" => {
            let mut signals = Signals::new([libc::SIGTERM]).expect("a handler");
            report(pid());
            signals.forever().next();
        }
        "tokio" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut signals =
                    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("a handler");
                report(pid());
                signals.recv().await;
            });
        }
        "chaining" => {
            install(chain);
            daemonctx::parts::block_only(&[libc::SIGTERM]).expect("a signal");
            report(pid());
            // SAFETY: a set of no signals is all zeroes where it is made of integers, and sigsuspend reads it.
            unsafe { libc::sigsuspend(&std::mem::zeroed()) };
        }
        _ => {
            install(restore);
            report(pid());
            pause_for_ever();
        }
    }
    report("goes on");
    std::process::exit(7);
}

static BEFORE: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);

fn install(handler: extern "C" fn(i32)) {
    // SAFETY: both handlers are async-signal-safe: they call what was installed before, or raise.
    let before = unsafe { libc::signal(libc::SIGTERM, handler as *const () as libc::sighandler_t) };
    assert!(before != libc::SIG_DFL && before != libc::SIG_ERR, "the daemon has a handler");
    BEFORE.store(before, Ordering::SeqCst);
}

extern "C" fn chain(signal: i32) {
    let before = BEFORE.load(Ordering::SeqCst);
    // SAFETY: this was the handler of the same signal, without SA_SIGINFO.
    let before: extern "C" fn(i32) = unsafe { std::mem::transmute(before) };
    before(signal);
}

/// As faulthandler.register(chain=True) does.
extern "C" fn restore(signal: i32) {
    // SAFETY: this was the handler of the same signal.
    unsafe {
        libc::signal(signal, BEFORE.load(Ordering::SeqCst));
        libc::raise(signal);
    }
}

// --- the tests ---

/// The program exits by itself, with its own status; its pid file is removed then.
fn exits_by_itself(house: &mut House, program: &str) {
    house.start(program, &[]).is(0, "");
    let daemon = house.hear_number();
    let status = house.end(daemon, libc::SIGTERM);
    assert_eq!(house.hear(), "goes on");
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 7));
    assert!(!exists(&house.pid_file()));
}

fn by_signal_hook(house: &mut House) {
    exits_by_itself(house, "signal_hook");
}

fn by_tokio(house: &mut House) {
    exits_by_itself(house, "tokio");
}

fn by_chaining(house: &mut House) {
    exits_by_itself(house, "chaining");
}

fn by_restoring(house: &mut House) {
    house.start("restoring", &[]).is(0, "");
    let daemon = house.hear_number();
    let status = house.end(daemon, libc::SIGTERM);
    assert_eq!((libc::WIFSIGNALED(status), libc::WTERMSIG(status)), (true, libc::SIGTERM));
    assert!(!exists(&house.pid_file()));
}
