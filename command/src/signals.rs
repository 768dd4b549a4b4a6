//! Signals by name and by number.

use crate::sys;

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
pub(crate) fn parse(text: &str) -> Option<i32> {
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
    use super::{name, parse};

    #[test]
    fn signals_have_names() {
        for text in ["TERM", "SIGTERM", "term", "sigTerm", "15", "-TERM", "-15"] {
            assert_eq!(parse(text), Some(15), "{text}");
        }
        for text in ["RTMIN+3", "SIGRTMIN+3", "rtmin+3"] {
            assert_eq!(parse(text), Some(libc::SIGRTMIN() + 3), "{text}");
        }
        assert_eq!(parse("RTMAX-1").map(name), Some(name(libc::SIGRTMAX() - 1)));
        for text in
            ["", "0", "65", "-0", "SIG", "TERMS", "--TERM", "RTMIN+", "RTMIN+99", "RTMAX+1", "RTMIN-1", "RTMIN+-1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
