//! Log files: how they are made, and that they can be moved away.

use crate::Test;
use crate::house::{House, before_exec, descriptors, wait};
use crate::programs::{open, pid, report};
use std::fs;
use std::io::{BufRead, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Child;

pub const TESTS: &[Test] = &[
    ("streams: a log file is made as it was asked for", made_as_asked_for),
    ("streams: a log file that exists stays as it is", existing_stays),
    ("streams: a log file is emptied where that is asked for", emptied),
    ("streams: a log file of three gigabytes", large),
    ("streams: links and other files", links_and_others),
    ("streams: what somebody else has put there", others_links),
    ("streams: the kernel's own links", kernels_links),
    ("streams: somebody else's file where everybody may write", somebody_elses),
    ("streams: what a log file cannot be", refused),
    ("streams: moved away and opened again", moved_away),
    ("streams: moved away, and made again as it was", moved_away_as_it_was),
    ("streams: what cannot be opened again goes on", goes_on),
    ("streams: opened again in a new root", in_a_new_root),
    ("streams: opened again by another user", by_another_user),
    ("streams: opened again before it is ready", before_it_is_ready),
    ("streams: opened again by a process that did not detach", not_detached),
];

// --- a daemon that does what it is told ----------------------------------------------------------------------------

/// Where a daemon that obeys finds its orders.
const ORDERS: i32 = 60;

/// Does what it reads on a descriptor, a word a line, and reports it done: `out TEXT`, `err TEXT`, `part TEXT` (no end of
/// line), `many N`, `raw`, `reopen`, `ready`, `fail`, `children`; at the end of all, it ends.
pub fn obeying() -> ! {
    let mut context = open();
    report(pid());
    // SAFETY: the test has put it there, and it was kept.
    let orders = std::io::BufReader::new(unsafe { fs::File::from_raw_fd(ORDERS) });
    for line in orders.lines().map_while(Result::ok) {
        let (order, text) = line.split_once(' ').unwrap_or((&line, ""));
        match order {
            "out" => write(1, format!("{text}\n").as_bytes()),
            "err" => write(2, format!("{text}\n").as_bytes()),
            "part" => write(1, text.as_bytes()),
            "raw" => write(1, b"with\0a NUL\n\n\nand\ttab\n"),
            "many" => many(text.parse().expect("a number")),
            "reopen" => report(context.reopen_streams().map_or_else(|error| error.to_string(), |()| "reopened".into())),
            "ready" => report(context.ready().map_or_else(|error| error.to_string(), |()| "ready".into())),
            "fail" => context.fail(9, text).expect("the starter hears it"),
            // SAFETY: waitpid takes numbers and a place for a status that is not wanted.
            "children" => report(unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) }),
            // SAFETY: killpg takes two numbers.
            "group" => drop(unsafe { libc::killpg(0, text.parse().expect("a number")) }),
            other => panic!("no order {other}"),
        }
        report("done");
    }
    std::process::exit(0)
}

fn write(fd: i32, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: `rest` is valid for reads of its length.
        let written = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        rest = &rest[usize::try_from(written).expect("it can be written")..];
    }
}

fn many(count: u32) {
    let text: String = (0..count).map(|number| format!("line {number}\n")).collect();
    write(1, text.as_bytes());
}

/// The test's side of it.
pub struct Obedient {
    pub starter: Option<Child>,
    pub pid: i32,
    orders: Option<fs::File>,
}

/// How a start goes that is not waited for: with these surroundings.
pub fn begin(house: &mut House, words: &[&str], around: impl FnMut() + Send + Sync + 'static) -> Obedient {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors, which nobody else owns.
    let (read, orders) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), fs::File::from_raw_fd(ends[1]))
    };
    let keep = format!("keep={ORDERS}");
    let mut command = house.program("obeying", &[&[keep.as_str()], words].concat());
    let from = read.as_raw_fd();
    before_exec(&mut command, move || {
        // SAFETY: dup2 takes two numbers and is safe between fork and exec.
        unsafe { libc::dup2(from, ORDERS) };
    });
    before_exec(&mut command, around);
    let said = fs::File::create(house.path("said")).unwrap();
    let mut starter = command.stderr(said).spawn().unwrap();
    house.until_reported(&mut starter);
    Obedient { starter: Some(starter), pid: house.hear_number(), orders: Some(orders) }
}

