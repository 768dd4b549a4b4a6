//! Who a process is: user, group, supplementary groups, and the databases that name them.

use super::Errno;
use super::{Sys, check, memory};
use std::ffi::CStr;

pub(crate) type Uid = libc::uid_t;
pub(crate) type Gid = libc::gid_t;

/// Real, effective and saved ids; the filesystem id where the system has one, else the effective one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) real: u32,
    pub(crate) effective: u32,
    pub(crate) saved: u32,
    pub(crate) filesystem: u32,
}

impl Ids {
    pub(crate) fn are_all(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved, self.filesystem].iter().all(|&each| each == id)
    }

    /// Whether a process without privileges may take this id.
    pub(crate) fn have(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

pub(crate) fn effective_user() -> Uid {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(not(target_vendor = "apple"))]
pub(crate) fn user_ids() -> Sys<Ids> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the three are valid places for the result.
    check(unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) })?;
    #[cfg(target_os = "linux")]
    // SAFETY: an invalid id changes nothing, and the call gives back the present one (setfsuid(2)).
    let filesystem = unsafe { libc::setfsuid(Uid::MAX) } as Uid;
    #[cfg(not(target_os = "linux"))]
    let filesystem = effective;
    Ok(Ids { real, effective, saved, filesystem })
}

#[cfg(not(target_vendor = "apple"))]
pub(crate) fn group_ids() -> Sys<Ids> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the three are valid places for the result.
    check(unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) })?;
    #[cfg(target_os = "linux")]
    // SAFETY: an invalid id changes nothing, and the call gives back the present one (setfsgid(2)).
    let filesystem = unsafe { libc::setfsgid(Gid::MAX) } as Gid;
    #[cfg(not(target_os = "linux"))]
    let filesystem = effective;
    Ok(Ids { real, effective, saved, filesystem })
}

/// This system cannot be asked for the saved id; whether root can be regained is tried all the same.
#[cfg(target_vendor = "apple")]
pub(crate) fn user_ids() -> Sys<Ids> {
    // SAFETY: neither takes anything nor can fail.
    let (real, effective) = unsafe { (libc::getuid(), libc::geteuid()) };
    Ok(Ids { real, effective, saved: effective, filesystem: effective })
}

#[cfg(target_vendor = "apple")]
pub(crate) fn group_ids() -> Sys<Ids> {
    // SAFETY: neither takes anything nor can fail.
    let (real, effective) = unsafe { (libc::getgid(), libc::getegid()) };
    Ok(Ids { real, effective, saved: effective, filesystem: effective })
}

/// Sets real, effective and saved user id, in all threads.
pub(crate) fn set_user(uid: Uid) -> Sys<()> {
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: setresuid takes three numbers.
    let result = unsafe { libc::setresuid(uid, uid, uid) };
    #[cfg(target_vendor = "apple")]
    // SAFETY: setuid takes a number; called by root it sets all three.
    let result = unsafe { libc::setuid(uid) };
    check(result).map(drop)
}

/// Sets real, effective and saved group id, in all threads.
pub(crate) fn set_group(gid: Gid) -> Sys<()> {
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: setresgid takes three numbers.
    let result = unsafe { libc::setresgid(gid, gid, gid) };
    #[cfg(target_vendor = "apple")]
    // SAFETY: setgid takes a number; called by root it sets all three.
    let result = unsafe { libc::setgid(gid) };
    check(result).map(drop)
}

/// Sets the supplementary groups, in all threads.
pub(crate) fn set_groups(groups: &[Gid]) -> Sys<()> {
    // SAFETY: `groups` is valid for reads of its length.
    check(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) }).map(drop)
}

/// The supplementary groups, as many as `room` takes; EINVAL when there are more.
pub(crate) fn groups(room: &mut [Gid]) -> Sys<&[Gid]> {
    let length = libc::c_int::try_from(room.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `room` is valid for writes of its length.
    let count = check(unsafe { libc::getgroups(length, room.as_mut_ptr()) })?;
    Ok(room.get(..usize::try_from(count).unwrap_or(0)).unwrap_or_default())
}

/// Whether any of the ways to become root again is open. A way that is not leaves everything as it is.
pub(crate) fn regains_root() -> bool {
    // SAFETY: setuid takes a number.
    let by_setuid = unsafe { libc::setuid(0) } == 0;
    // SAFETY: seteuid takes a number.
    let by_seteuid = unsafe { libc::seteuid(0) } == 0;
    by_setuid || by_seteuid
}

/// A user as the user database has it.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// The name, with its NUL: what initgroups goes by.
    pub(crate) name: Vec<u8>,
}

