//! Files in directories that other users can write to: what root opens there for a daemon.

use crate::Test;
use crate::house::{House, before_exec};
use crate::streams::{begin, daemon};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub const TESTS: &[Test] = &[
    ("guarded: standard input is nobody else's link", standard_input_links),
    ("guarded: standard input is nobody else's file", standard_input_files),
    ("guarded: a link in the middle of a path", links_in_the_middle),
    ("guarded: another name of a trusted link", linked_links),
    ("guarded: a trusted link that another user can rename", renamed_links),
    ("guarded: nobody's directory, exchanged all the time", exchanged),
    ("guarded: nobody's directory, where hard links are not protected", exchanged_unprotected),
    ("guarded: a null device that is none", null_device),
];

const NOBODY: u32 = 65534;

/// A directory of nobody's, and a file of root's outside of it; none where this process is not root.
fn hostile(house: &House) -> Option<(PathBuf, PathBuf)> {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("(needs root: skipped)");
        return None;
    }
    let (folder, precious) = (house.path("theirs"), house.path("precious"));
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::write(&precious, "secret\n").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o600)).unwrap();
    Some((folder, precious))
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

fn nobodys_link(target: &Path, link: &Path) {
    symlink(target, link).unwrap();
    lchown(link, Some(NOBODY), Some(NOBODY)).unwrap();
}

