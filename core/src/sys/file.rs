//! Files and directories.

use super::Errno;
use super::fd::{above_standard, own};
use super::{Sys, check, check_size, memory, uninterrupted};
use crate::sys::c_buf::{CBuf, PATH_MAX};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "32")))]
use libc::{fstat, fstatat, openat as open_file, stat};
/// Where a number is of 32 bits these are the calls for files of 2 GB and more, and for file systems that number their files by more.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "32"))]
use libc::{fstat64 as fstat, fstatat64 as fstatat, openat64 as open_file, stat64 as stat};

pub(crate) const NULL_DEVICE: &CStr = c"/dev/null";

/// Leaves the time of the last access alone. Only the owner of a file, and root, can open it so (open(2)).
#[cfg(target_os = "linux")]
pub(crate) const O_NOATIME: libc::c_int = libc::O_NOATIME;
/// Elsewhere it means nothing.
#[cfg(not(target_os = "linux"))]
pub(crate) const O_NOATIME: libc::c_int = 0;

/// What stat(2) tells, as far as anybody here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) identity: Identity,
    pub(crate) kind: Kind,
    /// The permission bits and those beside them.
    pub(crate) mode: libc::mode_t,
    pub(crate) owner: libc::uid_t,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) modified: Duration,
    /// When the inode last changed: its content, links, owner or mode.
    pub(crate) changed: Duration,
    /// The number of a character device.
    pub(crate) device_number: Option<u64>,
}

impl Status {
    /// Whether the group or everybody may write it.
    pub(crate) fn is_writable_by_others(&self) -> bool {
        const GROUP_OR_OTHERS: libc::mode_t = 0o022;
        self.mode & GROUP_OR_OTHERS != 0
    }
}

/// Two names with the same identity are the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    Directory,
    SymbolicLink,
    Fifo,
    Socket,
    Device,
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
fn status(raw: &stat) -> Status {
    let kind = match raw.st_mode & libc::S_IFMT {
        libc::S_IFREG => Kind::Regular,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::SymbolicLink,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        _ => Kind::Device,
    };
    let time = |seconds: i64, nanoseconds: i64| {
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        seconds.saturating_add(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)))
    };
    Status {
        identity: Identity { device: raw.st_dev as u64, inode: raw.st_ino as u64 },
        kind,
        mode: raw.st_mode & !libc::S_IFMT,
        owner: raw.st_uid,
        links: raw.st_nlink as u64,
        size: u64::try_from(raw.st_size).unwrap_or(0),
        modified: time(raw.st_mtime as i64, raw.st_mtime_nsec as i64),
        changed: time(raw.st_ctime as i64, raw.st_ctime_nsec as i64),
        device_number: (raw.st_mode & libc::S_IFMT == libc::S_IFCHR).then_some(raw.st_rdev as u64),
    }
}

fn empty_stat() -> stat {
    // SAFETY: `stat` is a C struct of integers, for which all zeroes is a value.
    unsafe { std::mem::zeroed() }
}

/// The file that is open as `fd`.
pub(crate) fn status_of(fd: RawFd) -> Sys<Status> {
    let mut raw = empty_stat();
    // SAFETY: `raw` is a valid place for the result.
    check(unsafe { fstat(fd, &raw mut raw) })?;
    Ok(status(&raw))
}

/// The file at `path` itself: a symbolic link is not followed.
pub(crate) fn status_at(path: &CStr) -> Sys<Status> {
    status_in(libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW)
}

/// The file that `path` leads to.
pub(crate) fn status_behind(path: &CStr) -> Sys<Status> {
    status_in(libc::AT_FDCWD, path, 0)
}

