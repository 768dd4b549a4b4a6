//! Where a path leads: a name in a directory that is held open, reached over trusted symbolic links only.

use super::Purpose;
use crate::sys::c_buf::{CBuf, PATH_MAX};
use crate::sys::directory::{self, Directory};
use crate::sys::file::{self, Kind, Status};
use crate::sys::{Errno, Sys, fd, identity, memory, time};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// The kernel's limit for one path (path_resolution(7)).
const MOST_LINKS: u8 = 40;

/// A name in an open directory. Functions return `None` when the name was exchanged meanwhile.
#[derive(Debug)]
pub(super) struct Location {
    directory: Directory,
    /// The directory's own owner and mode.
    folder: Status,
    name: CBuf,
    /// How many symbolic links the path has led over.
    links: u8,
    /// The name is a link of the kernel's to an open file (`/proc/self/fd/1`), which has no other name.
    is_object: bool,
}

/// Where a symbolic link leads.
enum Target {
    Path(CBuf),
    Object,
}

impl Location {
    pub(super) fn find(path: &CBuf) -> Sys<Option<Self>> {
        Self::walk(Directory::current()?, path.as_bytes(), 0)
    }

    fn walk(mut directory: Directory, path: &[u8], mut links: u8) -> Sys<Option<Self>> {
        let mut rest = CBuf::new(path)?;
        if is_absolute(&rest) {
            directory = Directory::root()?;
        }
        loop {
            let (name, after) = first_name(rest.as_bytes());
            let name = CBuf::new(name)?;
            let Some(after) = after.map(CBuf::new).transpose()? else {
                return Self::new(directory, name, links).map(Some);
            };
            (directory, rest) = match directory.enter(name.as_c_str()) {
                Ok(next) => (next, after),
                // The errors for a symbolic link differ between systems.
                Err(Errno::ENOTDIR | Errno::ELOOP | Errno::EMLINK) => {
                    links += 1;
                    match Self::new(directory, name, links)?.past_link(after)? {
                        Some(next) => next,
                        None => return Ok(None),
                    }
                }
                Err(errno) => return Err(errno),
            };
        }
    }

    fn new(directory: Directory, name: CBuf, links: u8) -> Sys<Self> {
        let folder = directory.status()?;
        Ok(Self { directory, folder, name, links, is_object: false })
    }

    /// The directory to go on in, and the path from there, where a symbolic link stands before `after`.
    fn past_link(self, after: CBuf) -> Sys<Option<(Directory, CBuf)>> {
        Ok(match self.target()? {
            Some(Target::Path(target)) if is_absolute(&target) => Some((Directory::root()?, joined(&target, &after)?)),
            Some(Target::Path(target)) => Some((self.directory, joined(&target, &after)?)),
            Some(Target::Object) => Some((self.directory.enter_through(self.name.as_c_str())?, after)),
            None => None,
        })
    }

    /// Follows the name as long as it is a symbolic link. With `refuse_links` it may not be one: ELOOP.
    pub(super) fn behind_links(mut self, refuse_links: bool) -> Sys<Option<Self>> {
        while !self.is_object && self.status()?.kind == Kind::SymbolicLink {
            if refuse_links {
                return Err(Errno::ELOOP);
            }
            self.links += 1;
            let followed = match self.target() {
                Ok(Some(Target::Path(target))) => Self::walk(self.directory, target.as_bytes(), self.links)?,
                Ok(Some(Target::Object)) => Some(Self { is_object: true, ..self }),
                Ok(None) | Err(Errno::ENOENT | Errno::ENOTDIR) => None,
                Err(errno) => return Err(errno),
            };
            match followed {
                Some(next) => self = next,
                None => return Ok(None),
            }
        }
        Ok(Some(self))
    }

