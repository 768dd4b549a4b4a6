//! libdaemon's interface.

use super::{HARMLESS, PATHS, Where, errno, set_errno};
// Defines the functions below.
use crate::choice::Choices;
use crate::house::wrong;
use libdaemon_linked as _;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::null;

type Proc = Option<unsafe extern "C" fn() -> *const c_char>;

// What the headers say; those that take numbers alone may be called at any time.
unsafe extern "C" {
    unsafe fn daemon_fork() -> libc::pid_t;
    safe fn daemon_retval_init() -> c_int;
    safe fn daemon_retval_done();
    safe fn daemon_retval_wait(timeout: c_int) -> c_int;
    safe fn daemon_retval_send(s: c_int) -> c_int;
    unsafe fn daemon_close_allv(except: *const c_int) -> c_int;
    unsafe fn daemon_unblock_sigsv(except: *const c_int) -> c_int;
    unsafe fn daemon_reset_sigsv(except: *const c_int) -> c_int;
    unsafe fn daemon_signal_init(s: c_int, ...) -> c_int;
    safe fn daemon_signal_install(s: c_int) -> c_int;
    safe fn daemon_signal_done();
    safe fn daemon_signal_next() -> c_int;
    safe fn daemon_signal_fd() -> c_int;
    safe fn daemon_nonblock(fd: c_int, b: c_int) -> c_int;
    safe fn daemon_pid_file_create() -> c_int;
    safe fn daemon_pid_file_remove() -> c_int;
    safe fn daemon_pid_file_is_running() -> libc::pid_t;
    safe fn daemon_pid_file_kill(s: c_int) -> c_int;
    safe fn daemon_pid_file_kill_wait(s: c_int, m: c_int) -> c_int;
    safe fn daemon_pid_file_proc_default() -> *const c_char;
    unsafe fn daemon_log(prio: c_int, t: *const c_char, ...);
    safe fn daemon_set_verbosity(prio: c_int);
    unsafe fn daemon_ident_from_argv0(argv0: *mut c_char) -> *mut c_char;
    unsafe fn daemon_exec(dir: *const c_char, ret: *mut c_int, prog: *const c_char, ...) -> c_int;
    static mut daemon_pid_file_proc: Proc;
    static mut daemon_pid_file_ident: *const c_char;
    static mut daemon_log_ident: *const c_char;
    static mut daemon_log_use: c_int;
}

thread_local! {
    /// What `path` gives out, and the identity: the library keeps the pointers.
    static PATH: RefCell<Option<CString>> = const { RefCell::new(None) };
    static IDENT: RefCell<Option<CString>> = const { RefCell::new(None) };
    /// What this process has made, and holds until it is removed.
    static MADE: RefCell<Vec<CString>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" fn path() -> *const c_char {
    PATH.with_borrow(|path| pointer(path.as_ref()))
}

fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(null(), |text| text.as_ptr())
}

/// A function that fails gives -1 and says why in errno.
fn says_why(name: &str, call: impl FnOnce() -> c_int) {
    set_errno(0);
    if call() < 0 && errno() == 0 {
        wrong(&format!("{name} fails and does not say why"));
    }
}

pub(super) fn call(choices: &mut Choices<'_>, place: Where) {
    match choices.one_of(24) {
        0 => says_why("daemon_retval_init", || daemon_retval_init()),
        1 => daemon_retval_done(),
        2 => says_why("daemon_retval_wait", || daemon_retval_wait(1)),
        3 => send(choices.number()),
        4 => signals(choices),
        5 => says_why("daemon_signal_next", || daemon_signal_next()),
        6 => daemon_signal_done(),
        7 => drop(daemon_signal_fd()),
        8 => install(choices),
        9 => nonblock(choices),
        10..=11 => name_file(choices),
        12 => says_why("daemon_pid_file_create", create),
        13 => says_why("daemon_pid_file_remove", || daemon_pid_file_remove()),
        14 => says_why("daemon_pid_file_is_running", || daemon_pid_file_is_running()),
        15 => kill(choices),
        16 => log(choices, place),
        17 => ident(choices),
        18 => lists_that_are_none(),
        _ if place == Where::Apart => alone(choices),
        _ => {}
    }
}

/// To a pipe that has a reader or none: this process is the starter as well.
fn send(value: c_int) {
    says_why("daemon_retval_send", || daemon_retval_send(value));
}

/// Signals that a program may have, and numbers that are none; not those by which it is ended or told that it has gone wrong.
fn signal(choices: &mut Choices<'_>) -> c_int {
    const OTHERS: [c_int; 10] =
        [libc::SIGUSR2, libc::SIGHUP, libc::SIGCHLD, libc::SIGWINCH, 40, 0, -1, 65, libc::SIGKILL, c_int::MAX];
    OTHERS[choices.one_of(OTHERS.len())]
}

fn signals(choices: &mut Choices<'_>) {
    let (first, second) = (signal(choices), signal(choices));
    // SAFETY: the list ends in 0.
    says_why("daemon_signal_init", || unsafe { daemon_signal_init(first, second, 0) });
}

fn install(choices: &mut Choices<'_>) {
    let signal = signal(choices);
    says_why("daemon_signal_install", || daemon_signal_install(signal));
    // Raised and taken, where it does nothing else.
    if daemon_signal_fd() >= 0 && signal == libc::SIGWINCH {
        // SAFETY: takes a number.
        unsafe { libc::raise(signal) };
        daemon_signal_next();
    }
}

/// Numbers that are nobody's: 0 to 2 are the fuzzer's.
fn nonblock(choices: &mut Choices<'_>) {
    let fd = Some(choices.number()).filter(|fd| !(0..1024).contains(fd)).unwrap_or(-1);
    let b = choices.number();
    says_why("daemon_nonblock", || daemon_nonblock(fd, b));
}

