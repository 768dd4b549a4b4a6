//! Log files: opened, made, emptied, and opened again when somebody has moved them away.

use crate::error::{Error, Step, Subject};
use crate::guarded_file::{self, Creation, Existing};
use crate::privileges::{self, Name};
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Kind, Status};
use crate::sys::{Errno, Sys};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A log file is nobody's business but its owner's and its group's.
const MODE: u32 = 0o640;
const PERMISSIONS: u32 = 0o777;

/// A file that standard output or standard error is written to.
///
/// It is appended to. Where it does not exist it is made, with just the mode, the user and the group that are asked for; one
/// that exists keeps its own. It is never made through a symbolic link: one that leads to a file is followed, one that leads
/// nowhere is an error.
///
/// Invalid values, an unknown user or group, and a file that cannot be opened are reported by the start, as all options' are
/// ([`Daemon`](crate::Daemon)).
///
/// ```
/// let mut daemon = daemonctx::Daemon::new();
/// daemon.stdout(daemonctx::LogFile::new("/var/log/hello.log").mode(0o644).group("adm"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct LogFile {
    path: CBuf,
    truncate: bool,
    /// Without it the file is made with [`MODE`] less the umask.
    mode: Option<libc::mode_t>,
    user: Option<Name>,
    group: Option<Name>,
    /// The first setting that cannot be, as far as it can be shown; said when it is known for which stream.
    bad: Option<(Subject, Errno)>,
}

impl std::fmt::Debug for LogFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((subject, errno)) = &self.bad {
            return formatter.debug_struct("LogFile").field("invalid", subject).field("errno", &errno.value()).finish();
        }
        let mut debug = formatter.debug_struct("LogFile");
        debug.field("path", &self.path);
        if let Some(mode) = self.mode {
            debug.field("mode", &format_args!("{mode:#o}"));
        }
        if let Some(user) = &self.user {
            debug.field("user", user);
        }
        if let Some(group) = &self.group {
            debug.field("group", group);
        }
        if self.truncate {
            debug.field("truncate", &true);
        }
        debug.finish()
    }
}

