//! What the machine is told.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    Begin,
    Published,
    PublishFailed,
    /// execve(2) succeeded.
    Executed,
    /// The child could not be made, or reported a failed step and ended.
    NotExecuted,
    /// The program's process ended: `clean` with status 0, `alone` without a descendant left.
    Ended {
        clean: bool,
        alone: bool,
    },
    /// A descendant is the program now.
    Followed,
    /// No descendant could be found.
    Unfollowed,
    NoneLeft,
    /// The program gave its sign of readiness.
    Sign,
    /// It never will: the descriptor for it was closed.
    SignLost,
    /// The program asked for more time to start.
    Extend(Duration),
    Due(Timer),
    Stop(Stop),
    /// Who asked for [`Stop::WithProgram`] has ended, and the program has not.
    RequesterGone,
    /// The launcher has told its caller that the program is ready.
    Confirmed,
    /// The launcher ended or cancelled the start.
    LauncherGone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stop {
    /// The stop signal, then SIGKILL.
    Politely,
    /// SIGKILL.
    AtOnce,
    /// Who asks signals the program: its end is the last, for as long as the requester lives.
    WithProgram,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    /// The end of a start.
    Limit,
    /// What happens next in any other state.
    Step,
}
