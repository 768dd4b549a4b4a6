//! Descriptors: all above the standard streams are closed but those to keep.

use crate::activation;
use crate::error::{Error, Step, Subject};
use crate::sys::Errno;
use crate::sys::{Sys, fd, file, memory};
use crate::{signal_queue, signal_stream};
use std::os::fd::RawFd;

/// Descriptors to keep, in ascending order, each once.
#[derive(Clone, Default)]
pub(crate) struct Keep(Vec<RawFd>);

impl std::fmt::Debug for Keep {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What becomes of the descriptors that the program did not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    Close,
    Keep,
    /// Those that execve(2) keeps.
    KeepInheritable,
}

impl Others {
    fn keep(self, fd: RawFd) -> bool {
        match self {
            Self::Close => false,
            Self::Keep => fd::is_open(fd),
            Self::KeepInheritable => fd::flags(fd).is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0),
        }
    }
}

impl Keep {
    /// Adds a descriptor. Standard streams are never closed, so adding one changes nothing.
    pub(crate) fn add(&mut self, fd: RawFd) -> Sys<()> {
        if fd < 0 {
            return Err(Errno::EBADF);
        }
        match self.0.binary_search(&fd) {
            Err(place) if fd >= fd::FIRST_OTHER => memory::insert(&mut self.0, place, fd),
            _ => Ok(()),
        }
    }

    /// What the program asked for, checked: every one of them is open. What systemd has passed on, and the program has not closed, is kept
    /// as well, and of the others those that `others` says.
    pub(crate) fn checked(&self, others: Others) -> Result<Self, Error> {
        let failed = |fd: &RawFd, errno| Error::os(Step::KeepDescriptor, Subject::Number(i64::from(*fd)), errno);
        let mut checked = Self::default();
        checked.add_others(others).map_err(|errno| Error::os(Step::KeepDescriptor, Subject::Word("all"), errno))?;
        for fd in &self.0 {
            fd::flags(*fd).map_err(|errno| failed(fd, errno))?;
            checked.add(*fd).map_err(|errno| failed(fd, errno))?;
        }
        for fd in activation::range().filter(|fd| fd::is_open(*fd)).chain(activation::taken()) {
            checked.add(fd).map_err(|errno| failed(&fd, errno))?;
        }
        Ok(checked)
    }