impl LogFile {
    /// The file at `path`, made with mode 0640 whatever the umask. A relative path is taken from the working directory that the
    /// daemon is started in.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let mut file = Self::plain(path.as_ref());
        file.mode = Some(MODE as libc::mode_t);
        file
    }

    /// What [`Stream::file`](crate::Stream::file) is.
    pub(super) fn plain(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        let (path, bad) = match CBuf::path(bytes) {
            Ok(path) => (path, None),
            Err(errno) => (CBuf::default(), Some((Subject::Text(CBuf::up_to_nul(bytes)), errno))),
        };
        Self { path, truncate: false, mode: None, user: None, group: None, bad }
    }

    /// Whether a file that exists is emptied when the daemon starts; it is not unless set. One that is reached by a symbolic
    /// link (ELOOP) or has several names (EMLINK) is an error then: it may be somebody else's. A file that is opened again is
    /// never emptied.
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// The mode of a file that is made, 0640 unless set, whatever the umask; EINVAL for more than 0777.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        if mode > PERMISSIONS {
            self.bad.get_or_insert((Subject::Mode(mode), Errno::EINVAL));
        }
        self.mode = Some(mode as libc::mode_t);
        self
    }

    /// The owner of a file that is made, by name, or by number where nobody has that name; without one it is whoever starts
    /// the daemon. A daemon that changes its user and opens the file again can make it only for itself.
    #[must_use]
    pub fn user(mut self, user: impl AsRef<OsStr>) -> Self {
        self.user = self.name(user.as_ref());
        self
    }

    /// The group of a file that is made, likewise.
    #[must_use]
    pub fn group(mut self, group: impl AsRef<OsStr>) -> Self {
        self.group = self.name(group.as_ref());
        self
    }

    fn name(&mut self, name: &OsStr) -> Option<Name> {
        let bytes = name.as_bytes();
        match Name::new(bytes) {
            Ok(name) => Some(name),
            Err(errno) => {
                self.bad.get_or_insert((Subject::Text(CBuf::up_to_nul(bytes)), errno));
                None
            }
        }
    }

    /// Whether it can be a daemon's `step`. Standard input is read, so there is nothing to make.
    pub(super) fn check(&self, step: Step) -> Result<(), Error> {
        match &self.bad {
            Some((subject, errno)) => Err(Error::os(step, subject.clone(), *errno)),
            None if step == Step::Stdin && self.mode.is_some() => {
                Err(Error::about(step, self.path.as_bytes(), Errno::EINVAL))
            }
            None => Ok(()),
        }
    }

    pub(super) fn open_for_reading(&self) -> Result<OwnedFd, Error> {
        let opened = guarded_file::open_for_reading(&self.path);
        opened.map_err(|errno| self.refused(Step::Stdin, errno))
    }

    /// Resolves everything and opens the file, with what it takes to open it again.
    pub(super) fn open(&self, step: Step, root: Option<&CBuf>) -> Result<(OwnedFd, Place), Error> {
        let user = self.user.as_ref().map(|user| privileges::find_user(step, user)).transpose()?;
        let group = self.group.as_ref().map(|group| privileges::find_group(step, group)).transpose()?;
        let opened = Place::new(self, root).and_then(|mut place| {
            (place.creation.user, place.creation.group) = (user.map(|user| user.uid), group);
            let existing = if self.truncate { Existing::Truncate } else { Existing::Append };
            let opened = place.open(&place.path, existing)?;
            place.take_after(&file::status_of(opened.as_raw_fd())?);
            Ok((opened, place))
        });
        opened.map_err(|errno| self.refused(step, errno))
    }

    /// Whether it can be opened, as far as that is seen without making it.
    pub(super) fn check_openable(&self, step: Step, root: Option<&CBuf>) -> Result<(), Error> {
        if step == Step::Stdin {
            return self.open_for_reading().map(drop);
        }
        self.user.as_ref().map(|user| privileges::find_user(step, user)).transpose()?;
        self.group.as_ref().map(|group| privileges::find_group(step, group)).transpose()?;
        let path = file::absolute_path(self.path.as_bytes()).map_err(|errno| self.refused(step, errno))?;
        match file::status_at(path.as_c_str()) {
            Err(Errno::ENOENT) => path
                .parent()
                .and_then(|parent| file::check_directory_for_files(parent.as_c_str()))
                .map_err(|errno| self.refused(step, errno)),
            // Opening a log file changes nothing in it: a start that succeeds empties it later.
            _ => self.open(step, root).map(drop),
        }
    }

    fn refused(&self, step: Step, errno: Errno) -> Error {
        let error = Error::about(step, self.path.as_bytes(), errno);
        match errno {
            Errno::ELOOP if self.truncate => error.note("a symbolic link, and the file is to be truncated"),
            Errno::ELOOP => error.note("a symbolic link to itself, or one that another user owns or can rename"),
            Errno::EMLINK => error.note("a file with other names, in a directory that others can write"),
            _ => error,
        }
    }
}

/// Where a log file is, and how it is made.
#[derive(Debug)]
pub(crate) struct Place {
    path: CBuf,
    inside: Option<CBuf>,
    seen: Seen,
    truncate: bool,
    creation: Creation,
}

/// What the daemon has to call the file.
#[derive(Clone, Copy, Debug)]
enum Seen {
    AsBefore,
    Inside,
    /// It lies outside the daemon's root.
    Never,
}

impl Place {
    fn new(file: &LogFile, root: Option<&CBuf>) -> Sys<Self> {
        let path = file::absolute_path(file.path.as_bytes())?;
        let inside = root.map_or(Ok(None), |root| path.inside(root))?;
        let creation = Creation { mode: file.mode, ..Creation::default() };
        Ok(Self { path, inside, seen: Seen::AsBefore, truncate: file.truncate, creation })
    }

    fn open(&self, path: &CBuf, existing: Existing) -> Sys<OwnedFd> {
        guarded_file::open_for_writing(path, libc::O_WRONLY, existing, &self.creation)
    }

