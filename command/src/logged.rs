//! The last lines that a daemon has logged: in the files that its standard output and standard error go to, else in
//! the system log.

use crate::bounded::{look_in_child, read_in_child, read_within};
use crate::process::{line_of, number_in, path, words};
use crate::sys;
use daemonctx::{Monitored, MonitoredOutput};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// How much of the end of a log `status` reads and shows.
const MOST: u64 = 1 << 16;

/// Where a process's output goes: paths, or what else the kernel calls it.
///
/// # Errors
/// It may not be known.
pub(crate) fn outputs(pid: i32) -> io::Result<Vec<Vec<u8>>> {
    let joined = look_in_child(|joined| {
        for output in ["fd/1", "fd/2"] {
            joined.extend(fs::read_link(path(pid, output))?.into_os_string().into_vec());
            joined.push(0);
        }
        Ok(())
    })?;
    let mut targets: Vec<_> = joined.split(|byte| *byte == 0).take(2).map(<[u8]>::to_vec).collect();
    targets.dedup();
    Ok(targets)
}

/// The ends of the files that a process's output goes to.
///
/// A process may have anything as its output: only what it has open for writing is shown, and only a regular file, so that reading
/// has no effect. That it is open for writing proves that it is the process's to write, whatever its privileges are now. A child
/// looks at the files, as that may block for ever on a dead network or FUSE file system.
pub(crate) fn in_files(pid: i32, lines: usize) -> Vec<Log> {
    const OUTPUTS: [i32; 2] = [1, 2];
    let mut seen = Vec::new();
    let mut logs = Vec::new();
    for number in OUTPUTS {
        let Some(found) = read_in_child(|output| write_end_of(pid, number, lines, output)) else { continue };
        let mut parts = found.splitn(2, |byte| *byte == 0);
        let (Some(source), Some(rest)) = (parts.next(), parts.next()) else { continue };
        let Some((identity, text)) = rest.split_at_checked(IDENTITY) else { continue };
        if !seen.contains(&identity.to_vec()) {
            seen.push(identity.to_vec());
            logs.push(Log { source: source.to_vec(), lines: split_lines(text) });
        }
    }
    logs
}

/// The ends of the files that a daemon wrote to which has ended.
pub(crate) fn in_paths(daemon: &Monitored, lines: usize) -> Vec<Log> {
    let mut paths: Vec<_> = [daemon.stdout(), daemon.stderr()].into_iter().filter_map(path_of).collect();
    paths.dedup();
    /// What a child writes first that could read the file.
    const FOUND: &[u8] = b"+";
    let read = |path: &Path| {
        let text = read_in_child(|mut output| {
            let end = end_of(path, lines, MOST)?;
            output.write_all(FOUND)?;
            write_lines(&end, output)
        })?;
        let lines = split_lines(text.strip_prefix(FOUND)?);
        Some(Log { source: path.as_os_str().as_bytes().to_vec(), lines })
    };
    paths.into_iter().filter_map(read).collect()
}

/// The file that an output leads to.
pub(crate) fn path_of(output: MonitoredOutput<'_>) -> Option<&Path> {
    if let MonitoredOutput::File(path) = output { Some(path) } else { None }
}

/// Each line ends with a newline.
fn split_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec()).collect()
}

fn write_lines(lines: &[Vec<u8>], mut output: impl Write) -> io::Result<()> {
    lines.iter().try_for_each(|line| output.write_all(&[line, &b"\n"[..]].concat()))
}

/// What `/proc/PID/fdinfo/FD` tells, all of one moment and without looking at the file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenFile {
    flags: i32,
    mount: Option<u64>,
    /// Since Linux 5.14.
    inode: Option<u64>,
}

impl OpenFile {
    fn of(pid: &str, number: RawFd) -> Option<Self> {
        let text = fs::read(["/proc/", pid, "/fdinfo/", &number.to_string()].concat()).ok()?;
        let field = |label: &str| words(line_of(&text, label.as_bytes())?).next();
        Some(Self {
            flags: i32::from_str_radix(std::str::from_utf8(field("flags:")?).ok()?, 8).ok()?,
            mount: field("mnt_id:").and_then(number_in),
            inode: field("ino:").and_then(number_in),
        })
    }

    fn is_writable(&self) -> bool {
        self.flags & sys::O_PATH == 0 && matches!(self.flags & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.mount, self.inode) == (other.mount, other.inode)
    }
}

/// Device and inode.
const IDENTITY: usize = 16;

/// Writes the path of a file that a process has open for writing, which file it is, and its end.
fn write_end_of(pid: i32, number: RawFd, lines: usize, mut output: impl Write) -> io::Result<()> {
    let (source, file) = open_output(pid, number)?;
    let metadata = file.metadata()?;
    let end = tail(&file, metadata.len(), lines, MOST)?;
    output.write_all(&[source.as_os_str().as_bytes(), b"\0"].concat())?;
    output.write_all(&[metadata.dev().to_ne_bytes(), metadata.ino().to_ne_bytes()].concat())?;
    write_lines(&end, output)
}

