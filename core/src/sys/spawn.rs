//! Executing another program in a new process without copying this one: posix_spawn(3).

use super::process::{Pid, StringList};
use super::signal::Set;
use super::{Errno, Sys, fd};
use std::ffi::CStr;
use std::os::fd::RawFd;

fn checked(errno: libc::c_int) -> Sys<()> {
    if errno == 0 { Ok(()) } else { Err(Errno::new(errno)) }
}

/// What the new process inherits; its signals are blocked, and have their default actions.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new(inherited: &[RawFd]) -> Sys<Self> {
        // SAFETY: a C struct of integers and pointers, for which all zeroes is a value until it is initialised.
        let mut actions = Self(unsafe { std::mem::zeroed() });
        // SAFETY: `actions` is a valid place.
        checked(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions.0) })?;
        let spare = spare(inherited);
        for &inherited in inherited {
            actions.inherit(inherited, spare)?;
        }
        Ok(actions)
    }

    /// A descriptor loses close-on-exec where it is duplicated. Onto itself it does so from glibc 2.29 and musl 1.1.24 on
    /// (POSIX.1-2024), so it goes to another number and back.
    fn inherit(&mut self, fd: RawFd, spare: RawFd) -> Sys<()> {
        let actions = &raw mut self.0;
        // SAFETY: `new` has initialised them.
        unsafe {
            checked(libc::posix_spawn_file_actions_adddup2(actions, fd, spare))?;
            checked(libc::posix_spawn_file_actions_adddup2(actions, spare, fd))?;
            checked(libc::posix_spawn_file_actions_addclose(actions, spare))
        }
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: `new` has initialised it, or failed to: then all zeroes is an empty list to glibc and musl.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// A number that none of them has. What this process has there is its own: the child closes it.
fn spare(inherited: &[RawFd]) -> RawFd {
    (fd::FIRST_OTHER..).find(|number| !inherited.contains(number)).unwrap_or(RawFd::MAX)
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> Sys<Self> {
        // SAFETY: as above.
        let mut attributes = Self(unsafe { std::mem::zeroed() });
        let (blocked, default) = (Set::full(), Set::full());
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the attributes are initialised by the first call, the sets are valid.
        unsafe {
            checked(libc::posix_spawnattr_init(&raw mut attributes.0))?;
            checked(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, blocked.as_ptr()))?;
            checked(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, default.as_ptr()))?;
            checked(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags as libc::c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// Executes `path` in a child, which inherits the standard streams and `inherited`. Neither this process's memory nor its number of
/// threads count. Both lists are finished. Allocates.
pub(crate) fn spawn(path: &CStr, arguments: &StringList, environment: &StringList, inherited: &[RawFd]) -> Sys<Pid> {
    // A closed one would only be found in the child, as EBADF without a number.
    inherited.iter().try_for_each(|inherited| fd::flags(*inherited).map(drop))?;
    let (actions, attributes) = (Actions::new(inherited)?, Attributes::new()?);
    let mut child = 0;
    // SAFETY: path and lists are as posix_spawn(3) wants them, actions and attributes initialised.
    checked(unsafe {
        libc::posix_spawn(
            &raw mut child,
            path.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr().cast_mut().cast(),
            environment.as_ptr().cast_mut().cast(),
        )
    })?;
    Ok(child)
}
