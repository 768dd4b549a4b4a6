//! Between the first fork and the report nothing allocates, so threads do not matter.

use crate::Test;
use crate::house::{House, wait};

pub const TESTS: &[Test] = &[
    ("allocation: none between fork and report", none_between_fork_and_report),
    ("allocation: three hundred starts beside threads that allocate", three_hundred_starts),
];

fn none_between_fork_and_report(house: &mut House) {
    house.start("guarded", &[]).is(0, "");
    let pid = house.hear_number();
    house.end(pid, libc::SIGTERM);
    house.start("guarded", &["no_groups", "user=nobody", "umask=022", "directory=/tmp"]).is(0, "");
    let pid = house.hear_number();
    house.end(pid, libc::SIGTERM);
}

fn three_hundred_starts(house: &mut House) {
    for _ in 0..300 {
        house.start("threaded", &[]).is(0, "");
        let pid = house.hear_number();
        assert_eq!(wait(pid), 0);
    }
}
