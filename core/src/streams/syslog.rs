//! Syslog as the target of a stream: what stands before each line.

use crate::error::{Error, Step, Subject};
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::MessageBuf;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What kind of program a message is from (RFC 5424, section 6.2.1; syslog(3)).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facility(u8);

/// The constant's name.
impl std::fmt::Debug for Facility {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => formatter.write_str("USER"),
            2 => formatter.write_str("MAIL"),
            3 => formatter.write_str("DAEMON"),
            4 => formatter.write_str("AUTH"),
            6 => formatter.write_str("LPR"),
            7 => formatter.write_str("NEWS"),
            8 => formatter.write_str("UUCP"),
            9 => formatter.write_str("CRON"),
            10 => formatter.write_str("AUTHPRIV"),
            11 => formatter.write_str("FTP"),
            number @ 16..24 => write!(formatter, "LOCAL{}", number - 16),
            number => write!(formatter, "Facility({number})"),
        }
    }
}

impl Facility {
    /// User programs.
    pub const USER: Self = Self(1);
    /// Mail.
    pub const MAIL: Self = Self(2);
    /// Daemons; what is used unless set.
    pub const DAEMON: Self = Self(3);
    /// Security.
    pub const AUTH: Self = Self(4);
    /// Printing.
    pub const LPR: Self = Self(6);
    /// Network news.
    pub const NEWS: Self = Self(7);
    /// UUCP.
    pub const UUCP: Self = Self(8);
    /// Clock daemons.
    pub const CRON: Self = Self(9);
    /// Security, what not everybody may read.
    pub const AUTHPRIV: Self = Self(10);
    /// File transfer.
    pub const FTP: Self = Self(11);

    /// One of `LOG_LOCAL0` to `LOG_LOCAL7`; none for other numbers.
    #[must_use]
    pub const fn local(number: u8) -> Option<Self> {
        if number < 8 { Some(Self(16 + number)) } else { None }
    }

    /// By its number, 1 to 23. 0 is the kernel's and nobody else's.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        if matches!(number, 1..=23) { Some(Self(number)) } else { None }
    }
}

/// How grave a message is (RFC 5424, section 6.2.1; syslog(3)). The numbers are those of `<syslog.h>`: the graver, the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// The system is unusable; everybody is told.
    Emergency,
    /// Something must be done at once.
    Alert,
    /// Critical conditions.
    Critical,
    /// Errors.
    Error,
    /// Warnings.
    Warning,
    /// Normal, but to be noticed.
    Notice,
    /// Information.
    Info,
    /// For those who look for bugs.
    Debug,
}

impl Severity {
    const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// By its number, 0 to 7.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Standard output or standard error to the system's log, a message for each line.
///
/// A process of its own reads what the daemon writes and passes it on: see `docs/behaviour.md` for what it does when the
/// system's log is away or does not read.
///
/// ```
/// # fn main() -> Result<(), daemonctx::Error> {
/// use daemonctx::{Daemon, Facility, Severity, Syslog};
/// let mut daemon = Daemon::new();
/// daemon.stdout(Syslog::new());
/// daemon.stderr(Syslog::new().identity("hello").facility(Facility::MAIL).severity(Severity::Warning));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Syslog {
    identity: Option<CBuf>,
    facility: Facility,
    severity: Option<Severity>,
    bad: Option<(Subject, Errno)>,
}

/// What an identity may have: with it, a message has room for its text.
const LONGEST_IDENTITY: usize = 128;

impl std::fmt::Debug for Syslog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("Syslog");
        if let Some((subject, errno)) = &self.bad {
            debug.field("invalid", subject).field("errno", &errno.value());
        }
        if let Some(identity) = &self.identity {
            debug.field("identity", identity);
        }
        debug.field("facility", &self.facility);
        if let Some(severity) = self.severity {
            debug.field("severity", &severity);
        }
        debug.finish()
    }
}

impl Default for Syslog {
    fn default() -> Self {
        Self::new()
    }
}

impl Syslog {
    /// With the program's name, facility `daemon`, and severity `info` on standard output, `err` on standard error.
    #[must_use]
    pub fn new() -> Self {
        Self { identity: None, facility: Facility::DAEMON, severity: None, bad: None }
    }

    /// The name that messages begin with, the program's ([`Daemon::program_name`](crate::Daemon::program_name)) unless set.
    /// EINVAL for an empty one or one with a NUL, ENAMETOOLONG for more than 128 bytes: said when it becomes a daemon's
    /// stream. Control characters are shown as `?`.
    #[must_use]
    pub fn identity(mut self, identity: impl AsRef<OsStr>) -> Self {
        let bytes = identity.as_ref().as_bytes();
        let identity = match bytes.len() {
            0 => Err(Errno::EINVAL),
            1..=LONGEST_IDENTITY => CBuf::new(bytes),
            _ => Err(Errno::ENAMETOOLONG),
        };
        match identity {
            Ok(identity) => self.identity = Some(identity),
            Err(errno) => self.bad = Some((Subject::Text(CBuf::up_to_nul(bytes)), errno)),
        }
        self
    }

    /// The facility, [`Facility::DAEMON`] unless set.
    #[must_use]
    pub fn facility(mut self, facility: Facility) -> Self {
        self.facility = facility;
        self
    }

    /// How grave the messages are. A line cannot say so itself.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Whether it can be a daemon's `step`.
    pub(super) fn check(&self, step: Step) -> Result<(), Error> {
        match &self.bad {
            Some((subject, errno)) => Err(Error::os(step, subject.clone(), *errno)),
            None if step == Step::Stdin => Err(Error::os(step, Subject::Word("syslog"), Errno::EINVAL)),
            None => Ok(()),
        }
    }

    /// What each message begins with, as far as the daemon's PID: `<30>hello[`.
    pub(super) fn head(&self, step: Step, program: &[u8]) -> Result<CBuf, Error> {
        let default = if step == Step::Stderr { Severity::Error } else { Severity::Info };
        let priority = self.facility.0 << 3 | self.severity.unwrap_or(default) as u8;
        let identity = self.identity.as_ref().map_or(program, CBuf::as_bytes);
        let mut line = MessageBuf::new();
        line.push(b"<").push_number(i64::from(priority)).push(b">");
        line.push_printable(identity.get(..LONGEST_IDENTITY).unwrap_or(identity)).push(b"[");
        CBuf::new(line.as_bytes()).map_err(|errno| Error::os(step, Subject::Word("syslog"), errno))
    }
}
