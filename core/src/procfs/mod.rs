//! What `/proc` says about a process (proc(5)), read without allocating.

mod stat;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    any_is_exiting, blocks, decimal, field_number, fields, has_left_session, is_exiting, is_number_elsewhere, is_own,
    leads_background_job, name, number_in_own_namespace, path, real_user, runs_as, runs_only_as, sees_every_process,
    stat, words,
};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{
    any_is_exiting, blocks, has_left_session, is_exiting, is_own, leads_background_job, name, real_user, runs_as, stat,
};
pub(crate) use stat::Stat;

use crate::sys::fixed_buf::FixedBuf;
use crate::sys::parse_decimal;
use crate::sys::process::Pid;
use crate::sys::{Sys, file};

/// A path below `/proc`, with room for `/proc/PID/task/TID/fdinfo/NUMBER`.
pub(crate) type ProcPath = FixedBuf<64>;

/// The directory of a process.
pub(crate) fn directory<const ROOM: usize>(pid: Pid) -> FixedBuf<ROOM> {
    let mut path = FixedBuf::new();
    path.push(b"/proc/").push_number(i64::from(pid));
    path
}

/// Reads a file in the directory of a process that the kernel makes at once, as much of it as there is room for.
pub(crate) fn read<'a>(pid: Pid, name: &[u8], room: &'a mut [u8]) -> Sys<&'a [u8]> {
    let mut path: ProcPath = directory(pid);
    file::read_at_once(path.push(b"/").push(name).as_c_str()?, room)
}

/// Calls `each` with all processes that are visible.
pub(crate) fn for_each_process(each: &mut dyn FnMut(Pid)) -> Sys<()> {
    file::for_each_name(c"/proc", &mut |_, name| {
        if let Some(pid) = parse_decimal(name).and_then(|pid| Pid::try_from(pid).ok()) {
            each(pid);
        }
    })
}
