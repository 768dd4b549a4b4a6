//! `--retry`: which signals are sent, and how long the daemon has after each.

use crate::signals;
use crate::values::duration;
use std::time::Duration;

/// A signal, and how long to wait then; any time where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) signal: i32,
    pub(crate) wait: Option<Duration>,
}

/// Signals and waits in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) Vec<Step>);

/// After the last signal.
const LAST: Duration = Duration::from_secs(5);

impl Default for Schedule {
    /// TERM/30/KILL/5
    fn default() -> Self {
        Self::simple(Duration::from_secs(30), LAST)
    }
}

impl Schedule {
    fn simple(first: Duration, then: Duration) -> Self {
        let step = |signal, wait| Step { signal, wait: Some(wait) };
        Self(vec![step(libc::SIGTERM, first), step(libc::SIGKILL, then)])
    }

    /// `SIGNAL/TIME/SIGNAL/TIME…`, or one time; `forever` stands for any time. The last signal may lack a time.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Ok(time) = duration(text) {
            return Some(Self::simple(time, time));
        }
        let mut steps = Vec::new();
        let mut words = text.split('/').peekable();
        while let Some(word) = words.next() {
            let wait = match words.next() {
                Some("forever") => None,
                Some(time) => Some(duration(time).ok()?),
                None => Some(LAST),
            };
            steps.push(Step { signal: signals::parse(word)?, wait });
        }
        Some(Self(steps))
    }
}

/// For `--retry`.
pub(crate) fn parse(text: &str) -> Result<Schedule, String> {
    Schedule::read(text).ok_or_else(|| "expected TIME or SIGNAL/TIME/SIGNAL/TIME such as TERM/30s/KILL/5s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Schedule, Step};
    use std::time::Duration;

    fn steps(text: &str) -> Option<Vec<(i32, Option<f64>)>> {
        let step = |step: &Step| (step.signal, step.wait.map(|wait: Duration| wait.as_secs_f64()));
        Schedule::read(text).map(|schedule| schedule.0.iter().map(step).collect())
    }

    #[test]
    fn schedules() {
        assert_eq!(steps("TERM/30/KILL/5"), Some(vec![(15, Some(30.0)), (9, Some(5.0))]));
        assert_eq!(steps("TERM/1m/KILL/500ms"), Some(vec![(15, Some(60.0)), (9, Some(0.5))]));
        assert_eq!(steps("0.5"), Some(vec![(15, Some(0.5)), (9, Some(0.5))]));
        assert_eq!(steps("-QUIT/forever"), Some(vec![(3, None)]));
        assert_eq!(steps("2/1/9"), Some(vec![(2, Some(1.0)), (9, Some(5.0))]));
        for wrong in
            ["", "/", "TERM/", "TERM/x", "NONE/1", "1e9", "inf", "nan", "-1/1/x/2", "99/1", "TERM/30/", "TERM//KILL"]
        {
            assert_eq!(steps(wrong), None, "{wrong}");
        }
    }
}
