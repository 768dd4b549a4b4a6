//! A descriptor that is kept while the program runs.
//!
//! A program may close descriptors that it does not know, as closefrom(3) and `daemon_close_all` do, and get the number again for a file of
//! its own. That file is neither read nor written nor closed.

use crate::sys::file::{self, Identity};
use crate::sys::{Errno, Sys, fd};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

#[derive(Debug)]
pub(crate) struct GuardedFd {
    fd: ManuallyDrop<OwnedFd>,
    /// What it is open on, once the program runs.
    identity: Option<Identity>,
}

impl GuardedFd {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd: ManuallyDrop::new(fd), identity: None }
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// From now on the program runs.
    pub(crate) fn guard(&mut self) {
        self.identity = file::status_of(self.as_raw_fd()).ok().map(|status| status.identity);
    }

    /// The descriptor.
    ///
    /// # Errors
    /// EBADF: the program has closed it.
    pub(crate) fn check(&self) -> Sys<RawFd> {
        let fd = self.as_raw_fd();
        let Some(identity) = self.identity else { return Ok(fd) };
        match file::status_of(fd) {
            Ok(status) if status.identity != identity => Err(Errno::EBADF),
            Err(Errno::EBADF) => Err(Errno::EBADF),
            // Of an open descriptor the kernel always knows.
            _ => Ok(fd),
        }
    }
}

impl AsFd for GuardedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for GuardedFd {
    fn drop(&mut self) {
        if let Ok(fd) = self.check() {
            fd::close(fd);
        }
    }
}
