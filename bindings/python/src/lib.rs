//! The native half of the Python package `daemonctx`: the core, in Python's types. What a program imports is written in
//! Python (`python/daemonctx`); this module has no public names.

mod builder;
mod context;
mod error;
mod pidfile;

use pyo3::prelude::*;

/// The native half of daemonctx; import that instead.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::builder::Builder;
    #[pymodule_export]
    use crate::context::{Context, notify, thread_count};
    #[pymodule_export]
    use crate::pidfile::PidFile;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
