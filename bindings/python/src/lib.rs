//! The native half of the Python package `daemonctx`: the core, in Python's types. What a program imports is written in
//! Python (`python/daemonctx`); this module has no public names.

mod builder;
mod command;
mod context;
mod descriptors;
mod error;
mod fork;
mod log_file;
mod pidfile;
mod signals;
mod supervisor;

use pyo3::prelude::*;

/// The native half of daemonctx; import that instead.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::builder::Builder;
    #[pymodule_export]
    use crate::command::command;
    #[pymodule_export]
    use crate::context::{Context, detaches_by_default};
    #[pymodule_export]
    use crate::descriptors::close_on_exec;
    #[pymodule_export]
    use crate::fork::PendingStart;
    #[pymodule_export]
    use crate::log_file::open_log_file;
    #[pymodule_export]
    use crate::pidfile::PidFile;
    #[pymodule_export]
    use crate::signals::{SignalQueue, SignalState, is_queued, queue_again};
    #[pymodule_export]
    use crate::supervisor::{notify, notify_barrier, notify_reloading, take_listen_descriptors, watchdog_interval};

    /// The interpreter ends a process by SIGINT after a KeyboardInterrupt, without the C library's functions for the end.
    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::context::remove_pid_files_at_end();
        Ok(())
    }

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
