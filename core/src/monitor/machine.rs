//! What the monitor decides: events in, actions out. No system call, no allocation, no clock.
//!
//! The loop keeps PIDs, errors and times; the machine keeps what decides. It needs four promises of the loop:
//! * [`Action::Publish`] and [`Action::Follow`] are the last of their list, and their answer is the next event.
//! * [`Action::Start`] is answered by [`Event::Executed`] or [`Event::NotExecuted`], or by [`Event::Ended`] if the child was killed
//!   before either.
//! * An end of the program that leaves nothing to follow, and [`Event::NoneLeft`], settle whether the launcher has confirmed:
//!   [`Event::Confirmed`] comes before, or not at all.
//! * [`Event::NoneLeft`] comes once when the program has ended and its last descendant has too.
//!
//! All other actions may fail without an answer: a process that cannot be signalled is signalled again, a pid file that cannot be
//! removed is stale without its lock, and a launcher that cannot be told is gone, which is an event of its own.

use super::action::{Action, Actions, Outcome, Phase, Why};
use super::event::{Event, Stop, Timer};
use super::settings::{Ready, Settings};
use super::state::{Launcher, Means, State, Then, Whom};
use crate::stop::KillMode;
use std::time::Duration;

/// How long SIGKILL may take before it is sent again.
const KILL_AGAIN: Duration = Duration::from_millis(500);
/// How often SIGKILL is sent before the launcher is told that processes are left.
const KILL_ROUNDS: u8 = 10;

/// How long a program that was followed must run to be ready. One that goes into the background by two forks has ended by then, and was
/// followed once more.
const FOLLOWED: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    pub(super) settings: Settings,
    state: State,
    launcher: Launcher,
    /// The program has a process.
    program: bool,
    /// There is a process of this life.
    alive: bool,
    /// The first life became ready.
    was_ready: bool,
    failures: u32,
}

impl Machine {
    pub(crate) const fn new(settings: Settings) -> Self {
        let (state, launcher) = (State::Idle, Launcher::Waiting);
        Self { settings, state, launcher, program: false, alive: false, was_ready: false, failures: 0 }
    }

    /// The start of a life is under way and the program executed: signs of readiness are looked for.
    pub(crate) fn awaits_sign(&self) -> bool {
        self.state == State::Starting
    }

    /// The delay before a restart is under way. Its end may be put off.
    pub(crate) fn is_about_to_restart(&self) -> bool {
        self.state == State::Waiting
    }

    /// A descendant that asked for the stop is left alone. A start that fails leaves nothing.
    pub(crate) fn spares_requester(&self) -> bool {
        let is_stop = matches!(self.state, State::Ending(Then::Stop, _));
        is_stop && self.was_ready && self.launcher == Launcher::Released
    }

    /// The launcher knows that the program is ready, and may confirm.
    pub(crate) fn awaits_confirmation(&self) -> bool {
        self.launcher == Launcher::Told
    }

