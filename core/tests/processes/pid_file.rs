//! Pid files: who gets one, who is meant by one.

use crate::Test;
use crate::house::{House, exists, signal, stat, until, wait};
use crate::tracing::{self, Traced};
use daemonctx::{PidFile, Status, Stopped};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("pid file: a second start is refused", a_second_start_is_refused),
    ("pid file: after kill -9 the next start works, whatever the file says", after_kill),
    ("pid file: a worker does not keep the lock", a_worker_does_not_keep_the_lock),
    ("pid file: an innocent process is never signalled", an_innocent_is_never_signalled),
    ("pid file: what is no file is an error at once", what_is_no_file),
    ("pid file: a file with other names is refused and left as it is", a_hard_link),
    ("pid file: a file with anything but a PID in it is refused and left as it is", what_is_no_pid_file),
    ("pid file: twenty starts at once, fifty rounds, one winner each", one_winner_each),
    ("pid file: asking does not disturb a start", asking_does_not_disturb),
    ("pid file: queries", queries),
    ("pid file: of a program that does not lock", foreign),
    ("pid file: a stop of a process that SIGKILL does not end", unkillable),
    ("pid file: a daemon whose main thread has ended", without_main_thread),
    ("pid file: not ours any more, not removed", not_ours_any_more),
    ("pid file: a daemon without privileges removes it from a directory of its own", runtime_directory),
    ("pid file: a runtime directory goes when the start fails", runtime_directory_of_a_failed_start),
];

const LONG: Duration = Duration::from_secs(30);

fn a_second_start_is_refused(house: &mut House) {
    house.start("daemon", &[]).is(0, "");
    let pid = house.hear_number();
    house
        .start("daemon", &[])
        .is(1, &format!("(already running as PID {pid}): Resource temporarily unavailable (11 EAGAIN)"));
    assert_eq!(house.pid(), pid);
    house.end(pid, libc::SIGTERM);
}

fn after_kill(house: &mut House) {
    for content in ["", "0\n", "1\n", "99999999999999\n", &"9".repeat(100)] {
        house.start("daemon", &[]).is(0, "");
        let pid = house.hear_number();
        house.end(pid, libc::SIGKILL);
        assert_eq!(house.pid(), pid, "nobody could remove it");
        fs::write(house.pid_file(), content).unwrap();
        house.start("daemon", &[]).is(0, "");
        let next = house.hear_number();
        assert_eq!(house.pid(), next);
        house.end(next, libc::SIGTERM);
    }
}

fn a_worker_does_not_keep_the_lock(house: &mut House) {
    house.start("worker", &[]).is(0, "");
    let mut pids = [house.hear(), house.hear()];
    pids.sort();
    let number = |line: &str| -> i32 { line.rsplit(' ').next().unwrap().parse().unwrap() };
    let (daemon, worker) = (number(&pids[0]), number(&pids[1]));
    house.end(daemon, libc::SIGKILL);
    house.start("daemon", &[]).is(0, "");
    let next = house.hear_number();
    house.end(worker, libc::SIGTERM);
    assert_eq!(house.pid(), next, "the worker's end does not remove another's file");
    house.end(next, libc::SIGTERM);
}

/// Somebody who has nothing to do with anything.
fn innocent() -> Child {
    Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap()
}

