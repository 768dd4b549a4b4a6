//! The daemon's side of a start.

use crate::error::raise;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// An opened daemon. Any thread may say that it is ready, or why not.
///
/// What is told to a service manager may have to wait for room in its queue, so other threads run meanwhile.
#[pyclass(module = "daemonctx._native", frozen)]
pub(crate) struct Context {
    context: Mutex<daemonctx::Context>,
    is_detached: bool,
    has_failed: AtomicBool,
}

impl Context {
    pub(crate) fn new(context: daemonctx::Context) -> Self {
        let is_detached = context.is_detached();
        Self { context: Mutex::new(context), is_detached, has_failed: AtomicBool::new(false) }
    }

    fn with<T: Send>(&self, py: Python<'_>, call: impl FnOnce(&mut daemonctx::Context) -> T + Send) -> T {
        py.detach(|| call(&mut self.context.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }
}

#[pymethods]
impl Context {
    /// Whether this process was forked off its starter.
    #[getter]
    fn is_detached(&self) -> bool {
        self.is_detached
    }

    /// Whether the starter knows that the daemon is ready.
    #[getter]
    fn is_ready(&self, py: Python<'_>) -> bool {
        self.with(py, |context| context.is_ready())
    }

    /// Reports that the daemon is ready; nothing after `fail`, whichever thread called that.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        let ready = self.with(py, |context| if self.has_failed() { Ok(()) } else { context.ready() });
        ready.map_err(raise)
    }

    /// Reports why it cannot become ready.
    fn fail(&self, py: Python<'_>, status: i32, message: &str) -> PyResult<()> {
        let failed = self.with(py, |context| {
            context.fail(status, message).inspect(|()| self.has_failed.store(true, Ordering::Relaxed))
        });
        failed.map_err(raise)
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

/// Whether a start detaches where nothing is asked for.
#[pyfunction]
pub(crate) fn detaches_by_default() -> bool {
    daemonctx::parts::detaches_by_default()
}

/// Has the interpreter remove the pid files that this process still holds, as the last thing it does when it ends.
pub(crate) fn remove_pid_files_at_end() {
    extern "C" fn release() {
        daemonctx::parts::release_pid_files();
    }
    // SAFETY: the function may be called at any time, and needs nothing of Python. There is room for 32; without it they are removed by
    // the C library's end of the process.
    let _: i32 = unsafe { pyo3::ffi::Py_AtExit(Some(release)) };
}
