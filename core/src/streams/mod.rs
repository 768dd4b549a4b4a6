//! Standard input, output and error of the daemon.

mod log_file;
mod logger;
mod syslog;

pub(crate) use log_file::Place;
pub use log_file::{LogFile, open_for_reading, open_log_file};
pub(crate) use logger::Ends as LoggerEnds;
pub use syslog::{Facility, Severity, Syslog};

use crate::error::{Error, Failure, Step, Subject};
use crate::null_device;
use crate::report::Reporter;
use crate::sys::c_buf::CBuf;
use crate::sys::process::SecondFork;
use crate::sys::{Errno, fd};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

/// Where a standard stream of the daemon leads.
///
/// Without one, a stream leads to `/dev/null`; below inetd it stays the connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Stream(Target);

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Target::File(file) => file.fmt(formatter),
            Target::Syslog(syslog) => syslog.fmt(formatter),
            other => other.fmt(formatter),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Null,
    Inherit,
    File(LogFile),
    Syslog(Syslog),
    Descriptor(RawFd),
}

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
    /// not exist. It is opened before the daemon changes its root, its working directory and its user. A [`LogFile`] says
    /// more of how it is to be.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self(Target::File(LogFile::plain(path.as_ref())))
    }

    /// A duplicate of an open descriptor. The descriptor itself is closed in the daemon unless it is kept.
    #[must_use]
    pub fn descriptor(fd: RawFd) -> Self {
        Self(Target::Descriptor(fd))
    }
}

impl From<LogFile> for Stream {
    fn from(file: LogFile) -> Self {
        Self(Target::File(file))
    }
}

impl From<Syslog> for Stream {
    fn from(syslog: Syslog) -> Self {
        Self(Target::Syslog(syslog))
    }
}

/// The three streams, resolved.
pub(crate) struct Plan {
    streams: [Resolved; 3],
    /// `/dev/null`, for all streams that lead there from the beginning.
    null: Option<OwnedFd>,
    logger: logger::Plan,
}

/// What to connect a stream to, or nothing where it stays.
#[derive(Default)]
struct Resolved {
    opened: Option<OwnedFd>,
    is_null: bool,
    /// It is connected only at readiness.
    late: bool,
    place: Option<Place>,
}

/// What a program that is launched gets as its streams.
pub(crate) struct Sources {
    /// Nothing for `/dev/null`.
    pub(crate) streams: [Option<OwnedFd>; 3],
    /// Standard output's and standard error's.
    pub(crate) outputs: [Output; 2],
    logger: logger::Plan,
}

impl Sources {
    pub(crate) fn logger(&self) -> Option<LoggerEnds> {
        self.logger.ends()
    }
}

/// Where an output stream leads.
#[derive(Debug, Default)]
pub(crate) enum Output {
    #[default]
    Nothing,
    Descriptor,
    Syslog,
    File(Place),
}

/// The log files of standard output and standard error, to be opened again.
pub(crate) type Places = [Option<Place>; 2];

/// What a stream that is resolved may have to know.
#[derive(Default)]
pub(crate) struct Surroundings<'a> {
    pub(crate) program: &'a [u8],
    /// The one that the daemon is going to change to.
    pub(crate) root: Option<&'a CBuf>,
}

/// The program's wish for a stream, checked as far as that can be done without looking at the system.
pub(crate) fn checked(step: Step, stream: Stream) -> Result<Stream, Error> {
    match &stream.0 {
        Target::File(file) => file.check(step)?,
        Target::Syslog(syslog) => syslog.check(step)?,
        Target::Descriptor(fd) if *fd < 0 => {
            return Err(Error::os(step, Subject::Number(i64::from(*fd)), Errno::EBADF));
        }
        _ => {}
    }
    Ok(stream)
}

/// Whether what the streams lead to can be opened, as far as that is seen without making a file.
pub(crate) fn check_targets(streams: &[Option<Stream>; 3], root: Option<&CBuf>) -> Result<(), Error> {
    let open =
        |fd, step| fd::flags(fd).map(drop).map_err(|errno| Error::os(step, Subject::Number(i64::from(fd)), errno));
    for (stream, step) in streams.iter().zip(STEPS) {
        match stream {
            Some(Stream(Target::File(file))) => file.check_openable(step, root)?,
            Some(Stream(Target::Syslog(_))) => logger::connect(step).map(drop)?,
            Some(Stream(Target::Descriptor(fd))) => open(*fd, step)?,
            _ => {}
        }
    }
    Ok(())
}

/// Those of the three streams.
pub(crate) const STEPS: [Step; 3] = [Step::Stdin, Step::Stdout, Step::Stderr];

