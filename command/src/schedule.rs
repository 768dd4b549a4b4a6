//! `--retry`: which signals are sent, and how long the daemon has after each.

use crate::sys;
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
            steps.push(Step { signal: signal(word)?, wait });
        }
        Some(Self(steps))
    }
}

/// For `--retry`.
pub(crate) fn parse(text: &str) -> Result<Schedule, String> {
    Schedule::read(text).ok_or_else(|| "expected TIME or SIGNAL/TIME/SIGNAL/TIME such as TERM/30s/KILL/5s".to_owned())
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

/// `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3` or `RTMAX-1`, with or without a hyphen before it.
pub(crate) fn signal(text: &str) -> Option<i32> {
    let text = text.strip_prefix('-').unwrap_or(text);
    if let Ok(number) = text.parse() {
        return (1..=sys::real_time_signals().1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().find(|(other, _)| *other == name).map(|(_, number)| *number).or_else(|| real_time(name))
}

/// The C library keeps some of the first for itself.
fn real_time(name: &str) -> Option<i32> {
    let (first, last) = sys::real_time_signals();
    let distance = |text: &str, sign| match text.strip_prefix(sign) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i32>().ok(),
        _ => text.is_empty().then_some(0),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => first.checked_add(distance(rest, '+')?),
        (_, Some(rest)) => last.checked_sub(distance(rest, '-')?),
        _ => None,
    };
    number.filter(|number| (first..=last).contains(number))
}

/// What a signal is called.
pub(crate) fn name(signal: i32) -> String {
    let (first, last) = sys::real_time_signals();
    match NAMES.iter().find(|(_, number)| *number == signal) {
        Some((name, _)) => (*name).to_owned(),
        None if signal == first => "RTMIN".to_owned(),
        None if (first..=last).contains(&signal) => format!("RTMIN+{}", signal - first),
        None => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Schedule, Step, name, signal};
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

    #[test]
    fn signals() {
        for text in ["TERM", "SIGTERM", "term", "sigTerm", "15", "-TERM", "-15"] {
            assert_eq!(signal(text), Some(15), "{text}");
        }
        for text in ["RTMIN+3", "SIGRTMIN+3", "rtmin+3"] {
            assert_eq!(signal(text), Some(libc::SIGRTMIN() + 3), "{text}");
        }
        assert_eq!(signal("RTMAX-1").map(name), Some(name(libc::SIGRTMAX() - 1)));
        for text in
            ["", "0", "65", "-0", "SIG", "TERMS", "--TERM", "RTMIN+", "RTMIN+99", "RTMAX+1", "RTMIN-1", "RTMIN+-1"]
        {
            assert_eq!(signal(text), None, "{text}");
        }
    }
}
