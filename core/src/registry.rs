//! The pid files that this process holds, in one table.
//!
//! Three that cannot be handed a reference have to find them: the handler that runs at exit, the handler of a deadly
//! signal, and the child of a fork. So the table owns the locked descriptors, and a [`Held`] is only a place in it. It has a
//! fixed size and is made of atomics: a signal handler can neither allocate nor take a lock.

use crate::pid_content::{self, Content};
use crate::runtime_directory;
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::file::Identity;
use crate::sys::process;
use crate::sys::signal::{self, Disposition, Signal};
use crate::sys::{Sys, fd, file, memory};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

const FREE: RawFd = -1;
/// Not to be given out: not filled in yet, being given up, or inherited from the process that holds the file.
const TAKEN: RawFd = -2;
const PLACES: usize = 32;

/// A file that this process has locked.
pub(crate) struct LockedPidFile {
    pub(crate) lock: OwnedFd,
    /// None where the lock itself is open for writing: the file system gives the file another owner, or cannot lock what is
    /// open for reading (NFS).
    pub(crate) writer: Option<OwnedFd>,
}

/// The number below which no lock's descriptor is left.
static LEAST: AtomicI32 = AtomicI32::new(fd::FIRST_OTHER);

/// Has locks get numbers above `fd` from now on, where the limit allows.
pub(crate) fn lock_above(fd: RawFd) {
    LEAST.fetch_max(fd.saturating_add(1), Ordering::Relaxed);
}

impl LockedPidFile {
    /// The same with a lock that has such a number.
    pub(crate) fn raised(mut self) -> Self {
        let least = LEAST.load(Ordering::Relaxed);
        if self.lock.as_raw_fd() < least {
            if let Ok(raised) = fd::duplicate_from(self.lock.as_raw_fd(), least) {
                self.lock = raised;
            }
        }
        self
    }
}

struct Slot {
    descriptor: AtomicI32,
    /// Open for writing, until the PID is written: [`FREE`] or [`TAKEN`] afterwards.
    writer: AtomicI32,
    /// Which file they are open on. A program may close descriptors that it knows nothing of, and get the number again for a
    /// file of its own: then the number is not ours any more.
    device: AtomicU64,
    inode: AtomicU64,
    /// The process whose exit removes the file.
    owner: AtomicI32,
    /// Both belong to the slot while the descriptor does.
    path: AtomicPtr<CBuf>,
    path_inside: AtomicPtr<CBuf>,
    /// Goes along with the daemon that is being forked.
    inherit_across_fork: AtomicBool,
}

static SLOTS: [Slot; PLACES] = [const {
    Slot {
        descriptor: AtomicI32::new(FREE),
        writer: AtomicI32::new(FREE),
        device: AtomicU64::new(0),
        inode: AtomicU64::new(0),
        owner: AtomicI32::new(0),
        path: AtomicPtr::new(std::ptr::null_mut()),
        path_inside: AtomicPtr::new(std::ptr::null_mut()),
        inherit_across_fork: AtomicBool::new(false),
    }
}; PLACES];

/// This process has changed its root, so files are called by their paths inside.
static INSIDE: AtomicBool = AtomicBool::new(false);

/// A locked pid file of this process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    place: usize,
}

impl Held {
    /// Takes over locked descriptors, which the caller forgets unless this fails. The file at `path` is this process's from now on;
    /// its exit removes it. `path_inside` is what the file is called inside the root that the daemon is going to change to, if it
    /// can be seen from there.
    pub(crate) fn new(taken: &LockedPidFile, path: CBuf, path_inside: Option<CBuf>) -> Sys<Self> {
        install_handlers()?;
        let descriptor = taken.lock.as_raw_fd();
        let Identity { device, inode } = file::status_of(descriptor)?.identity;
        let path = Leaked::new(Some(path))?;
        let path_inside = Leaked::new(path_inside)?;
        let free =
            |slot: &Slot| slot.descriptor.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let place = SLOTS.iter().position(free).ok_or(Errno::EMFILE)?;
        let held = Self { place };
        if let Some(slot) = held.slot() {
            slot.path.store(path.keep(), Ordering::Relaxed);
            slot.path_inside.store(path_inside.keep(), Ordering::Relaxed);
            slot.device.store(device, Ordering::Relaxed);
            slot.inode.store(inode, Ordering::Relaxed);
            slot.owner.store(process::id(), Ordering::Relaxed);
            slot.writer.store(taken.writer.as_ref().map_or(FREE, AsRawFd::as_raw_fd), Ordering::Relaxed);
            slot.descriptor.store(descriptor, Ordering::Release);
        }
        Ok(held)
    }