/// Which file `path` leads to, from what the kernel knows already: no server of a file system is asked. Since Linux 4.11.
#[cfg(target_os = "linux")]
pub(crate) fn known_identity(path: &CStr) -> Sys<Identity> {
    // SAFETY: `statx` is a C struct of integers, for which all zeroes is a value.
    let mut raw: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    // SAFETY: `path` is NUL-terminated and `raw` a valid place for the result. glibc has no such function before 2.28.
    let result =
        unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path.as_ptr(), flags, libc::STATX_INO, &raw mut raw) };
    check_size(result as isize)?;
    let device = libc::makedev(raw.stx_dev_major, raw.stx_dev_minor);
    Ok(Identity { device: device as u64, inode: raw.stx_ino })
}

pub(super) fn status_in(directory: RawFd, path: &CStr, flags: libc::c_int) -> Sys<Status> {
    let mut raw = empty_stat();
    // SAFETY: `path` is NUL-terminated and `raw` a valid place for the result.
    check(unsafe { fstatat(directory, path.as_ptr(), &raw mut raw, flags) })?;
    Ok(status(&raw))
}

/// open(2), close-on-exec, never a controlling terminal, above the standard streams.
pub(crate) fn open(path: &CStr, flags: libc::c_int, mode: libc::mode_t) -> Sys<OwnedFd> {
    open_in(libc::AT_FDCWD, path, flags, mode)
}

/// The same below an open directory.
pub(super) fn open_in(directory: RawFd, path: &CStr, flags: libc::c_int, mode: libc::mode_t) -> Sys<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: `path` is NUL-terminated; the mode is passed as the variadic argument that O_CREAT wants.
    let fd = uninterrupted(|| own(unsafe { open_file(directory, path.as_ptr(), flags, libc::c_uint::from(mode)) }))?;
    above_standard(fd)
}

/// Opens a directory to look below it.
pub(crate) fn open_directory(path: &CStr) -> Sys<OwnedFd> {
    #[cfg(target_os = "linux")]
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    #[cfg(not(target_os = "linux"))]
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    open(path, flags, 0)
}

/// Whether `path` is a directory that can be entered. Nothing stays open.
pub(crate) fn check_directory(path: &CStr) -> Sys<()> {
    check_directory_for(path, libc::X_OK)
}

/// Whether `path` is a directory in which files can be made.
pub(crate) fn check_directory_for_files(path: &CStr) -> Sys<()> {
    check_directory_for(path, libc::W_OK | libc::X_OK)
}

fn check_directory_for(path: &CStr, access: libc::c_int) -> Sys<()> {
    open_directory(path)?;
    check_access(path, access)
}

/// As the effective user. Filters of system calls that do not know faccessat2(2) answer EPERM, which this question never has for a directory;
/// access(2) goes by the real user.
fn check_access(path: &CStr, access: libc::c_int) -> Sys<()> {
    // SAFETY: `path` is NUL-terminated.
    match check(unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), access, libc::AT_EACCESS) }) {
        // SAFETY: as above.
        Err(Errno::EPERM) => check(unsafe { libc::access(path.as_ptr(), access) }).map(drop),
        asked => asked.map(drop),
    }
}

/// Whether `path` is a file that this process may execute, by its permissions and those of its file system.
pub(crate) fn check_executable(path: &CStr) -> Sys<()> {
    if status_behind(path)?.kind != Kind::Regular {
        return Err(Errno::EACCES);
    }
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) }).map(drop)
}

pub(crate) fn set_mode(fd: RawFd, mode: libc::mode_t) -> Sys<()> {
    // SAFETY: fchmod takes two numbers.
    check(unsafe { libc::fchmod(fd, mode) }).map(drop)
}

pub(crate) fn set_mode_at(path: &CStr, mode: libc::mode_t) -> Sys<()> {
    // SAFETY: `path` is a valid C string.
    check(unsafe { libc::chmod(path.as_ptr(), mode) }).map(drop)
}

/// Gives an open file to another user or group; without one it keeps what it has.
pub(crate) fn set_owner(fd: RawFd, user: Option<libc::uid_t>, group: Option<libc::gid_t>) -> Sys<()> {
    let (user, group) = (user.unwrap_or(libc::uid_t::MAX), group.unwrap_or(libc::gid_t::MAX));
    // SAFETY: fchown takes three numbers, the highest of which is "no change".
    check(unsafe { libc::fchown(fd, user, group) }).map(drop)
}

