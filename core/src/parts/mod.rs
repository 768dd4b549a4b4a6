//! What a start is made of, part by part, for programs that put it together themselves.
//!
//! [`Daemon`](crate::Daemon) is the whole, in the right order and with the truth at its end; begin there. The parts are for
//! programs that fork first and do the rest in their own order, as those written for libdaemon do: its C interface is made of
//! them.

mod fork;
mod handshake;
mod pid_file;
mod process;
mod run;

pub use crate::descriptors::{close_all_but, kept_unasked, opened, set_nonblocking};
pub use crate::detach::detaches_by_default;
#[doc(hidden)]
pub use crate::registry::release_all as release_pid_files;
pub use crate::signal_stream::SignalStream;
pub use crate::signals::{block_only, die_by, reset_all_but};
pub use fork::{Forked, fork};
pub use handshake::Handshake;
pub use pid_file::{FoundMonitor, is_corrupt, known_status, libdaemon_pid_file, lock_holders};
pub use process::{Process, executable};
pub use run::{OutputLine, run};

/// Signals as a queue with a descriptor.
pub mod signal_queue {
    pub use crate::signal_queue::{catch, close, descriptor, next, open};
}