    /// Where the name leads, a symbolic link of root's or this user's, where nobody else can put it: any other would lead to any file.
    /// Owner and text are those of the opened link, as its name can be exchanged. ENOTDIR where it is no link.
    fn target(&self) -> Sys<Option<Target>> {
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        let link = self.directory.open_link(self.name.as_c_str())?;
        let status = file::status_of(link.as_raw_fd())?;
        if status.kind != Kind::SymbolicLink {
            return Err(Errno::ENOTDIR);
        }
        // A second link to a trusted symbolic link is not its owner's.
        if !is_trusted(status.owner) || self.lets_others_rename() || self.is_shared() && status.links > 1 {
            return Err(Errno::ELOOP);
        }
        if directory::is_in_proc(&link)? {
            return Ok(Some(Target::Object));
        }
        if !self.is_sole_name(&link)? {
            return Ok(None);
        }
        let mut room = memory::filled(0, PATH_MAX)?;
        let length = directory::read_link(&link, &mut room)?;
        room.truncate(length);
        CBuf::path(&room).map(Target::Path).map(Some)
    }

    /// Makes the file; EEXIST where the name is taken.
    pub(super) fn create(&self, flags: libc::c_int, mode: libc::mode_t) -> Sys<OwnedFd> {
        self.directory.open(self.name.as_c_str(), flags | libc::O_CREAT | libc::O_EXCL, mode)
    }

    /// Removes the name of a file that was created here.
    pub(super) fn take_back(&self, made: &OwnedFd) {
        let status = file::status_of(made.as_raw_fd());
        if status.is_ok_and(|made| self.status().is_ok_and(|named| named.identity == made.identity)) {
            let _: Sys<()> = self.directory.unlink(self.name.as_c_str());
        }
    }

