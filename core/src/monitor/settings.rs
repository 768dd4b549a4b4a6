//! What the machine decides by; part of the launch message.

use crate::launch::Respawn;
use crate::stop::KillMode;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) ready: Ready,
    /// How long the program may take to get ready.
    pub(crate) start_timeout: Option<Duration>,
    /// How long program and descendants may take to end before SIGKILL.
    pub(crate) stop_timeout: Duration,
    pub(crate) kill_mode: KillMode,
    pub(crate) respawn: Option<Respawn>,
}

/// When the program is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ready {
    Executed,
    /// It still runs after this time.
    Running(Duration),
    /// It has gone into the background.
    Followed,
    /// It gives a sign.
    Sign,
}