    /// What the file is called in this process's root.
    pub(crate) fn path(&self) -> Option<&CBuf> {
        self.slot().and_then(Slot::path)
    }

    fn slot(&self) -> Option<&'static Slot> {
        SLOTS.get(self.place)
    }

    /// Leaves the file to the daemon that has been forked, in a process that goes on.
    pub(crate) fn abandon(&self) {
        if let Some(slot) = self.slot() {
            slot.close();
            slot.give_back();
        }
    }

    /// The lock's descriptor; the one for writing is closed.
    pub(crate) fn lock_alone(&self) -> Option<RawFd> {
        let slot = self.slot()?;
        slot.close_writer();
        slot.descriptor()
    }

    /// Writes this process's PID.
    pub(crate) fn write(&self) -> Sys<()> {
        self.slot().map_or(Err(Errno::EBADF), Slot::write)
    }

    /// Has only this file go along with the daemon that is going to be forked; others stay with this process.
    pub(crate) fn inherit_across_fork(&self) {
        if let Some(slot) = self.slot() {
            slot.inherit_across_fork.store(true, Ordering::Relaxed);
        }
    }

    /// Removes the file and gives up the lock. In a process that only inherited this, nothing happens.
    pub(crate) fn release(self) {
        if let Some(slot) = self.slot() {
            if slot.release() {
                slot.give_back();
                runtime_directory::remove();
            }
        }
    }
}

