//! The daemon's side of a start.

use crate::error::raise;
use pyo3::prelude::*;

/// An opened daemon. Any thread may say that it is ready, or why not.
#[pyclass(module = "daemonctx._native")]
pub(crate) struct Context(daemonctx::Context);

impl Context {
    pub(crate) fn new(context: daemonctx::Context) -> Self {
        Self(context)
    }
}

#[pymethods]
impl Context {
    /// Whether this process was forked off its starter.
    #[getter]
    fn is_detached(&self) -> bool {
        self.0.is_detached()
    }

    /// Says that the daemon is ready.
    fn ready(&mut self) -> PyResult<()> {
        self.0.ready().map_err(raise)
    }

    /// Says why it cannot become ready.
    fn fail(&mut self, status: i32, message: &str) -> PyResult<()> {
        self.0.fail(status, message).map_err(raise)
    }

    /// Opens the log files again.
    fn reopen_streams(&mut self) -> PyResult<()> {
        self.0.reopen_streams().map_err(raise)
    }

    /// Removes the pid file.
    fn close(&mut self) {
        self.0.close();
    }
}

/// How many threads this process has, those that Python does not know included; None where the system does not say.
#[pyfunction]
pub(crate) fn thread_count() -> Option<u64> {
    daemonctx::thread_count()
}
