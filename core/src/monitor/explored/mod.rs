//! Every order of events is tried on the machine, in a small world of a program, its descendants, a launcher and timers. Each step is
//! held against the invariants of docs/monitor.md.

mod world;

use super::action::{Action, Actions, Outcome, Phase, Why};
use super::event::{Event, Stop, Timer};
use super::machine::Machine;
use super::settings::{Ready, Settings};
use crate::launch::Respawn;
use crate::stop::KillMode;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use world::{STOP_TIME, TIME, World};

/// How the worlds came about, for the trail of one that is wrong.
type Origins = HashMap<World, Option<(World, Event)>>;

fn trail(origins: &Origins, mut world: World) -> String {
    let mut events = Vec::new();
    while let Some(Some((before, event))) = origins.get(&world) {
        events.push(format!("{event:?}"));
        world = *before;
    }
    events.reverse();
    events.join(", ")
}

fn explore(settings: Settings, seen: &mut HashSet<Action>) -> usize {
    let first = World::new(settings);
    let mut origins = Origins::from([(first, None)]);
    let mut open = VecDeque::from([first]);
    while let Some(world) = open.pop_front() {
        for (event, before) in world.possible() {
            match before.tell(event) {
                Ok((after, actions)) => {
                    seen.extend(actions.iter());
                    if let Entry::Vacant(entry) = origins.entry(after) {
                        entry.insert(Some((world, event)));
                        open.extend((!after.exited).then_some(after));
                    }
                }
                Err(invariant) => unreachable!("{invariant}: {}, {event:?}\n{settings:?}", trail(&origins, world)),
            }
        }
    }
    for world in origins.keys() {
        assert!(
            !world.must_end() || comes_to_an_end(*world),
            "does not end: {}\n{settings:?}",
            trail(&origins, *world)
        );
        assert!(!world.exited || is_silent(world.machine), "an action after the exit: {}", trail(&origins, *world));
    }
    origins.len()
}

/// After a stop and a cancellation the monitor exits, and before readiness the launcher gets its answer.
fn comes_to_an_end(mut world: World) -> bool {
    const STEPS: u32 = 16;
    for _ in 0..STEPS {
        if world.exited || !world.must_end() {
            return true;
        }
        match world.inevitable().map(|(event, before)| before.tell(event)) {
            Some(Ok((after, _))) => world = after,
            _ => return false,
        }
    }
    false
}

fn is_silent(mut machine: Machine) -> bool {
    let ended = Event::Ended { clean: false, alone: true };
    let events = [Event::Begin, Event::Published, Event::Executed, ended, Event::NoneLeft, Event::Sign];
    let more = [Event::Due(Timer::Step), Event::Due(Timer::Limit), Event::Stop(Stop::AtOnce), Event::LauncherGone];
    events.into_iter().chain(more).all(|event| machine.on(event) == Actions::default())
}

fn every_setting() -> Vec<Settings> {
    let respawn = |limit| Some(Respawn { delay: TIME, limit, settled: TIME });
    let mut all = Vec::new();
    for ready in [Ready::Executed, Ready::Running(TIME), Ready::Followed, Ready::Sign] {
        for respawn in [None, respawn(None), respawn(Some(1))] {
            for kill_mode in [KillMode::Tree, KillMode::Process] {
                for start_timeout in [None, Some(TIME)] {
                    all.push(Settings { ready, start_timeout, stop_timeout: STOP_TIME, kill_mode, respawn });
                }
            }
        }
    }
    all
}

#[test]
#[cfg_attr(miri, ignore = "minutes there, and no memory is touched but the test's own")]
fn every_order_of_events_keeps_the_invariants() {
    let mut seen = HashSet::new();
    let worlds: usize = every_setting().into_iter().map(|settings| explore(settings, &mut seen)).sum();
    println!("{worlds} worlds");
    let whys = [Why::NotPublished, Why::NotExecuted, Why::Ended, Why::SignLost, Why::TimedOut];
    let outcomes = [Outcome::Ready, Outcome::Cancelled, Outcome::Stopped];
    let outcomes = outcomes.into_iter().chain(whys.map(Outcome::Failed)).map(Action::Report);
    let phases = [Phase::Starting, Phase::Running, Phase::Left, Phase::Stopping, Phase::Waiting];
    let notes = phases.into_iter().chain([Phase::GaveUp, Phase::Ended]).map(Action::Note);
    let others = [Action::KillProgram, Action::ReportStuck(Outcome::Cancelled), Action::Follow, Action::Release];
    let missing: Vec<_> = outcomes.chain(notes).chain(others).filter(|action| !seen.contains(action)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}
