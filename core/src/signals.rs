//! Signals: what is held back during the forks, and what the daemon begins with.

use crate::error::{Error, Failure, Step, Subject, signal_name};
use crate::registry;
use crate::sys::Errno;
use crate::sys::signal::{self, Disposition, Set, Signal};
use crate::sys::{Sys, memory, process};

/// What a signal is to do in the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignalAction {
    /// The kernel's default (signal(7)).
    Default,
    /// Nothing.
    Ignore,
    /// What it does now, whoever set it so.
    Keep,
}

/// The program's wishes, by signal number.
#[derive(Clone, Default)]
pub(crate) struct Map(Vec<(Signal, SignalAction)>);

impl std::fmt::Debug for Map {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |signal| signal_name(signal).map_or_else(|| i32::to_string(&signal), str::to_owned);
        let entries = self.0.iter().map(|(signal, action)| format!("{}: {action:?}", name(*signal)));
        write!(formatter, "{{{}}}", entries.collect::<Vec<_>>().join(", "))
    }
}

impl Map {
    /// Adds a wish, or changes it.
    pub(crate) fn set(&mut self, signal: Signal, action: SignalAction) -> Result<(), Error> {
        let failed = |errno| Error::os(Step::SignalMap, Subject::Signal(signal), errno);
        if signal::disposition(signal).is_err() {
            return Err(failed(Errno::EINVAL));
        }
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP) && action != SignalAction::Default {
            return Err(failed(Errno::EINVAL).note("cannot be caught"));
        }
        match self.0.iter_mut().find(|(other, _)| *other == signal) {
            Some(entry) => entry.1 = action,
            None => memory::push(&mut self.0, (signal, action)).map_err(failed)?,
        }
        Ok(())
    }

    fn get(&self, signal: Signal) -> Option<SignalAction> {
        self.0.iter().find(|(other, _)| *other == signal).map(|(_, action)| *action)
    }
}

/// What becomes of the signals that the program did not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// The mask is emptied, terminal stops are ignored, and what was ignored before this program began goes back to the default.
    Reset,
    /// They stay as they are, in the mask too.
    Keep,
}

/// The dispositions that the daemon has to set and its mask, worked out in the starter.
pub(crate) struct Plan {
    dispositions: Vec<(Signal, Disposition)>,
    mask: Set,
}

