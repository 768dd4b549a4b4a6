//! The name of a daemon: where its state file is, and the lock that says that a launcher or a monitor has it.

use crate::sys::file::{self, Kind, Lock};
use crate::sys::{Errno, Sys, environment, identity, memory};
use crate::text::{Text, c_text};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A name that this process has. The lock goes on to guard and monitor, never to the program.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) state_file: Text,
    pub(crate) path: Text,
    /// Where the program's socket for messages may be.
    pub(super) notify: Text,
    lock: OwnedFd,
}

impl Claim {
    /// Takes the name; none where another launcher or monitor has it. `run` is where state files are, the usual place where there is
    /// none.
    ///
    /// # Errors
    /// The directory for state files cannot be made, or is not this user's alone: EPERM.
    pub(crate) fn take(name: &[u8], pid_file: Option<&Text>, run: Option<&Text>) -> Sys<Option<Self>> {
        let run = match run {
            Some(run) => Text::path(run.as_bytes())?,
            None => usual_run_directory()?.made()?,
        };
        make_directory(&join(&[run.as_bytes(), DIRECTORY])?)?;
        let state_file = file_of(name, pid_file, &run, STATE)?;
        let path = file_of(name, pid_file, &run, b".lock")?;
        let notify = file_of(name, pid_file, &run, b".notify")?;
        Ok(lock(&path)?.map(|lock| Self { state_file, path, notify, lock }))
    }

