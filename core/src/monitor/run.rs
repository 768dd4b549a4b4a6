//! The loop around the machine: waits, tells it what happened, does what it says.

use super::action::{Action, Outcome, Phase, Why};
use super::event::{Event, Timer};
use super::files::{self, Facts, LastEnd, PidFile, StateFile};
use super::launch::{Launch, Sign};
use super::leftovers::Identity;
use super::logging::{self, Logging};
use super::machine::Machine;
use super::outcome::{Heard, Line, Reason, Told};
use super::sign::Watch;
use super::{claim, descendants, proc, program, request, warning};
use crate::error::{Failure, Step};
use crate::readiness;
use crate::report::{Listener, Record};
use crate::sys::pidfd::Process;
use crate::sys::process::{self, Ended, Pid};
use crate::sys::signal::Signal;
use crate::sys::signalfd::Arrivals;
use crate::sys::time::{self, Deadline};
use crate::sys::{Errno, Sys, fd};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

pub(super) struct Monitor<'a> {
    launch: &'a Launch,
    machine: Machine,
    signals: Arrivals,
    /// To the launcher, until it has confirmed.
    line: Option<Line>,
    /// The launcher may still say something.
    hears: bool,
    /// To the guard, while it waits.
    leash: Option<OwnedFd>,
    logging: Logging,
    limit: Deadline,
    /// Whatever more time the program asks for.
    latest: Deadline,
    step: Deadline,
    /// When to write down the same again.
    rewrite: Deadline,
    program: Option<Pid>,
    /// The program that ended last.
    ended: Pid,
    /// The last other child of this life that failed.
    orphan_end: Option<(Pid, Ended)>,
    /// Who asked for `Stop::WithProgram`, if that is known.
    asker: Option<Process>,
    /// The descendant that asked for the stop.
    requester: Option<Identity>,
    /// The first process of this life, which leads its group.
    group: Pid,
    /// The child's word, until it has executed.
    launching: Option<Listener>,
    watch: Watch<'a>,
    /// The machine knows that nothing of this life is left.
    none_told: bool,
    pid_file: Option<PidFile<'a>>,
    state_file: StateFile<'a>,
    facts: Facts,
    lives: u32,
    failure: Option<Failure>,
    /// Why the sign of readiness could not be seen.
    hindrance: Option<Errno>,
}

/// The process that ends the start if the monitor is killed. It may be killed itself at any time, so the monitor does not ask for its parent.
pub(super) struct Guard {
    pub(super) pid: Pid,
    pub(super) leash: OwnedFd,
}

/// How long a disk may be full until it is tried again.
const REWRITE: Duration = Duration::from_secs(1);

/// How often pid file and state file are looked after: somebody may have removed them, and systemd-tmpfiles(8) removes old files of `/tmp`.
const REFRESH: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(3600) };

impl<'a> Monitor<'a> {
    /// Signals are blocked. The only place that allocates, but for what [`Action::Start`] needs.
    pub(super) fn new(launch: &'a Launch, line: Line, guard: Guard, pids: Option<OwnedFd>) -> Sys<Self> {
        let never = Deadline::after(None);
        Ok(Self {
            launch,
            machine: Machine::new(launch.settings),
            signals: Arrivals::of(request::asked()),
            line: Some(line),
            hears: true,
            leash: Some(guard.leash),
            logging: Logging::to(pids),
            limit: never,
            latest: never,
            step: never,
            rewrite: never,
            program: None,
            ended: 0,
            orphan_end: None,
            asker: None,
            requester: None,
            group: 0,
            launching: None,
            watch: Watch::Nothing,
            none_told: true,
            pid_file: PidFile::of(launch)?,
            state_file: StateFile::of(launch)?,
            facts: Facts { phase: Phase::Starting, guard: guard.pid, program: None, restarts: 0, end: None, since: 0 },
            lives: 0,
            failure: None,
            hindrance: None,
        })
    }

