//! What a pid file means: the one place that decides which process is the daemon.
//!
//! A PID is the daemon's if that very process holds the lock. A lock counts only if its holder can be the daemon or a start of
//! it: every user who can read the file can lock it. Without a lock, the process must be older than the file (`age.rs`).

use super::age::{self, Age};
use super::locking;
use super::locks::{self, Hold, LockedFile, Search};
use super::proof::{self, Proof};
use crate::pid_content::Content;
use crate::procfs;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Status};
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys};
use std::os::fd::RawFd;
use std::time::Duration;

/// What a pid file means.
#[derive(Debug)]
pub(super) enum Assessment {
    Running(Process, Pid),
    /// A start holds it.
    Starting,
    /// The process that it names is not the daemon, or there is none.
    Stale,
    /// The same, and this process still has the lock from a daemon that has ended.
    Remains(Pid),
    /// The process that it names may be the daemon. For this reason that cannot be known.
    Unproven(Pid, &'static str),
    /// Locked by a process that is not visible from here.
    Unseen,
}

/// An open pid file.
pub(super) struct PidFileView<'a> {
    pub(super) descriptor: RawFd,
    pub(super) path: &'a CBuf,
    pub(super) status: Status,
    pub(super) proof: Proof,
}

/// How long a daemon may take from closing its descriptors to its end.
const EXIT: Duration = Duration::from_secs(5);

/// How long a helper of a start may take to end after the daemon, of whose lock it seems to be the remains.
const HELPER: Duration = Duration::from_millis(100);

/// Why the age of a process does not count.
pub(super) const LOCKED_BY_ANOTHER: &str = "another process has locked the pid file";

enum Identity {
    Daemon,
    Other,
    Unknown(&'static str),
}

impl<'a> PidFileView<'a> {
    pub(super) fn new(descriptor: RawFd, path: &'a CBuf, proof: Proof) -> Sys<Self> {
        Ok(Self { descriptor, path, status: file::status_of(descriptor)?, proof })
    }

    pub(super) fn content(&self) -> Content {
        proof::read(self.descriptor, self.proof)
    }

    /// What the file means.
    ///
    /// It is looked at again where its content has changed meanwhile, as when a start writes its PID: the search for the holder of
    /// the lock goes by the content. So it is where the holder is not found, and where the daemon no longer is the holder: before a
    /// process ends it gives up its descriptors, and then its locks, which others take. Queries lock the file for a moment, too.
    ///
    /// # Errors
    /// The process cannot be opened: EMFILE and its like.
    pub(super) fn assess(&self) -> Sys<Assessment> {
        const PATIENCE: Duration = Duration::from_secs(1);
        const PAUSE: Duration = Duration::from_millis(1);
        let (deadline, exit) = (Deadline::after(Some(PATIENCE)), Deadline::after(Some(EXIT)));
        let file = LockedFile::new(self.descriptor, &self.status);
        loop {
            let content = self.content();
            let is_locked = locking::is_held(self.descriptor)?;
            let assessment = match self.assess_as(&file, content, is_locked)? {
                Assessment::Running(_, pid) if !is_locked && locking::is_shared(self.descriptor)? => {
                    Assessment::Unproven(pid, LOCKED_BY_ANOTHER)
                }
                assessment => assessment,
            };
            let has_changed = self.content() != content;
            let may_pass = match assessment {
                Assessment::Unseen | Assessment::Unproven(_, LOCKED_BY_ANOTHER) => true,
                Assessment::Remains(pid) => {
                    Process::open(pid).is_ok_and(|process| process.wait(Some(HELPER)) == Ok(true))
                }
                _ => false,
            };
            let may_be_exiting = || {
                !exit.passed() && matches!(assessment, Assessment::Unseen) && procfs::any_is_exiting(file.deadline())
            };
            if deadline.passed() && !may_be_exiting() {
                return Ok(if has_changed { Assessment::Unseen } else { assessment });
            }
            if !has_changed && !may_pass {
                return Ok(assessment);
            }
            time::pause(PAUSE);
        }
    }

    /// The same where this process has the lock.
    pub(super) fn assess_own(&self) -> Sys<Assessment> {
        self.assess_as(&LockedFile::new(self.descriptor, &self.status), self.content(), false)
    }

