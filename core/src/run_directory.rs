//! Where the state files of launched daemons are, and what they are called.

use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind, Status};
use crate::sys::{Errno, Sys, environment, identity, memory};

pub(crate) const STATE: &[u8] = b".state";

/// Below the directory of pid files.
const DIRECTORY: &[u8] = b"/daemonctx";

/// A file of the daemon that has this pid file, or, without one, this name. Whoever asks for a pid file need not know the name.
pub(crate) fn file_of(name: &[u8], pid_file: Option<&CBuf>, run: &CBuf, ending: &[u8]) -> Sys<CBuf> {
    let key = match pid_file {
        Some(path) => {
            let path = usual_spelling(path)?;
            name_of(&path, run).map_or_else(|| escape(path.as_bytes(), true), |name| escape(name, false))?
        }
        None => escape(name, false)?,
    };
    join(&[run.as_bytes(), DIRECTORY, b"/", &key, ending])
}

/// `/run/…` for `/var/run/…`, where that is the same directory (FHS 3.0, 3.15). Other links are not resolved: a user who can change one
/// would choose the daemon.
fn usual_spelling(path: &CBuf) -> Sys<CBuf> {
    let directory = |path| file::status_behind(path).map(|status| status.identity);
    match path.as_bytes().strip_prefix(b"/var/run/") {
        Some(rest) if directory(c"/var/run") == directory(c"/run") => join(&[b"/run/", rest]),
        _ => CBuf::path(path.as_bytes()),
    }
}

/// Whether two absolute paths of pid files are the same, but for that spelling.
pub(crate) fn is_same_path(one: &CBuf, other: &CBuf) -> bool {
    one == other || matches!((usual_spelling(one), usual_spelling(other)), (Ok(one), Ok(other)) if one == other)
}

/// The name of which a pid file in `run` is the usual one.
fn name_of<'a>(pid_file: &'a CBuf, run: &CBuf) -> Option<&'a [u8]> {
    let below = pid_file.as_bytes().strip_prefix(run.as_bytes())?.strip_prefix(b"/")?;
    below.strip_suffix(b".pid").filter(|name| !name.is_empty() && !name.contains(&b'/'))
}

/// Where the state file of a name is.
pub(crate) fn state_file(name: &[u8], pid_file: Option<&CBuf>, run: Option<&CBuf>) -> Sys<CBuf> {
    file_of(name, pid_file, &run_directory(run)?, STATE)
}

/// Where the state files of a pid file are that this user may believe: root's, and the user's own.
pub(crate) fn state_files_of(pid_file: &CBuf) -> Sys<[CBuf; 2]> {
    let of = |run: &CBuf| file_of(b"", Some(pid_file), run, STATE);
    Ok([of(&CBuf::path(b"/run")?)?, of(&run_directory(None)?)?])
}

