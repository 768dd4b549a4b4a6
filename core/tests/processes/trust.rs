//! Pid files that cannot be trusted: what is no pid file stays as it is, and nothing that another user writes, locks or links
//! decides who runs or who is signalled.

use crate::Test;
use crate::house::{House, before_exec, refuse};
use crate::programs::{open, pause_for_ever, pid, report};
use daemonctx::{Error, PidFile, Status, Stopped};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

pub const TESTS: &[Test] = &[
    ("trust: a file that is no pid file is refused by every call and stays", no_pid_file),
    ("trust: a stale file, whatever its number, never blocks a start", stale),
    ("trust: a file with another link is refused by every call and stays", another_link),
    ("trust: a daemon that gave up its privileges cannot change its pid file", dropped),
    ("trust: a dropped daemon that may not remove its file leaves it stale", left_stale),
    ("trust: a daemon that executes another program still runs", executed),
    ("trust: another user's lock blocks no start and makes no daemon run", locked_by_another),
    ("trust: another user's lock does not keep a program from acquiring the file", acquired_over_a_lock),
    ("trust: a daemon whose lock a process of nobody's took runs, also where no look can be taken", taken_by_nobody),
    ("trust: a lock on another device's file with the same inode number proves nothing", same_inode),
    ("trust: age proves who runs where only root can write", age_without_doubt),
    ("trust: age proves nothing in doubt", age_in_doubt),
];

const NOBODY: u32 = 65534;
const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

/// The rows of one kind in `contents.def`: a name, and what is in the file.
fn contents(kind: &str) -> Vec<(&'static str, Vec<u8>)> {
    let row = |line: &'static str| {
        let (name, bytes) = line.strip_prefix(kind)?.strip_prefix("(\"")?.strip_suffix("\")")?.split_once("\", \"")?;
        Some((name, unescaped(bytes)))
    };
    include_str!("../contents.def").lines().filter_map(row).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (first, rest) = match part.as_bytes() {
            [b'n', rest @ ..] => (b'\n', rest),
            [b'r', rest @ ..] => (b'\r', rest),
            _ => (u8::from_str_radix(&part[..3], 8).expect("three octal digits"), &part.as_bytes()[3..]),
        };
        bytes.push(first);
        bytes.extend_from_slice(rest);
    }
    bytes
}

#[derive(Debug, PartialEq)]
struct Seen(Vec<u8>, [u64; 5], Option<SystemTime>);

fn seen(path: &Path) -> Seen {
    let status = fs::symlink_metadata(path).expect("the file is there");
    let numbers = [status.ino(), status.mode().into(), status.uid().into(), status.nlink(), status.size()];
    Seen(fs::read(path).unwrap(), numbers, status.modified().ok())
}

type Call = (&'static str, fn(&PidFile) -> Result<(), Error>);

const CALLS: &[Call] = &[
    ("status", |file| file.status().map(drop)),
    ("is_running", |file| file.is_running().map(drop)),
    ("running", |file| file.running().map(drop)),
    ("read_pid", |file| file.read_pid().map(drop)),
    ("signal 0", |file| file.signal(0)),
    ("signal", |file| file.signal(libc::SIGTERM)),
    ("signal_and_wait", |file| file.signal_and_wait(libc::SIGTERM, Some(SOON)).map(drop)),
    ("stop", |file| file.stop(SOON).map(drop)),
    ("wait", |file| file.wait(Some(SOON)).map(drop)),
    ("remove", PidFile::remove),
    ("acquire", |file| file.acquire().map(drop)),
];

/// By each call on a file of each kind, and by a start.
fn is_refused(house: &House, what: &str, why: &str) {
    let path = house.pid_file();
    let before = seen(&path);
    for kind in [PidFile::new(&path), PidFile::foreign(&path), PidFile::of_either_kind(&path)] {
        let file = kind.unwrap();
        for (name, call) in CALLS {
            let refusal = call(&file).expect_err(&format!("{what}: {name}: {file:?}"));
            assert!(refusal.to_string().contains(why), "{what}: {name}: {refusal}");
            assert_eq!(seen(&path), before, "{what}: {name}: {file:?}");
        }
    }
    let left = house.start("daemon", &[]);
    assert!(left.code() != 0 && left.said.contains(why), "{what}: {left:?}");
    assert_eq!(seen(&path), before, "{what}: start");
}

fn no_pid_file(house: &mut House) {
    for (name, bytes) in contents("NOT_A_PID_FILE") {
        fs::write(house.pid_file(), bytes).unwrap();
        is_refused(house, name, "not a pid file");
    }
}

fn stale(house: &mut House) {
    let file = PidFile::new(house.pid_file()).unwrap();
    for (name, bytes) in contents("STALE") {
        fs::write(house.pid_file(), &bytes).unwrap();
        assert_eq!(file.status(), Ok(Status::Stale), "{name}");
        assert_eq!(file.stop(SOON), Ok(Stopped::NotRunning), "{name}");
        fs::write(house.pid_file(), &bytes).unwrap();
        house.start("daemon", &[]).is(0, "");
        let pid = house.hear_number();
        house.end(pid, libc::SIGTERM);
    }
}

fn another_link(house: &mut House) {
    fs::write(house.path("precious"), "4194303\n").unwrap();
    fs::hard_link(house.path("precious"), house.pid_file()).unwrap();
    is_refused(house, "a hard link", "link");
}

pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("    skipped: needs root: becomes another user");
    }
    root
}