impl Plan {
    /// Opens everything. `default` is for streams nothing was asked of; with `late`, standard error stays what it is until
    /// readiness.
    pub(crate) fn new(
        wanted: &[Option<Stream>; 3],
        default: &Stream,
        late: bool,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, Error> {
        let mut plan = Self { streams: Default::default(), null: None, logger: logger::Plan::default() };
        for (((slot, wish), step), number) in plan.streams.iter_mut().zip(wanted).zip(STEPS).zip(fd::STANDARD) {
            slot.late = late && step == Step::Stderr && fd::is_open(number);
            resolve(slot, wish.as_ref().unwrap_or(default), step, number, surroundings, &mut plan.logger)?;
            if slot.is_null && plan.null.is_none() {
                plan.null = Some(null_device::open_for(step)?);
            }
        }
        Ok(plan)
    }

    /// The daemon's step: connects what was opened, and closes the originals. Only now are log files emptied that are to be: a
    /// start that is refused has not touched what a running daemon wrote.
    pub(crate) fn apply(&mut self) -> Result<(), Failure> {
        for ((stream, step), number) in self.streams.iter_mut().zip(STEPS).zip(fd::STANDARD) {
            if let Some(null) = self.null.as_ref().filter(|_| stream.is_null) {
                fd::connect(null.as_raw_fd(), number).map_err(|errno| Failure::new(step, errno))?;
            }
            let Some(opened) = &stream.opened else { continue };
            let emptied = stream.place.as_ref().map_or(Ok(()), |place| place.empty(opened.as_raw_fd()));
            emptied.map_err(|errno| Failure::new(step, errno))?;
            if !stream.late {
                fd::connect(opened.as_raw_fd(), number).map_err(|errno| Failure::new(step, errno))?;
                stream.opened = None;
            }
        }
        self.null = None;
        Ok(())
    }

    /// The root has changed: looks what the log files are called now.
    pub(crate) fn enter_root(&mut self) {
        for (stream, number) in self.streams.iter_mut().zip(fd::STANDARD) {
            let opened = stream.opened.as_ref().map_or(number, AsRawFd::as_raw_fd);
            if let Some(place) = &mut stream.place {
                place.enter_root(opened);
            }
        }
    }

    /// The daemon's last step: the process that passes on to syslog what it writes.
    pub(crate) fn begin_logging(&mut self, fork: SecondFork, reporter: Option<&Reporter>) -> Result<(), Failure> {
        self.logger.begin(fork, reporter)
    }

    /// For the starter: what is the daemon's is not to stay open here. The end of a log is when nobody can write to it.
    pub(crate) fn leave_to_daemon(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.opened = None);
        self.null = None;
        self.logger.close();
    }

    /// Where the output streams lead.
    pub(crate) fn outputs(&mut self) -> [Output; 2] {
        let logger = &self.logger;
        let [_, output, error] = &mut self.streams;
        [(output, Step::Stdout), (error, Step::Stderr)].map(|(stream, step)| match stream.place.take() {
            Some(place) => Output::File(place),
            None if stream.is_null => Output::Nothing,
            None if logger.reads(step) => Output::Syslog,
            None => Output::Descriptor,
        })
    }

    /// The streams of a program that is launched. Log files are emptied that are to be.
    pub(crate) fn sources(mut self) -> Result<Sources, Failure> {
        let mut sources = [None, None, None];
        let streams = self.streams.iter_mut().zip(STEPS).zip(fd::STANDARD).zip(&mut sources);
        for (((stream, step), number), source) in streams.filter(|(((stream, _), _), _)| !stream.is_null) {
            let failed = |errno| Failure::new(step, errno);
            let opened = stream.opened.take().map_or_else(|| fd::duplicate(number), Ok).map_err(failed)?;
            stream.place.as_ref().map_or(Ok(()), |place| place.empty(opened.as_raw_fd())).map_err(failed)?;
            *source = Some(opened);
        }
        let outputs = self.outputs();
        Ok(Sources { streams: sources, outputs, logger: self.logger })
    }

    /// What standard error is to become at readiness, if it is late.
    pub(crate) fn take_late(&mut self) -> Option<OwnedFd> {
        let [.., error] = &mut self.streams;
        error.opened.take()
    }

    pub(crate) fn take_places(&mut self) -> Places {
        let [_, output, error] = &mut self.streams;
        [output.place.take(), error.place.take()]
    }

    /// What the daemon needs after it has closed all other descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let late = self.streams.iter().filter(|stream| stream.late).filter_map(|stream| stream.opened.as_ref());
        late.map(AsRawFd::as_raw_fd).chain(self.logger.descriptors())
    }
}

/// The streams that stay what they are; a program that is launched again connects the others itself.
pub(crate) fn inherited(wanted: &[Option<Stream>; 3]) -> [Option<Stream>; 3] {
    wanted.each_ref().map(|stream| stream.clone().filter(|stream| stream.0 == Target::Inherit))
}

fn resolve(
    slot: &mut Resolved,
    stream: &Stream,
    step: Step,
    number: RawFd,
    surroundings: &Surroundings<'_>,
    logger: &mut logger::Plan,
) -> Result<(), Error> {
    slot.opened = Some(match &stream.0 {
        Target::Inherit if fd::is_open(number) => return Ok(()),
        Target::Descriptor(same) if *same == number && fd::is_open(number) => return Ok(()),
        Target::Null | Target::Inherit if slot.late => null_device::open_for(step)?,
        Target::Null | Target::Inherit => {
            slot.is_null = true;
            return Ok(());
        }
        Target::Descriptor(from) => {
            fd::duplicate(*from).map_err(|errno| Error::os(step, Subject::Number(i64::from(*from)), errno))?
        }
        Target::File(file) if step == Step::Stdin => file.open_for_reading()?,
        Target::File(file) => {
            let (opened, place) = file.open(step, surroundings.root)?;
            slot.place = Some(place);
            opened
        }
        Target::Syslog(syslog) => logger.add(step, syslog.head(step, surroundings.program)?)?,
    });
    Ok(())
}
