//! What ties a daemon to its starter until it is ready.

use crate::report::{Record, Reporter};
use crate::sys::Sys;
use crate::sys::pidfd::Process;
use crate::sys::process::Pid;
use std::time::Duration;

/// The daemon's end of a start that is not over.
#[derive(Debug)]
pub(crate) struct Tie {
    reporter: Reporter,
    helper: Option<Pid>,
    caller: Option<Reporter>,
}

/// The daemon's line to the caller, where there is a helper between them.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Reporter>);

impl Waiting {
    /// Lets a starter exit that waits until all have been notified, and tells a caller whose helper was killed before it could. Closing
    /// the line is not enough: a worker that was forked before has it open, too. A caller that is gone needs no answer.
    pub(crate) fn let_go(self) {
        if let Some(caller) = self.0 {
            let _: Sys<()> = caller.send(&Record::Ready);
        }
    }
}

impl Tie {
    /// To the starter itself.
    pub(crate) fn with_starter(reporter: Reporter) -> Self {
        Self { reporter, helper: None, caller: None }
    }

    /// To a helper that watches for the `caller`.
    pub(crate) fn with_helper(self, helper: Pid, caller: Reporter) -> Self {
        Self { helper: Some(helper), caller: Some(caller), ..self }
    }

    /// The program runs from now on.
    pub(crate) fn guard(&mut self) {
        self.reporter.guard();
        self.caller.iter_mut().for_each(Reporter::guard);
    }

    pub(crate) fn send(&self, record: &Record) -> Sys<()> {
        self.reporter.send(record)
    }

    /// Reports that the daemon is ready. The starter leaves when what comes back lets it go, at the latest.
    ///
    /// The daemon is the helper's child until that has left, which it does on this report. So it is waited for: a service manager that is
    /// told of its main process looks whose child that is, once, and so may the program.
    pub(crate) fn report_ready(self) -> Sys<Waiting> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let helper = self.helper.and_then(|pid| Process::open(pid).ok());
        self.reporter.send(&Record::Ready)?;
        if let Some(helper) = helper {
            let _: Sys<bool> = helper.wait(Some(PATIENCE));
        }
        Ok(Waiting(self.caller))
    }
}
