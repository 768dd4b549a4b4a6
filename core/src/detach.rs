//! Whether to fork at all: what started this process may have detached it already.

use crate::sys::process;
use crate::sys::socket::{self, Address};
use crate::{activation, notify};

/// Whether a start detaches: forks twice and leaves its starter, session and terminal behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detach {
    /// Detach, unless a supervisor has done it already:
    ///
    /// * this process is PID 1, or its parent is and it leads its own session;
    /// * standard input is a network socket, a listening one, or a Unix socket with a name: inetd's way;
    /// * `NOTIFY_SOCKET` or `LISTEN_PID` is meant for this very process: systemd's way.
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
        Self { below_inetd: stdin_is_service(), supervised: is_init() || is_child_of_init() || has_service_manager() }
    }

    pub(crate) fn detaches(self, wanted: Detach) -> bool {
        match wanted {
            Detach::Yes => true,
            Detach::No => false,
            Detach::Auto => !self.below_inetd && !self.supervised,
        }
    }
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

/// `LISTEN_PID` (`sd_listen_fds(3)`) names the process it is for. `NOTIFY_SOCKET` does not and is inherited by every child
/// of a service, but systemd 248 and newer say beside it which process they started (`SYSTEMD_EXEC_PID`).
fn has_service_manager() -> bool {
    activation::is_meant(c"LISTEN_PID") == Some(true)
        || notify::is_wanted() && activation::is_meant(c"SYSTEMD_EXEC_PID") != Some(false)
}
