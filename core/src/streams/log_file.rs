//! Log files: opened, made, emptied, and opened again when somebody has moved them away.

use crate::error::{Error, Step, Subject};
use crate::pidfile;
use crate::privileges::{self, Name};
use crate::sys::file::{self, Kind, Status};
use crate::sys::{Errno, Sys, fd, identity, memory};
use crate::text::{PATH_MAX, Text};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A log file is nobody's business but its owner's and its group's.
const MODE: u32 = 0o640;
const PERMISSIONS: u32 = 0o777;

/// How often a path is tried where files come and go.
const ROUNDS: u32 = 100;

/// A file that standard output or standard error is written to.
///
/// It is appended to. Where it does not exist it is made, with just the mode, the user and the group that are asked for; one
/// that exists keeps its own. It is never made through a symbolic link: one that leads to a file is followed, one that leads
/// nowhere is an error.
///
/// What cannot be is said by [`Daemon::stdout`](crate::Daemon::stdout) or [`stderr`](crate::Daemon::stderr), as only they know
/// the stream; an unknown user or group, and a file that cannot be opened, by [`open`](crate::Daemon::open).
///
/// ```
/// # fn main() -> Result<(), daemonctx::Error> {
/// let mut daemon = daemonctx::Daemon::new()?;
/// daemon.stdout(daemonctx::LogFile::new("/var/log/hello.log").mode(0o644).group("adm"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    path: Text,
    truncate: bool,
    /// Without it the file is made with [`MODE`] less the umask.
    mode: Option<libc::mode_t>,
    user: Option<Name>,
    group: Option<Name>,
    /// The first setting that cannot be, as far as it can be shown; said when it is known for which stream.
    bad: Option<(Subject, Errno)>,
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
        let (path, bad) = match Text::path(bytes) {
            Ok(path) => (path, None),
            Err(errno) => (Text::default(), Some((Subject::Text(Text::up_to_nul(bytes)), errno))),
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
                self.bad.get_or_insert((Subject::Text(Text::up_to_nul(bytes)), errno));
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
        let opened = open_to_block(&self.path, libc::O_RDONLY).and_then(|opened| {
            match file::status_of(opened.as_raw_fd())?.kind {
                Kind::Directory => Err(Errno::EISDIR),
                _ => Ok(opened),
            }
        });
        opened.map_err(|errno| Error::about(Step::Stdin, self.path.as_bytes(), errno))
    }

    /// Resolves everything and opens the file, with what it takes to open it again.
    pub(super) fn open(&self, step: Step, root: Option<&Text>) -> Result<(OwnedFd, Place), Error> {
        let user = self.user.as_ref().map(|user| privileges::find_user(step, user)).transpose()?;
        let group = self.group.as_ref().map(|group| privileges::find_group(step, group)).transpose()?;
        let opened = Place::new(self, root).and_then(|mut place| {
            (place.user, place.group) = (user.map(|user| user.uid), group);
            let opened = place.open(&place.path, self.truncate)?;
            place.take_after(&file::status_of(opened.as_raw_fd())?);
            Ok((opened, place))
        });
        opened.map_err(|errno| Error::about(step, self.path.as_bytes(), errno))
    }
}

/// Where a log file is, and how it is made.
#[derive(Debug)]
pub(crate) struct Place {
    path: Text,
    inside: Option<Text>,
    seen: Seen,
    truncate: bool,
    mode: Option<libc::mode_t>,
    user: Option<u32>,
    group: Option<u32>,
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
    fn new(file: &LogFile, root: Option<&Text>) -> Sys<Self> {
        let path = Text::absolute_path(file.path.as_bytes())?;
        let inside = root.map_or(Ok(None), |root| path.inside(root))?;
        let (truncate, mode) = (file.truncate, file.mode);
        Ok(Self { path, inside, seen: Seen::AsBefore, truncate, mode, user: None, group: None })
    }

    /// Opens the file, or makes it. Other users may write to its directory: only what this very call has made is given away.
    fn open(&self, path: &Text, truncate: bool) -> Sys<OwnedFd> {
        for _ in 0..ROUNDS {
            match self.make(path) {
                Err(Errno::EEXIST) => {}
                made => return made,
            }
            match open_existing(path, truncate) {
                // Gone in between; a link to nothing stays one.
                Err(Errno::ENOENT) if file::status_at(path.as_c_str()) == Err(Errno::ENOENT) => {}
                opened => return opened,
            }
        }
        Err(Errno::EAGAIN)
    }

    fn make(&self, path: &Text) -> Sys<OwnedFd> {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_EXCL;
        let made = file::open(path.as_c_str(), flags, self.mode.unwrap_or(MODE as libc::mode_t))?;
        let furnished = self.furnish(made.as_raw_fd());
        if furnished.is_err() && pidfile::is_at(path, made.as_raw_fd()) {
            let _: Sys<()> = file::unlink(path.as_c_str());
        }
        furnished.map(|()| made)
    }