pub(crate) fn truncate(fd: RawFd) -> Sys<()> {
    shorten(fd, 0)
}

/// Cuts off what is behind so many bytes.
pub(crate) fn shorten(fd: RawFd, length: u64) -> Sys<()> {
    let length = libc::off_t::try_from(length).unwrap_or(libc::off_t::MAX);
    // SAFETY: ftruncate takes two numbers.
    uninterrupted(|| check(unsafe { libc::ftruncate(fd, length) })).map(drop)
}

/// Writes at the beginning of a file.
pub(crate) fn write_start(fd: RawFd, bytes: &[u8]) -> Sys<usize> {
    // SAFETY: `bytes` is valid for reads of its length.
    uninterrupted(|| check_size(unsafe { libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), 0) }))
}

/// Reads from the beginning of a file, until `buffer` is full or the file ends.
pub(crate) fn read_start(fd: RawFd, buffer: &mut [u8]) -> Sys<usize> {
    read_at(fd, buffer, 0)
}

/// Reads from `offset` on, until `buffer` is full or the file ends.
pub(crate) fn read_at(fd: RawFd, buffer: &mut [u8], offset: u64) -> Sys<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        let place = libc::off_t::try_from(offset.saturating_add(filled as u64)).map_err(|_| Errno::EINVAL)?;
        let got = uninterrupted(|| {
            // SAFETY: `room` is valid for writes of its length.
            check_size(unsafe { libc::pread(fd, room.as_mut_ptr().cast(), room.len(), place) })
        })?;
        if got == 0 {
            break;
        }
        filled += got;
    }
    Ok(filled)
}

/// Reads a whole small file, such as those of `/proc`, into `buffer`; the rest of a longer one is left out. Does not wait for
/// anybody where it is none.
pub(crate) fn read_small<'a>(path: &CStr, buffer: &'a mut [u8]) -> Sys<&'a [u8]> {
    let file = open(path, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
    let length = read_start(file.as_raw_fd(), buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// The same of a file of `/proc` about one process, by one read: the kernel makes its text as a whole (`single_open`, seq_file).
pub(crate) fn read_at_once<'a>(path: &CStr, buffer: &'a mut [u8]) -> Sys<&'a [u8]> {
    let file = open(path, libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
    let length = super::fd::read(file.as_raw_fd(), buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Reads a symbolic link, as much of it as `buffer` has room for.
#[cfg(target_os = "linux")]
pub(crate) fn link_target<'a>(path: &CStr, buffer: &'a mut [u8]) -> Sys<&'a [u8]> {
    // SAFETY: `path` is NUL-terminated, `buffer` valid for writes of its length.
    let length = check_size(unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// A path made absolute from the present working directory, as it stays right after chdir.
pub(crate) fn absolute_path(bytes: &[u8]) -> Sys<CBuf> {
    if bytes.first() == Some(&b'/') || bytes.is_empty() {
        return CBuf::path(bytes);
    }
    let mut room = memory::filled(0, PATH_MAX)?;
    working_directory(&mut room)?;
    let length = room.iter().position(|&byte| byte == 0).unwrap_or(0);
    room.truncate(length);
    // getcwd says "(unreachable)…" below a directory that a chroot or unmount has cut off.
    if room.first() != Some(&b'/') {
        return Err(Errno::ENOENT);
    }
    if room.last() != Some(&b'/') {
        memory::push(&mut room, b'/')?;
    }
    memory::extend(&mut room, bytes)?;
    CBuf::path(&room)
}

/// The path without symbolic links and `..` of a file that is there. Allocates.
pub(crate) fn real_path(path: &CStr) -> Sys<CBuf> {
    let mut room = memory::filled(0_u8, PATH_MAX)?;
    // SAFETY: `path` is NUL-terminated, and `room` has as many bytes as the longest path.
    if unsafe { libc::realpath(path.as_ptr(), room.as_mut_ptr().cast()) }.is_null() {
        return Err(Errno::last());
    }
    let length = room.iter().position(|&byte| byte == 0).unwrap_or(0);
    CBuf::path(room.get(..length).unwrap_or_default())
}

pub(crate) fn make_directory(path: &CStr, mode: libc::mode_t) -> Sys<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::mkdir(path.as_ptr(), mode) }).map(drop)
}