/// Opens the file that a process has open for writing, and says what it is called now. What was opened is compared with the descriptor once
/// more, as the process can exchange that.
pub(crate) fn open_output(pid: i32, number: RawFd) -> io::Result<(PathBuf, File)> {
    let link = path(pid, &["fd/", &number.to_string()].concat());
    let source = fs::read_link(&link)?;
    if !source.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let held = File::options().read(true).custom_flags(sys::O_PATH).open(link)?;
    let (its, ours) = (OpenFile::of(&pid.to_string(), number), OpenFile::of("self", held.as_raw_fd()));
    let is_fit = its.zip(ours).is_some_and(|(its, ours)| its.is_writable() && its.is_same(&ours));
    if !is_fit || !held.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((source, File::open(["/proc/self/fd/", &held.as_raw_fd().to_string()].concat())?))
}

/// What a process has said in the system log: the journal, where that answers, else the files of syslogd.
pub(crate) fn in_system_log(author: Author, lines: usize) -> Option<Log> {
    let journal = in_journal(author, lines).filter(|lines| !lines.is_empty());
    if let Some(lines) = journal {
        return Some(Log { source: b"the journal".to_vec(), lines: end_of_lines(lines) });
    }
    let mark = ["[", &author.pid.to_string(), "]:"].concat();
    ["/var/log/syslog", "/var/log/messages", "/var/log/daemon.log"].into_iter().find_map(|file| {
        let mut found = end_of(Path::new(file), usize::MAX, SEARCHED).ok()?;
        found.retain(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()));
        found.drain(..found.len().saturating_sub(lines));
        (!found.is_empty()).then(|| Log { source: file.as_bytes().to_vec(), lines: end_of_lines(found) })
    })
}

/// Lines that another process passes on for it (`start --syslog`) name its PID, and are the same user's.
fn in_journal(author: Author, lines: usize) -> Option<Vec<Vec<u8>>> {
    let pid = author.pid.to_string();
    let mut command = Command::new("journalctl");
    command.args(["-q", "--no-pager", "--no-hostname", "-o", "short", "-n", &lines.to_string()]);
    command.args([["--since=@", &author.since.to_string()].concat(), ["_PID=", &pid].concat()]);
    if let Some(user) = author.user {
        command.args(["+".to_owned(), ["SYSLOG_PID=", &pid].concat(), ["_UID=", &user.to_string()].concat()]);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut text = Vec::new();
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    let is_whole = child.stdout.as_mut().is_some_and(|output| read_within(output, &mut text, most));
    // It may have to be stopped; that it has ended already is no error.
    let _ = child.kill();
    let _ = child.wait();
    is_whole.then(|| last_lines(&text, lines))
}

/// No more than `status` shows.
fn end_of_lines(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut room = usize::try_from(MOST).unwrap_or(usize::MAX);
    let fits = |line: &&Vec<u8>| {
        let left = room.checked_sub(line.len() + 1);
        room = left.unwrap_or_default();
        left.is_some()
    };
    let shown = lines.iter().rev().take_while(fits).count().max(1).min(lines.len());
    lines.drain(..lines.len() - shown);
    lines
}

/// The last lines of a regular file, and of no other: nothing is waited for.
fn end_of(path: &Path, lines: usize, most: u64) -> io::Result<Vec<Vec<u8>>> {
    let file = open_regular(path)?;
    tail(&file, file.metadata()?.len(), lines, most)
}

/// Opens a regular file, and nothing else, by the rules for files in other users' directories.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::from(daemonctx::open_for_reading(path).map_err(io::Error::from_raw_os_error)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// What is looked through for lines that name a process, and what `logs` shows.
pub(crate) const SEARCHED: u64 = 1 << 22;

/// Reads ever more of the end, until that has as many lines as wanted. More than `most` is read of no file, however long its lines are.
pub(crate) fn tail(file: &File, size: u64, lines: usize, most: u64) -> io::Result<Vec<Vec<u8>>> {
    const FIRST: u64 = 1 << 14;
    let mut span = FIRST;
    loop {
        let length = span.min(size);
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        let read = read_from(file, &mut text, size - length)?;
        text.truncate(read);
        let newlines = text.iter().filter(|byte| **byte == b'\n').count();
        if newlines > lines || length == size || span >= most {
            return Ok(last_lines(&text, lines));
        }
        span = (span * 4).min(most);
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
    use super::{MOST, SEARCHED, end_of_lines, last_lines, tail};
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
        tail(&file, file.metadata()?.len(), lines, SEARCHED)
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
    fn no_more_than_is_shown() {
        let most = MOST as usize;
        let lines = end_of_lines(vec![vec![b'x'; 1000]; 100]);
        assert_eq!(lines.len(), most / 1001);
        assert_eq!(end_of_lines(vec![vec![b'x'; most]; 2]).len(), 1);
        assert!(end_of_lines(Vec::new()).is_empty());
    }

    #[test]
    fn lines() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), [b"b", b"c"]);
    }
}