    /// A stop is under way.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.state, State::Ending(Then::Stop, _))
    }

    /// The stop is one of [`Stop::WithProgram`], and ends with its requester.
    pub(crate) fn awaits_requester(&self) -> bool {
        matches!(self.state, State::Ending(_, Means::Requester { .. }))
    }

    pub(crate) fn on(&mut self, event: Event) -> Actions {
        match (self.state, event) {
            (State::Over, _) => Actions::default(),
            (_, Event::Confirmed) => self.confirmed(),
            (_, Event::LauncherGone) => self.launcher_gone(),
            (State::Ending(then, means), Event::Stop(stop)) => self.stop_ending(then, means, stop),
            (_, Event::Stop(stop)) => self.stop(stop),
            (State::Ending(Then::Stop, Means::Requester { was_ready }), Event::RequesterGone) => self.go_on(was_ready),
            (State::Ending(then, means), event) => self.ending(then, means, event),
            (State::Idle | State::Opening | State::Launching | State::Starting | State::Announcing, event) => {
                self.starting(event)
            }
            (State::Running, event) => self.running(event),
            (State::Left, Event::NoneLeft) => self.none_left(Then::End),
            (State::Waiting, Event::Due(Timer::Step)) => self.launch(),
            _ => Actions::default(),
        }
    }

    fn starting(&mut self, event: Event) -> Actions {
        match (self.state, event) {
            (State::Idle, Event::Begin) => self.enter(State::Opening, [Some(Action::Publish(Phase::Starting))]),
            (State::Opening, Event::Published) => self.launch(),
            (State::Opening, Event::PublishFailed) => self.finish(Then::Fail(Why::NotPublished)),
            (State::Launching, Event::Executed) => self.executed(),
            (State::Launching, Event::NotExecuted) => {
                (self.program, self.alive) = (false, false);
                self.fail(Why::NotExecuted)
            }
            (State::Launching | State::Starting, Event::Due(Timer::Limit)) => self.fail(Why::TimedOut),
            (State::Launching | State::Starting, Event::Extend(time)) => Actions::of([Some(Action::PutOff(time))]),
            (State::Launching | State::Starting, Event::Ended { clean, alone }) => self.ended(clean, alone),
            (State::Starting, Event::Due(Timer::Step)) if self.is_timed() => self.ready(),
            (State::Starting, Event::Sign) => self.ready(),
            (State::Starting, Event::SignLost) => self.fail(Why::SignLost),
            (State::Starting, Event::Followed) => self.followed_while_starting(),
            (State::Starting, Event::Unfollowed) => self.fail(Why::Ended),
            (State::Announcing, Event::PublishFailed) if !self.was_ready => self.fail(Why::NotPublished),
            (State::Announcing, Event::Published | Event::PublishFailed) => self.announced(),
            _ => Actions::default(),
        }
    }

    fn running(&mut self, event: Event) -> Actions {
        match event {
            Event::Ended { clean, alone } => self.ended(clean, alone),
            Event::Followed => {
                self.program = true;
                Actions::of([Some(Action::Note(Phase::Running))])
            }
            Event::Unfollowed => self.enter(State::Left, [Some(Action::Note(Phase::Left))]),
            Event::Due(Timer::Step) => {
                self.failures = 0;
                Actions::default()
            }
            _ => Actions::default(),
        }
    }

    /// Begins a life.
    fn launch(&mut self) -> Actions {
        (self.program, self.alive) = (true, true);
        let limit = self.settings.start_timeout.map(|time| Action::Arm(Timer::Limit, time));
        self.enter(State::Launching, [limit, Some(Action::Start)])
    }

    fn executed(&mut self) -> Actions {
        self.state = State::Starting;
        match self.settings.ready {
            Ready::Executed => self.ready(),
            Ready::Running(time) => Actions::of([Some(Action::Arm(Timer::Step, time))]),
            Ready::Followed | Ready::Sign => Actions::default(),
        }
    }

    /// A program that goes into the background begins anew: its daemon must run as long as it would have to.
    fn followed_while_starting(&mut self) -> Actions {
        self.program = true;
        let note = Some(Action::Note(Phase::Starting));
        match self.settings.ready {
            Ready::Followed => Actions::of([note, Some(Action::Arm(Timer::Step, FOLLOWED))]),
            Ready::Running(time) => Actions::of([note, Some(Action::Arm(Timer::Step, time))]),
            Ready::Executed | Ready::Sign => Actions::of([note]),
        }
    }

    fn is_timed(&self) -> bool {
        matches!(self.settings.ready, Ready::Running(_) | Ready::Followed)
    }

    fn ready(&mut self) -> Actions {
        self.enter(State::Announcing, [Some(Action::Publish(Phase::Running))])
    }

    fn announced(&mut self) -> Actions {
        if self.was_ready {
            let settled = self.settings.respawn.map(|respawn| Action::Arm(Timer::Step, respawn.settled));
            return self.enter(State::Running, [settled]);
        }
        (self.was_ready, self.launcher) = (true, Launcher::Told);
        self.enter(State::Running, [Some(Action::Report(Outcome::Ready))])
    }

    fn ended(&mut self, clean: bool, alone: bool) -> Actions {
        (self.program, self.alive) = (false, !alone);
        match (clean, alone) {
            (true, false) => Actions::of([Some(Action::Follow)]),
            (true, true) if self.state == State::Running => self.finish(Then::End),
            _ => self.fail(Why::Ended),
        }
    }

    /// A life has failed.
    fn fail(&mut self, why: Why) -> Actions {
        if self.launcher != Launcher::Released {
            return self.end(Then::Fail(why));
        }
        match self.settings.respawn {
            Some(respawn) if respawn.limit.is_some_and(|limit| self.failures >= limit) => self.end(Then::GiveUp),
            Some(respawn) => {
                // Without a limit nothing is counted, so nothing overflows.
                self.failures += u32::from(respawn.limit.is_some());
                self.end(Then::Restart)
            }
            None if self.alive => self.enter(State::Left, [Some(Action::Note(Phase::Left))]),
            None => self.finish(Then::End),
        }
    }

    fn stop(&mut self, stop: Stop) -> Actions {
        match stop {
            Stop::AtOnce if self.has_to_end(Then::Stop) => self.kill(Then::Stop),
            // A launcher waits for the outcome of a start, which must not depend on others.
            Stop::WithProgram if self.was_ready && matches!(self.state, State::Running | State::Starting) => {
                let means = Means::Requester { was_ready: self.state == State::Running };
                self.enter(State::Ending(Then::Stop, means), [Some(Action::Note(Phase::Stopping))])
            }
            _ => self.end(Then::Stop),
        }
    }

    /// The stop has come to nothing. The start of a life that was under way has its whole time again.
    fn go_on(&mut self, was_ready: bool) -> Actions {
        if was_ready {
            let settled = self.settings.respawn.map(|respawn| Action::Arm(Timer::Step, respawn.settled));
            return self.enter(State::Running, [Some(Action::Note(Phase::Running)), settled]);
        }
        let limit = self.settings.start_timeout.map(|time| Action::Arm(Timer::Limit, time));
        let time = match self.settings.ready {
            Ready::Running(time) => Some(time),
            Ready::Followed => Some(FOLLOWED),
            Ready::Executed | Ready::Sign => None,
        };
        let ready = time.map(|time| Action::Arm(Timer::Step, time));
        self.enter(State::Starting, [Some(Action::Note(Phase::Starting)), limit, ready])
    }

    fn stop_ending(&mut self, then: Then, means: Means, stop: Stop) -> Actions {
        let then = if matches!(then, Then::Restart | Then::GiveUp) { Then::Stop } else { then };
        self.state = State::Ending(then, means);
        match (stop, means) {
            (_, Means::Kill(..)) => Actions::default(),
            (Stop::AtOnce, _) => self.kill(then),
            (Stop::Politely, Means::Requester { .. }) => self.end(then),
            _ => Actions::default(),
        }
    }

    fn confirmed(&mut self) -> Actions {
        if self.launcher != Launcher::Told {
            return Actions::default();
        }
        self.launcher = Launcher::Released;
        Actions::of([Some(Action::Release)])
    }

    fn launcher_gone(&mut self) -> Actions {
        match self.state {
            _ if self.launcher == Launcher::Released => Actions::default(),
            State::Ending(_, means) if !matches!(means, Means::Requester { .. }) => Actions::default(),
            _ => self.end(Then::Cancel),
        }
    }

    /// Ends what is alive, the program first.
    fn end(&mut self, then: Then) -> Actions {
        if !self.has_to_end(then) {
            return self.finish(then);
        }
        let (means, signal) = match self.program {
            true => (Means::StopSignal, Action::StopProgram),
            false => (Means::Terminate, Action::TerminateAll),
        };
        let patience = Action::Arm(Timer::Step, self.settings.stop_timeout);
        self.enter(State::Ending(then, means), [Some(signal), Some(patience), Some(Action::Note(Phase::Stopping))])
    }

    fn kill(&mut self, then: Then) -> Actions {
        let whom = if self.program && self.spares_descendants(then) { Whom::Program } else { Whom::All };
        let [signal, again, ..] = self.kill_again(then, whom, 0).0;
        Actions::of([signal, again, Some(Action::Note(Phase::Stopping))])
    }

    fn kill_again(&mut self, then: Then, whom: Whom, round: u8) -> Actions {
        let signal = if whom == Whom::Program { Action::KillProgram } else { Action::KillAll };
        let again = Action::Arm(Timer::Step, KILL_AGAIN);
        self.enter(State::Ending(then, Means::Kill(whom, round)), [Some(signal), Some(again)])
    }

    fn ending(&mut self, then: Then, means: Means, event: Event) -> Actions {
        match (event, means) {
            (Event::NoneLeft | Event::NotExecuted, _) => self.none_left(then),
            (Event::Ended { alone, .. }, _) => {
                (self.program, self.alive) = (false, !alone);
                match means {
                    Means::Kill(Whom::All, round) if !alone => self.kill_again(then, Whom::All, round),
                    _ if !self.has_to_end(then) => self.finish(then),
                    // The time runs on.
                    Means::StopSignal => {
                        self.enter(State::Ending(then, Means::Terminate), [Some(Action::TerminateAll)])
                    }
                    _ => self.end(then),
                }
            }
            (Event::Due(Timer::Step), Means::StopSignal | Means::Terminate) => self.kill(then),
            (Event::Due(Timer::Step), Means::Kill(whom, KILL_ROUNDS)) => self.stuck(then, whom),
            (Event::Due(Timer::Step), Means::Kill(whom, round)) => self.kill_again(then, whom, round + 1),
            _ => Actions::default(),
        }
    }

    /// A process that waits for a device cannot be killed. The launcher need not wait for it.
    fn stuck(&mut self, then: Then, whom: Whom) -> Actions {
        let [signal, again, ..] = self.kill_again(then, whom, KILL_ROUNDS).0;
        if self.launcher == Launcher::Released {
            return Actions::of([signal, again]);
        }
        self.launcher = Launcher::Released;
        Actions::of([signal, again, Some(Action::ReportStuck(outcome(then))), Some(Action::Release)])
    }

    fn none_left(&mut self, then: Then) -> Actions {
        (self.program, self.alive) = (false, false);
        self.finish(then)
    }

    fn finish(&mut self, then: Then) -> Actions {
        if let (Then::Restart, Some(respawn)) = (then, self.settings.respawn) {
            let delay = Action::Arm(Timer::Step, respawn.delay);
            return self.enter(State::Waiting, [Some(delay), Some(Action::Note(Phase::Waiting))]);
        }
        // A start that was not confirmed has failed, whatever the program has done since it was ready.
        let state = match (then, self.launcher) {
            (Then::GiveUp, Launcher::Released) => Action::Note(Phase::GaveUp),
            (Then::End, Launcher::Released) => Action::Note(Phase::Ended),
            _ => Action::RemoveState,
        };
        let report = (self.launcher != Launcher::Released).then_some(Action::Report(outcome(then)));
        self.enter(State::Over, [Some(Action::RemovePidFile), Some(state), report, Some(Action::Exit)])
    }

    /// Whether anything is alive that is to be ended.
    fn has_to_end(&self, then: Then) -> bool {
        self.program || self.alive && !self.spares_descendants(then)
    }

    fn spares_descendants(&self, then: Then) -> bool {
        then == Then::Stop && self.was_ready && self.settings.kill_mode == KillMode::Process
    }

    fn enter<const N: usize>(&mut self, state: State, actions: [Option<Action>; N]) -> Actions {
        self.state = state;
        Actions::of(actions)
    }
}

/// What a launcher is told that has not confirmed. One that knows of readiness learns that it came to nothing.
fn outcome(then: Then) -> Outcome {
    match then {
        Then::Fail(why) => Outcome::Failed(why),
        Then::Cancel => Outcome::Cancelled,
        Then::Stop => Outcome::Stopped,
        Then::Restart | Then::GiveUp | Then::End => Outcome::Failed(Why::Ended),
    }
}