    /// Takes the name of a state file.
    ///
    /// # Errors
    /// EAGAIN: another launcher or monitor has it.
    pub(super) fn of_state_file(state_file: &Text) -> Sys<Self> {
        let stem = state_file.as_bytes().strip_suffix(STATE).ok_or(Errno::EINVAL)?;
        let (path, notify) = (join(&[stem, b".lock"])?, join(&[stem, b".notify"])?);
        let lock = lock(&path)?.ok_or(Errno::EAGAIN)?;
        Ok(Self { state_file: Text::path(state_file.as_bytes())?, path, notify, lock })
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    /// Gives the name up.
    pub(crate) fn release(&self) {
        remove(&self.path, self.as_raw_fd());
    }
}

/// Removes the file of a lock that this process has: if it is the one at the path, no other process's is.
pub(super) fn remove(path: &Text, lock: RawFd) {
    if crate::pidfile::is_at(path, lock) {
        let _: Sys<()> = file::unlink(path.as_c_str());
    }
}

const STATE: &[u8] = b".state";

/// Below the directory of pid files.
const DIRECTORY: &[u8] = b"/daemonctx";

fn file_of(name: &[u8], pid_file: Option<&Text>, run: &Text, ending: &[u8]) -> Sys<Text> {
    let usual = join(&[run.as_bytes(), b"/", name, b".pid"])?;
    let key = match pid_file {
        Some(path) if *path != usual => escape(path.as_bytes(), true)?,
        _ => escape(name, false)?,
    };
    join(&[run.as_bytes(), DIRECTORY, b"/", &key, ending])
}

/// Where the state file of a name is.
pub(super) fn state_file(name: &[u8], pid_file: Option<&Text>, run: Option<&Text>) -> Sys<Text> {
    file_of(name, pid_file, &run_directory(run)?, STATE)
}

/// Where the state files of a pid file are that this user may believe: root's, and the user's own.
pub(super) fn state_files_of(pid_file: &Text) -> Sys<[Text; 2]> {
    let of = |run: &Text| {
        let below = pid_file.as_bytes().strip_prefix(run.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        let name = below.and_then(|rest| rest.strip_suffix(b".pid")).filter(|name| !name.contains(&b'/'));
        file_of(name.unwrap_or_default(), Some(pid_file), run, STATE)
    };
    Ok([of(&Text::path(b"/run")?)?, of(&run_directory(None)?)?])
}

/// All state files.
pub(super) fn state_files(run: Option<&Text>) -> Sys<Vec<Text>> {
    let folder = join(&[run_directory(run)?.as_bytes(), DIRECTORY])?;
    let mut files = Vec::new();
    let mut added = Ok(());
    let listed = file::for_each_name(folder.as_c_str(), &mut |_, name| {
        if name.ends_with(STATE) && added.is_ok() {
            added = join(&[folder.as_bytes(), b"/", name]).and_then(|path| memory::push(&mut files, path));
        }
    });
    match listed {
        Err(Errno::ENOENT) | Ok(()) => added.map(|()| files),
        Err(errno) => Err(errno),
    }
}

fn join(parts: &[&[u8]]) -> Sys<Text> {
    let mut path = Vec::new();
    parts.iter().try_for_each(|part| memory::extend(&mut path, part))?;
    Text::path(&path)
}

/// The directory of state files and pid files.
fn run_directory(run: Option<&Text>) -> Sys<Text> {
    match run {
        Some(run) => Text::path(run.as_bytes()),
        None => Ok(usual_run_directory()?.path),
    }
}

struct RunDirectory {
    path: Text,
    /// Nobody else makes it.
    is_ours: bool,
}

impl RunDirectory {
    fn made(self) -> Sys<Text> {
        if self.is_ours {
            make_directory(&self.path)?;
        }
        Ok(self.path)
    }
}

/// `/run` for root, else `XDG_RUNTIME_DIR`, else a directory below `/tmp`.
fn usual_run_directory() -> Sys<RunDirectory> {
    let user = identity::effective_user();
    let given = |path| RunDirectory { path, is_ours: false };
    if user == 0 {
        return Text::path(b"/run").map(given);
    }
    let own = environment::with(c_text!("XDG_RUNTIME_DIR"), |path| {
        let is_absolute = path.first() == Some(&b'/');
        is_absolute.then(|| Text::path(path.strip_suffix(b"/").unwrap_or(path)))
    });
    own.flatten().map_or_else(
        || {
            let mut line = crate::line::Line::new();
            line.push(b"/tmp/daemonctx-").push_number(i64::from(user));
            Ok(RunDirectory { path: Text::path(line.as_bytes())?, is_ours: true })
        },
        |path| path.map(given),
    )
}

/// Nobody else may write there, or move the directory away: `/tmp` and `/run` see to that.
fn make_directory(path: &Text) -> Sys<()> {
    const WRITTEN_BY_OTHERS: libc::mode_t = 0o022;
    let user = identity::effective_user();
    match file::make_directory(path.as_c_str(), if user == 0 { 0o755 } else { 0o700 }) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let status = file::status_at(path.as_c_str())?;
    let is_own = status.kind == Kind::Directory && status.owner == user && status.mode & WRITTEN_BY_OTHERS == 0;
    if is_own { Ok(()) } else { Err(Errno::EPERM) }
}

/// As systemd-escape(1) does it, but that a path keeps its leading slash, as `-`, and a name begins with none.
fn escape(text: &[u8], is_path: bool) -> Sys<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut escaped = Vec::new();
    for (index, &byte) in text.iter().enumerate() {
        let stays = byte.is_ascii_alphanumeric()
            || matches!(byte, b':' | b'_')
            || byte == b'.' && index > 0
            || byte == b'-' && index > 0 && !is_path;
        if stays {
            memory::push(&mut escaped, byte)?;
        } else if byte == b'/' && is_path {
            memory::push(&mut escaped, b'-')?;
        } else {
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            memory::extend(&mut escaped, &[b'\\', b'x', digit(byte >> 4), digit(byte & 15)])?;
        }
    }
    Ok(escaped)
}

/// A file that was locked after its owner had removed it is not the one at the path any more.
fn lock(path: &Text) -> Sys<Option<OwnedFd>> {
    loop {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let lock = file::open(path.as_c_str(), flags, 0o600)?;
        if !file::lock(lock.as_raw_fd(), Lock::Exclusive)? {
            return Ok(None);
        }
        if crate::pidfile::is_at(path, lock.as_raw_fd()) {
            return Ok(Some(lock));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_and_paths_differ() {
        let escaped = |text: &str, is_path| escape(text.as_bytes(), is_path).map(|it| String::from_utf8(it).ok());
        for (text, is_path, expected) in [
            ("hello", false, "hello"),
            ("a-b.c", false, "a-b.c"),
            ("-run-x.pid", false, "\\x2drun-x.pid"),
            ("..", false, "\\x2e."),
            ("a/b", false, "a\\x2fb"),
            ("/run/x.pid", true, "-run-x.pid"),
            ("/a-b/ü", true, "-a\\x2db-\\xc3\\xbc"),
        ] {
            assert_eq!(escaped(text, is_path), Ok(Some(expected.to_owned())));
        }
    }
}
