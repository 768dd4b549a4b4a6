//! The nice value.
#![allow(unsafe_code, reason = "one system call")]

use crate::answer::Failure;

/// Adds to this process's nice value, which what it starts inherits.
pub(crate) fn add(more: i32) -> Result<(), Failure> {
    // SAFETY: getpriority and setpriority take numbers; 0 is this process.
    let changed = unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, now + more)
    };
    if changed == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Failure::of_system(format!("nice failed: {more}"), &error))
}