fn an_innocent_is_never_signalled(house: &mut House) {
    let mut innocent = innocent();
    fs::write(house.pid_file(), format!("{}\n", innocent.id())).unwrap();
    let file = PidFile::new(house.pid_file()).unwrap();
    assert_eq!(file.status(), Ok(Status::Stale));
    assert_eq!(file.signal(libc::SIGTERM).unwrap_err().errno(), Some(libc::ESRCH));
    assert_eq!(file.stop(LONG), Ok(Stopped::NotRunning));
    fs::write(house.pid_file(), format!("{}\n", innocent.id())).unwrap();
    house.start("daemon", &[]).is(0, "");
    let pid = house.hear_number();
    house.end(pid, libc::SIGTERM);

    // Locked, but by somebody else than the process it names: whoever may read a file may lock it.
    fs::write(house.pid_file(), format!("{}\n", innocent.id())).unwrap();
    let locked = fs::File::open(house.pid_file()).unwrap();
    // SAFETY: flock takes two numbers.
    assert_eq!(unsafe { libc::flock(std::os::fd::AsRawFd::as_raw_fd(&locked), libc::LOCK_EX) }, 0);
    assert_eq!(file.signal(libc::SIGTERM).unwrap_err().errno(), Some(libc::ESRCH));
    assert!(innocent.try_wait().unwrap().is_none(), "it lives");
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

fn what_is_no_file(house: &mut House) {
    let path = house.pid_file();
    let precious = house.path("precious");
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, &path).unwrap();
    house.start("daemon", &[]).is(1, "(a symbolic link): Too many levels of symbolic links (40 ELOOP)");
    fs::remove_file(&path).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");

    fs::create_dir(&path).unwrap();
    house.start("daemon", &[]).is(1, "Is a directory (21 EISDIR)");
    fs::remove_dir(&path).unwrap();

    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    house.start("daemon", &[]).is(1, "(a FIFO): Invalid argument (22 EINVAL)");
    assert!(PidFile::new(&path).unwrap().status().is_err());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
}

fn a_hard_link(house: &mut House) {
    let precious = house.path("precious");
    fs::write(&precious, "4194303\n").unwrap();
    fs::hard_link(&precious, house.pid_file()).unwrap();
    house.start("daemon", &[]).is(1, "(the file has other names): Too many links (31 EMLINK)");
    assert!(PidFile::new(house.pid_file()).unwrap().status().is_err());
    assert_eq!(fs::read_to_string(&precious).unwrap(), "4194303\n");
}

fn what_is_no_pid_file(house: &mut House) {
    for content in
        ["server { listen 80; }\n", "12345 # comment\n", "[x]\npid = 1\n", "-1\n", "nonsense", "7\n7\n", " 7\n", "\n"]
    {
        fs::write(house.pid_file(), content).unwrap();
        house.start("daemon", &[]).is(1, "it holds something other than a PID, and was left unchanged");
        for file in [PidFile::new(house.pid_file()), PidFile::foreign(house.pid_file())] {
            let file = file.unwrap();
            let errors = [
                file.status().map(drop),
                file.read_pid().map(drop),
                file.running().map(drop),
                file.signal(0),
                file.stop(LONG).map(drop),
                file.wait(None).map(drop),
                file.remove(),
                file.acquire().map(drop),
            ];
            for error in errors {
                let error = error.unwrap_err();
                assert_eq!(
                    (error.kind(), error.errno()),
                    (daemonctx::ErrorKind::PidFile, Some(libc::EINVAL)),
                    "{content:?}"
                );
            }
        }
        assert_eq!(fs::read_to_string(house.pid_file()).unwrap(), content);
    }
}

fn one_winner_each(house: &mut House) {
    for round in 0..50 {
        if round % 2 == 1 {
            fs::write(house.pid_file(), "4194303\n").unwrap();
        }
        let start = || house.program("daemon", &[]).stderr(Stdio::piped()).spawn().unwrap();
        let starters: Vec<_> = (0..20).map(|_| start()).collect();
        let left: Vec<_> = starters.into_iter().map(|starter| starter.wait_with_output().unwrap()).collect();
        let losers: Vec<_> = left.iter().filter(|left| !left.status.success()).collect();
        assert_eq!(losers.len(), 19, "round {round}: {left:?}");
        for loser in losers {
            let said = String::from_utf8_lossy(&loser.stderr);
            assert!(said.contains("already running as PID") || said.contains("another start is under way"), "{said}");
        }
        let pid = house.hear_number();
        assert_eq!(house.pid(), pid);
        house.end(pid, libc::SIGKILL);
    }
}

