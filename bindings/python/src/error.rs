//! The core's error as a Python exception.

use daemonctx::{Error, ErrorKind};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyString;

fn class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "UsageError",
        ErrorKind::Option => "OptionError",
        ErrorKind::PidFile => "PidFileError",
        ErrorKind::AlreadyRunning => "AlreadyRunningError",
        ErrorKind::Privileges => "PrivilegeError",
        _ => "StartError",
    }
}

/// The exceptions are written in Python and looked up only when there is something to raise.
fn make<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("daemonctx._errors")?.getattr(class(error.kind()))?;
    let text = |bytes: &[u8]| PyString::new(py, &String::from_utf8_lossy(bytes)).unbind();
    let exception =
        class.call1((error.with_message(text), error.errno(), error.step().as_str(), error.with_subject(text)))?;
    if error.kind() == ErrorKind::AlreadyRunning {
        exception.setattr("pid", error.holder())?;
    }
    Ok(exception)
}

/// The exception to raise for an error of the core.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn raise(error: Error) -> PyErr {
    Python::attach(|py| match make(py, &error) {
        Ok(exception) => PyErr::from_value(exception),
        // Without the package around it there is no class of ours: the system's own says the same.
        Err(_) => PyOSError::new_err(error.to_string()),
    })
}

/// An error of use that only Python can make.
pub(crate) fn misuse(py: Python<'_>, message: &str) -> PyErr {
    let raise = || py.import("daemonctx._errors")?.getattr("UsageError")?.call1((message, py.None(), "open"));
    raise().map_or_else(|error| error, PyErr::from_value)
}
