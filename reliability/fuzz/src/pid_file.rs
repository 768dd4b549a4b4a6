//! Pid files with any content: what is read is what the rule says, written down here a second time, and nobody is taken for the
//! daemon who is not.

use crate::choice::Choices;
use crate::house::{self, wrong};
use daemonctx::{PidFile, Status};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Who has a lock on the file: another open file of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    None,
    Shared,
    Exclusive,
}

/// Tries one file. The first byte: lock, age, kind; the second: numbers that are somebody's; then the content.
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let how = choices.byte();
    let number = choices.byte();
    let mut content = Vec::new();
    match number % 8 {
        0 => content.extend(std::process::id().to_string().bytes()),
        1 => content.extend((number / 8).to_string().bytes()),
        _ => {}
    }
    content.extend(choices.rest());
    let lock = [Lock::None, Lock::Shared, Lock::Exclusive, Lock::Exclusive][usize::from(how & 3)];
    let path = house::path("pid");
    let _ = std::fs::remove_file(&path);
    if std::fs::write(&path, &content).is_err() {
        return;
    }
    let Ok(file) = File::options().read(true).write(true).open(&path) else { wrong("cannot be opened") };
    let old = how & 4 != 0;
    if old {
        // Before any process.
        let _ = file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    }
    take(&file, lock);
    ask(&path, &content, lock, old);
}

fn take(file: &File, lock: Lock) {
    let operation = match lock {
        Lock::None => return,
        Lock::Shared => libc::LOCK_SH,
        Lock::Exclusive => libc::LOCK_EX,
    };
    // SAFETY: flock takes numbers.
    if unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) } != 0 {
        wrong("flock fails");
    }
}

/// What is in a file: digits, and a newline behind them or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Pid(i32),
    /// Nothing, or a number that no daemon has.
    NoDaemon,
    NotPidFile,
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        let Some((last, before)) = bytes.split_last() else { return Self::NoDaemon };
        let digits = if *last == b'\n' { before } else { bytes };
        if bytes.len() > 1023 || digits.is_empty() || digits.iter().any(|byte| !(b'0'..=b'9').contains(byte)) {
            return Self::NotPidFile;
        }
        let significant = String::from_utf8_lossy(digits).trim_start_matches('0').to_owned();
        match significant.parse() {
            Ok(pid) if significant.len() < 8 && (2..=4_194_304).contains(&pid) => Self::Pid(pid),
            _ => Self::NoDaemon,
        }
    }
}

/// A process, and no thread of one, nor a zombie, nor a thread of the kernel.
fn lives(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let has = |line: String| status.lines().any(|it| it == line);
    has(format!("Tgid:\t{pid}"))
        && !has("Kthread:\t1".to_owned())
        && status.lines().any(|line| line.starts_with("VmSize:"))
        && !status.lines().any(|line| line.starts_with("State:\tZ"))
}

/// What may be said of a file.
fn expected(content: Content, by_age: bool, lock: Lock, old: bool) -> Vec<Status> {
    let held = lock == Lock::Exclusive;
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let without = if held { Status::Starting } else { Status::Stale };
    match content {
        // Younger than its file: with the lock, it is the daemon only in the session of a start.
        Content::Pid(pid) if pid == own && held && old => vec![Status::Running(pid), Status::Starting, Status::Unknown],
        // Somebody else's lock: the file is not one of a program that does not lock it.
        Content::Pid(pid) if pid == own && lock == Lock::Shared && by_age && !old => vec![Status::Unknown],
        // The lock's descriptor can be written by, and all can write the directory that fuzz.py makes.
        Content::Pid(pid) if pid == own && held => vec![Status::Running(pid), Status::Unknown],
        // A process of another PID namespace can have the same PID.
        Content::Pid(pid) if pid == own && by_age && !old => vec![Status::Running(pid), Status::Unknown],
        // Another process that may be the daemon by its age. It has not got the lock, but a descendant of it, this one, can have it.
        Content::Pid(pid) if pid != own && !old && lives(pid) => {
            let mut all = vec![Status::Unknown];
            if held {
                all.extend([Status::Running(pid), Status::Starting]);
            } else if by_age {
                all.push(Status::Running(pid));
            } else {
                all = vec![Status::Stale];
            }
            all
        }
        _ => vec![without],
    }
}

fn ask(path: &Path, bytes: &[u8], lock: Lock, old: bool) {
    let content = Content::of(bytes);
    let held = lock == Lock::Exclusive;
    let kinds = [(PidFile::new(path), false), (PidFile::foreign(path), true), (PidFile::of_either_kind(path), true)];
    for (kind, (file, by_age)) in kinds.into_iter().enumerate() {
        let Ok(file) = file else { wrong("a path is refused") };
        answers(&file, kind, content, &expected(content, by_age, lock, old), bytes);
        if std::fs::read(path).ok().as_deref() != Some(bytes) {
            wrong("a question has changed the file");
        }
    }
    // One who asks is waited for, and in nobody's way for long.
    if lock != Lock::Shared {
        removed(path, content, held, bytes);
    }
}

fn answers(file: &PidFile, kind: usize, content: Content, expected: &[Status], bytes: &[u8]) {
    let shown = || format!("kind {kind}, \"{}\"", String::from_utf8_lossy(bytes).escape_debug());
    if content == Content::NotPidFile {
        let refused = file.read_pid().is_err() && file.status().is_err() && file.running().is_err();
        if !refused || file.is_running().is_ok() || file.signal(0).is_ok() {
            wrong(&format!("{}: no pid file, but {:?}", shown(), file.status()));
        }
        return;
    }
    let pid = if let Content::Pid(pid) = content { Some(pid) } else { None };
    if file.read_pid() != Ok(pid) {
        wrong(&format!("{}: PID {:?}, not {pid:?}", shown(), file.read_pid()));
    }
    let Ok(status) = file.status() else { wrong(&format!("{}: {:?}", shown(), file.status())) };
    if !expected.contains(&status) {
        wrong(&format!("{}: {status:?}, not {expected:?}", shown()));
    }
    let running = matches!(status, Status::Running(_));
    let wanted = if status == Status::Unknown { None } else { Some(running) };
    if file.is_running().ok() != wanted || file.running().ok().map(|it| it.is_some()) != wanted {
        wrong(&format!("{}: {status:?}, but running {:?}", shown(), file.is_running()));
    }
    if file.signal(0).is_ok() != running {
        wrong(&format!("{}: {status:?}, but signal 0: {:?}", shown(), file.signal(0)));
    }
}

/// Nobody's pid file can be removed, and taken; one that is held cannot be removed, and what is no pid file is left alone.
fn removed(path: &Path, content: Content, held: bool, bytes: &[u8]) {
    let Ok(file) = PidFile::new(path) else { wrong("a path is refused") };
    let stays = held || content == Content::NotPidFile;
    let gone = file.remove().is_ok();
    if gone == stays || path.exists() != stays {
        wrong("removed what is held or no pid file, or did not remove what is stale");
    }
    if held {
        // A start would wait for a moment.
        return;
    }
    match file.acquire() {
        Ok(_) if stays => wrong("acquired what is no pid file"),
        Ok(lock) => {
            if file.read_pid().ok().flatten().map(i64::from) != Some(i64::from(std::process::id())) {
                wrong("acquired, and it is another's PID");
            }
            lock.release();
        }
        Err(_) if stays && std::fs::read(path).ok().as_deref() == Some(bytes) => {}
        Err(error) => wrong(&format!("not acquired: {error}")),
    }
}
