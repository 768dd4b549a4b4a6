//! The parts of a start, one by one: each test with the program that uses them.
//!
//! What they do for libdaemon's interface is tested in C; here is what C cannot see.

use crate::Test;
use crate::house::{House, field, wait, worded};
use crate::programs::{descriptor, pause_for_ever, pid, report};
use daemonctx::parts::{self, Forked, Handshake, SignalStream, signal_queue};
use daemonctx::{ErrorKind, PidFile, Program, Status, Step};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

pub const TESTS: &[Test] = &[
    ("parts: fork and handshake", fork_and_handshake),
    ("parts: a daemon that ends without a word", without_a_word),
    ("parts: nobody waits any more", nobody_waits),
    ("parts: other children's ends are not lost", other_children),
    ("parts: a queue smaller than the burst", small_queue),
    ("parts: streams of signals", streams_of_signals),
    ("parts: a program's lines", lines),
    ("parts: a program that hangs", hanging),
    ("parts: a program that cannot run", cannot_run),
    ("parts: a lock's number that became another file's", number_of_another_file),
    ("parts: a pid file of either kind", either_kind),
    ("parts: another owner, in all threads", another_owner),
    ("parts: closing spares what the library needs", closing_spares),
];

pub fn run(name: &str) -> ! {
    match name {
        "parts" => forking(),
        "abandoned" => abandoned(),
        "parent" => parent(),
        "burst" => burst(),
        "streams" => streams(),
        "lines" => running_lines(),
        "hanging" => running_what_hangs(),
        "cannot" => running_what_cannot(),
        "reused" => reused_number(),
        "closing" => closing(),
        "owner" => changing_owner(),
        "nulls" => without_null_device(),
        other => panic!("no program {other}"),
    }
    std::process::exit(0)
}

/// Reports what is said where the null device is none.
fn without_null_device() {
    // SAFETY: this process has one thread.
    report(unsafe { parts::fork(0) }.expect_err("no null device"));
    report(parts::run(&Program::new("/bin/true"), None, |_| {}).expect_err("no null device"));
}

fn word() -> String {
    std::env::args().nth(2).unwrap_or_default()
}

fn pid_file() -> PidFile {
    parts::libdaemon_pid_file(std::env::args_os().nth(1).expect("a pid file")).expect("a path")
}

// --- fork and handshake ---------------------------------------------------------------------------------------------

fn forking() {
    let mut handshake = Handshake::new().expect("a pipe");
    // SAFETY: this process has one thread.
    match unsafe { parts::fork(0o027) }.expect("a daemon") {
        Forked::Starter(daemon) => match handshake.wait(Some(daemon), Some(Duration::from_secs(10))) {
            Ok(value) => report(format!("{value} from {daemon}")),
            Err(error) => report(error),
        },
        Forked::Daemon => {
            if word() == "silent" {
                // The pipe's end lives on in a child: that the daemon is gone shows all the same.
                // SAFETY: this process has one thread.
                if unsafe { libc::fork() } == 0 {
                    report(pid());
                    pause_for_ever();
                }
                std::process::exit(3);
            }
            handshake.send(-40).expect("a starter");
            pause_for_ever();
        }
    }
}

fn fork_and_handshake(house: &mut House) {
    house.start("parts", &[]).is(0, "");
    let said = house.hear();
    let daemon: i32 = said.strip_prefix("-40 from ").expect("what the daemon has sent").parse().expect("its PID");
    assert_eq!(field(daemon, "Umask"), "0027");
    assert_eq!(field(daemon, "PPid"), std::process::id().to_string(), "it is an orphan, and ours as the subreaper");
    house.end(daemon, libc::SIGTERM);
}

fn without_a_word(house: &mut House) {
    house.start("parts", &["silent"]).is(0, "");
    let mut heard = [house.hear(), house.hear()];
    heard.sort_by_key(|line| line.len());
    let [child, error] = heard;
    assert!(error.starts_with("start failed: PID ") && error.ends_with(": ended before it was ready"), "{error}");
    house.end(child.parse().expect("the child's PID"), libc::SIGKILL);
}

/// The daemon sends when its starter is gone, and lives.
fn abandoned() {
    let handshake = Handshake::new().expect("a pipe");
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: this process has one thread.
    if unsafe { parts::fork(0) }.expect("a daemon") == Forked::Daemon {
        // SAFETY: the descriptors are this program's; the read comes back when the starter is gone.
        unsafe {
            libc::close(ends[1]);
            libc::read(ends[0], ends.as_mut_ptr().cast(), 1);
        }
        report(handshake.send(1).expect_err("nobody is there"));
        report(pid());
    }
}

