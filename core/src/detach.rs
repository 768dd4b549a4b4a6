//! Whether to fork at all: what started this process may have detached it already.

use crate::procfs;
use crate::sys::socket::{self, Address};
use crate::sys::{environment, process};
use crate::{activation, notify};

/// Whether a start detaches: forks twice and leaves its starter, session and terminal behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detach {
    /// Detach, unless a supervisor has done it already:
    ///
    /// * this process is PID 1, or its parent is and it leads its own session;
    /// * its parent is a container's small init (tini, catatonit, dumb-init), which ends when its child ends;
    /// * its parent is runit's, s6's or daemontools' supervisor, supervisord or a user's systemd;
    /// * standard input is a network socket, a listening one, or a Unix socket with a name: inetd's way;
    /// * `SYSTEMD_EXEC_PID`, `NOTIFY_SOCKET` or `LISTEN_PID` is meant for this very process: systemd's way.
    #[default]
    Auto,
    /// Detach.
    Yes,
    /// Stay the process that was started. Everything else is done all the same, and errors come back to the caller.
    No,
}

/// What was found out about who started this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Standard input, output and error are the service's connection.
    pub(crate) below_inetd: bool,
    supervised: bool,
}

impl Surroundings {
    pub(crate) fn look() -> Self {
        let supervised = is_init() || is_child_of_init() || has_service_manager() || has_supervisor();
        Self { below_inetd: stdin_is_service(), supervised }
    }

    pub(crate) fn detaches(self, wanted: Detach) -> bool {
        match wanted {
            Detach::Yes => true,
            Detach::No => false,
            Detach::Auto => !self.below_inetd && !self.supervised,
        }
    }
}

/// For language bindings: whether [`Detach::Auto`] detaches here.
#[doc(hidden)]
#[must_use]
pub fn detaches_by_default() -> bool {
    Surroundings::look().detaches(Detach::Auto)
}

/// PID 1 is the whole container: when it leaves, everything ends.
fn is_init() -> bool {
    process::id() == 1
}

/// A service of init leads a session. A child of a container's entry script has PID 1 as its parent too, but does not.
fn is_child_of_init() -> bool {
    process::parent_id() == 1 && process::leads_session()
}

fn stdin_is_service() -> bool {
    const STDIN: libc::c_int = 0;
    match socket::local_address(STDIN) {
        Ok(Address::Internet | Address::NamedUnix) => true,
        Ok(Address::Other) => socket::is_listening(STDIN),
        Err(_) => false,
    }
}

/// `LISTEN_PID` (`sd_listen_fds(3)`) and `SYSTEMD_EXEC_PID` (systemd 248 and newer) name the process they are for. `NOTIFY_SOCKET`
/// does not and is inherited by every child of a service: it counts where nothing names another process.
fn has_service_manager() -> bool {
    let executed = activation::is_meant(c"SYSTEMD_EXEC_PID");
    executed == Some(true)
        || activation::is_meant(c"LISTEN_PID") == Some(true)
        || notify::is_wanted() && executed.is_none()
}

/// Whether the parent is a supervisor that expects this process to stay.
///
/// What a supervisor sets in the environment is inherited by all descendants, so it counts only for a process that looks like the
/// supervisor's own child: the leader of a process group that is not a terminal's foreground job.
fn has_supervisor() -> bool {
    // With the line's end behind each. systemd also adopts orphans, which lead no session.
    const OTHERS: &[u8] = b"runsv\n s6-supervise\n supervise\n supervise-daemo\n";
    let parent = process::parent_id();
    let mut room = [0; 32];
    let name = procfs::name(parent, &mut room);
    if OTHERS.split(|&it| it == b' ').any(|it| it == name) || name == b"systemd\n" && process::leads_session() {
        return true;
    }
    let below_init = parent == 1;
    let may_be = if below_init {
        process::session(0) == process::session(1)
    } else {
        environment::with(c"SUPERVISOR_ENABLED", |_| ()).is_some()
    };
    // A child of a shell that is PID 1 may detach. An init waits for signals that it has blocked, or gives its child a group.
    may_be && (procfs::leads_background_job() || below_init && procfs::blocks(1, libc::SIGTERM))
}
