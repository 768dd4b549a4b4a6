//! Systems without a `/proc` that is known: processes cannot be looked at.

use super::Stat;
use crate::sys::identity::Uid;
use crate::sys::process::Pid;
use crate::sys::signal::Signal;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys};

pub(crate) fn stat(_pid: Pid) -> Sys<Option<Stat>> {
    Err(Errno::ENOSYS)
}

pub(crate) fn is_own() -> bool {
    true
}

pub(crate) fn is_exiting(_pid: Pid) -> bool {
    false
}

pub(crate) fn any_is_exiting(_deadline: Deadline) -> bool {
    false
}

pub(crate) fn has_left_session(_pid: Pid) -> bool {
    true
}

pub(crate) fn name(_pid: Pid, _room: &mut [u8; 32]) -> &[u8] {
    &[]
}

pub(crate) fn blocks(_pid: Pid, _signal: Signal) -> bool {
    false
}

pub(crate) fn leads_background_job() -> bool {
    false
}

pub(crate) fn real_user(_pid: Pid) -> Option<Uid> {
    None
}

pub(crate) fn runs_as(_pid: Pid, _user: Uid) -> bool {
    false
}