fn nobody_waits(house: &mut House) {
    house.start("abandoned", &[]).is(0, "");
    assert_eq!(house.hear(), "report failed: 1: Broken pipe (32 EPIPE)");
    assert_eq!(wait(house.hear_number()), 0);
}

/// Has a child that ends while SIGCHLD is blocked; starts a daemon; then counts the SIGCHLDs that have arrived.
fn parent() {
    signal_queue::catch(libc::SIGCHLD).expect("a signal");
    parts::block_only(&[libc::SIGCHLD]).expect("a signal");
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        std::process::exit(0);
    }
    if word() == "reaped" {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
    } else {
        // SAFETY: zeroes are a value, and the child is left to be waited for.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, child as u32, &raw mut info, libc::WEXITED | libc::WNOWAIT);
        }
    }
    // SAFETY: as above.
    match unsafe { parts::fork(0) }.expect("a daemon") {
        Forked::Starter(daemon) => report(daemon),
        Forked::Daemon => std::process::exit(0),
    }
    parts::block_only(&[]).expect("none");
    let mut count = 0;
    while signal_queue::next().expect("a queue").is_some() {
        count += 1;
    }
    report(count);
}

fn other_children(house: &mut House) {
    // The child's end is told; the session leader's is not.
    for (word, count) in [("left", "1"), ("reaped", "0")] {
        house.start("parent", &[word]).is(0, "");
        wait(house.hear_number());
        assert_eq!(house.hear(), count);
    }
}

// --- the queue of signals -------------------------------------------------------------------------------------------

/// Sends itself 3,000 real-time signals of three kinds while the pipe has room for 1,024.
fn burst() {
    const EACH: usize = 1000;
    let kinds = [0, 1, 2].map(|kind| libc::SIGRTMIN() + kind);
    kinds.iter().for_each(|kind| signal_queue::catch(*kind).expect("a signal"));
    let queue = signal_queue::descriptor().expect("a queue");
    // SAFETY: fcntl with this command takes two numbers.
    assert_eq!(unsafe { libc::fcntl(queue, libc::F_SETPIPE_SZ, 4096) }, 4096);
    for _ in 0..EACH {
        for kind in kinds {
            // SAFETY: raise takes a number.
            unsafe { libc::raise(kind) };
        }
    }
    let mut counts = [0; 3];
    let mut poll = libc::pollfd { fd: queue, events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one entry.
    while unsafe { libc::poll(&raw mut poll, 1, 0) } == 1 {
        let signal = signal_queue::next().expect("a queue").expect("readable means that there is one");
        counts[kinds.iter().position(|kind| *kind == signal).expect("one of ours")] += 1;
    }
    report(format!("{counts:?} {:?}", signal_queue::next()));
}

fn small_queue(house: &mut House) {
    house.start("burst", &[]).is(0, "");
    assert_eq!(house.hear(), "[1000, 1000, 1000] Ok(None)");
}

fn raise_signal(signal: i32) {
    // SAFETY: raise takes a number.
    unsafe { libc::raise(signal) };
}

fn ignores(signal: i32) -> bool {
    // SAFETY: zeroes are a value, and nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        action.sa_sigaction == libc::SIG_IGN
    }
}

