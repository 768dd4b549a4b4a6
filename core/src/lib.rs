//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut daemon = daemonctx::Daemon::new();
//!     daemon.pid_file("/run/hello.pid").user("nobody").manual_ready(true);
//!     // SAFETY: there are no other threads, and no descriptor that was opened before is used again.
//!     let mut context = unsafe { daemon.open()? };
//!     let listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
//!     context.ready()?; // now the program that the user ran exits with 0
//!     listener.incoming().for_each(drop);
//!     Ok(())
//! }
//! ```
//!
//! Turns a process into a Unix daemon, and reports whether it started.
//!
//! # What it promises
//!
//! The program that the user runs, the starter, exits with 0 only when the daemon is ready. Otherwise it prints one line that names the
//! step, the value and the error, exits with a status that says what happened ([`Error::exit_status`]), and nothing is left: no process, no
//! pid file, no lock.
//!
//! The daemon has no terminal and leads no session. Its working directory is `/`, its umask 022, its standard streams are `/dev/null` and all
//! other descriptors are closed, unless the options say otherwise. Its pid file is locked for its life and is removed at its end. Privileges
//! that it drops are verified to be gone. Below a supervisor it stays in the foreground ([`Detach::Auto`]).
//!
//! # Which call
//!
//! | | |
//! |---|---|
//! | [`Daemon::open`] | makes this program the daemon by fork(2); only the daemon returns |
//! | [`Daemon::relaunch`] | the same without `unsafe` and with threads: the program is executed again; a monitor stays with it |
//! | [`Daemon::fork`] | the same as `open` from a program that goes on |
//! | [`Daemon::launch`] | launches another [`Program`] as a daemon; a monitor stays with it |
//! | [`Daemon::exec`] | replaces this process with a program, below a supervisor |
//! | [`PidFile`], [`Monitored`] | find and stop a daemon |
//! | [`notify()`], [`take_listen_descriptors`] | talk with a service manager |
//! | [`parts`] | the parts of a start, for programs that put it together themselves |
//!
//! # Errors
//!
//! There is one type, [`Error`]: the step, the kind, errno, and one line for people as its `Display`.
//!
//! A wrong option is reported when the options are applied, not when they are set. Setters do not fail and can be chained. The call that
//! applies the options reports the first that is wrong, whether its value is invalid or the system refuses it, before it does anything:
//!
//! ```
//! let mut daemon = daemonctx::Daemon::new();
//! daemon.umask(0o1000).working_directory("/nonexistent");
//! let error = daemon.check().expect_err("two wrong options");
//! assert_eq!(error.step(), daemonctx::Step::Umask);
//! daemon.umask(0o022);
//! let error = daemon.check().expect_err("still one");
//! assert_eq!(error.step(), daemonctx::Step::WorkingDirectory);
//! ```
//!
//! # Threads
//!
//! fork(2) gives the daemon the calling thread alone. So [`Daemon::open`] and [`Daemon::fork`] are refused while other threads are alive,
//! unless [`Daemon::allow_threads`] permits it: call them before a runtime such as tokio's begins. [`Daemon::relaunch`] and
//! [`Daemon::launch`] do not fork this process and may be called beside threads. Between the forks and the report nothing allocates or takes
//! a lock.
//!
//! # Signals
//!
//! In the daemon no signal is blocked, and what was ignored when the program began has its default action. Handlers that the program has
//! installed stay. SIGTSTP, SIGTTIN and SIGTTOU are ignored. With a pid file SIGTERM, SIGINT and SIGHUP remove it and end the daemon, unless
//! the program handles them. [`Daemon::signal`] changes what a signal does. While the starter waits, SIGINT, SIGQUIT and SIGTERM cancel the start.
//!
//! # The sources
//!
//! `start` is the sequence, `plan` what is checked before it, `starter` what waits for its outcome, `relaunch`, `launch` and `monitor` what
//! executes programs. All unsafe code but the calls of fork is in `sys`. `docs/architecture.md` lists the files.

#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

mod activation;
mod binfmt;
mod context;
mod daemon;
mod descriptors;
mod detach;
mod directories;
mod error;
mod execution_check;
mod guarded_fd;
mod guarded_file;
#[cfg(target_os = "linux")]
mod helper;
mod launch;
mod monitor;
mod notify;
mod null_device;
mod option_errors;
mod options;
pub mod parts;
mod pid_content;
mod pidfile;
mod plan;
mod privileges;
mod procfs;
mod readiness;
mod registry;
mod relaunch;
mod report;
mod run_directory;
mod runtime_directory;
mod session;
mod signal_queue;
mod signal_stream;
mod signals;
mod start;
mod starter;
mod starting;
mod stop;
mod streams;
mod sys;
mod tie;

pub use activation::{ListenDescriptor, take_listen_descriptors};
pub use context::Context;
pub use daemon::{Daemon, Fork};
pub use detach::Detach;
pub use error::{Error, ErrorKind, Step};

pub use launch::{Program, Respawn};
pub use monitor::{Launching, Monitored, MonitoredOutput, MonitoredState, become_monitor_if_asked};
pub use notify::{notify, notify_barrier, notify_bytes, notify_reloading, notify_with_descriptors, watchdog_interval};
pub use pidfile::{PidFile, PidFileLock, Running, Status, Stopped};
pub use privileges::Groups;
pub use readiness::{ListenAddress, Readiness};
pub use signals::SignalAction;
pub use starting::PendingStart;
pub use stop::{KillMode, StopRequest};
pub use streams::{Facility, LogFile, Severity, Stream, Syslog};
#[doc(hidden)]
pub use streams::{open_for_reading, open_log_file};
#[doc(hidden)]
pub use sys::fixed_buf::is_printable;
#[doc(hidden)]
pub use sys::time::parse_duration;

/// The programs of the README, compiled as examples are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// How many threads this process has; `None` where the system does not say (no `/proc`).
///
/// Where it has more than one, [`Daemon::open`] is refused unless [`Daemon::allow_threads`] says otherwise.
#[must_use]
pub fn thread_count() -> Option<u64> {
    sys::process::thread_count()
}
