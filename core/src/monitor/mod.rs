//! The process that stays with a launched program; docs/monitor.md describes it.

mod action;
mod claim;
mod contention;
mod descendants;
mod door;
mod event;
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
mod request;
mod run;
mod settings;
mod sign;
mod socket_table;
mod state;
mod translate;
mod warning;

#[cfg(test)]
mod explored;
#[cfg(test)]
mod tests;

pub use door::Launching;
pub(crate) use door::launch;
pub use monitored::{Monitored, MonitoredOutput, MonitoredState};
pub use request::StopRequest;
pub use settings::KillMode;

/// Makes this process the monitor of a launched program, if it was executed as one. Does not come back then.
///
/// A program that may be executed so calls this before anything else: its memory stays as small as it is now.
#[doc(hidden)]
pub fn become_monitor_if_asked() {
    if let Some(socket) = launcher::socket() {
        guard::run(socket);
    }
}