/// Others may look for the pid file.
fn open_to_others(house: &House) {
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether a descriptor lets anything about its file be changed, the lock aside.
fn can_change(fd: i32) -> bool {
    let again = fs::File::options().write(true).open(format!("/proc/self/fd/{fd}"));
    // SAFETY: these take numbers, two bytes and no times.
    let changed = unsafe {
        libc::pwrite(fd, c"1".as_ptr().cast(), 1, 0) >= 0
            || libc::ftruncate(fd, 0) == 0
            || libc::fchmod(fd, 0o666) == 0
            || libc::futimens(fd, std::ptr::null()) == 0
    };
    changed || again.is_ok()
}

/// The programs of these tests.
pub fn run(name: &str) -> ! {
    let _context = open();
    if name == "executing" {
        let error = Command::new("sleep").arg("1000").exec();
        panic!("{error}");
    }
    let path = std::env::args_os().nth(1).expect("a pid file");
    let wanted = fs::metadata(path).expect("the pid file is there");
    let is_it = |fd: &i32| {
        fs::metadata(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|status| (status.dev(), status.ino()) == (wanted.dev(), wanted.ino()))
    };
    report(pid());
    report((0..256).filter(is_it).filter(|fd| can_change(*fd)).count());
    pause_for_ever()
}

fn dropped(house: &mut House) {
    if !is_root() {
        return;
    }
    open_to_others(house);
    house.start("rewriting", &["user=nobody"]).is(0, "");
    let daemon = house.hear_number();
    assert_eq!(house.hear_number(), 0, "descriptors that can change the pid file");
    assert_eq!(fs::read_to_string(house.pid_file()).unwrap(), format!("{daemon}\n"));
    let file = PidFile::new(house.pid_file()).unwrap();
    assert_eq!(file.status(), Ok(Status::Running(daemon)));
    assert_eq!(file.stop(LONG), Ok(Stopped::Terminated));
    crate::house::wait(daemon);
}

fn left_stale(house: &mut House) {
    if !is_root() {
        return;
    }
    open_to_others(house);
    house.start("daemon", &["user=nobody"]).is(0, "");
    let daemon = house.hear_number();
    house.end(daemon, libc::SIGTERM);
    assert_eq!(fs::read_to_string(house.pid_file()).unwrap(), format!("{daemon}\n"));
    assert_eq!(PidFile::new(house.pid_file()).unwrap().status(), Ok(Status::Stale));
    house.start("daemon", &[]).is(0, "");
    let next = house.hear_number();
    house.end(next, libc::SIGTERM);
}

fn executed(house: &mut House) {
    house.start("executing", &[]).is(0, "");
    let daemon = house.pid();
    crate::house::until(|| fs::read_to_string(format!("/proc/{daemon}/comm")).unwrap() == "sleep\n");
    let file = PidFile::new(house.pid_file()).unwrap();
    assert_eq!(file.status(), Ok(Status::Running(daemon)));
    assert_eq!(file.stop(LONG), Ok(Stopped::Terminated));
    crate::house::wait(daemon);
}

/// Runs shell commands as nobody, after which it says a line and sleeps.
fn as_nobody(shell: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", shell]).stdin(Stdio::null()).stdout(Stdio::piped()).uid(NOBODY).gid(NOBODY);
    let mut child = command.spawn().unwrap();
    let mut line = [0; 1];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).expect("it says a line");
    child
}