    /// The mode first: of a file that has been given away only CAP_FOWNER can change it, which a service may well not have.
    fn furnish(&self, made: RawFd) -> Sys<()> {
        if let Some(mode) = self.mode {
            file::set_mode(made, mode)?;
        }
        if self.user.is_some() || self.group.is_some() {
            file::set_owner(made, self.user, self.group)?;
        }
        Ok(())
    }

    /// One that is made later is to be like this one, where nothing else was asked for.
    fn take_after(&mut self, status: &Status) {
        if status.kind == Kind::Regular {
            self.mode.get_or_insert(status.mode & PERMISSIONS as libc::mode_t);
        } else {
            self.truncate = false;
        }
    }

    pub(super) fn empty(&self, opened: RawFd) -> Sys<()> {
        if self.truncate { file::truncate(opened) } else { Ok(()) }
    }

    /// The root has changed. The path inside may lead elsewhere than it did from outside, by a symbolic link or `..`: it is
    /// good if it leads to the file that is open.
    pub(super) fn enter_root(&mut self, opened: RawFd) {
        let same = |inside: &Text| match (file::status_behind(inside.as_c_str()), file::status_of(opened)) {
            (Ok(named), Ok(open)) => named.identity == open.identity,
            _ => false,
        };
        self.seen = if self.inside.as_ref().is_some_and(same) { Seen::Inside } else { Seen::Never };
    }

    /// Opens the file anew, as this process may now.
    pub(crate) fn open_again(&self, step: Step) -> Result<OwnedFd, Error> {
        let opened = match (self.seen, &self.inside) {
            (Seen::AsBefore, _) => self.open(&self.path, false),
            (Seen::Inside, Some(inside)) => self.open(inside, false),
            _ => Err(Errno::ENOENT),
        };
        opened.map_err(|errno| {
            let error = Error::about(step, self.path.as_bytes(), errno);
            if matches!(self.seen, Seen::Never) { error.note("outside the root directory") } else { error }
        })
    }
}

/// Opens without waiting: a FIFO that nobody reads is ENXIO at once. The flag must not stay, programs expect to block.
fn open_to_block(path: &Text, flags: libc::c_int) -> Sys<OwnedFd> {
    let opened = file::open(path.as_c_str(), flags | libc::O_NONBLOCK, MODE as libc::mode_t)?;
    fd::set_nonblocking(opened.as_raw_fd(), false)?;
    Ok(opened)
}

/// How many symbolic links a path may lead over, as the kernel has it (path_resolution(7)).
const MOST_LINKS: u8 = 40;

/// Opens a file that was there a moment ago. In a directory that everybody may write to, the kernel keeps others' files from those
/// who want to create one (`fs.protected_regular`), so that is what is said here too; but nothing is created through a link.
#[inline(never)]
fn open_existing(path: &Text, truncate: bool) -> Sys<OwnedFd> {
    let mut flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOFOLLOW;
    let mut target = None;
    for _ in 0..MOST_LINKS {
        let path = target.as_ref().unwrap_or(path);
        match open_to_block(path, flags) {
            Err(Errno::ELOOP) if !truncate => match behind_link(path)? {
                Behind::Path(path) => {
                    target = Some(path);
                    flags &= !libc::O_CREAT;
                }
                Behind::Object => flags &= !(libc::O_CREAT | libc::O_NOFOLLOW),
            },
            opened => return fit_to_write(opened?),
        }
    }
    Err(Errno::ELOOP)
}

/// Whether what has been opened cannot be somebody else's trap.
fn fit_to_write(opened: OwnedFd) -> Sys<OwnedFd> {
    match file::status_of(opened.as_raw_fd())? {
        Status { kind: Kind::Regular, links: 2.., .. } => Err(Errno::EMLINK),
        Status { kind: Kind::Fifo, owner, .. } if !is_trusted(owner) => Err(Errno::EPERM),
        _ => Ok(opened),
    }
}

fn is_trusted(owner: identity::Uid) -> bool {
    owner == 0 || owner == identity::effective_user()
}

/// Where a symbolic link leads.
enum Behind {
    Path(Text),
    /// An open file, whatever it is called: a link of the kernel's own (`/proc/self/fd/1`), which nobody can put elsewhere.
    Object,
}

/// Looks behind a symbolic link that is root's or this user's. Whoever else can make one there would have this process write to any
/// file. Owner and target are asked of the open link: its name may be another's in a moment.
fn behind_link(path: &Text) -> Sys<Behind> {
    let link = file::open_link(path.as_c_str())?;
    if file::is_in_proc(&link) {
        return Ok(Behind::Object);
    }
    match file::status_of(link.as_raw_fd())? {
        Status { kind: Kind::SymbolicLink, owner, .. } if is_trusted(owner) => {}
        _ => return Err(Errno::ELOOP),
    }
    let mut room = memory::filled(0, PATH_MAX)?;
    let length = file::read_link(&link, &mut room)?;
    room.truncate(length);
    path.beside(&room).map(Behind::Path)
}