impl Slot {
    /// Takes the descriptor out; whoever gets it closes it, nobody else does. Async-signal-safe, like all here.
    fn take(&self) -> Option<RawFd> {
        let descriptor = self.descriptor.load(Ordering::Acquire);
        let taken = |descriptor| {
            self.descriptor.compare_exchange(descriptor, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        (descriptor >= 0 && taken(descriptor)).then_some(descriptor)
    }

    /// Makes the place free for another file.
    fn give_back(&self) {
        for path in [&self.path, &self.path_inside] {
            memory::reclaim(path.swap(std::ptr::null_mut(), Ordering::AcqRel));
        }
        self.descriptor.store(FREE, Ordering::Release);
    }

    fn close(&self) {
        self.close_writer();
        if let Some(descriptor) = self.take().filter(|descriptor| self.is_open_as(*descriptor)) {
            fd::close(descriptor);
        }
    }

    fn close_writer(&self) {
        let writer = self.writer.swap(FREE, Ordering::AcqRel);
        if writer >= 0 && self.is_open_as(writer) {
            fd::close(writer);
        }
    }

    /// Opens the file for writing where it is not: it was taken, and written, before this start.
    fn open_writer(&self) -> Sys<()> {
        if self.writer().is_some() || self.descriptor().map_or(Ok(true), is_writable)? {
            return Ok(());
        }
        let writer = self.open_to_write()?;
        self.writer.store(writer.into_raw_fd(), Ordering::Release);
        Ok(())
    }

    /// Opens the file at its path, if that is still this one. Async-signal-safe.
    fn open_to_write(&self) -> Sys<OwnedFd> {
        let path = self.path().ok_or(Errno::ENOENT)?;
        let opened = file::open(path.as_c_str(), libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
        if self.is_open_as(opened.as_raw_fd()) { Ok(opened) } else { Err(Errno::ESTALE) }
    }

    fn release(&self) -> bool {
        if self.descriptor().is_none() || self.owner.load(Ordering::Relaxed) != process::id() {
            return false;
        }
        let Some(descriptor) = self.take() else { return false };
        self.remove(descriptor);
        true
    }

    /// Removes the file and gives up its lock.
    ///
    /// Only if it is still there under its name. Where that fails (the directory belongs to another user since privileges
    /// were dropped, or lies outside the root) the file is emptied if it may be written, and else it stays: without its lock it
    /// is stale.
    fn remove(&self, descriptor: RawFd) {
        let open = self.is_open_as(descriptor);
        let same = |path: &&CBuf| {
            let named = file::status_at(path.as_c_str()).is_ok_and(|status| status.identity == self.identity());
            named && (open || names_this_process(path))
        };
        let removed = self.path().filter(same).is_some_and(|path| file::unlink(path.as_c_str()).is_ok());
        if open {
            if !removed {
                let _: Sys<()> = self.open_to_write().and_then(|writer| file::truncate(writer.as_raw_fd()));
            }
            fd::close(descriptor);
        }
        self.close_writer();
    }

    fn identity(&self) -> Identity {
        Identity { device: self.device.load(Ordering::Relaxed), inode: self.inode.load(Ordering::Relaxed) }
    }

    fn is_open_as(&self, descriptor: RawFd) -> bool {
        file::status_of(descriptor).is_ok_and(|status| status.identity == self.identity())
    }

    /// Writes this process's PID, and gives up the right to write another: what follows may run as a user who is not to change
    /// what others believe.
    fn write(&self) -> Sys<()> {
        let lock = self.descriptor().ok_or(Errno::EBADF)?;
        let writer = self.writer().unwrap_or(lock);
        let status = [lock, writer].map(|descriptor| file::status_of(descriptor).map_err(|_| Errno::EBADF));
        let [Ok(lock), Ok(file)] = status else { return Err(Errno::EBADF) };
        if [lock.identity, file.identity] != [self.identity(); 2] {
            return Err(Errno::EBADF);
        }
        let pid = process::id();
        self.owner.store(pid, Ordering::Relaxed);
        let text = pid_content::format(pid);
        // To empty an empty file is as much work as another for a file system with a journal.
        if file.size > 0 {
            file::truncate(writer)?;
        }
        match file::write_start(writer, text.as_bytes())? {
            written if written == text.as_bytes().len() => self.close_writer(),
            _ => return Err(Errno::ENOSPC),
        }
        // A daemon that executes itself, or another program, is still the daemon.
        self.descriptor().map_or(Err(Errno::EBADF), fd::keep_on_exec)
    }

    fn descriptor(&self) -> Option<RawFd> {
        let descriptor = self.descriptor.load(Ordering::Acquire);
        (descriptor >= 0).then_some(descriptor)
    }

    fn writer(&self) -> Option<RawFd> {
        let writer = self.writer.load(Ordering::Acquire);
        (writer >= 0).then_some(writer)
    }

    fn path(&self) -> Option<&CBuf> {
        let path = if INSIDE.load(Ordering::Relaxed) { &self.path_inside } else { &self.path };
        memory::borrow(path.load(Ordering::Acquire))
    }
}

/// Whether the file at `path` holds this process's PID. Once the lock is lost, that is all there is to go by.
fn names_this_process(path: &CBuf) -> bool {
    let mut room = [0; pid_content::ROOM];
    let bytes = file::read_small(path.as_c_str(), &mut room);
    bytes.is_ok_and(|bytes| Content::of(bytes) == Content::Pid(process::id()))
}

/// A path on the heap on its way into a slot.
struct Leaked(*mut CBuf);

impl Leaked {
    fn new(path: Option<CBuf>) -> Sys<Self> {
        path.map_or(Ok(std::ptr::null_mut()), memory::leak).map(Self)
    }

    fn keep(self) -> *mut CBuf {
        let path = self.0;
        std::mem::forget(self);
        path
    }
}

impl Drop for Leaked {
    fn drop(&mut self) {
        memory::reclaim(self.0);
    }
}

/// Whether this process holds any.
pub(crate) fn any() -> bool {
    SLOTS.iter().any(|slot| slot.descriptor().is_some())
}

/// Whether this is one of them.
pub(crate) fn has(file: Identity) -> bool {
    SLOTS.iter().any(|slot| slot.descriptor().is_some() && slot.identity() == file)
}

/// The locked descriptors, and those that PIDs are going to be written through.
pub(crate) fn descriptors() -> impl Iterator<Item = RawFd> {
    let of_slot = |slot: &'static Slot| {
        let both = [slot.descriptor(), slot.writer()].into_iter().flatten();
        both.filter(|descriptor| slot.is_open_as(*descriptor))
    };
    SLOTS.iter().flat_map(of_slot)
}

fn locks() -> impl Iterator<Item = RawFd> {
    SLOTS.iter().filter_map(|slot| slot.descriptor().filter(|descriptor| slot.is_open_as(*descriptor)))
}

fn is_writable(descriptor: RawFd) -> Sys<bool> {
    fd::access_mode(descriptor).map(|mode| mode != libc::O_RDONLY)
}

/// Prepares the write of the daemon's PID into every pid file that this process holds. With `dropping`, the daemon is going to
/// give up privileges: it may not keep a lock through which it could write.
///
/// # Errors
/// A file cannot be opened for writing. EOPNOTSUPP: its file system does not tell its owner, or does not lock what is open for
/// reading, so the lock itself is open for writing.
pub(crate) fn open_writers(dropping: bool) -> Sys<()> {
    SLOTS.iter().filter(|slot| slot.descriptor().is_some()).try_for_each(Slot::open_writer)?;
    for lock in locks().filter(|_| dropping) {
        if is_writable(lock)? {
            return Err(Errno::EOPNOTSUPP);
        }
    }
    Ok(())
}

/// Releases the file at `path`, if this process holds it; false if not. For files that were left to the end of the process,
/// where no [`Held`] is at hand.
pub(crate) fn release_at(path: &CBuf) -> bool {
    let place = SLOTS.iter().position(|slot| {
        slot.descriptor().is_some()
            && slot.owner.load(Ordering::Relaxed) == process::id()
            && slot.path().is_some_and(|held| held == path)
    });
    place.map(|place| Held { place }.release()).is_some()
}

/// Writes this process's PID into every pid file that it has been handed. The daemon's step: does not allocate.
pub(crate) fn write_all() -> Sys<()> {
    runtime_directory::take_ownership();
    SLOTS.iter().filter(|slot| slot.descriptor().is_some()).try_for_each(Slot::write)
}

/// Says that the root has changed.
pub(crate) fn root_has_changed() {
    INSIDE.store(true, Ordering::Relaxed);
}

/// For language bindings: removes every pid file that is this process's. Async-signal-safe.
pub fn release_all() {
    for slot in &SLOTS {
        slot.release();
    }
    runtime_directory::remove();
}

extern "C" fn at_exit() {
    release_all();
}

/// The handler of a signal that ends the daemon: removes the pid file and terminates the process by the signal's default action.
///
/// Does nothing while it is not the installed handler: the program has installed one of its own, which calls the handler before it
/// (signal-hook, tokio) and decides whether the process exits. The pid file is removed at exit then.
pub(crate) extern "C" fn release_and_terminate(signal: Signal) {
    signal::keeping_errno(|| {
        if signal::disposition(signal).is_ok_and(|now| now.is_of(release_and_terminate)) {
            release_all();
            if signal::set_disposition(signal, &Disposition::default()).is_ok() {
                // Blocked until this handler returns.
                signal::raise(signal);
            }
        }
    });
}

/// A child that the daemon forks must not keep the lock alive when the daemon dies: an flock belongs to the open file,
/// which both share. Descriptors that execve(2) closes do not matter, children that never call it do. The forks of a start
/// hand on what goes along.
extern "C" fn in_forked_child() {
    for slot in SLOTS.iter().filter(|slot| !slot.inherit_across_fork.load(Ordering::Relaxed)) {
        slot.close();
    }
}

/// Before the forks of a start: everything that this process holds goes along with the daemon.
pub(crate) fn inherit_all() {
    SLOTS.iter().for_each(|slot| slot.inherit_across_fork.store(slot.descriptor().is_some(), Ordering::Relaxed));
}

/// After the forks of a start: children are just children again.
pub(crate) fn inherit_none() {
    SLOTS.iter().for_each(|slot| slot.inherit_across_fork.store(false, Ordering::Relaxed));
}

/// Makes this process the one that removes the files, after a fork that has handed them on.
pub(crate) fn take_ownership() {
    for slot in SLOTS.iter().filter(|slot| slot.descriptor().is_some()) {
        slot.owner.store(process::id(), Ordering::Relaxed);
    }
    runtime_directory::take_ownership();
}

/// Removes the file at `path`, if the process that this one was forked from holds it; false if not. Programs that have given
/// up their privileges have a helper do that.
pub(crate) fn remove_for_parent(path: &CBuf) -> Sys<bool> {
    let inherited = SLOTS.iter().find(|slot| {
        slot.descriptor.load(Ordering::Acquire) == TAKEN
            && slot.owner.load(Ordering::Relaxed) != process::id()
            && slot.path().is_some_and(|held| held == path)
            && file::status_at(path.as_c_str()).is_ok_and(|status| status.identity == slot.identity())
    });
    inherited.map_or(Ok(false), |_| file::unlink(path.as_c_str()).map(|()| true))
}

fn install_handlers() -> Sys<()> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let installed = process::at_fork_in_child(in_forked_child).and_then(|()| process::at_exit(at_exit));
    if installed.is_err() {
        INSTALLED.store(false, Ordering::Release);
    }
    installed
}