fn asking_does_not_disturb(house: &mut House) {
    let file = PidFile::new(house.pid_file()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    file.status().expect("it can be read");
                }
            });
        }
        for _ in 0..50 {
            house.start("daemon", &[]).is(0, "");
            let pid = house.hear_number();
            house.end(pid, libc::SIGKILL);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

fn queries(house: &mut House) {
    let file = PidFile::new(house.pid_file()).unwrap();
    assert_eq!(file.status(), Ok(Status::NotRunning));
    assert_eq!(file.read_pid(), Ok(None));
    house.start("daemon", &[]).is(0, "");
    let pid = house.hear_number();
    assert_eq!(file.status(), Ok(Status::Running(pid)));
    assert_eq!(file.is_running(), Ok(true));
    assert_eq!(file.read_pid(), Ok(Some(pid)));
    assert_eq!(file.wait(Some(Duration::ZERO)), Ok(false));
    assert_eq!(file.signal(0), Ok(()));
    assert_eq!(file.signal(1000).unwrap_err().errno(), Some(libc::EINVAL));
    assert_eq!(file.stop(LONG), Ok(Stopped::Terminated));
    assert_eq!(file.wait(None), Ok(true));
    wait(pid);

    // One that does not follow SIGTERM: it waits for SIGUSR1 with the signal of its own blocked, and is stopped.
    house.start("daemon", &[]).is(0, "");
    let pid = house.hear_number();
    signal(pid, libc::SIGSTOP);
    assert_eq!(file.stop(Duration::from_millis(50)), Ok(Stopped::Killed));
    wait(pid);
    assert!(!exists(&house.pid_file()), "what a killed daemon left is removed");
    assert_eq!(file.stop(LONG), Ok(Stopped::NotRunning));

    let lock = file.acquire().unwrap();
    assert_eq!(file.status(), Ok(Status::Running(i32::try_from(std::process::id()).unwrap())));
    assert_eq!(file.acquire().unwrap_err().holder(), i32::try_from(std::process::id()).ok());
    drop(lock);
    assert_eq!(file.status(), Ok(Status::NotRunning));
}

fn foreign(house: &mut House) {
    let file = PidFile::foreign(house.pid_file()).unwrap();
    let mut daemon = innocent();
    let pid = i32::try_from(daemon.id()).unwrap();
    fs::write(house.pid_file(), format!("{pid}\n")).unwrap();
    assert_eq!(file.status(), Ok(Status::Running(pid)));
    // A file that is older than the process means somebody who had the PID before.
    let old = fs::FileTimes::new().set_modified(std::time::SystemTime::now() - Duration::from_secs(2));
    fs::File::options().write(true).open(house.pid_file()).unwrap().set_times(old).unwrap();
    assert_eq!(file.status(), Ok(Status::Stale));
    assert_eq!(file.stop(LONG), Ok(Stopped::NotRunning));
    fs::write(house.pid_file(), format!("{pid}\n")).unwrap();
    assert_eq!(file.stop(LONG), Ok(Stopped::Terminated));
    // A zombie is dead.
    assert_eq!(file.status(), Ok(Status::Stale));
    daemon.wait().unwrap();
}

fn not_ours_any_more(house: &mut House) {
    house.start("daemon", &[]).is(0, "");
    let pid = house.hear_number();
    fs::remove_file(house.pid_file()).unwrap();
    fs::write(house.pid_file(), "another's").unwrap();
    house.end(pid, libc::SIGTERM);
    assert_eq!(fs::read_to_string(house.pid_file()).unwrap(), "another's");
}

/// A directory of the daemon's own with its pid file, as words for the program under test.
fn in_runtime_directory(house: &House) -> [String; 2] {
    let directory = house.path("run");
    [format!("runtime={}", directory.display()), format!("pid_file={}/pid", directory.display())]
}

fn runtime_directory(house: &mut House) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    // SAFETY: geteuid takes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    let as_nobody: &[&str] = if user == 0 { &["user=nobody"] } else { &[] };
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o755)).unwrap();
    let [directory, pid_file] = in_runtime_directory(house);
    for _ in 0..2 {
        house.start("daemon", &[&[&directory[..], &pid_file], as_nobody].concat()).is(0, "");
        let pid = house.hear_number();
        let status = fs::metadata(house.path("run")).unwrap();
        assert_eq!(status.mode() & 0o7777, 0o755);
        assert_eq!(status.uid(), fs::metadata(format!("/proc/{pid}/task")).unwrap().uid());
        assert_eq!(fs::read_to_string(house.path("run/pid")).unwrap(), format!("{pid}\n"));
        house.end(pid, libc::SIGTERM);
        assert!(!exists(&house.path("run/pid")), "removed by the daemon itself");
    }
    if user == 0 {
        house.start("daemon", &[&directory, &pid_file, "user=daemon"]).is(1, "Operation not permitted (1 EPERM)");
    }
}

