//! The last lines that a daemon has logged: in the files that its standard output and standard error go to, else in
//! the system log.

use crate::process::path;
use crate::sys;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Lines, and where they were found.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) source: Vec<u8>,
    pub(crate) lines: Vec<Vec<u8>>,
}

/// Whose lines in the system log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    pub(crate) pid: i32,
    pub(crate) user: Option<u32>,
    /// Seconds since 1970: what is older was said by another of that PID.
    pub(crate) since: i64,
}

const OUTPUTS: [&str; 2] = ["fd/1", "fd/2"];

/// Where a process's output goes: paths, or what else the kernel calls it.
///
/// # Errors
/// It may not be known.
pub(crate) fn outputs(pid: i32) -> io::Result<Vec<Vec<u8>>> {
    let targets = OUTPUTS.iter().map(|output| Ok(fs::read_link(path(pid, output))?.into_os_string().into_vec()));
    let mut targets: Vec<_> = targets.collect::<io::Result<_>>()?;
    targets.dedup();
    Ok(targets)
}

/// The ends of the files that a process's output goes to.
pub(crate) fn in_files(pid: i32, lines: usize) -> Vec<Log> {
    let mut seen = Vec::new();
    let mut logs = Vec::new();
    for output in OUTPUTS {
        let path = path(pid, output);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let identity = (metadata.dev(), metadata.ino());
        if seen.contains(&identity) {
            continue;
        }
        seen.push(identity);
        let source = fs::read_link(&path).unwrap_or_default().into_os_string().into_vec();
        if let Ok(lines) = end_of(&path, lines) {
            logs.push(Log { source, lines });
        }
    }
    logs
}

/// What a process has said in the system log: the journal, where that answers, else the files of syslogd.
pub(crate) fn in_system_log(author: Author, lines: usize) -> Option<Log> {
    let journal = in_journal(author, lines).filter(|lines| !lines.is_empty());
    if let Some(lines) = journal {
        return Some(Log { source: b"the journal".to_vec(), lines });
    }
    let mark = ["[", &author.pid.to_string(), "]:"].concat();
    ["/var/log/syslog", "/var/log/messages", "/var/log/daemon.log"].into_iter().find_map(|file| {
        let mut found = end_of(file, usize::MAX).ok()?;
        found.retain(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()));
        found.drain(..found.len().saturating_sub(lines));
        (!found.is_empty()).then(|| Log { source: file.as_bytes().to_vec(), lines: found })
    })
}

/// Lines that another process passes on for it (`start --syslog`) name its PID, and are the same user's.
fn in_journal(author: Author, lines: usize) -> Option<Vec<Vec<u8>>> {
    const PATIENCE: Duration = Duration::from_millis(1500);
    let pid = author.pid.to_string();
    let mut command = Command::new("journalctl");
    command.args(["-q", "--no-pager", "--no-hostname", "-o", "short", "-n", &lines.to_string()]);
    command.args([["--since=@", &author.since.to_string()].concat(), ["_PID=", &pid].concat()]);
    if let Some(user) = author.user {
        command.args(["+".to_owned(), ["SYSLOG_PID=", &pid].concat(), ["_UID=", &user.to_string()].concat()]);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let text = read_within(&mut child, PATIENCE);
    // It may have to be stopped; that it has ended already is no error.
    let _ = child.kill();
    let _ = child.wait();
    Some(last_lines(&text?, lines))
}

/// What a child prints until it has done; nothing where that takes too long.
fn read_within(child: &mut Child, patience: Duration) -> Option<Vec<u8>> {
    const ROOM: usize = 1 << 16;
    let output = child.stdout.as_mut()?;
    let deadline = Instant::now() + patience;
    let mut text = Vec::new();
    let mut room = vec![0; ROOM];
    loop {
        let left = deadline.checked_duration_since(Instant::now())?;
        if !sys::wait_readable(output.as_fd(), left) {
            return None;
        }
        match output.read(&mut room) {
            Ok(0) => return Some(text),
            Ok(length) => text.extend_from_slice(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// The last lines of a regular file, and of no other: nothing is waited for.
fn end_of(path: &str, lines: usize) -> io::Result<Vec<Vec<u8>>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    tail(&file, metadata.len(), lines)
}

/// Reads ever more of the end, until that has as many lines as wanted.
fn tail(file: &File, size: u64, lines: usize) -> io::Result<Vec<Vec<u8>>> {
    const FIRST: u64 = 1 << 14;
    /// More is read of no file, however long its lines are.
    const MOST: u64 = 1 << 22;
    let mut span = FIRST;
    loop {
        let length = span.min(size);
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        let read = read_from(file, &mut text, size - length)?;
        text.truncate(read);
        let newlines = text.iter().filter(|byte| **byte == b'\n').count();
        if newlines > lines || length == size || span >= MOST {
            return Ok(last_lines(&text, lines));
        }
        span *= 4;
    }
}

/// Less than wanted where the file has been cut meanwhile.
fn read_from(file: &File, room: &mut [u8], begin: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < room.len() {
        match file.read_at(&mut room[done..], begin + u64::try_from(done).unwrap_or_default()) {
            Ok(0) => break,
            Ok(length) => done += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn last_lines(text: &[u8], most: usize) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<_> = text.rsplit(|byte| *byte == b'\n').take(most).map(<[u8]>::to_vec).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::{last_lines, tail};
    use std::fs::File;
    use std::io::Write;

    fn tail_of(text: &[u8], lines: usize) -> std::io::Result<Vec<Vec<u8>>> {
        let path = std::env::temp_dir().join(format!(
            "daemonctx-tail-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        File::create(&path)?.write_all(text)?;
        let file = File::open(&path)?;
        std::fs::remove_file(&path)?;
        tail(&file, file.metadata()?.len(), lines)
    }

    #[test]
    fn the_end_of_a_file() -> std::io::Result<()> {
        assert_eq!(tail_of(b"", 3)?, [b""; 0]);
        assert_eq!(tail_of(b"\n", 3)?, [b""; 0]);
        assert_eq!(tail_of(b"one\ntwo", 3)?, [&b"one"[..], b"two"]);
        assert_eq!(tail_of(b"one\n\nthree\n", 2)?, [&b""[..], b"three"]);
        assert_eq!(tail_of(b"one\ntwo\n", 0)?, [b""; 0]);
        Ok(())
    }

    #[test]
    fn lines_longer_than_a_block() -> std::io::Result<()> {
        let long = vec![b'x'; 100_000];
        let text = [&b"first\n"[..], &long, b"\nlast\n"].concat();
        assert_eq!(tail_of(&text, 2)?, [&long[..], b"last"]);
        assert_eq!(tail_of(&text, 9)?.len(), 3);
        Ok(())
    }

    #[test]
    fn no_more_than_a_bound() -> std::io::Result<()> {
        let lines = tail_of(&vec![b'x'; 20 << 20], 5)?;
        assert!(lines.len() == 1 && lines[0].len() <= 16 << 20, "{}", lines[0].len());
        Ok(())
    }

    #[test]
    fn lines() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), [b"b", b"c"]);
    }
}