/// Two at once, one of them full; a child that is without; a daemon that has them.
fn streams() {
    let (one, two, real) = (libc::SIGUSR1, libc::SIGUSR2, libc::SIGRTMIN());
    // SAFETY: signal takes two numbers.
    unsafe { libc::signal(one, libc::SIG_IGN) };
    let first = SignalStream::new(&[one, real, one]).expect("signals");
    let second = SignalStream::new(&[two]).expect("a signal");
    // SAFETY: fcntl with this command takes two numbers.
    unsafe { libc::fcntl(first.descriptor().expect("a pipe"), libc::F_SETPIPE_SZ, 4096) };
    raise_signal(one);
    (0..1500).for_each(|_| raise_signal(real));
    raise_signal(two);
    let all: Vec<_> = std::iter::from_fn(|| first.next().expect("a stream")).collect();
    report(format!("{:?} {:?} {}", first.next(), second.next(), all == [vec![one], vec![real; 1500]].concat()));
    report(SignalStream::new(&[libc::SIGHUP, two]).expect_err("it is the other's"));
    report(SignalStream::new(&[libc::SIGKILL]).expect_err("it cannot be caught"));
    report(SignalStream::has(libc::SIGHUP) || SignalStream::has(libc::SIGKILL));
    // SAFETY: this process has one thread.
    if unsafe { libc::fork() } == 0 {
        raise_signal(one);
        let third = SignalStream::new(&[two]).expect("a signal");
        drop((first, second));
        raise_signal(two);
        report(format!("{} {} {:?}", ignores(one), SignalStream::has(two), third.next()));
        std::process::exit(0);
    }
    // SAFETY: waits for that child.
    unsafe { libc::wait(std::ptr::null_mut()) };
    report(format!("{:?} {:?}", first.next(), second.next()));
    let mut daemon = daemonctx::Daemon::new();
    daemon.keep_descriptor(descriptor()).detach(daemonctx::Detach::Yes);
    // SAFETY: this process has one thread.
    let _context = unsafe { daemon.open() }.expect("a daemon");
    raise_signal(one);
    raise_signal(two);
    report(format!("{:?} {:?}", first.next(), second.next()));
    drop(first);
    report(format!("{} {}", ignores(one), pid()));
}

fn streams_of_signals(house: &mut House) {
    house.start("streams", &[]).is(0, "");
    let (one, two) = (libc::SIGUSR1, libc::SIGUSR2);
    assert_eq!(house.hear(), format!("Ok(None) Ok(Some({two})) true"));
    assert_eq!(
        house.hear(),
        worded(&format!(
            "signals failed: signal {two} (SIGUSR2) (another stream has it): Device or resource busy (16 EBUSY)"
        ))
    );
    assert_eq!(house.hear(), "signals failed: signal 9 (SIGKILL): Invalid argument (22 EINVAL)");
    assert_eq!(house.hear(), "false");
    assert_eq!(house.hear(), format!("true true Ok(Some({two}))"));
    assert_eq!(house.hear(), "Ok(None) Ok(None)");
    assert_eq!(house.hear(), format!("Ok(Some({one})) Ok(Some({two}))"));
    let ended = house.hear();
    let (ignored, daemon) = ended.split_once(' ').expect("two words");
    assert_eq!(ignored, "true");
    wait(daemon.parse().expect("a PID"));
}

// --- running programs -----------------------------------------------------------------------------------------------

fn running_lines() {
    let script =
        r#"printf 'one\ntwo\n\n\0three'; head -c 40000 /dev/zero | tr '\0' x; echo; umask; printf 'no end'; exit 7"#;
    let mut heard = Vec::new();
    let status = parts::run(Program::new("/bin/sh").args(["-c", script]), Some(Path::new("/usr")), |line| {
        let text = String::from_utf8_lossy(line.text);
        heard.push(format!("{}:{}:{}", text.len(), text.chars().take(7).collect::<String>(), line.is_ended));
    });
    report(format!("{heard:?} {:?}", status.expect("it runs").code()));
}

fn lines(house: &mut House) {
    house.start("lines", &[]).is(0, "");
    // 5 + 40,000 bytes in a line: 32 KiB and the rest.
    assert_eq!(
        house.hear(),
        r#"["3:one:true", "3:two:true", "32768:threexx:true", "7237:xxxxxxx:true", "4:0022:true", "6:no end:false"] Some(7)"#
    );
}

/// Its program asks it to end once, and goes on; then it is asked again, and the program is ended.
fn running_what_hangs() {
    signal_queue::catch(libc::SIGTERM).and_then(|()| signal_queue::catch(libc::SIGUSR1)).expect("signals");
    // Of a signal that is pending already the kernel takes no second.
    let script = r#"
        tell() { kill -$1 $PPID; while grep -q '^ShdPnd:.*[1-9a-f]' /proc/$PPID/status; do :; done; }
        tell TERM; tell USR1; tell USR1; echo goes on; tell TERM; exec sleep 60
    "#;
    let mut heard = Vec::new();
    let each = |line: parts::OutputLine<'_>| heard.push(String::from_utf8_lossy(line.text).into_owned());
    let status = parts::run(Program::new("/bin/sh").args(["-c", script]), None, each).expect("it runs");
    let queued: Vec<_> = std::iter::from_fn(|| signal_queue::next().expect("a queue")).collect();
    report(format!("{heard:?} {:?} {queued:?}", std::os::unix::process::ExitStatusExt::signal(&status)));
}

