//! What signals do, below the `signal` module: it neither sees the handlers of C code nor puts them back.

use crate::error::raise;
use daemonctx::parts::SignalStream;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// What a signal does now, whoever has set it so.
#[pyclass(module = "daemonctx._native", frozen)]
pub(crate) struct SignalState {
    signal: i32,
    action: libc::sigaction,
}

#[pymethods]
impl SignalState {
    /// OSError for a number that is no signal.
    #[new]
    fn new(signal: i32) -> PyResult<Self> {
        let mut action = MaybeUninit::uninit();
        // SAFETY: nothing is changed, and the present action is written where there is room for one.
        check(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) })?;
        // SAFETY: the call has succeeded, so it has written it.
        Ok(Self { signal, action: unsafe { action.assume_init() } })
    }

    /// Has the signal do that again. What the `signal` module says about it does not change.
    fn restore(&self) -> PyResult<()> {
        // SAFETY: the action comes from the kernel, and code that has once been a handler stays in memory.
        check(unsafe { libc::sigaction(self.signal, &raw const self.action, std::ptr::null_mut()) })
    }
}

/// Signals through a descriptor. Never without the GIL, so nobody reads what another thread is closing.
#[pyclass(module = "daemonctx._native")]
pub(crate) struct SignalQueue(Option<SignalStream>);

#[pymethods]
impl SignalQueue {
    #[new]
    #[allow(clippy::needless_pass_by_value, reason = "what Python has is a list")]
    fn new(signals: Vec<i32>) -> PyResult<Self> {
        SignalStream::new(&signals).map(Some).map(Self).map_err(raise)
    }

    /// -1 when it is closed, as it is in a child of a fork.
    fn fileno(&self) -> RawFd {
        self.0.as_ref().and_then(SignalStream::descriptor).unwrap_or(-1)
    }

    /// The next signal; None when there is none now, or the queue is closed.
    fn take(&self) -> PyResult<Option<i32>> {
        match &self.0 {
            Some(stream) if stream.descriptor().is_some() => stream.next().map_err(raise),
            _ => Ok(None),
        }
    }

    fn close(&mut self) {
        drop(self.0.take());
    }
}

/// Whether a queue has that signal.
#[pyfunction]
pub(crate) fn is_queued(signal: i32) -> bool {
    SignalStream::has(signal)
}

/// Has the queue that has the signal get it again, after `signal.signal`; what that has set is done when the queue is closed.
#[pyfunction]
pub(crate) fn queue_again(signal: i32) -> PyResult<()> {
    SignalStream::catch_again(signal).map_err(raise)
}

fn check(result: i32) -> PyResult<()> {
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(PyOSError::new_err((error.raw_os_error(), error.to_string())))
}
