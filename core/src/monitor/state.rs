//! Where the machine stands.

use super::action::Why;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Idle,
    /// The state file is written for the first time.
    Opening,
    /// The child has not executed the program yet.
    Launching,
    /// The program is not ready yet.
    Starting,
    /// It is, and the state file is being written.
    Announcing,
    Running,
    /// The program has ended, descendants stay.
    Left,
    Ending(Then, Means),
    /// The delay before a restart.
    Waiting,
    Over,
}

/// What comes when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Then {
    Fail(Why),
    Cancel,
    Stop,
    Restart,
    GiveUp,
    End,
}

/// By what processes are being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Means {
    /// The requester's signals to the program, which was ready or not.
    Requester { was_ready: bool },
    /// The stop signal to the program.
    StopSignal,
    /// SIGTERM to its descendants.
    Terminate,
    /// SIGKILL, and how often it was sent again.
    Kill(Whom, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whom {
    Program,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Launcher {
    Waiting,
    /// It knows that the program is ready, and has not confirmed.
    Told,
    Released,
}