    /// Opens the file that is there. It is judged before, as opening a FIFO or a device has effects, and after, as it may have been
    /// exchanged. Never blocks: a FIFO without a reader is ENXIO, a lease EAGAIN.
    pub(super) fn open(&self, flags: libc::c_int, purpose: Purpose) -> Sys<Option<OwnedFd>> {
        if self.is_object {
            let opened = self.directory.open(self.name.as_c_str(), flags | libc::O_NONBLOCK, 0)?;
            return match file::status_of(opened.as_raw_fd())?.kind {
                Kind::Directory => Err(Errno::EISDIR),
                _ => blocking(opened).map(Some),
            };
        }
        let seen = self.status()?;
        self.judge(&seen, purpose)?;
        let opened = match self.directory.open(self.name.as_c_str(), flags | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0) {
            Ok(opened) => opened,
            Err(_) if self.status().is_ok_and(|now| now.identity != seen.identity) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let status = file::status_of(opened.as_raw_fd())?;
        if status.identity != seen.identity {
            return Ok(None);
        }
        self.judge(&status, purpose)?;
        if self.is_sole_name(&opened)? { blocking(opened).map(Some) } else { Ok(None) }
    }

    pub(super) fn status(&self) -> Sys<Status> {
        self.directory.status_at(self.name.as_c_str())
    }

    /// Whether a user other than root and this one can create, rename or remove files in the directory.
    fn is_shared(&self) -> bool {
        const GROUP_OR_OTHERS: libc::mode_t = 0o022;
        !is_trusted(self.folder.owner) || self.folder.mode & GROUP_OR_OTHERS != 0
    }

    /// Whether such a user can rename what belongs to root or this user.
    fn lets_others_rename(&self) -> bool {
        !is_trusted(self.folder.owner) || self.is_shared() && !self.is_sticky()
    }

    fn is_sticky(&self) -> bool {
        self.folder.mode & libc::S_ISVTX != 0
    }

    fn judge(&self, file: &Status, purpose: Purpose) -> Sys<()> {
        let is_writing = purpose == Purpose::Write;
        match file.kind {
            Kind::Directory => Err(Errno::EISDIR),
            Kind::Socket => Err(Errno::ENXIO),
            Kind::SymbolicLink => Err(Errno::ELOOP),
            Kind::Fifo if !is_trusted(file.owner) => Err(Errno::EPERM),
            Kind::Device if self.is_shared() && !is_trusted(file.owner) => Err(Errno::EPERM),
            _ if file.links > 1 && (is_writing || self.is_shared()) => Err(Errno::EMLINK),
            _ if is_writing && self.is_planted(file) || !is_writing && self.is_hidden(file) => Err(Errno::EACCES),
            _ => Ok(()),
        }
    }

    /// Somebody else's file in a directory like `/tmp`, where it waits for a privileged program to write to it. This is the rule of
    /// `fs.protected_regular` (proc(5)), whatever that is set to.
    fn is_planted(&self, file: &Status) -> bool {
        self.is_shared() && self.is_sticky() && !is_trusted(file.owner) && file.owner != self.folder.owner
    }

    /// A file that the directory's owner can move here but not read.
    fn is_hidden(&self, file: &Status) -> bool {
        const READ_BY_OTHERS: libc::mode_t = 0o004;
        let owner = self.folder.owner;
        !is_trusted(owner) && file.owner != owner && file.mode & READ_BY_OTHERS == 0
    }

    /// Whether the name here is the only one that the opened file has. In a directory of others' the name can be a hard link to
    /// any file, removed before the links are counted: so they are counted first, and the name is looked up after that.
    fn is_sole_name(&self, opened: &OwnedFd) -> Sys<bool> {
        const TRIES: u32 = 50;
        const PAUSE: Duration = Duration::from_millis(2);
        if !self.is_shared() {
            return Ok(true);
        }
        let is_protected = directory::protects_hard_links();
        for _ in 0..TRIES {
            let stamp = time::stamp();
            let before = file::status_of(opened.as_raw_fd())?;
            if before.links > 1 {
                return Err(Errno::EMLINK);
            }
            if !self.status().is_ok_and(|named| named.identity == before.identity) {
                return Ok(false);
            }
            // Where others can link the file between the two, that and the removal leave a later time of change.
            let after = file::status_of(opened.as_raw_fd())?;
            let is_same = after.links == before.links && after.changed == before.changed;
            if is_protected || is_same && before.changed < stamp {
                return Ok(true);
            }
            time::pause(PAUSE);
        }
        Err(Errno::EAGAIN)
    }
}

fn is_trusted(owner: identity::Uid) -> bool {
    owner == 0 || owner == identity::effective_user()
}

/// Programs expect reads and writes that wait.
fn blocking(opened: OwnedFd) -> Sys<OwnedFd> {
    fd::set_nonblocking(opened.as_raw_fd(), false)?;
    Ok(opened)
}

fn is_absolute(path: &CBuf) -> bool {
    path.as_bytes().first() == Some(&b'/')
}

/// The first name of a path, and what follows it. A path that ends in a slash is a directory's: its last name is `.`.
fn first_name(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    let path = without_slashes(path);
    if path.is_empty() {
        return (b".", None);
    }
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    match (path.get(..end), path.get(end..)) {
        (Some(name), Some([_, rest @ ..])) if !without_slashes(rest).is_empty() => (name, Some(rest)),
        (Some(name), Some([_, ..])) => (name, Some(b".")),
        _ => (path, None),
    }
}

fn without_slashes(path: &[u8]) -> &[u8] {
    path.iter().position(|&byte| byte != b'/').and_then(|start| path.get(start..)).unwrap_or_default()
}

fn joined(target: &CBuf, after: &CBuf) -> Sys<CBuf> {
    let mut path = Vec::new();
    memory::extend(&mut path, target.as_bytes())?;
    memory::push(&mut path, b'/')?;
    memory::extend(&mut path, after.as_bytes())?;
    CBuf::new(&path)
}

#[cfg(test)]
mod tests {
    use super::first_name;

    #[test]
    fn a_path_is_taken_apart() {
        let cases = [
            ("/var/log/x", "var", Some("log/x")),
            ("//var//log", "var", Some("/log")),
            ("x", "x", None),
            ("/x", "x", None),
            ("x/", "x", Some(".")),
            ("x//", "x", Some(".")),
            ("/", ".", None),
        ];
        for (path, name, rest) in cases {
            assert_eq!(first_name(path.as_bytes()), (name.as_bytes(), rest.map(str::as_bytes)), "{path}");
        }
    }
}
