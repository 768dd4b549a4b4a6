//! What a daemon is.

use crate::Test;
use crate::house::{House, before_exec, descriptors, field, stat, wait};
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub const TESTS: &[Test] = &[
    ("start: the daemon is one", the_daemon_is_one),
    ("start: what was asked for is so", what_was_asked_for_is_so),
    ("start: nobody, with nothing left of root", nobody_with_nothing_left_of_root),
    ("start: a new root with the pid file in it", a_new_root_with_the_pid_file_in_it),
    ("start: leaked descriptors above a lowered limit are closed", leaked_descriptors_are_closed),
    ("start: standard output that cannot be written out fails none", unwritable_output),
];

fn the_daemon_is_one(house: &mut House) {
    house.start("daemon", &[]).is(0, "");
    let pid = house.hear_number();
    assert_eq!(house.pid(), pid);
    assert_eq!(field(pid, "PPid"), std::process::id().to_string(), "an orphan already, and this process adopts them");
    let stat = stat(pid);
    let (session, terminal) = (&stat[3], &stat[4]);
    assert_ne!(session, &pid.to_string(), "it does not lead its session");
    assert_eq!(&stat[2], session, "its group is the session's first");
    assert_eq!(terminal, "0");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/"));
    assert_eq!(field(pid, "Umask"), "0022");
    assert_eq!(field(pid, "SigBlk"), "0000000000000000");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    let ignored = u64::from_str_radix(&field(pid, "SigIgn"), 16).unwrap();
    for signal in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        assert_ne!(ignored & 1 << (signal - 1), 0, "{signal} is ignored");
    }
    let open: Vec<_> = descriptors(pid).into_iter().map(|(_, target)| target).collect();
    assert_eq!(&open[..3], ["/dev/null", "/dev/null", "/dev/null"]);
    let mut others = open[3..].to_vec();
    others.retain(|target| !target.starts_with("pipe:"));
    assert_eq!(others, [house.pid_file().to_str().unwrap()]);
    assert_eq!(fs::metadata(house.pid_file()).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(house.end(pid, libc::SIGTERM), libc::SIGTERM, "SIGTERM still kills");
    assert!(!house.pid_file().exists());
}

fn what_was_asked_for_is_so(house: &mut House) {
    let folder = house.folder.to_str().unwrap().to_owned();
    let directory = format!("directory={folder}");
    house.start("daemon", &["umask=027", &directory, "no_new_privileges"]).is(0, "");
    let pid = house.hear_number();
    assert_eq!(field(pid, "Umask"), "0027");
    assert_eq!(field(pid, "NoNewPrivs"), "1");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some(folder.as_str()));
    house.end(pid, libc::SIGTERM);
}

/// Needs root, for chroot(2).
fn a_new_root_with_the_pid_file_in_it(house: &mut House) {
    if !is_root() {
        return;
    }
    fs::create_dir(house.path("inside")).unwrap();
    let root = format!("chroot={}", house.folder.display());
    house.start("daemon", &[&root, "directory=/inside"]).is(0, "");
    let pid = house.hear_number();
    assert_eq!(fs::read_link(format!("/proc/{pid}/root")).unwrap(), house.folder);
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), house.path("inside"));
    house.end(pid, libc::SIGTERM);
    assert!(!house.pid_file().exists(), "removed by its name inside");
}

fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("(needs root: skipped)");
    }
    root
}

/// Needs root, as `make check` has in CI; without it there is nothing to drop.
fn nobody_with_nothing_left_of_root(house: &mut House) {
    if !is_root() {
        return;
    }
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o700)).unwrap();
    house.start("daemon", &["user=nobody", "no_groups"]).is(0, "");
    let pid = house.hear_number();
    let nobody = fs::read_to_string("/etc/passwd").unwrap();
    let entry: Vec<_> = nobody.lines().find(|line| line.starts_with("nobody:")).unwrap().split(':').collect();
    assert_eq!(field(pid, "Uid"), [entry[2]; 4].join(" "));
    assert_eq!(field(pid, "Gid"), [entry[3]; 4].join(" "));
    assert_eq!(field(pid, "Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(pid, set), "0000000000000000", "{set}");
    }
    house.end(pid, libc::SIGTERM);
    assert_eq!(house.pid(), pid, "it can neither remove nor write the file");
    assert_eq!(daemonctx::PidFile::new(house.pid_file()).unwrap().status(), Ok(daemonctx::Status::Stale));
    house.start("daemon", &[]).is(0, "");
    let next = house.hear_number();
    house.end(next, libc::SIGTERM);
}

fn leaked_descriptors_are_closed(house: &mut House) {
    let mut command = house.program("daemon", &[]);
    before_exec(&mut command, || {
        // SAFETY: dup2 and setrlimit take numbers and a valid limit; they are safe between fork and exec.
        unsafe {
            for leaked in [50, 700, 1000] {
                libc::dup2(2, leaked);
            }
            let low = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const low);
        }
    });
    house.finish(command).is(0, "");
    let pid = house.hear_number();
    assert!(descriptors(pid).iter().all(|(fd, _)| *fd < 50), "{:?}", descriptors(pid));
    house.end(pid, libc::SIGTERM);
}

fn unwritable_output(house: &mut House) {
    house.start("unwritable", &[]).is(0, "");
    let pid = house.hear_number();
    assert_eq!(wait(pid), 0);
}