pub(crate) fn remove_directory(path: &CStr) -> Sys<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::rmdir(path.as_ptr()) }).map(drop)
}

pub(crate) fn unlink(path: &CStr) -> Sys<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::unlink(path.as_ptr()) }).map(drop)
}

/// Gives a file another name, and takes that from the file that has it.
pub(crate) fn rename(from: &CStr, to: &CStr) -> Sys<()> {
    // SAFETY: both paths are NUL-terminated.
    check(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) }).map(drop)
}

/// What was asked of [`lock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Exclusive,
    Shared,
}

/// flock(2) without waiting; false when somebody else's lock is in the way.
pub(crate) fn lock(fd: RawFd, lock: Lock) -> Sys<bool> {
    let operation = match lock {
        Lock::Exclusive => libc::LOCK_EX,
        Lock::Shared => libc::LOCK_SH,
    };
    // SAFETY: flock takes two numbers.
    match uninterrupted(|| check(unsafe { libc::flock(fd, operation | libc::LOCK_NB) })) {
        Ok(_) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn unlock(fd: RawFd) {
    // SAFETY: flock takes two numbers.
    unsafe { libc::flock(fd, libc::LOCK_UN) };
}

pub(crate) fn change_directory(path: &CStr) -> Sys<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

/// Changes the root directory, and enters it: a working directory outside of the root would be the way out of it (chroot(2)).
pub(crate) fn change_root(path: &CStr) -> Sys<()> {
    // SAFETY: `path` is NUL-terminated.
    check(unsafe { libc::chroot(path.as_ptr()) })?;
    change_directory(c"/")
}

pub(crate) fn set_umask(mask: libc::mode_t) {
    // SAFETY: umask takes a number and cannot fail.
    unsafe { libc::umask(mask) };
}

/// Writes the working directory with its terminating NUL into `buffer`; ERANGE when it does not fit.
pub(crate) fn working_directory(buffer: &mut [u8]) -> Sys<()> {
    // SAFETY: `buffer` is valid for writes of its length.
    let result = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if result.is_null() { Err(Errno::last()) } else { Ok(()) }
}

/// Hands the names in a directory to `each`, without allocating: opendir(3) would.
#[cfg(target_os = "linux")]
pub(crate) fn for_each_name(path: &CStr, each: &mut dyn FnMut(RawFd, &[u8])) -> Sys<()> {
    const NAME_OFFSET: usize = std::mem::offset_of!(libc::dirent64, d_name);
    const LENGTH_OFFSET: usize = std::mem::offset_of!(libc::dirent64, d_reclen);
    let directory = open(path, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut buffer = [0_u8; 4096];
    loop {
        // SAFETY: `buffer` is valid for writes of its length.
        let result =
            unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
        let filled = check_size(result as isize)?;
        if filled == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..filled).unwrap_or_default();
        while let Some(&[low, high]) = rest.get(LENGTH_OFFSET..LENGTH_OFFSET + 2) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let name = rest.get(NAME_OFFSET..length).unwrap_or_default();
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            each(directory.as_raw_fd(), name);
            match rest.get(length..) {
                Some(next) if length > 0 => rest = next,
                _ => break,
            }
        }
    }
}

/// Other systems have no directory that can be read without allocating.
#[cfg(not(target_os = "linux"))]
pub(crate) fn for_each_name(_path: &CStr, _each: &mut dyn FnMut(RawFd, &[u8])) -> Sys<()> {
    Err(Errno::ENOSYS)
}
