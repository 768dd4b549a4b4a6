//! Starts from a program that goes on.

use crate::Test;
use crate::house::{House, field};

pub const TESTS: &[Test] = &[
    ("returning: the program goes on and knows", the_program_goes_on),
    ("returning: a daemon that ends before it is ready", a_daemon_that_ends),
];

/// The daemon and its starter report as they come.
fn hear_both(house: &mut House) -> (Vec<String>, i32) {
    let mut lines: Vec<_> = (0..4).map(|_| house.hear()).collect();
    lines.sort();
    let daemon = lines.iter().find_map(|line| line.strip_prefix("daemon ")).unwrap().parse().unwrap();
    (lines, daemon)
}

fn the_program_goes_on(house: &mut House) {
    house.start("forking", &[]).is(0, "");
    let (lines, daemon) = hear_both(house);
    assert_eq!(
        lines,
        [format!("daemon {daemon}"), "own true".into(), "ready true".into(), format!("starter {daemon} true")]
    );
    assert_eq!(house.pid(), daemon, "its pid file is its own");
    assert_eq!(field(daemon, "PPid"), std::process::id().to_string(), "it is an orphan, and ours as the subreaper");
    house.end(daemon, libc::SIGTERM);
}

fn a_daemon_that_ends(house: &mut House) {
    house.start("forking", &["manual", "then=exit"]).is(0, "");
    let (lines, daemon) = hear_both(house);
    assert_eq!(lines[0], format!("5 start failed: PID {daemon}: exited with status 5 before it was ready"));
    assert!(!house.pid_file().exists());
}