fn name_file(choices: &mut Choices<'_>) {
    let how = choices.byte();
    let text = choices.text(&PATHS);
    PATH.replace(text);
    let function: Proc = match how % 16 {
        0 => None,
        1 if how > 128 => Some(default_path),
        _ => Some(path),
    };
    // SAFETY: one thread; a function of the type, or NULL.
    unsafe { daemon_pid_file_proc = function };
}

fn create() -> c_int {
    let made = daemon_pid_file_create();
    // SAFETY: one thread.
    if let (0, Some(function)) = (made, unsafe { daemon_pid_file_proc }) {
        // SAFETY: what it gives is a string: a file was made by it.
        let path = unsafe { CStr::from_ptr(function()) };
        MADE.with_borrow_mut(|all| all.push(path.into()));
    }
    made
}

unsafe extern "C" fn default_path() -> *const c_char {
    // Below a name that no daemon has: the path is in /var/run.
    daemon_pid_file_proc_default()
}

fn kill(choices: &mut Choices<'_>) {
    let signal = HARMLESS[choices.one_of(HARMLESS.len())];
    if choices.byte() % 2 == 0 {
        says_why("daemon_pid_file_kill", || daemon_pid_file_kill(signal));
    } else {
        says_why("daemon_pid_file_kill_wait", || daemon_pid_file_kill_wait(signal, -choices.number().saturating_abs()));
    }
}

/// To nowhere or standard output; apart to anywhere.
fn log(choices: &mut Choices<'_>, place: Where) {
    let everywhere = choices.number();
    // SAFETY: one thread; any bits.
    unsafe { daemon_log_use = if place == Where::Apart { everywhere } else { everywhere & 4 } };
    let text = choices.text(&["%s%d%n", "text", "two\nlines", ""]);
    let priority = choices.number();
    daemon_set_verbosity(choices.number());
    set_errno(libc::EXDEV);
    // SAFETY: the format takes one string, which this is.
    unsafe { daemon_log(priority, c"%s".as_ptr(), text.as_ref().map_or(c"".as_ptr(), |text| text.as_ptr())) };
    if errno() != libc::EXDEV {
        wrong("daemon_log changes errno");
    }
}

fn ident(choices: &mut Choices<'_>) {
    let text = choices.text(&["/usr/bin/name", "name/", "/", "", "a/b"]);
    if let Some(text) = text.clone() {
        let text = text.into_raw();
        // SAFETY: a string of its own.
        let name = unsafe { daemon_ident_from_argv0(text) };
        // SAFETY: of the same string.
        let inside = unsafe { name.offset_from(text) } >= 0;
        if !inside {
            wrong("the identity is not in argv[0]");
        }
        // SAFETY: from into_raw().
        drop(unsafe { CString::from_raw(text) });
    }
    // SAFETY: one thread; kept in IDENT until the next.
    unsafe {
        daemon_pid_file_ident = pointer(text.as_ref());
        daemon_log_ident = daemon_pid_file_ident;
    }
    IDENT.replace(text);
    daemon_pid_file_proc_default();
}

fn lists_that_are_none() {
    // SAFETY: NULL is an error.
    says_why("daemon_close_allv", || unsafe { daemon_close_allv(null()) });
    // SAFETY: as above.
    says_why("daemon_unblock_sigsv", || unsafe { daemon_unblock_sigsv(null()) });
    // SAFETY: as above.
    says_why("daemon_reset_sigsv", || unsafe { daemon_reset_sigsv(null()) });
}

/// What changes the process, or makes others.
fn alone(choices: &mut Choices<'_>) {
    let list = [choices.number(), choices.number(), -1];
    match choices.one_of(5) {
        // SAFETY: there is one thread.
        0 => says_why("daemon_fork", || unsafe { daemon_fork() }),
        // SAFETY: the list ends in -1.
        1 => says_why("daemon_close_allv", || unsafe { daemon_close_allv(list.as_ptr()) }),
        // SAFETY: as above.
        2 => says_why("daemon_unblock_sigsv", || unsafe { daemon_unblock_sigsv(list.as_ptr()) }),
        // SAFETY: as above.
        3 => says_why("daemon_reset_sigsv", || unsafe { daemon_reset_sigsv(list.as_ptr()) }),
        _ => execute(choices),
    }
}

fn execute(choices: &mut Choices<'_>) {
    let directory = choices.text(&["/", "missing", "", "fifo"]);
    let program = choices.text(&["/bin/true", "/bin/false", "missing", "", "/", "/etc/passwd"]);
    let mut status: c_int = 0;
    let place = if choices.byte() % 2 == 0 { std::ptr::null_mut() } else { &raw mut status };
    // SAFETY: strings or NULL, a place or NULL, and NULL at the end.
    says_why("daemon_exec", || unsafe {
        daemon_exec(pointer(directory.as_ref()), place, pointer(program.as_ref()), c"name".as_ptr(), null::<c_char>())
    });
}

/// Before a start by the other interface, which closes descriptors that this one would close again, whosever they are by then.
pub(super) fn before_the_other() {
    daemon_retval_done();
}

/// What a program does that has had enough.
pub(super) fn give_back() {
    daemon_retval_done();
    daemon_signal_done();
    // SAFETY: one thread; no bits.
    unsafe { daemon_log_use = 0 };
    // SAFETY: one thread; a function of the type.
    unsafe { daemon_pid_file_proc = Some(path) };
    for made in MADE.take() {
        PATH.replace(Some(made));
        daemon_pid_file_remove();
    }
    // SAFETY: one thread; strings that stay, or NULL.
    unsafe {
        daemon_pid_file_ident = null();
        daemon_log_ident = null();
    }
}
