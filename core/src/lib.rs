//! Turns a process into a well-behaved Unix daemon, and tells the truth about whether it started.
//!
//! The starter, the program that the user ran, does not leave until it knows. It exits 0 only when the daemon is ready;
//! otherwise it prints one line that names the step, the value and the error, exits with a status that says what happened,
//! and nothing stays behind. [`Daemon`] is where to begin.
//!
//! # The life of a start
//!
//! | process | what it does |
//! |---|---|
//! | starter | checks everything, takes the pid file, forks, waits for the truth |
//! | session leader | leaves the terminal (`setsid`), forks, is gone |
//! | daemon | signals, streams, descriptors, umask, root and directory, core limit, pid file, privileges, logger, report |
//!
//! Between the first fork and the report nothing is allocated and no lock is taken, so it works with other threads alive.
//!
//! # The files
//!
//! Each rule has its room: `start` is the sequence itself, `starter` the wait for the truth, `plan` the checks before;
//! `signals`, `streams`, `descriptors`, `directories`, `privileges` and `pidfile` are the steps; `detach` decides whether to
//! fork at all; `launch`, `readiness` and `monitor` are for programs that do not use this library; `guarded_file` opens files in directories of others, `null_device` the null device; `report` is the line between daemon and starter; `error` what is said when something fails. Everything
//! unsafe is in `sys`, but for the calls of fork themselves.

#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

mod activation;
mod context;
mod daemon;
mod descriptors;
mod detach;
mod directories;
mod error;
mod guarded_file;
#[cfg(target_os = "linux")]
mod helper;
mod launch;
mod line;
mod lines;
mod monitor;
mod notify;
mod null_device;
mod option_errors;
mod options;
pub mod parts;
mod pidfile;
mod plan;
mod privileges;
mod procfs;
mod readiness;
mod relaunch;
mod report;
mod run_directory;
mod runtime_directory;
mod session;
mod signals;
mod start;
mod starter;
mod starting;
mod streams;
mod sys;
mod text;
mod tie;

pub use activation::{ListenDescriptor, take_listen_descriptors};
pub use context::Context;
pub use daemon::{Daemon, Fork};
pub use detach::Detach;
pub use error::{Error, ErrorKind, Step};

pub use launch::{Program, Respawn};
#[doc(hidden)]
pub use line::is_printable;
pub use monitor::{
    KillMode, Launching, Monitored, MonitoredOutput, MonitoredState, StopRequest, become_monitor_if_asked,
};
pub use notify::{notify, notify_barrier, notify_bytes, notify_reloading, notify_with_descriptors, watchdog_interval};
pub use pidfile::{PidFile, PidFileLock, Running, Status, Stopped};
pub use privileges::Groups;
pub use readiness::{ListenAddress, Readiness};
pub use signals::SignalAction;
pub use starting::PendingStart;
pub use streams::{Facility, LogFile, Severity, Stream, Syslog};
#[doc(hidden)]
pub use streams::{open_for_reading, open_log_file};
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
