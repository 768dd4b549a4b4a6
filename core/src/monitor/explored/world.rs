//! A program, its descendants, a launcher and timers around the machine: what can happen to them, and what must not.

use crate::monitor::action::{Action, Actions, Outcome, Phase};
use crate::monitor::event::{Event, Stop, Timer};
use crate::monitor::machine::Machine;
use crate::monitor::settings::{Ready, Settings};
use crate::stop::KillMode;
use std::time::Duration;

pub(super) const TIME: Duration = Duration::from_secs(1);
pub(super) const STOP_TIME: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Launcher {
    Connected,
    Confirmed,
    /// Told that the program is ready, and too late to confirm.
    Refused,
    /// Told that processes cannot be killed.
    GivenUp,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Published,
    Followed,
}

/// Why [`Timer::Step`] is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cause {
    Readiness,
    Settling,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) machine: Machine,
    begun: bool,
    owed: Option<Answer>,
    launcher: Launcher,
    pub(super) told_ready: bool,
    told_failed: bool,
    released: bool,
    /// The child has not executed yet.
    launching: bool,
    program: bool,
    descendants: bool,
    none_told: bool,
    /// SIGTERM or SIGKILL was sent to descendants.
    signalled: bool,
    killed: bool,
    /// This life is being ended.
    ending: bool,
    /// The time to end has begun to run.
    timed: bool,
    ready: bool,
    failed: bool,
    lives: u8,
    restarts: u8,
    step: Option<Cause>,
    limit: bool,
    pid_file: bool,
    state_file: bool,
    gave_up: bool,
    stopped: bool,
    /// A stop that ends with its requester.
    asked: bool,
    /// The stop does not wait for others.
    pub(super) bounded: bool,
    pub(super) cancelled: bool,
    /// A stop that is to spare descendants.
    sparing: bool,
    pub(super) exited: bool,
}

pub(super) type Checked<T = ()> = Result<T, &'static str>;

