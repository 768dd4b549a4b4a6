//! Standard input, output and error of the daemon.

use crate::error::{Error, Failure, Step, Subject};
use crate::sys::Errno;
use crate::sys::{Sys, fd, file};
use crate::text::Text;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where a standard stream of the daemon leads.
///
/// Without one, a stream leads to `/dev/null`; below inetd it stays the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream(Target);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Null,
    Inherit,
    File(Text),
    /// A path that cannot be one, as far as it can be shown; said when it is known for which stream.
    NoPath(Text, Errno),
    Descriptor(RawFd),
}

/// A log file is nobody's business but its owner's and its group's.
const LOG_MODE: libc::mode_t = 0o640;

impl Stream {
    /// `/dev/null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Target::Null)
    }

    /// What it is now; `/dev/null` where that is closed.
    #[must_use]
    pub fn inherit() -> Self {
        Self(Target::Inherit)
    }

    /// A file: read from for standard input, else appended to, and created with mode 0640 (less the umask) where it does
    /// not exist. It is opened before the daemon changes its root, its working directory and its user.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::file_at(path.as_ref().as_os_str().as_bytes())
    }

    fn file_at(path: &[u8]) -> Self {
        Self(match Text::path(path) {
            Ok(path) => Target::File(path),
            Err(errno) => Target::NoPath(Text::up_to_nul(path), errno),
        })
    }

    /// A duplicate of an open descriptor. The descriptor itself is closed in the daemon unless it is kept.
    #[must_use]
    pub fn descriptor(fd: RawFd) -> Self {
        Self(Target::Descriptor(fd))
    }
}

/// The three streams, resolved: a descriptor to connect each to, or nothing where it stays.
pub(crate) struct Plan {
    connect: [Option<OwnedFd>; 3],
    /// Standard error's, when it is connected only at readiness.
    late: Option<OwnedFd>,
}

/// The program's wish for stream `number`, checked as far as that can be done without looking at the system.
pub(crate) fn checked(number: RawFd, stream: Stream) -> Result<Stream, Error> {
    let step = STEPS
        .into_iter()
        .zip(fd::STANDARD)
        .find(|(_, standard)| *standard == number)
        .map_or(Step::Stdin, |(step, _)| step);
    match stream.0 {
        Target::NoPath(path, errno) => Err(Error::os(step, Subject::Text(path), errno)),
        Target::Descriptor(fd) if fd < 0 => Err(Error::os(step, Subject::Number(i64::from(fd)), Errno::EBADF)),
        target => Ok(Stream(target)),
    }
}

const STEPS: [Step; 3] = [Step::Stdin, Step::Stdout, Step::Stderr];

impl Plan {
    /// Opens everything. `default` is for streams nothing was asked of; with `late`, standard error stays what it is until
    /// readiness.
    pub(crate) fn new(wanted: &[Option<Stream>; 3], default: &Stream, late: bool) -> Result<Self, Error> {
        let mut connect = [None, None, None];
        for (((slot, wish), step), number) in connect.iter_mut().zip(wanted).zip(STEPS).zip(fd::STANDARD) {
            *slot = resolve(wish.as_ref().unwrap_or(default), step, number)?;
        }
        let late = match &mut connect {
            [.., error] if late && fd::is_open(2) => error.take(),
            _ => None,
        };
        Ok(Self { connect, late })
    }

    /// The daemon's step: connects what was opened, and closes the originals.
    pub(crate) fn apply(&mut self) -> Result<(), Failure> {
        for ((slot, step), number) in self.connect.iter_mut().zip(STEPS).zip(fd::STANDARD) {
            if let Some(from) = slot.take() {
                fd::connect(from.as_raw_fd(), number).map_err(|errno| Failure::new(step, errno))?;
            }
        }
        Ok(())
    }

    /// What is going to be connected.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.connect.iter().flatten().map(AsRawFd::as_raw_fd)
    }

    /// What standard error is to become at readiness, if it is late.
    pub(crate) fn take_late(&mut self) -> Option<OwnedFd> {
        self.late.take()
    }

    pub(crate) fn late_descriptor(&self) -> Option<RawFd> {
        self.late.as_ref().map(AsRawFd::as_raw_fd)
    }
}

fn resolve(stream: &Stream, step: Step, number: RawFd) -> Result<Option<OwnedFd>, Error> {
    let null = || {
        let opened = file::open(file::NULL_DEVICE, libc::O_RDWR, 0);
        opened.map(Some).map_err(|errno| Error::os(step, Subject::Word("/dev/null"), errno))
    };
    match &stream.0 {
        Target::Null => null(),
        Target::Inherit if fd::is_open(number) => Ok(None),
        Target::Inherit => null(),
        Target::Descriptor(same) if *same == number && fd::is_open(number) => Ok(None),
        Target::Descriptor(from) => {
            fd::duplicate(*from).map(Some).map_err(|errno| Error::os(step, Subject::Number(i64::from(*from)), errno))
        }
        Target::NoPath(path, errno) => Err(Error::about(step, path.as_bytes(), *errno)),
        Target::File(path) => {
            open_file(path, number).map(Some).map_err(|errno| Error::about(step, path.as_bytes(), errno))
        }
    }
}

fn open_file(path: &Text, number: RawFd) -> Sys<OwnedFd> {
    let flags = match number {
        0 => libc::O_RDONLY,
        _ => libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT,
    };
    // Without waiting: a FIFO that nobody reads is ENXIO at once. The flag must not stay, programs expect to block.
    let opened = file::open(path.as_c_str(), flags | libc::O_NONBLOCK, LOG_MODE)?;
    fd::set_nonblocking(opened.as_raw_fd(), false)?;
    match file::status_of(opened.as_raw_fd())?.kind {
        file::Kind::Directory => Err(Errno::EISDIR),
        _ => Ok(opened),
    }
}
