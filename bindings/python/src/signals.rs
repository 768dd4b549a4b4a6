//! What signals do, below the `signal` module: it neither sees the handlers of C code nor puts them back.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::mem::MaybeUninit;

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

fn check(result: i32) -> PyResult<()> {
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(PyOSError::new_err((error.raw_os_error(), error.to_string())))
}