    /// Opens the process before it looks for proof: the process that has the PID afterwards is the one that was looked at.
    fn assess_as(&self, file: &LockedFile, content: Content, is_locked: bool) -> Sys<Assessment> {
        if let Some(pid) = content.pid() {
            match Process::open(pid) {
                Ok(process) if process.wait(Some(Duration::ZERO)) == Ok(true) => {}
                Ok(process) => match self.identify(file, pid, is_locked) {
                    Identity::Daemon => return Ok(Assessment::Running(process, pid)),
                    // Its lock is about to go as well. Then it is seen whether another process has it.
                    _ if is_locked && procfs::is_exiting(pid) => {
                        let _: Sys<bool> = process.wait(Some(EXIT));
                        file.restart_deadline();
                    }
                    // What is not known of a process that has ended meanwhile, or from a file that was removed, does not matter.
                    Identity::Unknown(why)
                        if process.wait(Some(Duration::ZERO)) != Ok(true)
                            && locking::is_at(self.path, self.descriptor) =>
                    {
                        return Ok(Assessment::Unproven(pid, why));
                    }
                    _ => {}
                },
                Err(Errno::ESRCH | Errno::EINVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(if is_locked { self.without_daemon(file, content) } else { Assessment::Stale })
    }

    fn identify(&self, file: &LockedFile, pid: Pid, is_locked: bool) -> Identity {
        if !procfs::is_own() {
            return Identity::Unknown("/proc belongs to another PID namespace");
        }
        if !is_locked {
            return if self.proof.accepts_age() { self.by_age(pid, file) } else { Identity::Other };
        }
        match locks::hold(pid, file) {
            Hold::NoProc => Identity::Daemon,
            Hold::Writer | Hold::Owner if self.was_passed(pid) => Identity::Other,
            // A daemon of the library has the lock by a descriptor that it cannot write by.
            Hold::Writer => {
                age::doubt_about_number(pid, self.path, &self.status_now()).map_or(Identity::Daemon, Identity::Unknown)
            }
            Hold::Owner => age::doubt_about_owner(pid, &self.status_now()).map_or(Identity::Daemon, Identity::Unknown),
            Hold::Hidden => self.by_age(pid, file),
            // It is hostile, and its lock may be a reader's.
            Hold::Delayed if locks::is_strangers(file) => Identity::Other,
            Hold::Delayed | Hold::Unknown => self.by_age(pid, file),
            // A process that was given the PID of a dead daemon can lock what it can read.
            Hold::Reader => Identity::Other,
            Hold::None if locks::monitor_of(pid, file).is_some() => Identity::Daemon,
            Hold::None => self.by_relation(pid, file),
        }
    }

    /// Whether a process has the lock by a descriptor that was passed to it, and was given the PID of a dead daemon: it began after
    /// the PID was written, and is not in the session of a start either, should the clock be the reason.
    fn was_passed(&self, pid: Pid) -> bool {
        age::is_younger(pid, &self.status_now()) && !procfs::has_left_session(pid)
    }

    /// The status after the content was read: before that, the file may have had an earlier date, and no PID.
    fn status_now(&self) -> Status {
        file::status_of(self.descriptor).unwrap_or(self.status)
    }

    fn by_age(&self, pid: Pid, file: &LockedFile) -> Identity {
        // Clients of the original write their file as the user that they have become (avahi-daemon).
        let is_libdaemon = self.proof == Proof::Libdaemon;
        match age::compare(pid, self.path, &self.status_now(), is_libdaemon, file.deadline()) {
            Age::Older => Identity::Daemon,
            Age::Younger => Identity::Other,
            Age::Unknown(why) => Identity::Unknown(why),
        }
    }

    /// A daemon that has closed the lock, while its descendants have it. It must be old enough as well: a process that was given
    /// the PID of a dead daemon may have descendants of that daemon's user.
    fn by_relation(&self, pid: Pid, file: &LockedFile) -> Identity {
        match self.by_age(pid, file) {
            Identity::Daemon if locks::related_holder(pid, file) => Identity::Daemon,
            Identity::Daemon if self.proof.accepts_age() => Identity::Unknown(LOCKED_BY_ANOTHER),
            Identity::Unknown(why) if self.proof.accepts_age() => Identity::Unknown(why),
            _ => Identity::Other,
        }
    }

    /// The monitor of the daemon that has this PID, if it was launched.
    pub(super) fn monitor_of(&self, pid: Pid) -> Option<Process> {
        locks::monitor_of(pid, &LockedFile::new(self.descriptor, &self.status))
    }

    /// The processes that hold the lock as a daemon or a start does.
    pub(super) fn holders(&self) -> Vec<Pid> {
        locks::holders(&LockedFile::new(self.descriptor, &self.status))
    }

    /// Whose lock it is, where it is not the daemon's.
    fn without_daemon(&self, file: &LockedFile, content: Content) -> Assessment {
        match locks::find_holder(file, content == Content::Empty) {
            Search::Starter => Assessment::Starting,
            // The library's daemons keep the lock from their workers. One that is passed on by other means proves nothing.
            Search::Remains(pid) if self.proof == Proof::Either => Assessment::Remains(pid),
            Search::Remains(_) => Assessment::Stale,
            Search::NotFound => Assessment::Stale,
            Search::Incomplete => Assessment::Unseen,
        }
    }
}
