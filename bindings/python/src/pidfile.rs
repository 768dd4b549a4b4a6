//! Pid files.

use crate::error::raise;
use daemonctx::{PidFileLock, Status, Stopped};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// A pid file, by its path.
#[pyclass(module = "daemonctx._native")]
pub(crate) struct PidFile {
    file: daemonctx::PidFile,
    lock: Option<PidFileLock>,
}

#[pymethods]
impl PidFile {
    /// Of a program that locks it, or of one of either kind.
    #[new]
    #[pyo3(signature = (path, kind = "locked"))]
    fn new(path: PathBuf, kind: &str) -> PyResult<Self> {
        let file = match kind {
            "locked" => daemonctx::PidFile::new(path),
            "either" => daemonctx::PidFile::of_either_kind(path),
            kind => return Err(PyValueError::new_err(format!("no kind of pid file: {kind}"))),
        };
        Ok(Self { file: file.map_err(raise)?, lock: None })
    }

    #[getter]
    fn path(&self) -> &OsStr {
        // Not as a path: that would be a pathlib object, and its module costs more than all of ours.
        self.file.path().as_os_str()
    }

    fn acquire(&mut self) -> PyResult<()> {
        self.lock = Some(self.file.acquire().map_err(raise)?);
        Ok(())
    }

    fn release(&mut self) {
        self.lock = None;
    }

    /// Takes the file, and leaves it to `remove` or the end of the process.
    fn acquire_for_good(&self) -> PyResult<()> {
        self.file.acquire().map(PidFileLock::keep).map_err(raise)
    }

    fn remove(&self) -> PyResult<()> {
        self.file.remove().map_err(raise)
    }

    fn read_pid(&self) -> PyResult<Option<i32>> {
        self.file.read_pid().map_err(raise)
    }

    fn status(&self) -> PyResult<(&'static str, Option<i32>)> {
        Ok(match self.file.status().map_err(raise)? {
            Status::Running(pid) => ("running", Some(pid)),
            Status::Starting => ("starting", None),
            Status::Stale => ("stale", None),
            Status::NotRunning => ("not running", None),
            Status::Unknown => ("unknown", None),
        })
    }

    fn is_running(&self) -> PyResult<bool> {
        self.file.is_running().map_err(raise)
    }

    fn signal(&self, signal: i32) -> PyResult<()> {
        self.file.signal(signal).map_err(raise)
    }

    /// Without a timeout SIGKILL is never sent.
    fn stop(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<&'static str> {
        let Some(timeout) = timeout else { return self.ask_to_stop(py) };
        let grace = seconds(timeout)?;
        Ok(match py.detach(|| self.file.stop(grace)).map_err(raise)? {
            Stopped::NotRunning => "not running",
            Stopped::Terminated => "terminated",
            Stopped::Killed => "killed",
        })
    }

    /// Waits in slices, between which Python's signal handlers run: Ctrl-C ends the waiting.
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        const SLICE: Duration = Duration::from_millis(200);
        let mut left = timeout.map(seconds).transpose()?;
        loop {
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            if py.detach(|| self.file.wait(Some(slice))).map_err(raise)? {
                return Ok(true);
            }
            py.check_signals()?;
            left = left.map(|left| left.saturating_sub(slice));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
        }
    }
}

impl PidFile {
    fn ask_to_stop(&self, py: Python<'_>) -> PyResult<&'static str> {
        let how = match self.file.signal(libc::SIGTERM) {
            Err(error) if error.errno() == Some(libc::ESRCH) => "not running",
            sent => {
                sent.map_err(raise)?;
                self.wait(py, None)?;
                "terminated"
            }
        };
        // Another daemon may have taken it by now.
        let _: Result<(), _> = self.file.remove();
        Ok(how)
    }
}

/// Seconds as Python counts them; ValueError for what is no time.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}
