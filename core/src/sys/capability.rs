//! Capabilities and what else survives a change of user on Linux.

#[cfg(not(target_os = "linux"))]
use super::Sys;

#[cfg(target_os = "linux")]
mod linux {
    use super::super::{Errno, Sys, check, check_size, file};
    use super::Capability;
    use crate::sys::parse_decimal;

    /// `_LINUX_CAPABILITY_VERSION_3`: two words a set.
    const VERSION: u32 = 0x2008_0522;

    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }

    /// Empties effective, permitted and inheritable set, and with them the ambient one (capabilities(7)).
    pub(crate) fn drop_all() -> Sys<()> {
        let mut header = Header { version: VERSION, pid: 0 };
        let none = [Sets::default(); 2];
        // SAFETY: header and sets have the layout of capset(2), version 3.
        let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, none.as_ptr()) };
        check_size(result as isize).map(drop)
    }

    /// Whether the three sets are empty, and in other threads the one that they can use: theirs cannot be emptied from here
    /// (capset(2)), and what root's threads could hand on by a file's capabilities is no privilege of theirs.
    pub(crate) fn none_left(single_threaded: bool) -> Sys<bool> {
        let mut left = sets_of(0)? != [Sets::default(); 2];
        if single_threaded {
            return Ok(!left);
        }
        let listed = file::for_each_name(c"/proc/self/task", &mut |_, name| {
            let thread = parse_decimal(name).and_then(|thread| libc::c_int::try_from(thread).ok());
            left |= match thread.map(sets_of) {
                Some(Ok(sets)) => sets.iter().any(|sets| sets.permitted != 0),
                // Gone meanwhile, or `.`.
                Some(Err(Errno::ESRCH)) | None => false,
                Some(Err(_)) => true,
            };
        });
        // Without /proc there is this thread's word for it.
        match listed {
            Ok(()) | Err(Errno::ENOENT) => Ok(!left),
            Err(errno) => Err(errno),
        }
    }

    fn sets_of(thread: libc::c_int) -> Sys<[Sets; 2]> {
        let mut header = Header { version: VERSION, pid: thread };
        let mut sets = [Sets::default(); 2];
        // SAFETY: header and sets have the layout of capget(2), version 3, and are valid places for the result.
        let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
        check_size(result as isize)?;
        Ok(sets)
    }

    /// Whether this thread can use a capability. True where that cannot be found out: the call that needs it says so.
    pub(crate) fn has(capability: Capability) -> bool {
        sets_of(0).map_or(true, |[low, _]| low.effective & (1 << capability as u32) != 0)
    }

    /// No execve(2) from now on grants what this process does not have (`no_new_privs`).
    pub(crate) fn forbid_new() -> Sys<()> {
        // SAFETY: PR_SET_NO_NEW_PRIVS takes numbers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{drop_all, forbid_new, has, none_left};

/// What a start can need (capabilities(7)).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Capability {
    SetGroup = 6,
    SetUser = 7,
    ChangeRoot = 18,
}

/// Systems without capabilities let root do everything.
#[cfg(not(target_os = "linux"))]
pub(crate) fn has(_capability: Capability) -> bool {
    super::identity::effective_user() == 0
}

/// Systems without capabilities have none to drop.
#[cfg(not(target_os = "linux"))]
pub(crate) fn drop_all() -> Sys<()> {
    Ok(())
}

/// Systems without capabilities have none left.
#[cfg(not(target_os = "linux"))]
pub(crate) fn none_left(_single_threaded: bool) -> Sys<bool> {
    Ok(true)
}

/// A Linux promise that cannot be kept elsewhere.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forbid_new() -> Sys<()> {
    Err(super::Errno::ENOSYS)
}