    pub(super) fn run(mut self) -> ! {
        self.tell(Event::Begin);
        loop {
            self.wait();
        }
    }

    /// One event, and those that its actions answer with.
    fn tell(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in self.machine.on(event).iter() {
                next = self.perform(action);
            }
        }
    }

    fn wait(&mut self) {
        let line = self.line.as_ref().filter(|_| self.hears).map_or(-1, Line::as_raw_fd);
        let launching = self.launching.as_ref().map_or(-1, Listener::as_raw_fd);
        let watches = self.machine.awaits_sign() || self.watch.is_parting();
        let sign = if watches { self.watch.descriptor() } else { -1 };
        let look = if watches { self.watch.next() } else { Deadline::after(None) };
        let deadline = self.limit.or(self.step).or(look).or(self.rewrite);
        let asker = self.asker.as_ref().filter(|_| self.machine.awaits_requester());
        let asker = asker.map_or(-1, Process::as_poll_descriptor);
        let mut fds = [self.signals.as_poll_descriptor(), launching, line, sign, asker].map(fd::readable);
        let _: Sys<bool> = fd::poll(&mut fds, self.signals.patience(deadline.poll_timeout()));
        let [_, launching, line, sign, asker] = fds.map(|fd| fd.revents != 0);
        if launching {
            self.hear_child();
        }
        self.take_signals();
        self.reap();
        if asker && self.asker.as_ref().is_some_and(|asker| asker.wait(Some(Duration::ZERO)) == Ok(true)) {
            self.asker = None;
            self.tell(Event::RequesterGone);
        }
        if line {
            self.hear_launcher();
        }
        self.look_for_sign(sign);
        self.look_at_timers();
    }

    fn take_signals(&mut self) {
        while let Some((signal, sender)) = self.signals.take_from() {
            let Some(stop) = request::stop_of(signal) else { continue };
            let other = sender.filter(|_| sender != self.program);
            let requester = other.and_then(descendants::identity);
            // A stop from outside spares nobody, whatever is asked for from inside meanwhile.
            if requester.is_some() && self.requester.is_none() && self.machine.is_stopping() {
                continue;
            }
            self.requester = requester;
            let asker = sender.map(Process::open);
            self.tell(Event::Stop(stop));
            self.follow_requester(asker);
        }
    }

    /// One in another PID namespace has no number here: what it asks for stays asked for.
    fn follow_requester(&mut self, asker: Option<Sys<Process>>) {
        let is_gone = matches!(asker, Some(Err(Errno::ESRCH)));
        self.asker = asker.and_then(Result::ok);
        if is_gone && self.machine.awaits_requester() {
            self.tell(Event::RequesterGone);
        }
    }

    /// The descendant that stays.
    fn spared(&self) -> Option<Identity> {
        self.requester.filter(|_| self.machine.spares_requester())
    }

    /// The child's line is at its end, or says what failed. Which of execve(2) and death has ended it is not told by the line.
    fn hear_child(&mut self) {
        let (Some(line), Some(child)) = (self.launching.take(), self.program) else { return };
        match line.receive() {
            Ok(Some(Record::Failed(failure))) => {
                // It has nothing left to do but to end.
                process::wait(child, true);
                self.fail_to_start(failure);
                self.program = None;
                self.none_told = true;
                self.tell(Event::NotExecuted);
            }
            _ if program::has_executed(child) => self.tell(Event::Executed),
            // Its end is next.
            _ => {}
        }
    }

    /// Takes the status of every child that has ended; how the program has, if it is one of them.
    fn take_statuses(&mut self) -> Option<Ended> {
        let (mut end, mut last) = (None, 0);
        while let Some(pid) = process::ended_child().filter(|pid| *pid != last) {
            last = pid;
            if self.program == Some(pid) {
                // Whether it has executed is known as long as it is a zombie.
                self.hear_child();
            }
            let ended = process::wait(pid, false).unwrap_or(Ended::Unknown);
            if self.program == Some(pid) {
                (self.program, self.ended) = (None, pid);
                end = Some(ended);
            } else if ended != Ended::Exited(0) {
                self.orphan_end = Some((pid, ended));
            }
        }
        end
    }

    /// The end of a program that has put itself into the background and left nothing: that of its daemon, if it failed, as long as the
    /// start is under way.
    fn end_in_background(&mut self) {
        self.facts.end = Some(LastEnd::Of(Ended::Exited(0)));
        if let Some((pid, ended)) = self.orphan_end.filter(|_| self.machine.awaits_sign()) {
            (self.ended, self.facts.end) = (pid, Some(LastEnd::Of(ended)));
        }
    }

    fn reap(&mut self) {
        let end = self.take_statuses();
        let alone = !process::has_children() || self.spared().is_some_and(descendants::is_only_child);
        if let Some(ended) = end {
            let clean = ended == Ended::Exited(0);
            self.none_told = alone;
            // Any other end is that of a process which has put the program into the background, if there is one to follow.
            if !clean || alone {
                match clean {
                    true => self.end_in_background(),
                    false => self.facts.end = Some(LastEnd::Of(ended)),
                }
                self.settle_confirmation();
            }
            self.tell(Event::Ended { clean, alone });
        } else if self.program.is_none() && !self.none_told && alone {
            self.none_told = true;
            self.settle_confirmation();
            self.tell(Event::NoneLeft);
        }
    }

    /// A launch is either confirmed before the program ends or has failed. The launcher learns which: it cannot confirm any more.
    fn settle_confirmation(&mut self) {
        if self.machine.awaits_confirmation() && self.line.as_ref().is_some_and(Line::close_to_confirmation) {
            self.tell(Event::Confirmed);
        }
    }

    fn hear_launcher(&mut self) {
        let heard = self.line.as_ref().map_or(Heard::Nothing, Line::heard);
        if heard == Heard::Confirmed {
            self.tell(Event::Confirmed);
        }
        // One that confirms what it was not told is as good as gone. It is still told the outcome.
        if heard != Heard::Nothing && self.line.is_some() {
            self.hears = false;
            self.tell(Event::LauncherGone);
        }
    }

    fn look_for_sign(&mut self, is_readable: bool) {
        if self.machine.awaits_sign() || self.watch.is_parting() {
            match self.watch.look(is_readable, &mut self.program) {
                // A process that ends closes its descriptors first. Its status says more, and is next.
                Some(Event::SignLost) if self.program.is_some_and(program::ends_soon) => {}
                Some(event) => self.tell(event),
                None => {}
            }
        }
        if !self.machine.awaits_sign() && self.launching.is_none() {
            // A program that goes on writing is told that nobody reads.
            self.watch.part();
        }
    }

    fn look_at_timers(&mut self) {
        let (step, limit) = (self.step.passed(), self.limit.passed());
        if step || limit {
            // A program that ended before the time was up did not run that long, however late this process is.
            self.reap();
            self.look_for_hidden_end();
        }
        if step && self.step.passed() {
            self.step = Deadline::after(None);
            match self.machine.is_about_to_restart() && self.logging.is_behind(self.launch) {
                true => self.step = Deadline::after(Some(logging::STEP)),
                false => self.tell(Event::Due(Timer::Step)),
            }
        }
        if self.rewrite.passed() {
            let _: Result<(), Failure> = self.note(self.facts.phase);
        }
        if limit && self.limit.passed() {
            self.limit = Deadline::after(None);
            self.hindrance = self.watch.hindrance();
            self.tell(Event::Due(Timer::Limit));
        }
    }

    /// While a descendant of it traces the program, no status of it is to be had (ptrace(2)), though it has ended.
    fn look_for_hidden_end(&mut self) {
        let has_ended = |pid: &Pid| proc::stat(*pid).is_ok_and(|stat| stat.has_ended());
        if let Some(pid) = self.program.filter(|_| self.machine.awaits_sign()).filter(has_ended) {
            (self.program, self.ended, self.none_told) = (None, pid, false);
            self.facts.end = Some(LastEnd::Of(Ended::Unknown));
            self.tell(Event::Ended { clean: false, alone: false });
        }
    }

    /// Does one thing; an answer where the machine waits for one.
    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Publish(phase) => return Some(self.publish(phase)),
            Action::Follow => return Some(self.follow()),
            Action::Start => return self.start(),
            Action::Note(phase) => {
                let _: Result<(), Failure> = self.note(phase);
                if phase == Phase::GaveUp {
                    warning::gave_up(&self.launch.name, &self.facts);
                }
            }
            Action::StopProgram => self.signal_program(self.launch.stop_signal),
            Action::KillProgram => self.signal_program(libc::SIGKILL),
            Action::TerminateAll => self.signal_all(libc::SIGTERM),
            Action::KillAll => self.signal_all(libc::SIGKILL),
            Action::Arm(Timer::Limit, time) => {
                self.limit = Deadline::after(Some(time));
                self.latest = Deadline::after(readiness::longest_start(Some(time)));
            }
            Action::PutOff(time) => self.limit = self.limit.put_off(Deadline::after(Some(time)), self.latest),
            Action::Arm(Timer::Step, time) => self.step = Deadline::after(Some(time)),
            Action::Report(outcome) => self.report(outcome, false),
            Action::ReportStuck(outcome) => self.report(outcome, true),
            Action::Release => self.release(),
            Action::RemovePidFile => {
                self.watch = Watch::Nothing;
                self.pid_file.iter().for_each(PidFile::remove);
                self.launch.remove_runtime_directory();
            }
            Action::RemoveState => self.state_file.remove(),
            Action::Exit => {
                release_claim(self.launch);
                process::exit_now(self.exit_status())
            }
        }
        None
    }

    fn publish(&mut self, phase: Phase) -> Event {
        match self.note(phase) {
            Ok(()) => Event::Published,
            Err(failure) => {
                self.failure = Some(failure);
                Event::PublishFailed
            }
        }
    }

    fn note(&mut self, phase: Phase) -> Result<(), Failure> {
        if (self.facts.phase, self.facts.program) != (phase, self.program) || self.facts.since == 0 {
            self.facts.since = time::realtime().as_secs();
        }
        (self.facts.phase, self.facts.program) = (phase, self.program);
        self.logging.tell(self.program);
        let failed = |step| move |errno| Failure::new(step, errno);
        let in_pid_file = self.write_pid().map_err(failed(Step::PidFile));
        let in_state_file = self.state_file.write(self.launch, &self.facts).map_err(failed(Step::StateDirectory));
        let written = in_pid_file.and(in_state_file);
        self.rewrite = Deadline::after(Some(if written.is_ok() { REFRESH } else { REWRITE }));
        written
    }

    /// What fails is tried again at the next occasion.
    fn write_pid(&mut self) -> Sys<()> {
        match (&mut self.pid_file, self.program) {
            (Some(file), Some(program)) => file.write(program),
            _ => Ok(()),
        }
    }

    fn start(&mut self) -> Option<Event> {
        match self.fork() {
            Ok(()) => None,
            Err(failure) => {
                self.fail_to_start(failure);
                Some(Event::NotExecuted)
            }
        }
    }

    fn fail_to_start(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.facts.end = Some(LastEnd::NotStarted(failure));
    }

    fn fork(&mut self) -> Result<(), Failure> {
        if self.lives > 0 {
            program::reopen_logs(self.launch);
        }
        // What was looked for in the life before gives its places up first.
        self.watch = Watch::Nothing;
        self.watch = Watch::begin(self.launch).map_err(|errno| Failure::new(Step::ReadyDescriptor, errno))?;
        let child = program::fork(self.launch, self.watch.end(), self.watch.socket())?;
        self.watch.listen();
        (self.program, self.group, self.none_told) = (Some(child.pid), child.pid, false);
        self.facts.restarts = self.lives;
        self.lives = self.lives.saturating_add(1);
        self.orphan_end = None;
        // A program that is restarted has a record, which is written again.
        if let (Err(failure), 1) = (self.note(Phase::Starting), self.lives) {
            process::wait(child.abandon(), true);
            (self.program, self.none_told) = (None, true);
            return Err(failure);
        }
        self.launching = Some(child.release());
        if self.launch.settings.respawn.is_none() {
            // What the program closes is to be closed: the end of a log's pipe, a port.
            self.launch.streams.into_iter().flatten().chain(self.launch.keep.iter()).for_each(fd::close);
        }
        Ok(())
    }

    fn follow(&mut self) -> Event {
        let named = match &self.launch.sign {
            Sign::PidFile(path) => files::read_pid(path).ok().filter(|pid| proc::is_child(*pid)),
            _ => None,
        };
        self.program = named.or_else(proc::oldest_child);
        if self.program.is_some() {
            return Event::Followed;
        }
        let _: Option<Ended> = self.take_statuses();
        self.end_in_background();
        Event::Unfollowed
    }

    /// A child of this process, so its PID is nobody else's until it is waited for.
    fn signal_program(&self, signal: Signal) {
        if let Some(program) = self.program {
            let _: Sys<()> = process::kill(program, signal);
            let _: Sys<()> = process::kill(program, libc::SIGCONT);
        }
    }

    fn signal_all(&self, signal: Signal) {
        let send = if signal == libc::SIGKILL { descendants::kill } else { descendants::terminate };
        let sent = send(self.spared(), self.program);
        if sent.is_err() {
            descendants::signal_group(self.group, signal);
            self.signal_program(signal);
        }
    }

    fn report(&self, outcome: Outcome, is_stuck: bool) {
        let Some(line) = &self.line else { return };
        let reason = match outcome {
            Outcome::Ready => {
                return line.tell(Told::Ready(self.program.unwrap_or(0)));
            }
            Outcome::Failed(why) => self.reason(why),
            Outcome::Cancelled => Reason::Cancelled,
            Outcome::Stopped => Reason::Stopped,
        };
        line.tell(Told::Failed { reason, is_stuck });
    }

    /// For a service manager, whose child this process is: how the program has ended by itself, as shells say it, and 0 after a stop.
    fn exit_status(&self) -> i32 {
        const SIGNALLED: i32 = 128;
        const NOT_EXECUTED: i32 = 126;
        match (self.facts.phase, self.facts.end) {
            (Phase::Ended | Phase::GaveUp, Some(LastEnd::Of(Ended::Exited(status)))) => status,
            (Phase::Ended | Phase::GaveUp, Some(LastEnd::Of(Ended::Killed(signal)))) => SIGNALLED + signal,
            (Phase::Ended | Phase::GaveUp, Some(LastEnd::NotStarted(_))) => NOT_EXECUTED,
            _ => 0,
        }
    }

    fn reason(&self, why: Why) -> Reason {
        let failure = || self.failure.map_or(Reason::Lost, Reason::Step);
        match why {
            Why::NotPublished | Why::NotExecuted => failure(),
            Why::Ended => match self.facts.end {
                Some(LastEnd::Of(ended)) => Reason::Ended(self.ended, ended),
                _ => Reason::Ended(self.ended, Ended::Unknown),
            },
            Why::SignLost => Reason::SignLost,
            Why::TimedOut => match self.hindrance {
                Some(errno) => Reason::Step(Failure::new(Step::Ready, errno)),
                None => Reason::TimedOut,
            },
        }
    }

    fn release(&mut self) {
        if let Some(leash) = self.leash.take() {
            let _: Sys<usize> = fd::write(leash.as_raw_fd(), b"\n");
        }
        // Only now: the guard finds the confirmation there, if this process is killed before.
        self.line = None;
    }
}

/// Gives the daemon's name up, whose lock goes with this process.
pub(super) fn release_claim(launch: &Launch) {
    if let Some((path, lock)) = &launch.claim {
        claim::remove(path, *lock);
    }
}
