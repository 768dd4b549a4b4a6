//! Real processes: this binary runs itself as the programs that become daemons, and looks at them from outside.
//!
//! `processes [FILTER]` runs the tests; with `DAEMONCTX_PROGRAM` set it is a program under test instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails has to say so at once")]
#![allow(unreachable_pub, reason = "modules of one binary")]

mod allocation;
mod bad_input;
mod guard;
mod guarded;
mod handlers;
mod house;
mod launch;
mod messages;
mod monitor;
mod monitor_names;
mod monitor_options;
mod monitor_stop;
mod parts;
mod pid_file;
mod programs;
mod records;
mod relaunch;
mod returning;
mod reused;
mod start;
mod streams;
mod supervisors;
mod surroundings;
mod syslog;
mod tracing;
mod trust;
mod truth;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// A test: its name and what it does in a house of its own.
pub type Test = (&'static str, fn(&mut house::House));

/// Groups whose programs cannot do without.
const NEED_PROC: [&str; 5] = ["launch: ", "messages: ", "monitor: ", "relaunch: ", "reused PID: "];

fn main() {
    // Some programs under test are not their own monitor.
    if !std::env::args().any(|word| word == "stranger") {
        daemonctx::become_monitor_if_asked();
    }
    if let Some(name) = std::env::var_os(house::PROGRAM) {
        programs::run(name.to_str().expect("a program's name"));
    }
    house::adopt_orphans();
    house::inherit_nothing();
    let filter = std::env::args().nth(1).filter(|word| !word.starts_with('-')).unwrap_or_default();
    let groups: [&[Test]; 23] = [
        start::TESTS,
        truth::TESTS,
        records::TESTS,
        surroundings::TESTS,
        pid_file::TESTS,
        handlers::TESTS,
        trust::TESTS,
        reused::TESTS,
        returning::TESTS,
        bad_input::TESTS,
        parts::TESTS,
        supervisors::TESTS,
        launch::TESTS,
        relaunch::TESTS,
        messages::TESTS,
        monitor::TESTS,
        monitor_names::TESTS,
        monitor_options::TESTS,
        monitor_stop::TESTS,
        streams::TESTS,
        guarded::TESTS,
        syslog::TESTS,
        allocation::TESTS,
    ];
    let chosen = groups.into_iter().flatten().filter(|(name, _)| name.contains(&filter));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        if house::lacks_proc() && NEED_PROC.iter().any(|group| name.starts_with(group)) {
            println!("test {name} ... skipped: needs /proc and subreapers");
            continue;
        }
        let begun = Instant::now();
        let ok = house::within_limit(name, || run(*test));
        println!("test {name} ... {} ({} ms)", if ok { "ok" } else { "FAILED" }, begun.elapsed().as_millis());
        if ok { passed += 1 } else { failed += 1 }
    }
    println!("\ntest result: {passed} passed; {failed} failed");
    std::process::exit(i32::from(failed != 0));
}

/// Runs one test; what it left behind is ended, and is a failure too.
fn run(test: fn(&mut house::House)) -> bool {
    let mut house = house::House::new();
    let ok = catch_unwind(AssertUnwindSafe(|| test(&mut house))).is_ok();
    let left = house.clear();
    if ok && !left.is_empty() {
        println!("left behind: {left:?}");
    }
    ok && left.is_empty()
}