fn locked_by_nobody(path: &Path, how: &str) -> Child {
    as_nobody(&format!("exec 9< {}; flock -n {how} 9 && echo && exec sleep 1000", path.display()))
}

/// It is alive, and is ended now.
pub fn is_unharmed(mut process: Child) {
    assert!(process.try_wait().unwrap().is_none(), "it was signalled");
    process.kill().unwrap();
    process.wait().unwrap();
}

fn locked_by_another(house: &mut House) {
    if !is_root() {
        return;
    }
    open_to_others(house);
    for how in ["-x", "-s"] {
        house.start("daemon", &[]).is(0, "");
        let dead = house.hear_number();
        house.end(dead, libc::SIGKILL);
        let stranger = locked_by_nobody(&house.pid_file(), how);
        let file = PidFile::new(house.pid_file()).unwrap();
        let status = file.status().unwrap();
        assert!(matches!(status, Status::Stale | Status::Unknown), "{how}: {status:?}");
        assert!(file.signal(libc::SIGTERM).is_err(), "{how}");
        let left = house.start("daemon", &[]);
        assert!(left.code() == 0 && !left.said.contains(&format!("PID {dead}")), "{how}: {left:?}");
        let next = house.hear_number();
        assert_eq!(house.pid(), next);
        house.end(next, libc::SIGTERM);
        is_unharmed(stranger);
    }
}

fn acquired_over_a_lock(house: &mut House) {
    if !is_root() {
        return;
    }
    open_to_others(house);
    fs::write(house.pid_file(), "4194303\n").unwrap();
    let stranger = locked_by_nobody(&house.pid_file(), "-x");
    let file = PidFile::new(house.pid_file()).unwrap();
    let lock = file.acquire().unwrap();
    assert_eq!(file.read_pid().unwrap(), i32::try_from(std::process::id()).ok());
    lock.release();
    is_unharmed(stranger);
}

/// As where the PID of a starter, which took the lock for its daemon, has become another user's. A query that can make no child to look at the
/// daemon must not take it for stale.
fn taken_by_nobody(house: &mut House) {
    const OTHER: u32 = 65_533;
    if !is_root() {
        return;
    }
    let file = fs::File::options().read(true).write(true).create_new(true).open(house.pid_file()).unwrap();
    let fd = file.as_raw_fd();
    let mut daemon = Command::new("sleep");
    // At a process of root's no child looks.
    before_exec(daemon.arg("1000").uid(OTHER), move || {
        // SAFETY: fcntl takes numbers.
        assert_eq!(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }, 0);
    });
    let daemon = daemon.spawn().unwrap();
    let mut stranger = Command::new("sleep");
    before_exec(stranger.arg("1000").uid(NOBODY), move || {
        // SAFETY: flock takes numbers.
        assert_eq!(unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) }, 0);
    });
    let stranger = stranger.spawn().unwrap();
    writeln!(&file, "{}", daemon.id()).unwrap();
    drop(file);
    for can_look in [true, false] {
        let mut query = house.program("asking", &[]);
        if !can_look {
            before_exec(&mut query, || refuse(libc::SYS_clone, 0, 0, libc::EAGAIN));
        }
        assert!(query.status().unwrap().success());
        assert_eq!(house.hear_from("status "), format!("Ok(Running({}))", daemon.id()), "can look: {can_look}");
    }
    is_unharmed(stranger);
    is_unharmed(daemon);
}

