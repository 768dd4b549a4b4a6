//! Between the first fork and the report nothing allocates, so threads do not matter.

use crate::Test;
use crate::house::{House, wait};

pub const TESTS: &[Test] = &[
    ("allocation: none between fork and report", none_between_fork_and_report),
    ("allocation: three hundred starts beside threads that allocate", three_hundred_starts),
    ("allocation: a start beside threads is refused unless they are allowed", refused_beside_threads),
];

fn none_between_fork_and_report(house: &mut House) {
    house.start("guarded", &[]).is(0, "");
    let pid = house.hear_number();
    house.end(pid, libc::SIGTERM);
    house.start("guarded", &["no_groups", "user=nobody", "umask=022", "directory=/tmp"]).is(0, "");
    let pid = house.hear_number();
    house.end(pid, libc::SIGTERM);
}

fn refused_beside_threads(house: &mut House) {
    let why = "refused: start with threads failed: 4 others (the daemon would not have them: start before they begin, use launch, or \
               allow threads): Operation not supported (95 EOPNOTSUPP)";
    house.start("threaded", &[]).is(1, why);
    assert!(!house.pid_file().exists());
    house.start("threaded", &["detach=no"]).is(0, "");
    house.hear_number();
}

fn three_hundred_starts(house: &mut House) {
    for _ in 0..300 {
        house.start("threaded", &["allow_threads"]).is(0, "");
        let pid = house.hear_number();
        assert_eq!(wait(pid), 0);
    }
}
