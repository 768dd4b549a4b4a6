//! The processes that hold a pid file's lock, and the keeper of a program among them.

use crate::process::{self, Process};
use crate::sys;
use daemonctx::{PidFile, parts};

/// What a process that stays with a daemon is called (the library's `keeper`).
const KEEPER: &[u8] = b"daemonctx-keep";

/// Every process can take this name, so a keeper must also run as root or as the caller.
pub(crate) fn is_keeper(process: &Process) -> bool {
    let is_trusted = |user| user == 0 || user == sys::effective_user();
    process.name == KEEPER && process::real_user(process.pid).is_some_and(is_trusted)
}

/// The processes that hold the lock, as far as they are visible. Locks that any reader of the file could have taken are left out.
pub(crate) fn of(file: &PidFile) -> Vec<Process> {
    let holders = parts::lock_holders(file).unwrap_or_default();
    let holders = holders.into_iter().filter_map(Process::read);
    holders.filter(|holder| !holder.has_ended()).collect()
}

/// The daemon's keeper: its parent.
pub(crate) fn keeper_of(daemon: &Process) -> Option<i32> {
    Process::read(daemon.parent).filter(is_keeper).map(|keeper| keeper.pid)
}

/// The topmost keeper: what it forks has its name until it is another program.
pub(crate) fn keeper_among(holders: &[Process]) -> Option<&Process> {
    let named: Vec<_> = holders.iter().filter(|holder| is_keeper(holder)).collect();
    let is_top = |keeper: &&Process| !named.iter().any(|other| other.pid == keeper.parent);
    named.iter().copied().find(is_top)
}