fn runtime_directory_of_a_failed_start(house: &mut House) {
    let [directory, pid_file] = in_runtime_directory(house);
    house.start("daemon", &[&directory, &pid_file, "directory=/nonexistent"]).is(1, "");
    assert!(!exists(&house.path("run")), "refused before anything happens");
    house.start("ending", &[&directory, &pid_file, "manual", "then=exit 3"]).is(3, "");
    assert!(!exists(&house.path("run")), "the daemon ended before it was ready");
    fs::write(house.path("run"), "").unwrap();
    house.start("daemon", &[&directory, &pid_file]).is(1, "Not a directory (20 ENOTDIR)");
}

fn unkillable(house: &mut House) {
    const BOUND: Duration = Duration::from_secs(10);
    if !tracing::is_possible() {
        return;
    }
    house.start("daemon", &[]).is(0, "");
    let daemon = house.hear_number();
    let file = PidFile::new(house.pid_file()).unwrap();
    let traced = Traced::hold_at_end(daemon);
    let begun = Instant::now();
    let refused = file.stop(Duration::ZERO).unwrap_err();
    assert!(begun.elapsed() >= BOUND, "{:?}", begun.elapsed());
    assert_eq!(refused.errno(), Some(libc::ETIMEDOUT));
    assert!(refused.to_string().contains("(not ended 10 s after SIGKILL)"), "{refused}");
    assert_eq!(file.status(), Ok(Status::Running(daemon)), "the file says what is true");
    traced.let_end();
    wait(daemon);
    assert_eq!(file.stop(LONG), Ok(Stopped::NotRunning));
    assert!(!house.pid_file().exists());
}

fn without_main_thread(house: &mut House) {
    house.start("leaving", &[]).is(0, "");
    let daemon = house.hear_number();
    until(|| stat(daemon)[0] == "Z");
    let file = PidFile::new(house.pid_file()).unwrap();
    assert_eq!(file.status(), Ok(Status::Running(daemon)));
    house.start("daemon", &[]).is(1, "already running");
    // By its age, and where another process has the lock.
    let other = house.path("other");
    fs::write(&other, format!("{daemon}\n")).unwrap();
    assert_eq!(PidFile::foreign(&other).unwrap().status(), Ok(Status::Running(daemon)));
    let locked = fs::File::options().write(true).open(&other).unwrap();
    // SAFETY: flock takes two numbers.
    assert_eq!(unsafe { libc::flock(locked.as_raw_fd(), libc::LOCK_EX) }, 0);
    let begun = Instant::now();
    assert!(!matches!(PidFile::new(&other).unwrap().status(), Ok(Status::Running(_))));
    assert!(begun.elapsed() < Duration::from_secs(5), "it is not taken for a process that is about to end");
    drop(locked);
    assert_eq!(file.stop(LONG), Ok(Stopped::Terminated));
    wait(daemon);
    assert!(!house.pid_file().exists());
}