    /// One that is made later is to be like this one, where nothing else was asked for.
    fn take_after(&mut self, status: &Status) {
        if status.kind == Kind::Regular {
            self.creation.mode.get_or_insert(status.mode & PERMISSIONS as libc::mode_t);
        } else {
            self.truncate = false;
        }
    }

    /// A file that another process has opened as a log and resolved.
    pub(crate) fn resolved(path: CBuf, creation: Creation) -> Self {
        Self { path, inside: None, seen: Seen::AsBefore, truncate: false, creation }
    }

    pub(crate) fn path(&self) -> &CBuf {
        &self.path
    }

    pub(crate) fn creation(&self) -> &Creation {
        &self.creation
    }

    /// Opens the file at its path once more, as it was opened first: appended to, and made where it is missing.
    pub(crate) fn reopen(&self) -> Sys<OwnedFd> {
        self.open(&self.path, Existing::Append)
    }

    pub(super) fn empty(&self, opened: RawFd) -> Sys<()> {
        if self.truncate { file::truncate(opened) } else { Ok(()) }
    }

    /// The root has changed. The path inside may lead elsewhere than it did from outside, by a symbolic link or `..`: it is
    /// good if it leads to the file that is open.
    pub(super) fn enter_root(&mut self, opened: RawFd) {
        let same = |inside: &CBuf| match (file::status_behind(inside.as_c_str()), file::status_of(opened)) {
            (Ok(named), Ok(open)) => named.identity == open.identity,
            _ => false,
        };
        self.seen = if self.inside.as_ref().is_some_and(same) { Seen::Inside } else { Seen::Never };
    }

    /// Opens the file anew, as this process may now.
    pub(crate) fn open_again(&self, step: Step) -> Result<OwnedFd, Error> {
        let opened = match (self.seen, &self.inside) {
            (Seen::AsBefore, _) => self.open(&self.path, Existing::Append),
            (Seen::Inside, Some(inside)) => self.open(inside, Existing::Append),
            _ => Err(Errno::ENOENT),
        };
        opened.map_err(|errno| {
            let error = Error::about(step, self.path.as_bytes(), errno);
            if matches!(self.seen, Seen::Never) { error.note("outside the root directory") } else { error }
        })
    }
}

/// For the command: opens a file that may lie in another user's directory, without waiting and without following that user's links.
///
/// # Errors
/// The error number.
#[doc(hidden)]
pub fn open_for_reading(path: &Path) -> Result<OwnedFd, i32> {
    let opened = CBuf::path(path.as_os_str().as_bytes()).and_then(|path| guarded_file::open_for_reading(&path));
    opened.map_err(Errno::value)
}

/// For language bindings: opens a log file as a daemon's streams are opened, for appending. Of `flags` (open(2)) O_RDWR, O_TRUNC and
/// O_EXCL count. A file that is created gets exactly `mode`, or 0640 less the umask, and is given to `user` and `group`.
///
/// # Errors
/// The error number.
#[doc(hidden)]
pub fn open_log_file(
    path: &Path,
    flags: i32,
    mode: Option<u32>,
    user: Option<u32>,
    group: Option<u32>,
) -> Result<OwnedFd, i32> {
    let access = if flags & libc::O_ACCMODE == libc::O_RDWR { libc::O_RDWR } else { libc::O_WRONLY };
    let existing = match (flags & libc::O_EXCL, flags & libc::O_TRUNC) {
        (0, 0) => Existing::Append,
        (0, _) => Existing::Truncate,
        _ => Existing::Refuse,
    };
    let creation = Creation { mode: mode.map(|mode| mode as libc::mode_t), user, group };
    let opened = CBuf::path(path.as_os_str().as_bytes()).and_then(|path| {
        let opened = guarded_file::open_for_writing(&path, access, existing, &creation)?;
        if existing == Existing::Truncate && file::status_of(opened.as_raw_fd())?.kind == Kind::Regular {
            file::truncate(opened.as_raw_fd())?;
        }
        Ok(opened)
    });
    opened.map_err(Errno::value)
}
