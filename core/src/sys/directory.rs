//! Directories that are held open, and files by their names in them.

use super::file::{self, Status};
use super::{Sys, check, check_size};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Opens a directory for lookups only: that needs no permission to list it.
#[cfg(target_os = "linux")]
const LOOKUP: libc::c_int = libc::O_PATH | libc::O_DIRECTORY;
#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
const LOOKUP: libc::c_int = libc::O_EXEC | libc::O_DIRECTORY;
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")))]
const LOOKUP: libc::c_int = libc::O_RDONLY | libc::O_DIRECTORY;

/// A directory, held open: it stays the same whatever happens to its path.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

impl Directory {
    pub(crate) fn root() -> Sys<Self> {
        file::open(c"/", LOOKUP, 0).map(Self)
    }

    /// The working directory.
    pub(crate) fn current() -> Sys<Self> {
        file::open(c".", LOOKUP, 0).map(Self)
    }

    /// The directory at `path`.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_at(path: &CStr) -> Sys<Self> {
        file::open(path, LOOKUP, 0).map(Self)
    }

    /// The directory `name`; ENOTDIR or ELOOP for a symbolic link, whatever it leads to.
    pub(crate) fn enter(&self, name: &CStr) -> Sys<Self> {
        self.open(name, LOOKUP | libc::O_NOFOLLOW, 0).map(Self)
    }

    /// The same, where a symbolic link is followed.
    pub(crate) fn enter_through(&self, name: &CStr) -> Sys<Self> {
        self.open(name, LOOKUP, 0).map(Self)
    }

    /// openat(2), close-on-exec, never a controlling terminal, above the standard streams.
    pub(crate) fn open(&self, name: &CStr, flags: libc::c_int, mode: libc::mode_t) -> Sys<OwnedFd> {
        file::open_in(self.0.as_raw_fd(), name, flags, mode)
    }

    /// Opens a symbolic link itself, where the system can.
    pub(crate) fn open_link(&self, name: &CStr) -> Sys<OwnedFd> {
        #[cfg(target_os = "linux")]
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        #[cfg(target_vendor = "apple")]
        let flags = libc::O_RDONLY | libc::O_SYMLINK | libc::O_NONBLOCK;
        // Without that a link cannot be told from what it leads to, and is refused.
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        self.open(name, flags, 0)
    }

    pub(crate) fn status(&self) -> Sys<Status> {
        file::status_of(self.0.as_raw_fd())
    }

    /// The file `name` itself: a symbolic link is not followed.
    pub(crate) fn status_at(&self, name: &CStr) -> Sys<Status> {
        file::status_in(self.0.as_raw_fd(), name, libc::AT_SYMLINK_NOFOLLOW)
    }

    pub(crate) fn unlink(&self, name: &CStr) -> Sys<()> {
        // SAFETY: `name` is NUL-terminated.
        check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
    }
}

/// Reads an open symbolic link into `buffer`; the length of its text.
pub(crate) fn read_link(link: &OwnedFd, buffer: &mut [u8]) -> Sys<usize> {
    // SAFETY: the path is NUL-terminated, `buffer` valid for writes of its length.
    check_size(unsafe { libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// Whether a file is one of proc(5)'s.
#[cfg(target_os = "linux")]
pub(crate) fn is_in_proc(file: &OwnedFd) -> Sys<bool> {
    /// PROC_SUPER_MAGIC (statfs(2)).
    const PROC: i64 = 0x9fa0;
    // SAFETY: `statfs` is a C struct of integers, for which all zeroes is a value.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `system` is a valid place for the result.
    check(unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut system) })?;
    #[allow(clippy::unnecessary_cast, reason = "its type is the C library's choice")]
    let kind = system.f_type as i64;
    Ok(kind == PROC)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_in_proc(_file: &OwnedFd) -> Sys<bool> {
    Ok(false)
}

/// Whether the kernel refuses hard links to files that the user may not write to (`fs.protected_hardlinks`, proc(5)).
pub(crate) fn protects_hard_links() -> bool {
    let path = c"/proc/sys/fs/protected_hardlinks";
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let read = file::open(path, flags, 0).and_then(|file| {
        let mut value = [0];
        // A directory that was made for a chroot can hold a `/proc` of anybody's.
        Ok(is_in_proc(&file)? && file::read_start(file.as_raw_fd(), &mut value)? == 1 && value == *b"1")
    });
    read.unwrap_or(false)
}