/// A daemon has no terminal that could stop it (PEP 3143).
const TERMINAL_STOPS: [Signal; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// The polite ways to end a daemon, whose default action would leave its pid file behind.
const ENDS: [Signal; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

impl Plan {
    /// Decides for every signal that it concerns: the map's word first; then what the program itself has installed stays; then
    /// terminal stops are ignored, and what was ignored before this program began goes back to the default.
    pub(crate) fn new(map: &Map, others: Others, has_pid_file: bool) -> Sys<Self> {
        let mut plan = Vec::new();
        let resets = others == Others::Reset;
        let concerns = |&signal: &Signal| {
            map.get(signal).is_some()
                || has_pid_file && ENDS.contains(&signal)
                || signal == libc::SIGCHLD
                || resets && (TERMINAL_STOPS.contains(&signal) || signal::ignored_at_load(signal))
        };
        for signal in signal::all().filter(concerns) {
            let now = match signal::disposition(signal) {
                Ok(now) => now,
                Err(errno) if ENDS.contains(&signal) => return Err(errno),
                // One that the C library keeps for itself.
                Err(_) => continue,
            };
            let new = Self::decide(signal, &now, map.get(signal), resets, has_pid_file);
            // The starter sets SIGCHLD to its default to see its children end; the daemon has to set it back.
            let new = new.or_else(|| (signal == libc::SIGCHLD && !now.is_default()).then_some(now));
            if let Some(new) = new {
                memory::push(&mut plan, (signal, new))?;
            }
        }
        let mask = if resets { Set::empty() } else { signal::mask() };
        Ok(Self { dispositions: plan, mask })
    }

    fn decide(
        signal: Signal,
        now: &Disposition,
        wish: Option<SignalAction>,
        resets: bool,
        has_pid_file: bool,
    ) -> Option<Disposition> {
        let new = match wish {
            Some(SignalAction::Keep) => return None,
            Some(SignalAction::Ignore) => return (!now.is_ignore()).then(Disposition::ignore),
            Some(SignalAction::Default) => Disposition::default(),
            None if resets && TERMINAL_STOPS.contains(&signal) && now.is_default() => {
                return Some(Disposition::ignore());
            }
            None if resets && TERMINAL_STOPS.contains(&signal) => return None,
            None if resets && now.is_ignore() && signal::ignored_at_load(signal) => Disposition::default(),
            None if now.is_default() => Disposition::default(),
            None => return None,
        };
        match (has_pid_file && ENDS.contains(&signal), now.is_default()) {
            (true, _) => Some(Disposition::handler(registry::release_and_terminate)),
            (false, true) => None,
            (false, false) => Some(new),
        }
    }

    /// The daemon's step: sets the dispositions, then the mask.
    pub(crate) fn apply(&self) -> Result<(), Failure> {
        for (signal, disposition) in &self.dispositions {
            signal::set_disposition(*signal, disposition).map_err(|errno| Failure {
                step: Step::Signals,
                errno,
                value: i64::from(*signal),
            })?;
        }
        signal::replace_mask(&self.mask).map_err(|errno| Failure {
            step: Step::Signals,
            errno,
            value: i64::from(u32::MAX),
        })
    }
}

/// Has signals from a terminal not stop this process, whatever they did.
pub(crate) fn ignore_terminal_stops() -> Result<(), Failure> {
    TERMINAL_STOPS.into_iter().try_for_each(|signal| {
        let ignored = signal::set_disposition(signal, &Disposition::ignore());
        ignored.map(drop).map_err(|errno| Failure { step: Step::Signals, errno, value: i64::from(signal) })
    })
}

/// Gives every signal its default action, those that the C library keeps for itself and refuses to touch as well. For a process
/// that is about to execute a program.
pub(crate) fn reset_all() {
    reset_all_but(&[]);
    signal::reset_reserved();
}

/// Gives every signal its default action, whether it was handled or ignored, but those in `except`. Numbers that are no
/// signal except nothing.
pub fn reset_all_but(except: &[i32]) {
    for signal in signal::all().filter(|signal| !except.contains(signal)) {
        // Only numbers that have no disposition to set are refused.
        let _: Sys<Disposition> = signal::set_disposition(signal, &Disposition::default());
    }
}

/// Makes `signals` the mask of this thread: these are blocked, all others not.
///
/// # Errors
/// EINVAL for a number that is no signal; the mask is as it was.
pub fn block_only(signals: &[i32]) -> Result<(), Error> {
    let mut set = Set::empty();
    for &signal in signals {
        if !set.add(signal) {
            return Err(Error::os(Step::Signals, Subject::Signal(signal), Errno::EINVAL));
        }
    }
    signal::set_mask(&set);
    Ok(())
}

/// While this lives, no signal reaches this thread, and children that end can be waited for whatever was set for SIGCHLD.
/// Afterwards everything is as it was.
pub(crate) struct Quiet {
    mask: Set,
    child: Option<Disposition>,
}

impl Quiet {
    pub(crate) fn begin() -> Self {
        let mask = signal::set_mask(&Set::full());
        Self { mask, child: signal::set_disposition(libc::SIGCHLD, &Disposition::default()).ok() }
    }

    /// For the daemon, where [`Plan::apply`] decides.
    pub(crate) fn leave_as_it_is(self) {
        std::mem::forget(self);
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            // The end of the session leader has made SIGCHLD pending. Its default action discards that (sigaction(2)), and
            // another child's with it.
            let _: Sys<Disposition> = signal::set_disposition(libc::SIGCHLD, &Disposition::default());
            let _: Sys<Disposition> = signal::set_disposition(libc::SIGCHLD, child);
            if child.is_handler() && process::has_ended_child() {
                let _: Sys<()> = process::kill(process::id(), libc::SIGCHLD);
            }
        }
        signal::set_mask(&self.mask);
    }
}

/// The signals by which a person calls a start off, less those that are ignored here.
///
/// SIGHUP is not among them: a terminal that closes just now must not end the daemon.
pub(crate) fn calls_off() -> Set {
    let mut set = Set::empty();
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        if signal::disposition(signal).is_ok_and(|now| !now.is_ignore()) {
            set.add(signal);
        }
    }
    set
}

/// Ends this process by `signal`, as if it had arrived without anybody looking: whoever waits for it sees that, and a shell ends its
/// script, too. Where the signal does not end a process, it leaves with 128 + `signal`.
pub fn die_by(signal: Signal) -> ! {
    let _: Sys<Disposition> = signal::set_disposition(signal, &Disposition::default());
    // Only this one: another that is pending, SIGHUP of the terminal say, would be first.
    signal::set_mask(&Set::all_but(signal));
    signal::raise(signal);
    crate::sys::process::exit_now(128 + signal)
}