/// A daemon that has been started.
pub fn daemon(house: &mut House, words: &[&str]) -> Obedient {
    let mut daemon = begin(house, words, || {});
    daemon.left(0);
    daemon
}

impl Obedient {
    /// Waits for the starter.
    pub fn left(&mut self, code: i32) {
        let status = self.starter.take().expect("a starter").wait().unwrap();
        assert_eq!(status.code(), Some(code));
    }

    /// Gives an order and waits until it is done; what it says meanwhile.
    pub fn tell(&mut self, house: &mut House, order: &str) -> String {
        writeln!(self.orders.as_mut().expect("it listens"), "{order}").unwrap();
        let said = house.hear();
        if said != "done" {
            assert_eq!(house.hear(), "done");
        }
        said
    }

    /// Gives an order, and does not wait.
    pub fn ask(&mut self, order: &str) {
        writeln!(self.orders.as_mut().expect("it listens"), "{order}").unwrap();
    }

    /// Has it end, and waits for that.
    pub fn dismiss(mut self) {
        drop(self.orders.take());
        match self.starter.take() {
            Some(mut same) if self.pid == i32::try_from(same.id()).unwrap() => assert!(same.wait().unwrap().success()),
            _ => assert_eq!(wait(self.pid), 0),
        }
    }
}

pub fn word(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn owners(path: &Path) -> (u32, u32) {
    let status = fs::metadata(path).unwrap();
    (status.uid(), status.gid())
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        println!("(needs root: skipped)");
    }
    root
}

fn with_umask(mask: libc::mode_t) -> impl FnMut() + Send + Sync {
    move || {
        // SAFETY: umask takes a number and cannot fail.
        unsafe { libc::umask(mask) };
    }
}

// --- made ------------------------------------------------------------------------------------------------------------

fn made_as_asked_for(house: &mut House) {
    let (out, err) = (house.path("out"), house.path("err"));
    let mut obedient =
        begin(house, &[&word("out_log", &out), "log_mode=0664", &word("stderr", &err)], with_umask(0o077));
    obedient.left(0);
    assert_eq!((mode(&out), mode(&err)), (0o664, 0o600), "exact, and less the umask");
    obedient.tell(house, "out one");
    obedient.dismiss();
    assert_eq!(text(&out), "one\n");
    if is_root() {
        let other = house.path("other");
        daemon(house, &[&word("out_log", &other), "log_user=nobody", "log_group=4242"]).dismiss();
        assert_eq!((mode(&other), owners(&other)), (0o640, (65534, 4242)));
        let third = house.path("third");
        let mut third_log =
            begin(house, &[&word("out_log", &third), "log_mode=0660", "log_user=nobody"], without_fowner);
        third_log.left(0);
        third_log.dismiss();
        assert_eq!((mode(&third), owners(&third).0), (0o660, 65534));
    }
}

/// As a service manager starts what may give files away, and no more.
fn without_fowner() {
    const CAP_FOWNER: libc::c_ulong = 3;
    // SAFETY: PR_CAPBSET_DROP takes a number.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_FOWNER) };
}

fn existing_stays(house: &mut House) {
    let log = house.path("log");
    fs::write(&log, "before\n").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o604)).unwrap();
    let before = owners(&log);
    let mut daemon = daemon(house, &[&word("out_log", &log), "log_mode=0666", "log_user=65533", "log_group=65533"]);
    daemon.tell(house, "out after");
    daemon.dismiss();
    assert_eq!((mode(&log), owners(&log), text(&log).as_str()), (0o604, before, "before\nafter\n"));
}

fn emptied(house: &mut House) {
    let log = house.path("log");
    fs::write(&log, "before\n").unwrap();
    let words = [word("out_log", &log), word("err_log", &log), "log_truncate".into()];
    let words = words.each_ref().map(String::as_str);
    let mut first = daemon(house, &words);
    first.tell(house, "out one");
    first.tell(house, "err two");
    assert_eq!(text(&log), "one\ntwo\n");
    // A second start, which is refused, must not empty what the first has written.
    house.start("obeying", &words).is(1, "already running");
    assert_eq!(text(&log), "one\ntwo\n");
    assert_eq!(first.tell(house, "reopen"), "reopened");
    assert_eq!(text(&log), "one\ntwo\n", "only a start empties it");
    first.dismiss();
}

