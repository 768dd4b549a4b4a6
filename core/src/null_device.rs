//! The null device: opened, and checked to be one.

use crate::error::{Error, Step, Subject};
use crate::sys::file::{self, Kind, Status};
use crate::sys::{Errno, Sys};
use std::os::fd::{AsRawFd, OwnedFd};

/// Opens `/dev/null` for reading and writing. ENODEV where another file has that name: it would keep, or pass on, what is written.
pub(crate) fn open() -> Sys<OwnedFd> {
    // Both ways, because opening a FIFO for one blocks.
    let opened = file::open(file::NULL_DEVICE, libc::O_RDWR, 0)?;
    if is_null_device(&file::status_of(opened.as_raw_fd())?) { Ok(opened) } else { Err(Errno::ENODEV) }
}

/// The same as part of `step`, with an error that says what is there instead.
pub(crate) fn open_for(step: Step) -> Result<OwnedFd, Error> {
    open().map_err(|errno| {
        let error = Error::os(step, Subject::Word("/dev/null"), errno);
        match file::status_behind(file::NULL_DEVICE) {
            Ok(status) if !is_null_device(&status) => error.note(word(status.kind)),
            _ => error,
        }
    })
}

fn is_null_device(status: &Status) -> bool {
    #[cfg(target_os = "linux")]
    let is_right = |number: u64| number == libc::makedev(1, 3);
    // Its number is the system's choice.
    #[cfg(not(target_os = "linux"))]
    let is_right = |_| true;
    status.device_number.is_some_and(is_right)
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Regular => "a regular file",
        Kind::Directory => "a directory",
        Kind::SymbolicLink => "a symbolic link",
        Kind::Fifo => "a FIFO",
        Kind::Socket => "a socket",
        Kind::Device => "another device",
    }
}
