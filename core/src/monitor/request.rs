//! What is asked of a monitor, and of a launcher, by signals.

use super::event::Stop;
use crate::sys::signal::{self, Set, Signal};

/// The signals that a monitor waits for.
pub(super) fn asked() -> Set {
    let mut set = Set::empty();
    for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGQUIT, libc::SIGUSR1] {
        set.add(signal);
    }
    set
}

pub(super) fn stop_of(signal: Signal) -> Option<Stop> {
    match signal {
        libc::SIGTERM => Some(Stop::Politely),
        libc::SIGQUIT => Some(Stop::AtOnce),
        libc::SIGUSR1 => Some(Stop::WithProgram),
        _ => None,
    }
}

/// The signals that cancel a launch, less those that are ignored here, by nohup(1) say.
pub(crate) fn cancelling() -> Set {
    let mut set = Set::empty();
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
        if signal::disposition(signal).is_ok_and(|now| !now.is_ignore()) {
            set.add(signal);
        }
    }
    set
}
