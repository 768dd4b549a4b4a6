//! The processes that hold the lock of a pid file, for daemons without a monitor.

use crate::process::Process;
use daemonctx::{PidFile, parts};

/// As far as they are visible. Locks that any reader of the file could have taken are left out.
pub(crate) fn of(file: &PidFile) -> Vec<Process> {
    let holders = parts::lock_holders(file).unwrap_or_default();
    let holders = holders.into_iter().filter_map(Process::read);
    holders.filter(|holder| !holder.has_ended()).collect()
}
