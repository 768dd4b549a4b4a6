//! `--retry`: which signals are sent, and how long the daemon has after each.

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

const SECONDS: f64 = 1e9;
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

    /// `SIGNAL/SECONDS/SIGNAL/SECONDS…`, or one number; `forever` stands for any time. The last signal may be without a time:
    /// none is too short for a process to end.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if let Some(time) = seconds(text) {
            return Some(Self::simple(time, time));
        }
        let mut steps = Vec::new();
        let mut words = text.split('/').peekable();
        while let Some(word) = words.next() {
            let wait = match words.next() {
                Some("forever") => None,
                Some(time) => Some(seconds(time)?),
                None => Some(LAST),
            };
            steps.push(Step { signal: signal(word)?, wait });
        }
        Some(Self(steps))
    }
}

/// Seconds, in decimals.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.parse::<f64>().ok().filter(|number| plain && *number < SECONDS)?;
    Duration::try_from_secs_f64(number).ok()
}

const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("SYS", libc::SIGSYS),
];

/// The names there are, without `SIG`.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// `TERM`, `SIGTERM`, `term` or `15`, with or without a hyphen before it.
pub(crate) fn signal(text: &str) -> Option<i32> {
    const HIGHEST: i32 = 64;
    let text = text.strip_prefix('-').unwrap_or(text);
    if let Ok(number) = text.parse() {
        return (1..=HIGHEST).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().find(|(other, _)| *other == name).map(|(_, number)| *number)
}

/// What a signal is called.
pub(crate) fn name(signal: i32) -> String {
    let named = NAMES.iter().find(|(_, number)| *number == signal);
    named.map_or_else(|| signal.to_string(), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Schedule, Step, signal};
    use std::time::Duration;

    fn steps(text: &str) -> Option<Vec<(i32, Option<f64>)>> {
        let step = |step: &Step| (step.signal, step.wait.map(|wait: Duration| wait.as_secs_f64()));
        Schedule::read(text).map(|schedule| schedule.0.iter().map(step).collect())
    }

    #[test]
    fn schedules() {
        assert_eq!(steps("TERM/30/KILL/5"), Some(vec![(15, Some(30.0)), (9, Some(5.0))]));
        assert_eq!(steps("0.5"), Some(vec![(15, Some(0.5)), (9, Some(0.5))]));
        assert_eq!(steps("-QUIT/forever"), Some(vec![(3, None)]));
        assert_eq!(steps("2/1/9"), Some(vec![(2, Some(1.0)), (9, Some(5.0))]));
        for wrong in
            ["", "/", "TERM/", "TERM/x", "NONE/1", "1e9", "inf", "nan", "-1/1/x/2", "99/1", "TERM/30/", "TERM//KILL"]
        {
            assert_eq!(steps(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn signals() {
        for text in ["TERM", "SIGTERM", "term", "sigTerm", "15", "-TERM", "-15"] {
            assert_eq!(signal(text), Some(15), "{text}");
        }
        for text in ["", "0", "65", "-0", "SIG", "TERMS", "--TERM"] {
            assert_eq!(signal(text), None, "{text}");
        }
    }
}
