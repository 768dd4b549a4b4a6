//! Service managers: what they are told, and what they pass on.

use crate::error::raise;
use crate::pidfile::seconds;
use pyo3::prelude::*;
use std::os::fd::RawFd;

/// Sends assignments, with copies of descriptors.
#[pyfunction]
pub(crate) fn notify(py: Python<'_>, state: &str, descriptors: Vec<RawFd>) -> PyResult<bool> {
    py.detach(|| daemonctx::notify_with_descriptors(state.as_bytes(), &descriptors)).map_err(raise)
}

#[pyfunction]
pub(crate) fn notify_reloading() -> PyResult<bool> {
    daemonctx::notify_reloading().map_err(raise)
}

#[pyfunction]
pub(crate) fn notify_barrier(py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
    let timeout = timeout.map(seconds).transpose()?;
    py.detach(|| daemonctx::notify_barrier(timeout)).map_err(raise)
}

/// In seconds.
#[pyfunction]
pub(crate) fn watchdog_interval() -> Option<f64> {
    daemonctx::watchdog_interval().map(|interval| interval.as_secs_f64())
}

#[pyfunction]
pub(crate) fn take_listen_descriptors() -> PyResult<Vec<(String, RawFd)>> {
    let taken = daemonctx::take_listen_descriptors().map_err(raise)?;
    Ok(taken.iter().map(|it| (String::from_utf8_lossy(it.name()).into_owned(), it.descriptor())).collect())
}