    fn add_others(&mut self, others: Others) -> Sys<()> {
        if others == Others::Close {
            return Ok(());
        }
        match listed() {
            Ok(listed) => listed.into_iter().filter(|fd| others.keep(*fd)).try_for_each(|fd| self.add(fd)),
            Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
            // There is no /proc.
            Err(_) => (fd::FIRST_OTHER..fd::limit()).filter(|fd| others.keep(*fd)).try_for_each(|fd| self.add(fd)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = RawFd> {
        self.0.iter().copied()
    }

    /// Closes everything above the standard streams but `fd`.
    pub(crate) fn only(fd: RawFd) {
        close_gaps(&[fd]);
    }

    /// The daemon's step: closes everything above the standard streams that is not kept.
    pub(crate) fn close_others(&self) {
        close_gaps(&self.0);
    }
}

/// Closes every descriptor above the standard streams but those in `keep` and those that this library itself holds: the locks
/// of pid files, the queue and the streams of signals. What is not open is not missed.
///
/// # Errors
/// ENOMEM: nothing is closed.
pub fn close_all_but(keep: impl IntoIterator<Item = RawFd>) -> Result<(), Error> {
    let mut all = Keep::default();
    let own = crate::registry::descriptors().chain(signal_queue::descriptors());
    for fd in keep.into_iter().filter(|fd| *fd >= 0).chain(own) {
        all.add(fd).map_err(|errno| Error::os(Step::KeepDescriptor, Subject::Number(i64::from(fd)), errno))?;
    }
    let ends = signal_stream::ends().try_for_each(|fd| all.add(fd));
    ends.map_err(|errno| Error::os(Step::KeepDescriptor, Subject::Nothing, errno))?;
    close_listed_gaps(&all.0);
    Ok(())
}

/// For language bindings: the descriptors that a start of this process keeps without being asked to: those of pid files and signals,
/// and what a service manager has passed on.
#[doc(hidden)]
pub fn kept_unasked() -> impl Iterator<Item = RawFd> {
    let own = crate::registry::descriptors().chain(signal_queue::descriptors()).chain(signal_stream::ends());
    own.chain(activation::range()).chain(activation::taken())
}

/// For language bindings: the descriptors above the standard streams that this program has opened, and not inherited from the one before
/// execve(2). None where there is no `/proc`. Locks of pid files that are taken from now on get numbers above all that are open: an object
/// from before a start may still own a number that the start has closed, and close it again.
#[doc(hidden)]
#[must_use]
pub fn opened() -> Vec<RawFd> {
    let mut listed = listed().unwrap_or_default();
    crate::registry::lock_above(listed.iter().copied().max().unwrap_or(0));
    listed.retain(|fd| is_own(*fd));
    listed
}

/// The descriptors above the standard streams in `/proc`, of which one was the directory's own.
fn listed() -> Sys<Vec<RawFd>> {
    let (mut listed, mut complete) = (Vec::new(), Ok(()));
    file::for_each_name(c"/proc/self/fd", &mut |_, name| {
        let number = crate::sys::parse_decimal(name).and_then(|number| RawFd::try_from(number).ok());
        if let Some(fd) = number.filter(|fd| *fd >= fd::FIRST_OTHER) {
            complete = complete.and(memory::push(&mut listed, fd));
        }
    })?;
    complete.map(|()| listed)
}

/// Nothing hands on epoll, inotify and their like, and not all libraries mark them.
fn is_own(fd: RawFd) -> bool {
    fd::flags(fd).is_ok_and(|flags| flags & libc::FD_CLOEXEC != 0 || is_anonymous(fd))
}

#[cfg(target_os = "linux")]
fn is_anonymous(fd: RawFd) -> bool {
    let mut link = crate::sys::fixed_buf::FixedBuf::<32>::new();
    link.push(b"/proc/self/fd/").push_number(i64::from(fd));
    let mut room = [0; 16];
    link.as_c_str()
        .and_then(|link| file::link_target(link, &mut room))
        .is_ok_and(|target| target.starts_with(b"anon_inode:"))
}

#[cfg(not(target_os = "linux"))]
fn is_anonymous(_fd: RawFd) -> bool {
    false
}

/// Puts `O_NONBLOCK` on the file that `fd` is open on, or takes it off.
///
/// # Errors
/// fcntl(2).
pub fn set_nonblocking(fd: RawFd, nonblocking: bool) -> Result<(), Error> {
    let set = fd::set_nonblocking(fd, nonblocking);
    set.map_err(|errno| Error::os(Step::SetNonblocking, Subject::Number(i64::from(fd)), errno))
}

/// Closes what is above the standard streams and not in `kept`, which is in ascending order.
fn close_gaps(kept: &[RawFd]) {
    let mut first = fd::FIRST_OTHER;
    for &kept in kept {
        if first < kept {
            close_between(first, kept - 1);
        }
        first = kept.saturating_add(1);
    }
    close_between(first, RawFd::MAX);
}

/// The same in a program that goes on, and may do it often. close_range(2) looks at every place of the table, which stays as large as it
/// ever was (1.3 ns a place on Linux 6.18): where it may be large, what is open far up is taken from the list in `/proc`.
fn close_listed_gaps(kept: &[RawFd]) {
    const SMALL: RawFd = 1024;
    if fd::limit() <= SMALL {
        return close_gaps(kept);
    }
    let far = kept.partition_point(|fd| *fd < SMALL);
    let (near, far) = kept.split_at(far);
    let mut first = fd::FIRST_OTHER;
    for &kept in near {
        if first < kept {
            close_between(first, kept - 1);
        }
        first = kept + 1;
    }
    close_between(first, SMALL - 1);
    if close_listed(SMALL, RawFd::MAX, far).is_err() {
        close_gaps(kept);
    }
}

/// Closes `first..=last` by the best way there is: one call, else what `/proc` lists, else every number there can be.
fn close_between(first: RawFd, last: RawFd) {
    if fd::close_range(first, last).is_ok() || close_listed(first, last, &[]).is_ok() {
        return;
    }
    for fd in first..=last.min(fd::limit().saturating_sub(1)) {
        fd::close(fd);
    }
}

/// Closes what `/proc/self/fd` lists, but not what is `kept`, which is in ascending order. The kernel finds its place in that directory by
/// number, so closing while reading skips nothing.
///
/// # Errors
/// There is no such list, or it is not this thread's, as where the main thread has ended: it lacks the descriptor that it is read by.
fn close_listed(first: RawFd, last: RawFd, kept: &[RawFd]) -> Sys<()> {
    let mut is_own = false;
    file::for_each_name(c"/proc/self/fd", &mut |directory, name| {
        let listed = crate::sys::parse_decimal(name).and_then(|number| RawFd::try_from(number).ok());
        is_own |= listed == Some(directory);
        let listed = listed.filter(|fd| (first..=last).contains(fd) && *fd != directory);
        if let Some(fd) = listed.filter(|fd| kept.binary_search(fd).is_err()) {
            fd::close(fd);
        }
    })?;
    if is_own { Ok(()) } else { Err(Errno::ENOENT) }
}
