//! Whether the process that a pid file names runs another program than the one that is to be started. Only a state file has the command line
//! of the start: a program may write over its own, be a script, or execute another one. So this says yes only where that is certain.

use crate::bounded::look_in_child;
use crate::mapped;
use crate::process;
use crate::script;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Shells execute other programs in their place (`exec`).
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"];

/// A process as it shows itself.
struct Shown {
    words: Vec<OsString>,
    executable: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = [u8; 16];

/// The command line of a process that runs another program than `words`, for people; none if it may be that program. `executable` is the
/// file that would be executed.
pub(crate) fn command_of_another(pid: i32, words: &[OsString], executable: &Path) -> Option<String> {
    let shown = Shown::look(pid)?;
    let is_another = shown.has_own_title()
        && !is_script_of_another(executable, &shown)
        && !is_shell(executable.file_name()?)
        && !is_same_executable(words, executable, &shown)
        && has_nothing_in_common(words, &shown.words);
    let join = || shown.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    is_another.then(join)
}

impl Shown {
    /// None where it cannot be read, or only a part of it.
    fn look(pid: i32) -> Option<Self> {
        let line = mapped::command_line(pid).filter(|line| !line.is_cut && !line.words.is_empty())?;
        let found = look_in_child(|found| {
            let link = process::path(pid, "exe");
            found.extend(identity(&fs::metadata(&link)?));
            found.extend(fs::read_link(&link)?.into_os_string().into_vec());
            Ok(())
        });
        let found = found.ok()?;
        let (identity, executable) = found.split_first_chunk()?;
        let words = line.words.into_iter().map(OsString::from_vec).collect();
        Some(Self { words, executable: OsStr::from_bytes(executable).into(), identity: *identity })
    }

    /// Whether its first word is the name of its file, as a shell makes it, `python3` of `python3.11`. A title that the program has written
    /// is something else as a rule.
    fn has_own_title(&self) -> bool {
        let name = self.words.first().and_then(|word| Path::new(word).file_name());
        let file = self.executable.file_name();
        name.zip(file).is_some_and(|(name, file)| file.as_bytes().starts_with(name.as_bytes()))
    }
}

fn identity(file: &Metadata) -> Identity {
    let mut identity = [0; 16];
    let (device, inode) = identity.split_at_mut(8);
    device.copy_from_slice(&file.dev().to_ne_bytes());
    inode.copy_from_slice(&file.ino().to_ne_bytes());
    identity
}

fn is_at(path: &Path, shown: &Shown) -> bool {
    fs::metadata(path).is_ok_and(|file| identity(&file) == shown.identity)
}

fn is_shell(name: &OsStr) -> bool {
    SHELLS.iter().any(|shell| name == *shell)
}

/// Whether the file is a script that the process's executable does not interpret: the script may have executed that.
fn is_script_of_another(path: &Path, shown: &Shown) -> bool {
    let Some(interpreter) = interpreter(path) else { return false };
    interpreter.file_name().is_none_or(is_shell) || !is_at(&interpreter, shown)
}

/// As the first line of a script names it.
fn interpreter(path: &Path) -> Option<PathBuf> {
    const LONGEST: u64 = 256;
    let mut head = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let name = line.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty())?;
    Some(OsStr::from_bytes(name).into())
}

/// Whether it is the same file, and no interpreter of another script. One with several names may have changed its name.
fn is_same_executable(words: &[OsString], path: &Path, shown: &Shown) -> bool {
    is_at(path, shown) && !(script::is_named(words) && script::is_named(&shown.words))
}

/// Whether neither names what the other is called, and no argument is the same. Options of a letter are those of many programs.
fn has_nothing_in_common(ours: &[OsString], theirs: &[OsString]) -> bool {
    const TELLING: usize = 3;
    let arguments = |words: &[OsString]| words.get(1..).unwrap_or_default().to_vec();
    let is_shared = |word: &OsString| word.len() >= TELLING && arguments(theirs).contains(word);
    !arguments(ours).iter().any(is_shared) && !names(ours, theirs) && !names(theirs, ours)
}

/// Whether a word has in it what the other command line is called.
fn names(words: &[OsString], others: &[OsString]) -> bool {
    let Some(name) = script::name(others) else { return true };
    let name = name.as_bytes();
    words.iter().any(|word| word.as_bytes().windows(name.len().max(1)).any(|part| part == name))
}

#[cfg(test)]
mod tests {
    use super::has_nothing_in_common;
    use std::ffi::OsString;

    #[test]
    fn command_lines_with_something_in_common() {
        for (ours, theirs, expected) in [
            ("sleep 1000", "python3 -m http.server 8000", true),
            ("python3 -m http.server", "python3 -m flask run", true),
            ("python3 /srv/a.py", "python3 /srv/b.py", true),
            ("/usr/sbin/food -d", "/usr/sbin/bard -d", true),
            ("/usr/sbin/food", "food --foreground", false),
            ("/usr/sbin/food -c a", "food -c b", false),
            ("/srv/a.py 1", "/usr/bin/python3 /srv/a.py 1", false),
            ("python3 /srv/a.py", "python3 -u /srv/a.py", false),
            ("env A=1 /usr/sbin/food", "/usr/sbin/food", false),
            ("nice -n 5 food", "food", false),
            ("git daemon --reuseaddr", "/usr/lib/git-core/git-daemon --reuseaddr", false),
            ("pg_ctl -D /data start", "postgres -D /data", false),
            ("food", "food-worker", false),
        ] {
            let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(has_nothing_in_common(&words(ours), &words(theirs)), expected, "{ours} / {theirs}");
        }
    }
}