fn hanging(house: &mut House) {
    house.start("hanging", &[]).is(0, "");
    let (term, usr1) = (libc::SIGTERM, libc::SIGUSR1);
    assert_eq!(house.hear(), format!("[\"goes on\"] Some({term}) {:?}", [term, usr1, usr1, term]));
    // The shell may have been ended while it looked for its signal: what it looked with ends by itself.
    house.wait_for_all();
}

fn running_what_cannot() {
    let nothing = |_: parts::OutputLine<'_>| panic!("nothing runs");
    let error = parts::run(&Program::new("/nonexistent/program"), None, nothing).expect_err("no such file");
    assert_eq!(error.step(), Step::Execute);
    report(error);
    let program = Program::new("/bin/true");
    report(parts::run(&program, Some(Path::new("/nonexistent")), nothing).expect_err("no such directory"));
    // SAFETY: signal takes two numbers.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    report(parts::run(&program, None, nothing).expect_err("its status is lost"));
}

fn cannot_run(house: &mut House) {
    house.start("cannot", &[]).is(0, "");
    assert_eq!(house.hear(), "execve failed: /nonexistent/program: No such file or directory (2 ENOENT)");
    assert_eq!(house.hear(), "chdir failed: /nonexistent: No such file or directory (2 ENOENT)");
    assert_eq!(house.hear(), worded("wait failed: /bin/true: No child processes (10 ECHILD)"));
}

// --- pid files ------------------------------------------------------------------------------------------------------

/// Closes what it knows nothing of, the lock among that, and opens a file of its own under the same number.
fn reused_number() {
    pid_file().acquire().expect("the pid file").keep();
    for fd in (3..64).filter(|fd| *fd != descriptor()) {
        // SAFETY: close takes a number; nothing of this program is open there.
        unsafe { libc::close(fd) };
    }
    let path = std::env::args().nth(1).expect("a pid file") + ".precious";
    fs::write(&path, "precious").expect("a file");
    let file = fs::File::options().write(true).open(path).expect("a file");
    report(file.as_raw_fd());
    // SAFETY: this process has one thread.
    if unsafe { libc::fork() } == 0 {
        // The child of a fork gives locks up, and must not close this.
        report(file.metadata().is_ok());
        std::process::exit(0);
    }
    // SAFETY: waits for that child.
    unsafe { libc::wait(std::ptr::null_mut()) };
    if word() == "taken" {
        // Somebody has taken the file meanwhile: its lock was free.
        fs::write(std::env::args().nth(1).expect("a pid file"), "1234567\n").expect("a file");
    }
    std::mem::forget(file);
}

fn number_of_another_file(house: &mut House) {
    for (word, left) in [("", false), ("taken", true)] {
        house.start("reused", &[word]).is(0, "");
        assert_eq!(house.hear(), "3", "the number that the lock had");
        assert_eq!(house.hear(), "true");
        assert_eq!(fs::read_to_string(house.path("pid.precious")).expect("a file"), "precious");
        assert_eq!(house.pid_file().exists(), left);
    }
}

fn either_kind(house: &mut House) {
    let file = parts::libdaemon_pid_file(house.pid_file()).expect("a path");
    let mut other = std::process::Command::new("/bin/sleep").arg("60").spawn().expect("a process");
    let other_pid = i32::try_from(other.id()).expect("a PID");
    // As a program that does not lock leaves it, with more below.
    fs::write(house.pid_file(), format!("{other_pid}\nmore\n")).expect("a file");
    assert_eq!(file.status(), Ok(Status::Running(other_pid)));
    let refused = file.acquire().expect_err("it runs");
    assert_eq!((refused.kind(), refused.holder()), (ErrorKind::AlreadyRunning, Some(other_pid)));
    assert_eq!(file.remove().expect_err("it runs").errno(), Some(libc::EPERM));
    let strict = PidFile::of_either_kind(house.pid_file()).expect("a path");
    assert_eq!(strict.status().expect_err("no pid file").errno(), Some(libc::EINVAL), "libdaemon alone reads more");
    assert_eq!(file.signal_and_wait(libc::SIGTERM, Some(Duration::from_secs(10))), Ok(true));
    assert_eq!(file.status(), Ok(Status::Stale), "a zombie does not run");
    other.wait().expect("its end");

    // The PID of a process that is younger than the file.
    let mut young = std::process::Command::new("/bin/sleep").arg("60").spawn().expect("a process");
    fs::write(house.pid_file(), format!("{}\n", young.id())).expect("a file");
    let earlier = std::time::SystemTime::now() - Duration::from_secs(2);
    fs::File::options().write(true).open(house.pid_file()).and_then(|it| it.set_modified(earlier)).expect("a file");
    assert_eq!(file.status(), Ok(Status::Stale));
    assert_eq!(file.signal(libc::SIGTERM).expect_err("an innocent").errno(), Some(libc::ESRCH));
    file.acquire().expect("it is stale").release();
    young.kill().expect("it still runs");
    young.wait().expect("its end");

    for (content, garbage) in [("", false), ("0\n", false), ("-7\n", false), ("seven\n", true)] {
        fs::write(house.pid_file(), content).expect("a file");
        assert_eq!((file.status(), parts::is_corrupt(&file)), (Ok(Status::Stale), garbage), "{content:?}");
        file.remove().expect("it is stale");
    }
    assert_eq!(file.remove().expect_err("there is none").errno(), Some(libc::ENOENT));
}

