//! Where input is tried: a directory of its own, in a PID namespace of its own.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

static HOUSE: OnceLock<PathBuf> = OnceLock::new();

/// The first PID namespace's number (`PROC_PID_INIT_INO`).
const EVERYBODYS: &str = "pid:[4026531836]";

/// Goes no further where nobody has made a house: what is tried sends signals to whom a file names.
pub fn enter() {
    let house = std::env::var_os("FUZZ_HOUSE").map(PathBuf::from);
    let alone = std::fs::read_link("/proc/self/ns/pid").is_ok_and(|it| it.as_os_str() != EVERYBODYS);
    let Some(house) = house.filter(|_| alone) else {
        eprintln!("run this by fuzz.py: it takes a PID namespace and FUZZ_HOUSE, a directory");
        std::process::exit(2)
    };
    if std::env::set_current_dir(&house).is_err() {
        eprintln!("{}: no such directory", house.display());
        std::process::exit(2)
    }
    let _ = HOUSE.set(house);
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        write_down(&panic.to_string());
        said(panic);
    }));
}

/// A path in the house.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    HOUSE.get_or_init(|| PathBuf::from(".")).join(name)
}

/// What a process is to have again after something was tried.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    pub descriptors: Vec<c_int>,
    directory: Option<PathBuf>,
    mask: u32,
    blocked: u64,
    actions: Vec<usize>,
    ids: [u32; 4],
    children: Vec<libc::pid_t>,
}

#[must_use]
pub fn state() -> State {
    // SAFETY: each takes numbers alone; the mask is put back.
    let mask = unsafe { libc::umask(0) };
    // SAFETY: as above.
    unsafe { libc::umask(mask) };
    // SAFETY: they take nothing and cannot fail.
    let ids = unsafe { [libc::getuid(), libc::geteuid(), libc::getgid(), libc::getegid()] };
    State {
        descriptors: descriptors(),
        directory: std::env::current_dir().ok(),
        mask,
        blocked: blocked(),
        actions: (1..=64).map(action).collect(),
        ids,
        children: children(),
    }
}

fn descriptors() -> Vec<c_int> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let mut numbers: Vec<c_int> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // SAFETY: fcntl takes numbers. The directory's own is closed by now.
    numbers.retain(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0);
    numbers.sort_unstable();
    numbers
}

fn blocked() -> u64 {
    let mut set = 0_u64;
    // SAFETY: the kernel's set is these eight bytes, and `set` has room for them.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, 0, &raw mut set, 8) };
    set
}

fn action(signal: c_int) -> usize {
    // SAFETY: the structure is numbers and a set, for which zeros are a value.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the pointers are NULL and valid; a number that is no signal is refused.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    now.sa_sigaction
}

/// The children of this process, those that it has adopted too.
#[must_use]
pub fn children() -> Vec<libc::pid_t> {
    let list = std::fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()));
    list.map_or(Vec::new(), |list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Ends the process, as nothing that was tried may.
pub fn wrong(what: &str) -> ! {
    eprintln!("WRONG: {what}");
    write_down(what);
    std::process::abort()
}

/// Where fuzz.py looks: standard error may be anywhere by now.
fn write_down(what: &str) {
    if let Ok(mut file) = File::options().append(true).create(true).open(path("wrong")) {
        let _ = writeln!(file, "{what}");
    }
}

/// The text of a C string that a function has given out.
///
/// # Safety
/// A NUL-terminated string.
#[must_use]
pub unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    // SAFETY: the caller's contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
