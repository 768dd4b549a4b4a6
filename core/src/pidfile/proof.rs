//! What is asked of a pid file, and how its content is read.

use crate::pid_content::{self, Content};
use crate::sys::file;
use std::os::fd::RawFd;

/// What is asked of a pid file to prove that its daemon runs, and how its content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// The lock.
    Lock,
    /// The age of the process: the file is another program's, and never removed.
    Age,
    /// The lock, or the age of the process where the file is not locked.
    Either,
    /// The same, for libdaemon's interface, which has rules of its own for what is in the file.
    Libdaemon,
}

impl Proof {
    pub(super) fn accepts_age(self) -> bool {
        self != Self::Lock
    }

    pub(super) fn read(self, bytes: &[u8]) -> Content {
        if self == Self::Libdaemon { Content::of_libdaemon(bytes) } else { Content::of(bytes) }
    }
}

/// What is in an open pid file; what cannot be read is not a pid file.
pub(super) fn read(file: RawFd, proof: Proof) -> Content {
    let mut room = [0; pid_content::ROOM];
    let length = file::read_start(file, &mut room).ok();
    let bytes = length.and_then(|length| room.get(..length));
    bytes.map_or(Content::Other, |bytes| proof.read(bytes))
}
