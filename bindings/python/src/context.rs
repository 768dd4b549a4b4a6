//! The daemon's side of a start.

use crate::error::raise;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// An opened daemon. Any thread may say that it is ready, or why not.
///
/// What is told to a service manager may have to wait for room in its queue, so other threads run meanwhile.
#[pyclass(module = "daemonctx._native", frozen)]
pub(crate) struct Context {
    context: Mutex<daemonctx::Context>,
    is_detached: bool,
}

impl Context {
    pub(crate) fn new(context: daemonctx::Context) -> Self {
        Self { is_detached: context.is_detached(), context: Mutex::new(context) }
    }

    fn with<T: Send>(&self, py: Python<'_>, call: impl FnOnce(&mut daemonctx::Context) -> T + Send) -> T {
        py.detach(|| call(&mut self.context.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[pymethods]
impl Context {
    /// Whether this process was forked off its starter.
    #[getter]
    fn is_detached(&self) -> bool {
        self.is_detached
    }

    /// Says that the daemon is ready.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, daemonctx::Context::ready).map_err(raise)
    }

    /// Says why it cannot become ready.
    fn fail(&self, py: Python<'_>, status: i32, message: &str) -> PyResult<()> {
        self.with(py, |context| context.fail(status, message)).map_err(raise)
    }

    /// Opens the log files again.
    fn reopen_streams(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, daemonctx::Context::reopen_streams).map_err(raise)
    }

    /// Removes the pid file.
    fn close(&self, py: Python<'_>) {
        self.with(py, daemonctx::Context::close);
    }
}

/// How many threads this process has, those that Python does not know included; None where the system does not say.
#[pyfunction]
pub(crate) fn thread_count() -> Option<u64> {
    daemonctx::thread_count()
}
