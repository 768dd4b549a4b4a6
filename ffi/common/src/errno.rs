//! The calling thread's `errno`, as C functions hand it out.

use libc::c_int;

fn place() -> *mut c_int {
    #[cfg(target_os = "linux")]
    // SAFETY: takes nothing; the C library keeps an errno for each thread.
    let place = unsafe { libc::__errno_location() };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    let place = unsafe { libc::__error() };
    place
}

/// Sets the calling thread's `errno`.
pub fn set_errno(errno: c_int) {
    // SAFETY: the place stays valid as long as the thread.
    unsafe { *place() = errno };
}

/// Runs `work` for a function that promises to leave errno as it is.
pub fn keeping_errno<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: as above.
    let errno = unsafe { *place() };
    let result = work();
    set_errno(errno);
    result
}
