//! Environment variables, without the standard library's lock: that one does not cover C code anyway.

use super::process;
use super::{Errno, Sys, check, memory};
use crate::sys::fixed_buf::MessageBuf;
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// Calls `with` on the variable's value. The value must not be kept: setenv(3) may move it.
pub(crate) fn with<T>(name: &CStr, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
    // SAFETY: `name` is NUL-terminated. As everywhere in C, changing the environment in one thread while another reads
    // it is the program's error (getenv(3), MT-Safe env).
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: getenv returned a NUL-terminated string that stays until the environment is changed.
    Some(with(unsafe { CStr::from_ptr(value) }.to_bytes()))
}

/// Removes a variable.
pub(crate) fn remove(name: &CStr) {
    // SAFETY: `name` is NUL-terminated; threads as above.
    unsafe { libc::unsetenv(name.as_ptr()) };
}

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

/// Calls `each` on every assignment, and on where that is. Threads as above.
pub(crate) fn for_each(mut each: impl FnMut(&[u8], *const libc::c_char) -> Sys<()>) -> Sys<()> {
    // SAFETY: the C library keeps NUL-terminated strings here, in a list that ends in NULL, or NULL for an empty one.
    unsafe {
        let mut place = environ;
        while !place.is_null() && !(*place).is_null() {
            each(CStr::from_ptr(*place).to_bytes(), *place)?;
            place = place.add(1);
        }
    }
    Ok(())
}

/// Room for a name, a PID and a NUL.
const ROOM: usize = 32;

/// A variable whose value is this process's PID, and is to become that of the daemon which is forked: setenv(3) may not be called
/// there, so the text is one of our own that can be written over.
pub(crate) struct PidVariable {
    /// With the equals sign.
    start: &'static str,
    /// What is in the environment, once it is ours. It stays there for good, so it is never freed.
    text: AtomicPtr<[AtomicU8; ROOM]>,
}

impl PidVariable {
    pub(crate) const fn new(start: &'static str) -> Self {
        Self { start, text: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Puts our text in place of the one that is there, if that names this process. Allocates.
    pub(crate) fn prepare(&self) -> Sys<()> {
        let mut name = [0; ROOM];
        let length = self.start.len().saturating_sub(1).min(ROOM - 1);
        for (to, from) in name.iter_mut().zip(self.start.bytes().take(length)) {
            *to = from;
        }
        let Ok(name) = CStr::from_bytes_until_nul(&name) else { return Ok(()) };
        let ours = with(name, crate::sys::parse_decimal).flatten() == u64::try_from(process::id()).ok();
        if !ours {
            // Whatever stands there now is not our text, or not about us.
            self.text.store(std::ptr::null_mut(), Ordering::Release);
            return Ok(());
        }
        let text = memory::leak([const { AtomicU8::new(0) }; ROOM])?;
        self.text.store(text, Ordering::Release);
        self.hand_over();
        // SAFETY: `text` is NUL-terminated by its size, holds an assignment, and stays for good.
        check(unsafe { libc::putenv(text.cast()) }).map(drop).map_err(|_| Errno::ENOMEM)
    }

    /// Writes this process's PID into the text, if it is ours.
    pub(crate) fn hand_over(&self) {
        let Some(text) = memory::borrow(self.text.load(Ordering::Acquire)) else { return };
        let mut line = MessageBuf::new();
        line.push(self.start.as_bytes()).push_number(i64::from(process::id()));
        let mut bytes = line.as_bytes().iter().copied();
        for to in text.iter().take(ROOM - 1) {
            to.store(bytes.next().unwrap_or(0), Ordering::Relaxed);
        }
    }
}