/// What the kernel says of each thread's ids and groups.
fn owners() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc").map(|task| task.expect("a thread").path());
    let status = tasks.map(|task| fs::read_to_string(task.join("status")).expect("a thread"));
    let lines = |status: String| {
        let kept =
            |line: &&str| ["Uid:", "Gid:", "Groups:", "CapEff:", "CapPrm:"].iter().any(|start| line.starts_with(start));
        status
            .lines()
            .filter(kept)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    status.map(|status| lines(status).join(", ")).collect()
}

fn changing_owner() {
    let mut wish = daemonctx::Daemon::new();
    wish.user("nobody_of_that_name");
    report(wish.drop_privileges().expect_err("there is no such user"));
    let (begin, begun) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        begin.send(()).expect("somebody waits");
        pause_for_ever()
    });
    begun.recv().expect("a thread");
    wish.user_id(65534).group_id(65534).supplementary_groups(daemonctx::Groups::None);
    wish.drop_privileges().expect("we are root");
    for owner in owners() {
        report(owner);
    }
    wish.user_id(0);
    report(wish.drop_privileges().expect_err("for good"));
}

fn another_owner(house: &mut House) {
    house.start("owner", &[]).is(0, "");
    assert_eq!(house.hear(), "user failed: nobody_of_that_name (no such user): No such file or directory (2 ENOENT)");
    for _ in 0..2 {
        let none = "0000000000000000";
        let id = "65534 65534 65534 65534";
        assert_eq!(house.hear(), format!("Uid: {id}, Gid: {id}, Groups:, CapPrm: {none}, CapEff: {none}"));
    }
    assert!(house.hear().ends_with("Operation not permitted (1 EPERM)"));
}

/// Closes everything, and still has lock and queue.
fn closing() {
    pid_file().acquire().expect("the pid file").keep();
    signal_queue::catch(libc::SIGUSR1).expect("a signal");
    let mut handshake = Handshake::new().expect("a pipe");
    let sender = handshake.sender(&[]);
    // SAFETY: dup takes a number.
    let copies = [0, 1, 2, 0].map(|fd| unsafe { libc::dup(fd) });
    parts::close_all_but([descriptor(), -1, 5000].into_iter().chain(sender)).expect("memory");
    assert!(copies.iter().all(|fd| fs::metadata(format!("/proc/self/fd/{fd}")).is_err()));
    const STREAMS_LOCK_QUEUE_SENDER_REPORT_AND_LISTING: usize = 3 + 1 + 2 + 1 + 1 + 1;
    assert_eq!(fs::read_dir("/proc/self/fd").expect("/proc").count(), STREAMS_LOCK_QUEUE_SENDER_REPORT_AND_LISTING);
    // SAFETY: raise takes a number.
    unsafe { libc::raise(libc::SIGUSR1) };
    report(format!("{:?}", signal_queue::next()));
    // Asked by another process: this one's own lock would not be in its way.
    // SAFETY: this process has one thread.
    if unsafe { libc::fork() } == 0 {
        report(format!("{:?}", pid_file().status().map(|status| matches!(status, Status::Running(_)))));
        std::process::exit(0);
    }
    // SAFETY: waits for that child.
    unsafe { libc::wait(std::ptr::null_mut()) };
    pid_file().remove().expect("it is ours");
}

fn closing_spares(house: &mut House) {
    house.start("closing", &[]).is(0, "");
    assert_eq!(house.hear(), format!("Ok(Some({}))", libc::SIGUSR1));
    assert_eq!(house.hear(), "Ok(true)");
    assert!(!house.pid_file().exists());
}