/// In a mount namespace of its own: two file systems number their files alike.
fn same_inode(house: &mut House) {
    if !is_root() {
        return;
    }
    let (one, other) = (house.path("one"), house.path("other"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    let mut service = Command::new("sh");
    // The service locks its own file; a process of the user nobody locks the pid file, which names the service.
    let shell = format!(
        "mount -t tmpfs one {one} && mount -t tmpfs other {other} && chmod 755 {one} {other} || exit 77
        exec 9> {other}/lock; flock 9; echo $$ > {one}/pid; : > {one}/ready
        test $(stat -c %i {other}/lock) = $(stat -c %i {one}/pid) || exit 78
        setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups -- \
            sh -c 'exec 9>&-; exec 8< {one}/pid; flock -n 8 && echo && exec sleep 1000' &
        exec sleep 1000",
        one = one.display(),
        other = other.display(),
    );
    service.args(["-c", &shell]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    before_exec(&mut service, || {
        // SAFETY: unshare and mount take numbers and constant strings.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
            let private = libc::MS_REC | libc::MS_PRIVATE;
            libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null());
        }
    });
    let mut service = service.spawn().unwrap();
    if std::io::Read::read_exact(service.stdout.as_mut().unwrap(), &mut [0]).is_err() {
        assert_eq!(service.wait().unwrap().code(), Some(77), "the files are numbered alike");
        return println!("    skipped: no tmpfs can be mounted here");
    }
    // Seen through the namespace that has the mounts.
    let file = PidFile::new(format!("/proc/{}/root{}/pid", service.id(), one.display())).unwrap();
    let answers = (file.status(), file.signal(libc::SIGTERM), file.stop(SOON));
    let end = service.try_wait().unwrap();
    crate::house::signal(-i32::try_from(service.id()).unwrap(), libc::SIGKILL);
    service.wait().unwrap();
    house.wait_for_all();
    assert!(end.is_none(), "the service was signalled: {answers:?}");
    assert!(!matches!(answers.0, Ok(Status::Running(_))) && answers.1.is_err(), "{answers:?}");
}

/// A process that has nothing to do with anything, and a fresh file that names it.
fn named(path: &Path, user: u32) -> Child {
    let process = Command::new("sleep").arg("1000").stdin(Stdio::null()).uid(user).spawn().unwrap();
    fs::write(path, format!("{}\n", process.id())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    process
}

fn age_without_doubt(house: &mut House) {
    open_to_others(house);
    // SAFETY: geteuid takes nothing.
    let mut daemon = named(&house.pid_file(), unsafe { libc::geteuid() });
    let pid = i32::try_from(daemon.id()).unwrap();
    for file in [PidFile::foreign(house.pid_file()), PidFile::of_either_kind(house.pid_file())] {
        assert_eq!(file.unwrap().status(), Ok(Status::Running(pid)));
    }
    assert_eq!(PidFile::foreign(house.pid_file()).unwrap().stop(LONG), Ok(Stopped::Terminated));
    daemon.wait().unwrap();
}

fn set_modified(path: &Path, to: SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_times(fs::FileTimes::new().set_modified(to)).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

type Doubt = (&'static str, fn(&Path, &Path));

/// What is done to the directory and the file.
const DOUBTS: &[Doubt] = &[
    ("in the future", |_, file| set_modified(file, SystemTime::now() + Duration::from_secs(3600))),
    ("before boot", |_, file| set_modified(file, SystemTime::UNIX_EPOCH + LONG)),
    ("a group may write the file", |_, file| {
        chown(file, Some(0), Some(NOBODY)).unwrap();
        set_mode(file, 0o664);
    }),
    ("others may write the file", |_, file| set_mode(file, 0o646)),
    ("the file is another user's", |_, file| chown(file, Some(NOBODY), Some(NOBODY)).unwrap()),
    ("a group may write the directory", |folder, _| {
        chown(folder, Some(0), Some(NOBODY)).unwrap();
        set_mode(folder, 0o775);
    }),
    ("others may write the directory", |folder, _| set_mode(folder, 0o757)),
    ("the directory is sticky", |folder, _| set_mode(folder, 0o1777)),
    ("the directory is another user's", |folder, _| chown(folder, Some(NOBODY), Some(NOBODY)).unwrap()),
];

fn age_in_doubt(house: &mut House) {
    if !is_root() {
        return;
    }
    for (number, (name, spoil)) in DOUBTS.iter().enumerate() {
        let folder = house.path(&number.to_string());
        fs::create_dir(&folder).unwrap();
        set_mode(&folder, 0o755);
        let path = folder.join("pid");
        for user in [0, NOBODY] {
            let _: std::io::Result<()> = fs::remove_file(&path);
            let innocent = named(&path, user);
            spoil(&folder, &path);
            for file in [PidFile::foreign(&path), PidFile::of_either_kind(&path)] {
                let file = file.unwrap();
                assert!(!matches!(file.status(), Ok(Status::Running(_))), "{name}, {user}: {file:?}");
                assert!(file.signal(libc::SIGTERM).is_err(), "{name}, {user}: {file:?}");
                assert!(
                    !matches!(file.stop(SOON), Ok(Stopped::Terminated | Stopped::Killed)),
                    "{name}, {user}: {file:?}"
                );
            }
            is_unharmed(innocent);
        }
    }
}