fn nobodys_fifo(path: &Path) {
    // SAFETY: the name is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(c_path(path).as_ptr(), 0o666) }, 0);
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

fn word(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

fn refused(house: &House, word: &str, why: &str) {
    house.start("daemon", &[word]).is(1, why);
}

// --- standard input ---------------------------------------------------------------------------------------------------

fn standard_input_links(house: &mut House) {
    let Some((folder, precious)) = hostile(house) else { return };
    let input = folder.join("input");
    nobodys_link(&precious, &input);
    refused(house, &word("stdin", &input), "(40 ELOOP)");
    // Root's own link is followed, but not to another's.
    let own = house.path("own");
    symlink("precious", &own).unwrap();
    daemon(house, &[&word("stdin", &own)]).dismiss();
    fs::remove_file(&own).unwrap();
    symlink(&input, &own).unwrap();
    refused(house, &word("stdin", &own), "(40 ELOOP)");
    // Descriptors of the program's own are reached over the kernel's links.
    daemon(house, &["stdin=/proc/self/fd/0"]).dismiss();
}

fn standard_input_files(house: &mut House) {
    let Some((folder, precious)) = hostile(house) else { return };
    let (input, stdin) = (folder.join("input"), word("stdin", &folder.join("input")));
    fs::hard_link(&precious, &input).unwrap();
    refused(house, &stdin, "(31 EMLINK)");
    fs::remove_file(&input).unwrap();
    nobodys_fifo(&input);
    refused(house, &stdin, "(1 EPERM)");
    // The directory's owner may have moved it here, and could not read it.
    fs::rename(&precious, &input).unwrap();
    refused(house, &stdin, "(13 EACCES)");
    fs::set_permissions(&input, fs::Permissions::from_mode(0o644)).unwrap();
    daemon(house, &[&stdin]).dismiss();
    chown(&input, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&input, fs::Permissions::from_mode(0o600)).unwrap();
    daemon(house, &[&stdin]).dismiss();
    // In root's own directory it is root's business.
    fs::write(house.path("one"), "").unwrap();
    fs::hard_link(house.path("one"), house.path("two")).unwrap();
    daemon(house, &[&word("stdin", &house.path("two"))]).dismiss();
}

// --- links --------------------------------------------------------------------------------------------------------------

fn links_in_the_middle(house: &mut House) {
    let Some((folder, _)) = hostile(house) else { return };
    let target = house.path("target");
    fs::create_dir(&target).unwrap();
    nobodys_link(&target, &folder.join("logs"));
    refused(house, &word("out_log", &folder.join("logs/log")), "(40 ELOOP)");
    refused(house, &word("stdin", &folder.join("logs/log")), "(40 ELOOP)");
    assert!(fs::read_dir(&target).unwrap().next().is_none(), "nothing is made behind it");
    // Root's links are followed, absolute and relative, with what is odd about paths.
    symlink("../target", house.path("target/loop")).unwrap();
    symlink(&target, house.path("moved")).unwrap();
    let odd = house.path("moved//loop/./loop/../target/log");
    daemon(house, &[&word("out_log", &odd)]).dismiss();
    assert!(target.join("log").exists());
    refused(house, &format!("{}/", word("out_log", &target.join("log"))), "(20 ENOTDIR)");
    refused(house, &format!("{}/", word("out_log", &target)), "(21 EISDIR)");
    refused(house, &word("out_log", &target.join("log/below")), "(20 ENOTDIR)");
    symlink("round", house.path("round")).unwrap();
    refused(house, &word("out_log", &house.path("round")), "(40 ELOOP)");
    refused(house, &word("out_log", &house.path("round/log")), "(40 ELOOP)");
}

/// Where the kernel does not protect them, symbolic links of root's can be had in any directory of the file system.
fn linked_links(house: &mut House) {
    let Some((folder, precious)) = hostile(house) else { return };
    symlink(&precious, house.path("own")).unwrap();
    fs::hard_link(house.path("own"), folder.join("log")).unwrap();
    refused(house, &word("out_log", &folder.join("log")), "(40 ELOOP)");
    refused(house, &word("stdin", &folder.join("log")), "(40 ELOOP)");
}

/// The directory's owner chooses for what root's link is taken; in a sticky directory like /tmp only its own owner does.
fn renamed_links(house: &mut House) {
    let Some((folder, precious)) = hostile(house) else { return };
    fs::create_dir(house.path("target")).unwrap();
    symlink(&precious, folder.join("log")).unwrap();
    symlink("../target", folder.join("logs")).unwrap();
    let words = [
        word("stdin", &folder.join("log")),
        word("out_log", &folder.join("log")),
        word("out_log", &folder.join("logs/log")),
    ];
    words.iter().for_each(|word| refused(house, word, "(40 ELOOP)"));
    chown(&folder, Some(0), Some(0)).unwrap();
    for (mode, is_refused) in [(0o777, true), (0o775, true), (0o1777, false), (0o755, false)] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        for word in &words {
            match is_refused {
                true => refused(house, word, "(40 ELOOP)"),
                false => daemon(house, &[word]).dismiss(),
            }
        }
    }
}

// --- races --------------------------------------------------------------------------------------------------------------

/// Puts one thing after another where the log file is, until it is told to stop.
///
/// With `links`, hard links to root's file are among them, which the kernel lets nobody make where it protects them.
fn exchange(folder: &Path, precious: &Path, links: bool, is_over: &AtomicBool) {
    let (log, next) = (folder.join("log"), folder.join("next"));
    let put = |make: &dyn Fn()| {
        make();
        fs::rename(&next, &log).unwrap();
    };
    while !is_over.load(Ordering::Relaxed) {
        put(&|| nobodys_link(precious, &next));
        put(&|| nobodys_link(&folder.join("../made"), &next));
        put(&|| nobodys_fifo(&next));
        if links {
            // Removed first: renaming one name of a file to another does nothing.
            fs::hard_link(precious, &next).unwrap();
            fs::rename(&next, &log).unwrap();
            fs::remove_file(&log).unwrap();
        }
        for _ in 0..if links { 10 } else { 0 } {
            fs::hard_link(precious, &log).or_else(|_| fs::remove_file(&log)).unwrap();
            let _ = fs::remove_file(&log);
        }
        put(&|| {
            fs::write(&next, "").unwrap();
            chown(&next, Some(NOBODY), Some(NOBODY)).unwrap();
        });
        let _ = fs::remove_file(&log);
    }
}

/// Root's daemon opens its log again and again meanwhile, and starts are made.
fn attacked(house: &mut House, links: bool, around: impl FnMut() + Send + Sync + Clone + 'static) {
    const TIMES: usize = 1500;
    const STARTS: usize = 20;
    let Some((folder, precious)) = hostile(house) else { return };
    let log = word("out_log", &folder.join("log"));
    let words = [log.as_str(), "log_mode=0606", "log_user=nobody"];
    let mut victim = begin(house, &words, around.clone());
    victim.left(0);
    let is_over = AtomicBool::new(false);
    let (mut done, mut opened) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| exchange(&folder, &precious, links, &is_over));
        for _ in 0..TIMES {
            opened += usize::from(victim.tell(house, "reopen") == "reopened");
            victim.tell(house, "out something");
            done += 1;
        }
        for _ in 0..STARTS {
            let mut starter = house.program("daemon", &["anonymous", "log_truncate", &log]);
            before_exec(&mut starter, around.clone());
            if house.finish(starter).code() == 0 {
                let pid = house.hear().parse().unwrap();
                house.end(pid, libc::SIGKILL);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    victim.dismiss();
    let status = fs::metadata(&precious).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "secret\n", "nothing is written to another file");
    assert_eq!((status.uid(), status.mode() & 0o7777), (0, 0o600), "nor is it given away");
    assert!(!house.path("made").exists(), "nothing is made through a link");
    assert!(done == TIMES && opened > 0, "{opened} of {done}");
}

fn exchanged(house: &mut House) {
    attacked(house, false, || {});
}

/// With a `/proc` that does not say that hard links are protected, and with such links.
fn exchanged_unprotected(house: &mut House) {
    let (zero, setting) = (house.path("zero"), c"/proc/sys/fs/protected_hardlinks");
    fs::write(&zero, "0").unwrap();
    let zero = c_path(&zero);
    attacked(house, true, move || in_own_mounts(&[(zero.as_c_str(), setting)]));
}

/// Binds files over others for this process alone. Runs between fork and exec: system calls only.
fn in_own_mounts(binds: &[(&std::ffi::CStr, &std::ffi::CStr)]) {
    let (none, root) = (c"none".as_ptr(), c"/".as_ptr());
    let nothing = std::ptr::null();
    // SAFETY: unshare takes a number; the strings are NUL-terminated, and neither mount needs a type or data.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(none, root, nothing, libc::MS_REC | libc::MS_PRIVATE, nothing.cast()) == 0
            && binds
                .iter()
                .all(|(from, to)| libc::mount(from.as_ptr(), to.as_ptr(), nothing, libc::MS_BIND, nothing.cast()) == 0)
    };
    if !done {
        // SAFETY: abort does not return.
        unsafe { libc::abort() };
    }
}

// --- the null device ----------------------------------------------------------------------------------------------------

fn null_device(house: &mut House) {
    if hostile(house).is_none() {
        return;
    }
    let (file, fifo, zero) = (house.path("file"), house.path("fifo"), PathBuf::from("/dev/zero"));
    fs::write(&file, "").unwrap();
    nobodys_fifo(&fifo);
    for (there, called) in [(&file, "a regular file"), (&fifo, "a FIFO"), (&zero, "another device")] {
        let is_none = format!("/dev/null ({called}): No such device (19 ENODEV)");
        let there = c_path(there);
        let around = move || in_own_mounts(&[(there.as_c_str(), c"/dev/null")]);
        let mut starter = house.program("daemon", &[]);
        before_exec(&mut starter, around.clone());
        house.finish(starter).is(1, &format!("stdin failed: {is_none}"));
        let mut parts = house.program("nulls", &[]);
        before_exec(&mut parts, around);
        house.finish(parts).is(0, "");
        assert_eq!(house.hear(), format!("stdin failed: {is_none}"), "parts::fork");
        assert_eq!(house.hear(), format!("stdin failed: {is_none}"), "parts::run");
    }
    assert_eq!(fs::read(&file).unwrap(), b"");
}
