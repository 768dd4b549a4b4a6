//! The process that stays with a launched program; docs/monitor.md describes it.

mod action;
mod claim;
mod contention;
mod descendants;
mod door;
mod event;
mod executable;
mod fields;
mod files;
mod guard;
mod launch;
mod launcher;
mod leftovers;
mod listening;
mod logging;
mod machine;
mod monitored;
mod outcome;
mod proc;
mod program;
mod receiver;
mod request;
mod run;
mod settings;
mod sign;
mod state;
mod translate;
mod warning;

#[cfg(test)]
mod explored;
#[cfg(test)]
mod tests;

pub use door::Launching;
pub(crate) use door::{Relaunch, check_readiness, launch};
pub(crate) use executable::own as own_executable;
pub use monitored::{Monitored, MonitoredOutput, MonitoredState};
pub(crate) use request::cancelling;

use crate::sys::process;
use std::sync::atomic::{AtomicBool, Ordering};

/// This program has asked whether it is a monitor, so it can be executed as one.
static CAN_BE_MONITOR: AtomicBool = AtomicBool::new(false);

/// Makes this process the monitor of a launched program, if it was executed as one, and does not return then.
///
/// A program that calls this is its own monitor ([`Daemon::launch`](crate::Daemon::launch)). It has to do so first of all, before it
/// reads its arguments, begins a thread or allocates much: what a monitor has in memory when it begins it has for the daemon's life.
/// In a set-user-ID or set-group-ID program, and in one with file capabilities, it does nothing.
///
/// ```no_run
/// daemonctx::become_monitor_if_asked();
/// // What the program does otherwise.
/// ```
pub fn become_monitor_if_asked() {
    // Such a program's caller chooses the environment, and a monitor executes what it is told to.
    if process::is_set_id() {
        return;
    }
    CAN_BE_MONITOR.store(true, Ordering::Relaxed);
    if let Some(socket) = launcher::socket() {
        guard::run(socket);
    }
}

fn can_be_monitor() -> bool {
    CAN_BE_MONITOR.load(Ordering::Relaxed)
}