fn check(holds: bool, invariant: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(invariant) }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            machine: Machine::new(settings),
            begun: false,
            owed: None,
            launcher: Launcher::Connected,
            told_ready: false,
            told_failed: false,
            released: false,
            launching: false,
            program: false,
            descendants: false,
            none_told: true,
            signalled: false,
            killed: false,
            ending: false,
            timed: false,
            ready: false,
            failed: false,
            lives: 0,
            restarts: 0,
            step: None,
            limit: false,
            pid_file: false,
            state_file: false,
            gave_up: false,
            stopped: false,
            asked: false,
            bounded: false,
            cancelled: false,
            sparing: false,
            exited: false,
        }
    }

    fn is_empty(&self) -> bool {
        !self.program && !self.descendants
    }

    fn may_leave(&self) -> bool {
        self.is_empty() || self.sparing && !self.program
    }

    /// Everything that can happen now: the event, and the world that it comes from.
    pub(super) fn possible(&self) -> Vec<(Event, Self)> {
        let mut all = Vec::new();
        let mut add = |event, change: &dyn Fn(&mut Self)| {
            let mut world = *self;
            change(&mut world);
            all.push((event, world));
        };
        match self.owed {
            Some(Answer::Published) => {
                add(Event::Published, &|world| world.state_file = true);
                add(Event::PublishFailed, &|world| world.failed |= !world.told_ready);
                return all;
            }
            Some(Answer::Followed) => {
                for descendants in [false, true] {
                    add(Event::Followed, &|world| (world.program, world.descendants) = (true, descendants));
                    add(Event::Unfollowed, &|world| {
                        world.descendants = descendants;
                        world.failed |= !world.ready;
                    });
                }
                return all;
            }
            None => {}
        }
        if !self.begun {
            add(Event::Begin, &|world| world.begun = true);
            return all;
        }
        if self.launching {
            add(Event::Executed, &|world| world.launching = false);
            add(Event::NotExecuted, &|world| world.lose_program(false, true));
            add(Event::Ended { clean: false, alone: true }, &|world| world.lose_program(false, true));
        } else if self.program {
            for (clean, alone) in [(false, false), (false, true), (true, false), (true, true)] {
                add(Event::Ended { clean, alone }, &|world| world.lose_program(clean, alone));
            }
        }
        if !self.program && !self.none_told {
            add(Event::NoneLeft, &|world| {
                (world.descendants, world.none_told) = (false, true);
                world.settle_confirmation();
            });
        }
        if self.machine.awaits_sign() && self.machine.settings.ready == Ready::Sign {
            add(Event::Sign, &|_| {});
            add(Event::SignLost, &|world| world.failed = true);
            add(Event::Extend(TIME), &|_| {});
        }
        if self.step.is_some() {
            add(Event::Due(Timer::Step), &|_| {});
        }
        if self.limit {
            add(Event::Due(Timer::Limit), &|world| {
                world.limit = false;
                world.failed |= !world.ready && !world.asked;
            });
        }
        for stop in [Stop::Politely, Stop::AtOnce, Stop::WithProgram] {
            add(Event::Stop(stop), &|world| world.ask_to_stop(stop));
        }
        if self.asked {
            add(Event::RequesterGone, &|world| (world.asked, world.sparing) = (false, false));
        }
        match self.launcher {
            Launcher::Connected => {
                add(Event::LauncherGone, &|world| (world.launcher, world.cancelled) = (Launcher::Gone, true));
                // One that confirms too early changes nothing.
                let confirmed = if self.told_ready { Launcher::Confirmed } else { Launcher::Connected };
                add(Event::Confirmed, &|world| world.launcher = confirmed);
            }
            Launcher::Confirmed | Launcher::Refused | Launcher::GivenUp => add(Event::LauncherGone, &|_| {}),
            Launcher::Gone => {}
        }
        all
    }

    /// What happens where processes end by SIGKILL alone and nobody does anything.
    pub(super) fn inevitable(&self) -> Option<(Event, Self)> {
        let wanted = |event: &Event| match event {
            Event::Published | Event::Unfollowed | Event::Begin => true,
            Event::Ended { clean: false, alone } => self.killed && *alone == self.launching,
            Event::NoneLeft => self.killed || !self.descendants,
            Event::Due(_) => !self.killed,
            _ => false,
        };
        self.possible().into_iter().find(|(event, _)| wanted(event))
    }

    fn lose_program(&mut self, clean: bool, alone: bool) {
        (self.launching, self.program, self.descendants, self.none_told) = (false, false, !alone, alone);
        self.failed |= !clean || alone && !self.ready;
        self.stopped |= std::mem::take(&mut self.asked);
        if !clean || alone {
            self.settle_confirmation();
        }
        // Its successor has to run as long.
        if self.step == Some(Cause::Readiness) {
            self.step = Some(Cause::Other);
        }
    }

    /// What the launcher has confirmed was an event before this one.
    fn settle_confirmation(&mut self) {
        if self.told_ready && self.launcher == Launcher::Connected {
            self.launcher = Launcher::Refused;
        }
    }

    fn ask_to_stop(&mut self, stop: Stop) {
        self.bounded |= stop != Stop::WithProgram;
        let untouched = self.told_ready && !self.stopped && !self.signalled && !self.cancelled;
        self.sparing |= untouched && self.machine.settings.kill_mode == KillMode::Process;
        self.stopped |= !(stop == Stop::WithProgram && self.may_ask());
        self.asked = !self.stopped;
    }

    /// Whether a stop may end with its requester: once the program has executed, in a launch that was ready, and nothing else ends it.
    fn may_ask(&self) -> bool {
        self.told_ready && self.program && !self.launching && !self.ending
    }

    pub(super) fn tell(mut self, event: Event) -> Checked<(Self, Actions)> {
        self.owed = None;
        let step = self.step;
        if event == Event::Due(Timer::Step) {
            self.step = None;
        }
        let is_sign = match (event, self.machine.settings.ready) {
            (Event::Executed, Ready::Executed) | (Event::Sign, _) => true,
            (Event::Due(Timer::Step), _) => step == Some(Cause::Readiness),
            _ => false,
        };
        let is_sign = is_sign && !self.asked;
        let becomes_ready = is_sign && !self.ready && !self.stopped && !self.cancelled && !self.failed;
        self.ready |= is_sign;
        if event == Event::Due(Timer::Step) && step == Some(Cause::Settling) && !self.asked {
            self.restarts = 0;
        }
        let actions = self.machine.on(event);
        let list: Vec<_> = actions.iter().collect();
        if becomes_ready {
            check(list == [Action::Publish(Phase::Running)], "a program that is ready is reported")?;
        }
        if event == Event::Published && self.ready && !self.told_ready && self.lives == 1 {
            check(list == [Action::Report(Outcome::Ready)], "readiness is reported")?;
        }
        match event {
            Event::LauncherGone if self.launcher != Launcher::Gone => {
                check(list.is_empty(), "a launcher that is done changes nothing")?;
            }
            Event::PublishFailed if self.told_ready => {
                check(list.iter().all(|action| matches!(action, Action::Arm(..))), "a full disk ends no program")?;
            }
            _ => {}
        }
        for action in list {
            check(!self.exited && self.owed.is_none(), "no action after the exit, or before an answer")?;
            self.perform(action, event)?;
        }
        check(
            !self.machine.spares_requester()
                || (self.stopped || self.asked)
                    && self.told_ready
                    && matches!(self.launcher, Launcher::Confirmed | Launcher::GivenUp),
            "who asked is spared by the stop of a launched daemon only",
        )?;
        check(event != Event::Stop(Stop::AtOnce) || self.exited || self.killed, "a stop at once kills")?;
        check(self.launcher != Launcher::GivenUp || self.released, "a guard ends with the start")?;
        check(
            self.exited || self.owed.is_some() || !self.is_empty() || !self.none_told || self.step.is_some(),
            "every state is left by something that must happen",
        )?;
        Ok((self, actions))
    }

    fn perform(&mut self, action: Action, event: Event) -> Checked {
        match action {
            Action::Publish(_) => self.owed = Some(Answer::Published),
            Action::Follow => {
                check(!self.program && !self.none_told, "descendants are followed when the program has ended")?;
                self.owed = Some(Answer::Followed);
            }
            Action::Start => self.start()?,
            Action::StopProgram => {
                check(self.program, "signals go to a living program")?;
                self.ending = true;
            }
            Action::KillProgram => {
                check(self.program && self.sparing, "the program alone is killed where descendants are spared")?;
                (self.killed, self.ending) = (true, true);
            }
            Action::TerminateAll | Action::KillAll => {
                check(self.program || !self.none_told, "signals go to living processes")?;
                check(!self.sparing || self.cancelled, "descendants are spared")?;
                (self.signalled, self.ending, self.killed) = (true, true, self.killed || action == Action::KillAll);
            }
            Action::Arm(Timer::Limit, _) => self.limit = true,
            Action::PutOff(_) => {
                check(self.limit == self.machine.settings.start_timeout.is_some(), "more time sets no limit")?;
            }
            Action::Arm(Timer::Step, time) => {
                check(time != STOP_TIME || !self.timed, "the time to end is not prolonged")?;
                self.timed |= time == STOP_TIME;
                self.step = Some(match event {
                    Event::RequesterGone if self.ready => Cause::Settling,
                    Event::Executed | Event::Followed | Event::RequesterGone => Cause::Readiness,
                    Event::Published | Event::PublishFailed if self.ready => Cause::Settling,
                    _ => Cause::Other,
                });
            }
            Action::Note(phase) => self.note(phase)?,
            Action::Report(outcome) => self.report(outcome)?,
            Action::ReportStuck(_) => {
                check(self.launcher != Launcher::Confirmed && !self.told_failed, "one answer")?;
                check(self.killed && (self.program || !self.none_told), "stuck is what SIGKILL does not end")?;
                (self.told_failed, self.launcher) = (true, Launcher::GivenUp);
            }
            Action::Release => {
                let is_done = matches!(self.launcher, Launcher::Confirmed | Launcher::GivenUp);
                check(is_done && !self.released, "the guard ends once, and after the start")?;
                self.released = true;
            }
            Action::RemovePidFile => {
                check(self.may_leave(), "the pid file stays until nothing is left")?;
                self.pid_file = false;
            }
            Action::RemoveState => {
                check(self.may_leave(), "the state file stays until nothing is left")?;
                self.state_file = false;
            }
            Action::Exit => self.exit()?,
        }
        Ok(())
    }

    fn start(&mut self) -> Checked {
        check(self.is_empty() && self.none_told, "no life beside another")?;
        check(!self.stopped && !self.asked && !self.cancelled, "nothing is started after a stop or a cancellation")?;
        check(self.state_file, "a start is in the state file")?;
        let may_restart =
            self.launcher == Launcher::Confirmed && self.failed && self.machine.settings.respawn.is_some();
        check(self.lives == 0 || may_restart, "what is started again has failed, and is to be")?;
        self.restarts += u8::from(self.lives > 0);
        let limit = self.machine.settings.respawn.and_then(|respawn| respawn.limit);
        check(limit.is_none_or(|limit| u32::from(self.restarts) <= limit), "no restart beyond the limit")?;
        if limit.is_none() {
            self.restarts = 0;
        }
        self.lives = 2.min(self.lives + 1);
        (self.launching, self.program, self.none_told, self.pid_file) = (true, true, false, true);
        (self.ready, self.failed, self.signalled, self.killed, self.timed) = (false, false, false, false, false);
        self.ending = false;
        Ok(())
    }

    fn note(&mut self, phase: Phase) -> Checked {
        match phase {
            Phase::GaveUp => {
                let limit = self.machine.settings.respawn.and_then(|respawn| respawn.limit);
                let is_spent = limit.is_some_and(|limit| u32::from(self.restarts) >= limit);
                check(self.is_empty() && is_spent && self.failed, "the limit is spent before giving up")?;
            }
            Phase::Ended => check(self.is_empty(), "what has ended left nothing")?,
            Phase::Waiting => {
                check(self.is_empty() && !self.stopped && !self.asked, "nothing is alive before a restart")?
            }
            Phase::Left => check(!self.program, "left is what outlives the program")?,
            Phase::Starting => check(self.program && !self.ready, "starting until ready")?,
            Phase::Running => check(self.program && self.ready, "running when ready")?,
            Phase::Stopping => {}
        }
        self.gave_up |= phase == Phase::GaveUp;
        self.state_file = true;
        Ok(())
    }

    fn report(&mut self, outcome: Outcome) -> Checked {
        check(self.launcher != Launcher::Confirmed && !self.told_failed, "one answer")?;
        if outcome == Outcome::Ready {
            check(self.ready && self.program && self.lives == 1 && !self.told_ready, "ready, once, in the first life")?;
            check(self.pid_file && self.state_file, "ready is written down")?;
            check(!self.stopped && !self.cancelled, "ready was not cancelled")?;
            self.told_ready = true;
            return Ok(());
        }
        check(self.may_leave() && !self.pid_file, "a failure is reported when nothing is left")?;
        check(!self.state_file, "a failed start leaves no state file")?;
        check(outcome != Outcome::Cancelled || self.cancelled, "cancelled by a launcher")?;
        check(outcome != Outcome::Stopped || self.stopped, "stopped by a stop")?;
        self.told_failed = true;
        Ok(())
    }

    fn exit(&mut self) -> Checked {
        check(self.may_leave() && !self.pid_file, "nothing is left at the exit")?;
        check(self.told_failed || self.launcher == Launcher::Confirmed, "the launcher has an answer")?;
        let asked = self.stopped || self.cancelled;
        let confirmed = self.launcher == Launcher::Confirmed;
        check(asked || !confirmed || self.state_file, "an end is recorded")?;
        let failed = self.failed && confirmed && self.machine.settings.respawn.is_some();
        check(asked || !failed || self.gave_up, "giving up is recorded")?;
        self.exited = true;
        Ok(())
    }

    /// Whether the end must come, whatever program and descendants do.
    pub(super) fn must_end(&self) -> bool {
        let answer = self.machine.settings.start_timeout.is_some() && !self.told_ready;
        self.bounded || self.cancelled || self.launcher == Launcher::Refused || self.begun && answer
    }
}
