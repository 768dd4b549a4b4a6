//! Where the state files of launched daemons are, and what they are called.

use crate::sys::file::{self, Kind};
use crate::sys::{Errno, Sys, environment, identity, memory};
use crate::text::{Text, c_text};

pub(crate) const STATE: &[u8] = b".state";

/// Below the directory of pid files.
const DIRECTORY: &[u8] = b"/daemonctx";

pub(crate) fn file_of(name: &[u8], pid_file: Option<&Text>, run: &Text, ending: &[u8]) -> Sys<Text> {
    let usual = join(&[run.as_bytes(), b"/", name, b".pid"])?;
    let key = match pid_file {
        Some(path) if *path != usual => escape(path.as_bytes(), true)?,
        _ => escape(name, false)?,
    };
    join(&[run.as_bytes(), DIRECTORY, b"/", &key, ending])
}

/// Where the state file of a name is.
pub(crate) fn state_file(name: &[u8], pid_file: Option<&Text>, run: Option<&Text>) -> Sys<Text> {
    file_of(name, pid_file, &run_directory(run)?, STATE)
}

/// Where the state files of a pid file are that this user may believe: root's, and the user's own.
pub(crate) fn state_files_of(pid_file: &Text) -> Sys<[Text; 2]> {
    let of = |run: &Text| {
        let below = pid_file.as_bytes().strip_prefix(run.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        let name = below.and_then(|rest| rest.strip_suffix(b".pid")).filter(|name| !name.contains(&b'/'));
        file_of(name.unwrap_or_default(), Some(pid_file), run, STATE)
    };
    Ok([of(&Text::path(b"/run")?)?, of(&run_directory(None)?)?])
}

/// All state files.
pub(crate) fn state_files(run: Option<&Text>) -> Sys<Vec<Text>> {
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

pub(crate) fn join(parts: &[&[u8]]) -> Sys<Text> {
    let mut path = Vec::new();
    parts.iter().try_for_each(|part| memory::extend(&mut path, part))?;
    Text::path(&path)
}

/// Makes the directory for state files in `run`, or in the usual place; gives that of pid files.
///
/// # Errors
/// It cannot be made, or is not this user's alone: EPERM.
pub(crate) fn make(run: Option<&Text>) -> Sys<Text> {
    let run = match run {
        Some(run) => Text::path(run.as_bytes())?,
        None => usual_run_directory()?.made()?,
    };
    make_directory(&join(&[run.as_bytes(), DIRECTORY])?)?;
    Ok(run)
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
