//! Environment variables, without the standard library's lock: that one does not cover C code anyway.

use std::ffi::CStr;

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
