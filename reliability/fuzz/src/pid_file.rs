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

/// White space around digits at most, less than 64 bytes, a process's number.
fn named(bytes: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() < 64)?;
    let text = text.trim_matches([' ', '\t', '\n', '\x0c', '\r']);
    let digits = text.chars().all(|it| it.is_ascii_digit());
    // i128 has room for 38 digits.
    let number = text.trim_start_matches('0');
    let number: i128 =
        if number.len() < 38 && !text.is_empty() && digits { number.parse().ok()? } else { return None };
    i32::try_from(number).ok().filter(|pid| (2..=4_194_304).contains(pid))
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
    &bytes[..end]
}

/// A process, and no thread of one nor a body.
fn lives(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let has = |line: String| status.lines().any(|it| it == line);
    has(format!("Tgid:\t{pid}")) && !status.lines().any(|line| line.starts_with("State:\tZ"))
}

fn ask(path: &Path, content: &[u8], lock: Lock, old: bool) {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let held = lock == Lock::Exclusive;
    // A file of the library's own is read to 64 bytes; of another program's only the first line counts.
    let ours = named(content);
    let theirs = named(first_line(content));
    let by_lock = match ours {
        Some(pid) if held && pid == own => Status::Running(pid),
        _ if held => Status::Starting,
        _ => Status::Stale,
    };
    let by_age = match theirs {
        Some(pid) if !old && lives(pid) => Status::Running(pid),
        _ => Status::Stale,
    };
    let by_either = match theirs {
        Some(pid) if held && pid == own => Status::Running(pid),
        _ if by_age != Status::Stale => by_age,
        _ if held => Status::Starting,
        _ => Status::Stale,
    };
    let kinds: [(Result<PidFile, _>, Option<i32>, Status); 3] = [
        (PidFile::new(path), ours, by_lock),
        (PidFile::foreign(path), theirs, by_age),
        (PidFile::of_either_kind(path), theirs, by_either),
    ];
    for (index, (file, pid, status)) in kinds.into_iter().enumerate() {
        let Ok(file) = file else { wrong("a path is refused") };
        answers(&file, index, pid, status, content);
    }
    // One who asks is waited for, and in nobody's way for long.
    if lock != Lock::Shared {
        removed(path, held);
    }
}

fn answers(file: &PidFile, kind: usize, pid: Option<i32>, status: Status, content: &[u8]) {
    let shown = || String::from_utf8_lossy(content).escape_debug().to_string();
    let running = matches!(status, Status::Running(_));
    if file.read_pid() != Ok(pid) {
        wrong(&format!("kind {kind}, \"{}\": PID {:?}, not {pid:?}", shown(), file.read_pid()));
    }
    if file.status() != Ok(status) {
        wrong(&format!("kind {kind}, \"{}\": {:?}, not {status:?}", shown(), file.status()));
    }
    if file.is_running() != Ok(running) || file.running().map(|it| it.is_some()) != Ok(running) {
        wrong(&format!("kind {kind}, \"{}\": running {:?}, not {running}", shown(), file.is_running()));
    }
    if file.signal(0).is_ok() != running {
        wrong(&format!("kind {kind}, \"{}\": signal 0: {:?}, not {running}", shown(), file.signal(0)));
    }
    if file.is_garbage() == Ok(true) && (pid.is_some() || content.is_empty()) {
        wrong(&format!("kind {kind}, \"{}\": garbage", shown()));
    }
    if std::fs::read(file.path()).ok().as_deref() != Some(content) {
        wrong("a question has changed the file");
    }
}

/// Nobody's file can be removed, and taken; one that is held cannot be removed.
fn removed(path: &Path, held: bool) {
    let Ok(file) = PidFile::new(path) else { wrong("a path is refused") };
    let gone = file.remove().is_ok();
    if gone == held || path.exists() != held {
        wrong("removed what is held, or did not remove what is not");
    }
    if held {
        // A start would wait for a moment.
        return;
    }
    match file.acquire() {
        Ok(lock) => {
            if file.read_pid().ok().flatten().map(i64::from) != Some(i64::from(std::process::id())) {
                wrong("acquired, and it is another's PID");
            }
            lock.release();
        }
        Err(error) => wrong(&format!("not acquired: {error}")),
    }
}
