//! The C library's own buffer of standard output.

use super::{Errno, Sys, signal};

unsafe extern "C" {
    #[cfg_attr(target_vendor = "apple", link_name = "__stdoutp")]
    #[cfg_attr(target_os = "freebsd", link_name = "__stdoutp")]
    static mut stdout: *mut libc::FILE;
}

/// Writes out what `printf` has buffered, so that the starter's `_exit` does not lose it and the daemon does not write it
/// a second time. Only this stream: `fflush(NULL)` would wait for a thread that reads from standard input.
///
/// What cannot be written (a full disk, a closed pipe or descriptor) stays in the buffer: lost text is no reason not to start.
pub(crate) fn flush_output() {
    let _: Sys<usize> = signal::without_broken_pipe(&mut || {
        // SAFETY: `stdout` is the C library's; reading the pointer races with nobody who does not also race with printf, and
        // fflush locks the stream itself. A program may have set it to NULL, which fflush would take as "all streams".
        let failed = unsafe { !stdout.is_null() && libc::fflush(stdout) != 0 };
        if failed { Err(Errno::last()) } else { Ok(0) }
    });
}