/// All state files.
pub(crate) fn state_files(run: Option<&CBuf>) -> Sys<Vec<CBuf>> {
    let folder = join(&[run_directory(run)?.as_bytes(), DIRECTORY])?;
    let mut files = Vec::new();
    let mut added = Ok(());
    let listed = file::for_each_name(folder.as_c_str(), &mut |_, name| {
        if name.ends_with(STATE) && added.is_ok() {
            added = join(&[folder.as_bytes(), b"/", name]).and_then(|path| memory::push(&mut files, path));
        }
    });
    match listed {
        // Another user may have put a file in the place of a directory below /tmp.
        Err(Errno::ENOENT | Errno::ENOTDIR) | Ok(()) => added.map(|()| files),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn join(parts: &[&[u8]]) -> Sys<CBuf> {
    let mut path = Vec::new();
    parts.iter().try_for_each(|part| memory::extend(&mut path, part))?;
    CBuf::path(&path)
}

/// Makes the directory for state files in `run`, or in the usual place; gives that of pid files.
///
/// # Errors
/// It cannot be made, or is not this user's alone: EPERM.
pub(crate) fn make(run: Option<&CBuf>) -> Sys<CBuf> {
    let run = match run {
        Some(run) => CBuf::path(run.as_bytes())?,
        None => usual_run_directory()?.made()?,
    };
    make_directory(&join(&[run.as_bytes(), DIRECTORY])?)?;
    Ok(run)
}

/// The directory of state files and pid files.
fn run_directory(run: Option<&CBuf>) -> Sys<CBuf> {
    match run {
        Some(run) => CBuf::path(run.as_bytes()),
        None => Ok(usual_run_directory()?.path),
    }
}

struct RunDirectory {
    path: CBuf,
    /// Nobody else makes it.
    is_ours: bool,
    /// It is to be this user's alone (XDG Base Directory Specification).
    is_private: bool,
}

impl RunDirectory {
    fn made(self) -> Sys<CBuf> {
        if self.is_ours {
            make_directory(&self.path)?;
        } else if self.is_private {
            check(file::status_behind(self.path.as_c_str())?)?;
        }
        Ok(self.path)
    }
}

/// `/run` for root, else `XDG_RUNTIME_DIR`, else a directory below `/tmp`.
fn usual_run_directory() -> Sys<RunDirectory> {
    let user = identity::effective_user();
    let given = |path| RunDirectory { path, is_ours: false, is_private: user != 0 };
    if user == 0 {
        return CBuf::path(b"/run").map(given);
    }
    let own = environment::with(c"XDG_RUNTIME_DIR", |path| {
        let is_absolute = path.first() == Some(&b'/');
        is_absolute.then(|| CBuf::path(path.strip_suffix(b"/").unwrap_or(path)))
    });
    own.flatten().map_or_else(
        || {
            let mut line = crate::sys::fixed_buf::MessageBuf::new();
            line.push(b"/tmp/daemonctx-").push_number(i64::from(user));
            Ok(RunDirectory { path: CBuf::path(line.as_bytes())?, is_ours: true, is_private: true })
        },
        |path| path.map(given),
    )
}

/// Nobody else may write there, or move the directory away: `/tmp` and `/run` see to that.
/// One level, of this user's alone.
///
/// # Errors
/// It cannot be made, or is another's: EPERM.
pub(crate) fn make_directory(path: &CBuf) -> Sys<()> {
    let user = identity::effective_user();
    let mode = if user == 0 { 0o755 } else { 0o700 };
    match file::make_directory(path.as_c_str(), mode) {
        // Whatever the umask. Nobody else can have put another file there: see above.
        Ok(()) => file::set_mode_at(path.as_c_str(), mode)?,
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    check(file::status_at(path.as_c_str())?)
}

/// Whether a directory is this user's, and nobody else can write there.
fn check(status: Status) -> Sys<()> {
    const WRITTEN_BY_OTHERS: libc::mode_t = 0o022;
    let is_own = status.owner == identity::effective_user() && status.mode & WRITTEN_BY_OTHERS == 0;
    if is_own && status.kind == Kind::Directory { Ok(()) } else { Err(Errno::EPERM) }
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

#[cfg(test)]
mod tests {
    use super::{escape, file_of};
    use crate::sys::c_buf::CBuf;

    #[test]
    fn a_pid_file_is_enough_to_find_the_state_file() {
        let text = |text: &str| CBuf::new(text.as_bytes()).unwrap_or_default();
        let is_link = std::fs::canonicalize("/var/run").is_ok_and(|path| path == std::path::Path::new("/run"));
        let varied =
            if is_link { "/run/daemonctx/-run-d-x.pid.state" } else { "/run/daemonctx/-var-run-d-x.pid.state" };
        for (pid_file, expected) in [
            (Some("/run/x.pid"), "/run/daemonctx/x.state"),
            (Some("/run/x.lock"), "/run/daemonctx/-run-x.lock.state"),
            (Some("/run/.pid"), "/run/daemonctx/-run-.pid.state"),
            (Some("/run/d/x.pid"), "/run/daemonctx/-run-d-x.pid.state"),
            (Some("/var/run/d/x.pid"), varied),
            (None, "/run/daemonctx/name.state"),
        ] {
            let pid_file = pid_file.map(text);
            assert_eq!(file_of(b"name", pid_file.as_ref(), &text("/run"), b".state"), Ok(text(expected)));
        }
    }

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