/// More than a number of 32 bits counts, and all of it a hole.
fn large(house: &mut House) {
    const SIZE: u64 = 3 << 30;
    let log = house.path("log");
    fs::File::create(&log).unwrap().set_len(SIZE).unwrap();
    let mut daemon = daemon(house, &[&word("out_log", &log)]);
    daemon.tell(house, "out one");
    daemon.dismiss();
    assert_eq!(fs::metadata(&log).unwrap().len(), SIZE + 4);
}

fn links_and_others(house: &mut House) {
    let (log, link, target) = (house.path("log"), house.path("link"), house.path("target"));
    symlink(&target, &link).unwrap();
    house.start("daemon", &[&word("stdout", &link)]).is(1, "No such file or directory (2 ENOENT)");
    assert!(!target.exists(), "nothing is made through a link");
    fs::write(&target, "").unwrap();
    let mut linked = daemon(house, &[&word("stdout", &link)]);
    linked.tell(house, "out through");
    linked.dismiss();
    assert_eq!(text(&target), "through\n", "an administrator's link is followed");
    house.start("daemon", &[&word("out_log", &link), "log_truncate"]).is(1, "(40 ELOOP)");
    fs::hard_link(&target, &log).unwrap();
    house.start("daemon", &[&word("out_log", &log), "log_truncate"]).is(1, "(31 EMLINK)");
    assert_eq!(text(&target), "through\n");
    house.start("daemon", &[&word("out_log", &house.folder)]).is(1, "Is a directory (21 EISDIR)");
    let fifo = house.path("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the name is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    house.start("daemon", &[&word("out_log", &fifo)]).is(1, "(6 ENXIO)");
    let device = daemon(house, &["out_log=/dev/null", "log_truncate", "log_mode=0600"]);
    device.dismiss();
    assert_ne!(mode(Path::new("/dev/null")), 0o600);
}

/// Whoever may write to the directory must not have the daemon write elsewhere, or wait.
fn others_links(house: &mut House) {
    let (log, precious) = (house.path("log"), house.path("precious"));
    fs::write(&precious, "").unwrap();
    fs::hard_link(&precious, &log).unwrap();
    house.start("daemon", &[&word("out_log", &log)]).is(1, "(31 EMLINK)");
    if !is_root() {
        println!("(the rest needs root: skipped)");
        return;
    }
    fs::remove_file(&log).unwrap();
    symlink(&precious, &log).unwrap();
    std::os::unix::fs::lchown(&log, Some(65534), Some(65534)).unwrap();
    house.start("daemon", &[&word("out_log", &log)]).is(1, "(40 ELOOP)");
    // A relative one of root's own leads to where the link is, not to where the daemon was started.
    fs::remove_file(&log).unwrap();
    symlink("precious", &log).unwrap();
    let mut relative = daemon(house, &[&word("out_log", &log)]);
    relative.tell(house, "out through");
    relative.dismiss();
    assert_eq!(text(&precious), "through\n");
    // Nor is one that is root's own a way to what another's leads to.
    let hop = house.path("hop");
    symlink(&precious, &hop).unwrap();
    std::os::unix::fs::lchown(&hop, Some(65534), Some(65534)).unwrap();
    fs::remove_file(&log).unwrap();
    symlink("hop", &log).unwrap();
    house.start("daemon", &[&word("out_log", &log)]).is(1, "(40 ELOOP)");
    fs::remove_file(&log).unwrap();
    let name = std::ffi::CString::new(log.to_str().unwrap()).unwrap();
    // SAFETY: the name is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o666) }, 0);
    std::os::unix::fs::chown(&log, Some(65534), Some(65534)).unwrap();
    let reader = fs::OpenOptions::new().read(true).write(true).open(&log).unwrap();
    house.start("daemon", &[&word("out_log", &log)]).is(1, "(1 EPERM)");
    drop(reader);
}

/// What they lead to has no name, and is nobody's.
fn kernels_links(house: &mut House) {
    let (log, path) = (house.path("log"), house.path("nameless"));
    let nameless = fs::OpenOptions::new().create_new(true).read(true).append(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let link = format!("/proc/{}/fd/{}", std::process::id(), nameless.as_raw_fd());
    symlink(&link, &log).unwrap();
    let mut to_nameless = daemon(house, &[&word("out_log", &log)]);
    to_nameless.tell(house, "out through");
    to_nameless.dismiss();
    assert_eq!(text(Path::new(&link)), "through\n");
}

/// As the kernel has it for a program that would create the file (`fs.protected_regular`), whatever that is set to.
fn somebody_elses(house: &mut House) {
    if !is_root() {
        println!("(needs root: skipped)");
        return;
    }
    let (sticky, log) = (house.path("sticky"), house.path("sticky/log"));
    fs::create_dir(&sticky).unwrap();
    fs::set_permissions(&sticky, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(&log, "").unwrap();
    std::os::unix::fs::chown(&log, Some(65534), Some(65534)).unwrap();
    house.start("daemon", &[&word("stdout", &log)]).is(1, "Permission denied (13 EACCES)");
}

fn refused(house: &mut House) {
    let log = word("out_log", &house.path("log"));
    house.start("daemon", &[&log, "log_mode=1777"]).is(1, "stdout failed: 01777: Invalid argument (22 EINVAL)");
    house.start("daemon", &[&log, "log_user=nobody-at-all"]).is(1, "stdout failed: nobody-at-all (no such user)");
    house.start("daemon", &[&log, "log_group=nobody-at-all"]).is(1, "stdout failed: nobody-at-all (no such group)");
    house.start("daemon", &[&log, "log_user="]).is(1, "stdout failed: Invalid argument (22 EINVAL)");
    assert!(!house.path("log").exists());
    let mut input = daemonctx::Daemon::new();
    let error = input.stdin(daemonctx::LogFile::new("/x")).check().unwrap_err();
    assert_eq!(error.to_string(), "stdin failed: /x: Invalid argument (22 EINVAL)");
    let error = input.stdin(daemonctx::Syslog::new()).check().unwrap_err();
    assert_eq!(error.to_string(), "stdin failed: syslog: Invalid argument (22 EINVAL)");
}

// --- opened again ---------------------------------------------------------------------------------------------------

/// Both streams on one file, relative to where the daemon is started.
fn moved_away(house: &mut House) {
    let (log, old) = (house.path("log"), house.path("log.1"));
    let mut daemon = daemon(house, &[&word("out_log", &log), &word("stderr", &log), "log_mode=0644"]);
    daemon.tell(house, "out one");
    fs::rename(&log, &old).unwrap();
    daemon.tell(house, "err two");
    assert_eq!(daemon.tell(house, "reopen"), "reopened");
    daemon.tell(house, "out three");
    daemon.tell(house, "err four");
    assert_eq!((text(&old).as_str(), text(&log).as_str()), ("one\ntwo\n", "three\nfour\n"));
    assert_eq!(mode(&log), 0o644);
    assert!(descriptors(daemon.pid).iter().all(|(_, to)| *to != old.display().to_string()), "the old one is closed");
    // Where logrotate has made the new one already, it stays as that has made it.
    fs::rename(&log, &old).unwrap();
    fs::write(&log, "rotated\n").unwrap();
    assert_eq!(daemon.tell(house, "reopen"), "reopened");
    daemon.tell(house, "out five");
    assert_eq!(text(&log), "rotated\nfive\n");
    daemon.dismiss();
}

/// Without a mode that was asked for, the new one is like the first, whatever the daemon's umask.
fn moved_away_as_it_was(house: &mut House) {
    let log = house.path("log");
    let mut daemon = begin(house, &[&word("stdout", &log)], with_umask(0o077));
    daemon.left(0);
    fs::remove_file(&log).unwrap();
    assert_eq!(daemon.tell(house, "reopen"), "reopened");
    assert_eq!(mode(&log), 0o600);
    daemon.dismiss();
}

fn goes_on(house: &mut House) {
    let (folder, out, err) = (house.path("folder"), house.path("folder/out"), house.path("err"));
    fs::create_dir(&folder).unwrap();
    let mut daemon = daemon(house, &[&word("stdout", &out), &word("stderr", &err)]);
    fs::rename(&folder, house.path("moved")).unwrap();
    fs::rename(&err, house.path("err.1")).unwrap();
    let said = daemon.tell(house, "reopen");
    assert_eq!(said, format!("stdout failed: {}: No such file or directory (2 ENOENT)", out.display()));
    daemon.tell(house, "out one");
    daemon.tell(house, "err two");
    assert_eq!(text(&house.path("moved/out")), "one\n", "the old one goes on");
    assert_eq!(text(&err), "two\n", "the other is done");
    daemon.dismiss();
}

fn in_a_new_root(house: &mut House) {
    if !is_root() {
        return;
    }
    let (root, link) = (house.path("root"), house.path("root/elsewhere"));
    fs::create_dir_all(root.join("log")).unwrap();
    fs::create_dir(house.path("outside")).unwrap();
    let (inside, outside) = (root.join("log/in"), house.path("outside/out"));
    let chroot = word("chroot", &root);
    let mut both = daemon(house, &[&chroot, &word("stdout", &inside), &word("err_log", &outside)]);
    fs::rename(&inside, house.path("in.1")).unwrap();
    fs::rename(&outside, house.path("out.1")).unwrap();
    let said = both.tell(house, "reopen");
    let expected =
        format!("stderr failed: {} (outside the root directory): No such file or directory", outside.display());
    assert!(said.starts_with(&expected), "{said}");
    both.tell(house, "out one");
    both.tell(house, "err two");
    assert_eq!((text(&inside), text(&house.path("out.1"))), ("one\n".into(), "two\n".into()));
    both.dismiss();

    // Inside by its name, and outside by a link: inside, the same name would lead to another file.
    symlink(house.path("outside"), &link).unwrap();
    fs::create_dir_all(format!("{}{}", root.display(), house.path("outside").display())).unwrap();
    let mut linked = daemon(house, &[&chroot, &word("stdout", &link.join("out"))]);
    let said = linked.tell(house, "reopen");
    assert!(said.contains("(outside the root directory)"), "{said}");
    linked.dismiss();
    let wrong = format!("{}{}", root.display(), outside.display());
    assert!(outside.exists() && !Path::new(&wrong).exists());
}

fn by_another_user(house: &mut House) {
    if !is_root() {
        return;
    }
    let folder = house.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&house.folder, fs::Permissions::from_mode(0o711)).unwrap();
    let (log, root) = (folder.join("log"), word("err_log", &folder.join("log.err")));
    let words = [&word("out_log", &log), "user=nobody", "log_user=nobody", &root];
    let mut daemon = daemon(house, &words);
    fs::rename(&log, folder.join("log.1")).unwrap();
    let said = daemon.tell(house, "reopen");
    assert_eq!(said, format!("stdout failed: {}: Permission denied (13 EACCES)", log.display()));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(daemon.tell(house, "reopen"), "reopened");
    assert_eq!((mode(&log), owners(&log).0), (0o640, 65534));
    daemon.dismiss();

    // What cannot be given away is not left behind: the next try would find a file that is not as it was asked for.
    let mine = folder.join("mine");
    let mut giving = self::daemon(house, &[&word("out_log", &mine), "user=nobody", "log_user=root"]);
    fs::remove_file(&mine).unwrap();
    let said = giving.tell(house, "reopen");
    assert_eq!(said, format!("stdout failed: {}: Operation not permitted (1 EPERM)", mine.display()));
    assert!(!mine.exists());
    giving.dismiss();
}

fn before_it_is_ready(house: &mut House) {
    let log = house.path("log");
    let mut daemon = begin(house, &["manual", &word("err_log", &log)], || {});
    fs::rename(&log, house.path("log.1")).unwrap();
    assert_eq!(daemon.tell(house, "reopen"), "reopened");
    daemon.tell(house, "err early");
    assert_eq!(text(&house.path("said")), "early\n", "until then it is the starter's");
    assert_eq!(daemon.tell(house, "ready"), "ready");
    daemon.left(0);
    daemon.tell(house, "err late");
    assert_eq!((text(&log), text(&house.path("log.1"))), ("late\n".into(), String::new()));
    assert!(descriptors(daemon.pid).iter().filter(|(_, to)| to.contains("log")).count() == 1);
    daemon.dismiss();
}

fn not_detached(house: &mut House) {
    let log = house.path("log");
    let mut service = begin(house, &["detach=no", &word("out_log", &log)], || {});
    fs::rename(&log, house.path("log.1")).unwrap();
    assert_eq!(service.tell(house, "reopen"), "reopened");
    service.tell(house, "out again");
    assert_eq!(text(&log), "again\n");
    service.dismiss();
}