/// One of the reentrant look-up functions: given room, an error number and what was found.
type LookUp<'a, T> = dyn FnMut(&mut [u8]) -> (libc::c_int, Option<T>) + 'a;

/// Calls one of the reentrant look-up functions with a buffer that grows until the answer fits. Allocates.
fn look_up<T>(call: &mut LookUp<'_, T>) -> Sys<Option<T>> {
    const FIRST: usize = 1024;
    const MOST: usize = 1 << 20;
    let mut size = FIRST;
    loop {
        let mut buffer = memory::filled(0_u8, size)?;
        match call(&mut buffer) {
            (0, found) => return Ok(found),
            (libc::EINTR, _) => {}
            (libc::ERANGE, _) if size < MOST => size *= 4,
            // What getpwnam(3) lists as other systems' ways to say "not found".
            (libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, _) => return Ok(None),
            (errno, _) => return Err(Errno::new(errno)),
        }
    }
}

fn user(call: &dyn Fn(*mut libc::passwd, &mut [u8], *mut *mut libc::passwd) -> libc::c_int) -> Sys<Option<User>> {
    let mut name = Vec::new();
    let mut copied = Ok(());
    let found = look_up(&mut |buffer| {
        // SAFETY: `passwd` is a C struct of integers and nullable pointers, for which all zeroes is a value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut result = std::ptr::null_mut();
        let errno = call(&raw mut entry, buffer, &raw mut result);
        if errno != 0 || result.is_null() {
            return (errno, None);
        }
        if !entry.pw_name.is_null() {
            // SAFETY: a found entry's name is a NUL-terminated string in `buffer`, which is still alive.
            let bytes = unsafe { CStr::from_ptr(entry.pw_name) }.to_bytes_with_nul();
            copied = memory::extend(&mut name, bytes);
        }
        (0, Some((entry.pw_uid, entry.pw_gid)))
    })?;
    copied?;
    Ok(found.map(|(uid, gid)| User { uid, gid, name }))
}

/// Looks a user up by name. Allocates.
pub(crate) fn user_by_name(name: &CStr) -> Sys<Option<User>> {
    user(&|entry, buffer, result| {
        // SAFETY: `name` is NUL-terminated, the rest are valid places of the sizes given.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer.as_mut_ptr().cast(), buffer.len(), result) }
    })
}

/// Looks a user up by number. Allocates.
pub(crate) fn user_by_id(uid: Uid) -> Sys<Option<User>> {
    user(&|entry, buffer, result| {
        // SAFETY: the arguments are valid places of the sizes given.
        unsafe { libc::getpwuid_r(uid, entry, buffer.as_mut_ptr().cast(), buffer.len(), result) }
    })
}

/// Looks a group up by name. Allocates.
pub(crate) fn group_by_name(name: &CStr) -> Sys<Option<Gid>> {
    look_up(&mut |buffer| {
        // SAFETY: `group` is a C struct of integers and nullable pointers, for which all zeroes is a value.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut result = std::ptr::null_mut();
        // SAFETY: `name` is NUL-terminated, the rest are valid places of the sizes given.
        let errno = unsafe {
            libc::getgrnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut result)
        };
        (errno, (!result.is_null()).then_some(entry.gr_gid))
    })
}

/// What initgroups(3) would set for this user: its groups in the group database, and `gid`. Allocates.
pub(crate) fn groups_of(name: &CStr, gid: Gid) -> Sys<Vec<Gid>> {
    const FIRST: usize = 64;
    const MOST: usize = 65_536;
    let mut size = FIRST;
    loop {
        let mut groups = memory::filled(0 as Gid, size)?;
        let mut count = libc::c_int::try_from(size).map_err(|_| Errno::EINVAL)?;
        // SAFETY: `name` is NUL-terminated and `groups` has room for `count` entries.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid as _, groups.as_mut_ptr().cast(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        if size >= MOST {
            return Err(Errno::EINVAL);
        }
        size = count.max(size.saturating_mul(2)).min(MOST);
    }
}
