//! A start that comes back in the starter too.

use crate::error::raise;
use pyo3::prelude::*;
use std::time::Duration;

/// A daemon that is being started, in the program that goes on. The helper that watches it is waited for by `wait`.
#[pyclass(module = "daemonctx._native", unsendable)]
pub(crate) struct PendingStart {
    starting: daemonctx::PendingStart,
    exit_status: Option<i32>,
}

impl PendingStart {
    pub(crate) fn new(starting: daemonctx::PendingStart) -> Self {
        Self { starting, exit_status: None }
    }
}

#[pymethods]
impl PendingStart {
    /// The daemon's PID.
    #[getter]
    fn pid(&self) -> i32 {
        self.starting.pid()
    }

    /// What a starter that leaves would leave with: 0 when the daemon is ready; None until `wait` has found out.
    #[getter]
    fn exit_status(&self) -> Option<i32> {
        self.exit_status
    }

    /// Waits until the daemon is ready; raises why it is not. In slices, between which Python's signal handlers run.
    fn wait(&mut self, py: Python<'_>) -> PyResult<()> {
        const SLICE: Duration = Duration::from_millis(200);
        loop {
            let starting = &mut self.starting;
            match py.detach(|| starting.wait(Some(SLICE))) {
                Ok(true) => {
                    self.exit_status = Some(0);
                    return Ok(());
                }
                Ok(false) => py.check_signals()?,
                Err(error) => {
                    self.exit_status = Some(error.exit_status());
                    return Err(raise(error));
                }
            }
        }
    }
}
