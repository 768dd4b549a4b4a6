//! Sockets that a service manager has opened for this process, and what it has said by PID (sd_listen_fds(3), sd_watchdog_enabled(3)).

use crate::error::{Error, Step, Subject};
use crate::sys::c_buf::CBuf;
use crate::sys::environment::{self, PidVariable};
use crate::sys::{Sys, fd, memory, process};
use std::ffi::CStr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};

const LISTEN_PID: &CStr = c"LISTEN_PID";
const LISTEN_FDS: &CStr = c"LISTEN_FDS";
const LISTEN_FDNAMES: &CStr = c"LISTEN_FDNAMES";

/// One behind the last descriptor that the program has taken over: a start keeps these as well.
static TAKEN: AtomicI32 = AtomicI32::new(0);

/// What a manager has said for one process. A start makes that process another one.
static PIDS: [PidVariable; 2] = [PidVariable::new("LISTEN_PID="), PidVariable::new("WATCHDOG_PID=")];

/// A socket, FIFO or other file that was passed on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenDescriptor {
    fd: RawFd,
    name: CBuf,
}

impl ListenDescriptor {
    /// Its number; whoever uses it owns it from then on.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.fd
    }

    /// What the unit calls it (`FileDescriptorName=`); "unknown" where nothing was said.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// Takes over what a service manager has opened for this process: descriptors 3 and the following, as `LISTEN_FDS` counts
/// them. They are close-on-exec from now on, and the variables are gone, so that no child takes them for its own. Empty
/// where nothing was passed on, and the second time.
///
/// They are kept through a start, and `LISTEN_PID` is corrected in the daemon, so this may be called before or after it.
///
/// ```no_run
/// use std::net::TcpListener;
/// use std::os::fd::FromRawFd;
///
/// for passed in daemonctx::take_listen_descriptors()? {
///     if passed.name() == b"http" {
///         // SAFETY: the manager has passed it on as a listening TCP socket, and nobody else has it.
///         let listener = unsafe { TcpListener::from_raw_fd(passed.descriptor()) };
///         println!("{listener:?}");
///     }
/// }
/// # Ok::<(), daemonctx::Error>(())
/// ```
///
/// # Errors
/// EBADF for one that is not open; ENOMEM. The variables stay then.
pub fn take_listen_descriptors() -> Result<Vec<ListenDescriptor>, Error> {
    let mut taken = Vec::new();
    for fd in range() {
        let failed = |errno| Error::os(Step::KeepDescriptor, Subject::Number(i64::from(fd)), errno).note("LISTEN_FDS");
        fd::set_close_on_exec(fd).map_err(failed)?;
        let name = environment::with(LISTEN_FDNAMES, |names| nth_name(names, fd - fd::FIRST_OTHER)).flatten();
        let name = name.map_or_else(|| CBuf::new(b"unknown"), Ok).map_err(failed)?;
        memory::push(&mut taken, ListenDescriptor { fd, name }).map_err(failed)?;
    }
    TAKEN.fetch_max(range().end, Ordering::Relaxed);
    [LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES].into_iter().for_each(environment::remove);
    Ok(taken)
}

fn nth_name(names: &[u8], index: RawFd) -> Option<CBuf> {
    let index = usize::try_from(index).ok()?;
    let name = names.split(|&byte| byte == b':').nth(index).filter(|name| !name.is_empty())?;
    CBuf::new(name).ok()
}

/// The descriptors passed on, when they are meant for this process. The program may have closed some.
pub(crate) fn range() -> std::ops::Range<RawFd> {
    let count = if is_meant(LISTEN_PID) == Some(true) {
        environment::with(LISTEN_FDS, crate::sys::parse_decimal).flatten().unwrap_or(0)
    } else {
        0
    };
    let end = RawFd::try_from(count).ok().and_then(|count| fd::FIRST_OTHER.checked_add(count));
    match end {
        Some(end) if count > 0 => fd::FIRST_OTHER..end.min(fd::limit()),
        _ => fd::FIRST_OTHER..fd::FIRST_OTHER,
    }
}

/// The descriptors that the program has taken over and not closed.
pub(crate) fn taken() -> impl Iterator<Item = RawFd> {
    (fd::FIRST_OTHER..TAKEN.load(Ordering::Relaxed)).filter(|fd| fd::is_open(*fd))
}

/// Whether a variable has this process's PID; nothing when it is not set.
pub(crate) fn is_meant(variable: &CStr) -> Option<bool> {
    let named = environment::with(variable, crate::sys::parse_decimal)?;
    Some(named == u64::try_from(process::id()).ok())
}

/// Has programs that the daemon runs not inherit the sockets.
pub(crate) fn close_on_exec() {
    for fd in range() {
        // One that is not open is found by the check of what to keep.
        let _: Sys<()> = fd::set_close_on_exec(fd);
    }
}

/// In the starter: makes room for the daemon's PID where its own stands.
pub(crate) fn prepare() -> Sys<()> {
    PIDS.iter().try_for_each(PidVariable::prepare)
}

/// The daemon's step: what was meant for the starter is meant for this process.
pub(crate) fn hand_over() {
    PIDS.iter().for_each(PidVariable::hand_over);
}
