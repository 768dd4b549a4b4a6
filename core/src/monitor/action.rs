//! What the machine has the loop do.

use super::event::Timer;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Write the state file; answered.
    Publish(Phase),
    /// Write the state file, and the pid file where the program has another PID.
    Note(Phase),
    /// Fork, write both files, execute.
    Start,
    /// Find the descendant that is the program now; answered.
    Follow,
    /// Send the stop signal to the program.
    StopProgram,
    KillProgram,
    /// Send SIGTERM to every descendant.
    TerminateAll,
    KillAll,
    /// Set a timer, in place of the one before.
    Arm(Timer, Duration),
    /// Put off the limit of the start to this time from now, where there is one.
    PutOff(Duration),
    Report(Outcome),
    /// Report that processes cannot be killed.
    ReportStuck(Outcome),
    /// Let the guard end.
    Release,
    RemovePidFile,
    RemoveState,
    Exit,
}

/// `state` in the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Starting,
    Running,
    Left,
    Stopping,
    Waiting,
    GaveUp,
    Ended,
}

/// What the launcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Ready,
    Failed(Why),
    Cancelled,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    NotPublished,
    NotExecuted,
    Ended,
    SignLost,
    TimedOut,
}

/// The actions that answer an event, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Actions(pub(super) [Option<Action>; Self::MOST]);

impl Actions {
    const MOST: usize = 4;

    pub(super) fn of<const N: usize>(list: [Option<Action>; N]) -> Self {
        const { assert!(N <= Self::MOST) };
        let mut actions = Self::default();
        for (slot, action) in actions.0.iter_mut().zip(list) {
            *slot = action;
        }
        actions
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Action> {
        self.0.into_iter().flatten()
    }
}
