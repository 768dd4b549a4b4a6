//! A process that a tracer (ptrace(2)) holds: at its end, where SIGKILL does not help, or before a system call.

use libc::{c_int, c_long, c_void};
use std::os::unix::fs::FileExt;
use std::process::Command;

/// Call, arguments.
type Call = (c_long, [u64; 6]);

/// Detached from when it is dropped, so that it goes on.
pub struct Traced {
    pid: i32,
}

impl Traced {
    /// Stops it, whatever it does, until it is let run.
    pub fn new(pid: i32) -> Self {
        let traced = Self::seize(pid, libc::PTRACE_O_TRACESYSGOOD);
        // SAFETY: PTRACE_INTERRUPT takes no address and no data.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, NOTHING, NOTHING) }, 0);
        traced.stop();
        traced
    }

    fn seize(pid: i32, options: c_int) -> Self {
        seize(pid, options).unwrap();
        Self { pid }
    }

    /// Has a process stop in _exit(2), also after SIGKILL, which it does not get a second time.
    pub fn hold_at_end(pid: i32) -> Self {
        Self::seize(pid, libc::PTRACE_O_TRACEEXIT)
    }

    /// Lets it run until it is about to make a call that is the one, as `is` says. Signals go through.
    pub fn hold_before(&self, mut is: impl FnMut(&Self, Call) -> bool) {
        /// By which `PTRACE_O_TRACESYSGOOD` marks the stops at calls.
        const CALL: c_int = libc::SIGTRAP | 0x80;
        let mut signal = 0;
        loop {
            // SAFETY: PTRACE_SYSCALL takes no address, and a signal as data.
            let goes_on = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, self.pid, NOTHING, signal as usize) };
            assert_eq!(goes_on, 0, "{}", std::io::Error::last_os_error());
            let stop = self.stop();
            let why = libc::WSTOPSIG(stop);
            if why == CALL && self.call().is_some_and(|call| is(self, call)) {
                return;
            }
            // An event is no signal.
            signal = if stop >> 16 == 0 && why != CALL { why } else { 0 };
        }
    }

    /// The text at an address in it, where one is.
    pub fn text_at(&self, address: u64) -> String {
        let mut room = [0; 64];
        let memory = std::fs::File::open(format!("/proc/{}/mem", self.pid));
        let got = memory.and_then(|memory| memory.read_at(&mut room, address)).unwrap_or(0);
        let text = room[..got].split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    fn stop(&self) -> c_int {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result.
        let stopped = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert!(stopped == self.pid && libc::WIFSTOPPED(status), "{} stops: {status:#x}", self.pid);
        status
    }

    /// The call that it is about to make, if that is why it has stopped.
    fn call(&self) -> Option<Call> {
        /// `PTRACE_GET_SYSCALL_INFO` and `PTRACE_SYSCALL_INFO_ENTRY` (linux/ptrace.h), which not every C library has.
        const GET: u16 = 0x420e;
        const ENTRY: u8 = 1;
        /// The words of `struct ptrace_syscall_info` before the call's number.
        const BEFORE: usize = 3;
        let mut words = [0_u64; 16];
        // SAFETY: `words` is valid for writes of the size that is given as address.
        let got = unsafe { libc::ptrace(GET.into(), self.pid, size_of_val(&words), words.as_mut_ptr()) };
        let arguments = words[BEFORE + 1..BEFORE + 7].try_into().ok()?;
        (got > 0 && words[0].to_ne_bytes()[0] == ENTRY).then_some((words[BEFORE] as c_long, arguments))
    }

    /// Waits until it stops in _exit(2), and lets it end.
    pub fn let_end(self) {
        assert_eq!(self.stop() >> 16, libc::PTRACE_EVENT_EXIT);
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // SAFETY: PTRACE_DETACH takes no address, and no signal as data. One that runs, or is gone, is left alone.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.pid, NOTHING, NOTHING) };
    }
}

fn seize(pid: i32, options: c_int) -> std::io::Result<()> {
    // SAFETY: PTRACE_SEIZE takes no address, and its options as data.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, NOTHING, options as usize) };
    if seized == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Whether this process may trace; a line says why not.
pub fn is_possible() -> bool {
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let seized = seize(i32::try_from(other.id()).unwrap(), 0);
    other.kill().unwrap();
    other.wait().unwrap();
    seized.inspect_err(|error| println!("    skipped: may not trace: {error}")).is_ok()
}

const NOTHING: *mut c_void = std::ptr::null_mut();
