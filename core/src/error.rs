//! What can go wrong, and how it is said.
//!
//! One error type for every door. It knows the step that failed, what the step was about, and why; the starter's line on
//! stderr, C's error text and Rust's `Display` are the same words in the same order.

use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::fixed_buf::MessageBuf;
use crate::sys::process::Ended;
use crate::sys::signal::{self, Signal};
use crate::sys::time::Deadline;
use crate::sys::{Sys, fd, memory, uninterrupted};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident => $label:literal, $kind:ident;)*) => {
        /// A step of a start, of its preparation, or of what is done to a daemon later.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Step { $($(#[doc = $doc])+ $name),* }

        impl Step {
            const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The step's name as it stands in messages, for example `pid file`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }

            fn kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind),* }
            }
        }
    };
}

steps! {
    /// The program's name, as it begins the starter's line.
    ProgramName => "program name", Option;
    /// The daemon's working directory.
    WorkingDirectory => "working directory", Option;
    /// The directory of the daemon's own for its pid file.
    RuntimeDirectory => "runtime directory", Option;
    /// The daemon's root directory.
    Chroot => "chroot", Option;
    /// The daemon's file mode creation mask.
    Umask => "umask", Option;
    /// The user to run as.
    User => "user", Option;
    /// The group to run as.
    Group => "group", Option;
    /// The supplementary groups to run with.
    Groups => "supplementary groups", Option;
    /// A descriptor to keep open.
    KeepDescriptor => "keep descriptor", Option;
    /// Standard input.
    Stdin => "stdin", Option;
    /// Standard output.
    Stdout => "stdout", Option;
    /// Standard error.
    Stderr => "stderr", Option;
    /// An entry of the signal map.
    SignalMap => "signal map", Option;
    /// The signal that asks a launched program to end.
    StopSignal => "stop signal", Option;
    /// The time allowed until readiness.
    ReadyTimeout => "ready timeout", Option;
    /// When a launched program is ready.
    Readiness => "readiness", Option;
    /// The descriptor to tell a supervisor on.
    ReadyDescriptor => "ready descriptor", Option;
    /// Whether to detach.
    Detach => "detach", Option;
    /// Where the state files of launched daemons are.
    StateDirectory => "state directory", Option;
    /// Opening, locking, writing or reading the pid file.
    PidFile => "pid file", PidFile;
    /// Sending a signal to the process that a pid file names.
    Signal => "signal", PidFile;
    /// Waiting for the process that a pid file names.
    Wait => "wait", PidFile;
    /// Using a handle that cannot be used so: NULL, opened already, not opened yet.
    Handle => "handle", Usage;
    /// An argument that no option is made of: NULL where a string is wanted.
    Argument => "argument", Usage;
    /// Starting from a process that has other threads.
    Threads => "start with threads", Usage;
    /// Making the pipe that the daemon reports on.
    Pipe => "pipe", System;
    /// The first fork.
    Fork => "fork", System;
    /// Leaving the controlling terminal and the session.
    Session => "setsid", System;
    /// The second fork.
    SecondFork => "second fork", System;
    /// Setting signal dispositions and the mask.
    Signals => "signals", System;
    /// Closing inherited descriptors.
    CloseDescriptors => "close descriptors", System;
    /// Changing the root directory.
    ChangeRoot => "chroot", System;
    /// Changing the working directory.
    ChangeDirectory => "chdir", System;
    /// Forbidding core files.
    CoreLimit => "core limit", System;
    /// Setting the supplementary groups.
    SetGroups => "setgroups", Privileges;
    /// Setting the group ids.
    SetGroup => "setresgid", Privileges;
    /// Setting the user ids.
    SetUser => "setresuid", Privileges;
    /// Dropping capabilities.
    DropCapabilities => "drop capabilities", Privileges;
    /// Checking that the privileges are really gone.
    VerifyPrivileges => "verify privileges", Privileges;
    /// Setting `no_new_privs`.
    NoNewPrivileges => "no_new_privs", Privileges;
    /// Making the process that passes standard output and standard error on to syslog.
    Logger => "logger", System;
    /// Having a descriptor block, or not.
    SetNonblocking => "fcntl", System;
    /// Running another program.
    Execute => "execve", System;
    /// Reading what another program writes.
    ReadOutput => "read output", System;
    /// Waiting for another program to end.
    WaitForProgram => "wait", System;
    /// Telling the starter that the daemon is ready.
    Report => "report", System;
    /// Telling the service manager.
    Notify => "notify", System;
    /// The start as a whole: the daemon ended, or said that it failed.
    Start => "start", Start;
    /// Becoming ready in time.
    Ready => "ready", Start;
}

impl Step {
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What sort of error it is: what a program may want to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The interface was used wrongly: opened twice, not opened, NULL.
    Usage,
    /// An option cannot be what it was set to.
    Option,
    /// A system call on the way failed.
    System,
    /// The pid file cannot be used or read, or the process it names cannot be reached.
    PidFile,
    /// Another process holds the pid file, or the daemon was launched already.
    AlreadyRunning,
    /// A daemon with another command line was launched under the name; [`Error::holder`] gives its PID.
    NameTaken,
    /// Privileges could not be dropped, or were still there afterwards.
    Privileges,
    /// The start failed after the fork: the daemon said so or ended before it was ready.
    Start,
    /// The daemon was not ready in time.
    Timeout,
}

/// What a step was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Nothing,
    /// A path, a name.
    Text(CBuf),
    /// A word of ours.
    Word(&'static str),
    Number(i64),
    Mode(u32),
    Signal(Signal),
    Pid(i64),
    Time(Duration),
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Os(Errno),
    /// `EAGAIN`, and who holds the file where that is known.
    Held(Option<i32>),
    /// `EAGAIN`: the daemon has ended, and this process still has the lock of its pid file.
    Remains(i32),
    /// `EAGAIN`: the program ended, and this descendant of it is alive.
    Descendant(i32),
    /// `EAGAIN`: the monitor was killed, and this process of the daemon is alive.
    Unmonitored(i32),
    /// `EAGAIN`: another command, which is the subject, runs under the name.
    OtherCommand(i32),
    /// `EAGAIN`: the holder of the pid file is not visible.
    Unseen,
    /// `EINVAL`: the file has something else in it than a PID.
    NotPidFile,
    /// `EPERM`: the process that the file names may be the daemon; for this reason that cannot be known.
    Unproven(i32, &'static str),
    Exited(i32),
    Killed(Signal),
    /// The daemon ended, and nobody could say how.
    Lost,
    /// The program said so, with this exit status; its words are the subject.
    Said(i32),
    /// `EINVAL`: this function was called with NULL for the argument that is the subject.
    Null(&'static str),
    /// `EINVAL`: this function was called with the number that is the subject.
    Invalid(&'static str),
}

/// A failed step: which, what it was about, and why.
///
/// `Display` gives one line without the program's name, the same that the starter prints:
///
/// ```
/// use daemonctx::{Daemon, ErrorKind, Step};
///
/// let mut daemon = Daemon::new();
/// daemon.working_directory("/nonexistent");
/// let Err(error) = daemon.check() else { panic!("it is there") };
/// assert_eq!(error.to_string(), "working directory failed: /nonexistent: No such file or directory (2 ENOENT)");
/// assert_eq!((error.step(), error.kind(), error.errno()), (Step::WorkingDirectory, ErrorKind::Option, Some(2)));
/// # Ok::<(), daemonctx::Error>(())
/// ```
///
/// `Debug` is the same line, as `main` prints it when it returns the error; `{:#?}` has its parts. [`source`](std::error::Error::source)
/// is the [`std::io::Error`] of the system call that failed.
#[derive(PartialEq, Eq)]
pub struct Error {
    step: Step,
    cause: Cause,
    /// Apart, because most functions can fail and few do: what they hand back stays small. Lost where there is no memory.
    detail: Option<Detail>,
}

#[derive(Debug, PartialEq, Eq)]
struct Detail(Box<(Subject, &'static str)>);

impl Detail {
    fn new(subject: Subject, note: &'static str) -> Option<Self> {
        memory::boxed((subject, note)).ok().map(Self)
    }
}

impl Error {
    pub(crate) fn new(step: Step, subject: Subject, cause: Cause) -> Self {
        let detail = if matches!(subject, Subject::Nothing) { None } else { Detail::new(subject, "") };
        Self { step, cause, detail }
    }

    pub(crate) fn os(step: Step, subject: Subject, errno: Errno) -> Self {
        Self::new(step, subject, Cause::Os(errno))
    }

    /// About a text that came from outside, which may hold a NUL: what is before it is shown.
    pub(crate) fn about(step: Step, bytes: &[u8], errno: Errno) -> Self {
        Self::os(step, Subject::Text(CBuf::up_to_nul(bytes)), errno)
    }

    /// For language bindings: the function was called with NULL for an argument that is needed.
    #[doc(hidden)]
    #[must_use]
    pub fn null_argument(function: &'static str, argument: &'static str) -> Self {
        Self::new(Step::Argument, Subject::Word(argument), Cause::Null(function))
    }

    /// For language bindings: the function was called with a number that is none of the values of its argument.
    #[doc(hidden)]
    #[must_use]
    pub fn bad_argument(function: &'static str, value: i64) -> Self {
        Self::new(Step::Argument, Subject::Number(value), Cause::Invalid(function))
    }

    /// For language bindings: a handle that is not open, EBADF, or open already, EALREADY.
    #[doc(hidden)]
    #[must_use]
    pub fn bad_handle(open: bool) -> Self {
        let (word, errno) = if open { ("opened already", Errno::EALREADY) } else { ("not opened", Errno::EBADF) };
        Self::os(Step::Handle, Subject::Word(word), errno)
    }

    /// Adds a few words in parentheses behind the subject.
    pub(crate) fn note(mut self, note: &'static str) -> Self {
        match &mut self.detail {
            Some(Detail(detail)) => detail.1 = note,
            None => self.detail = Detail::new(Subject::Nothing, note),
        }
        self
    }

    /// The step that failed.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// What sort of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match (self.cause, self.step) {
            (Cause::OtherCommand(_), _) => ErrorKind::NameTaken,
            (cause, _) if cause.is_held() => ErrorKind::AlreadyRunning,
            (Cause::Os(Errno::ETIMEDOUT), Step::Ready) => ErrorKind::Timeout,
            _ => self.step.kind(),
        }
    }

    /// The error number, where a system call or an option's value is to blame; none where the daemon ended or gave its own
    /// words.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Os(errno) => Some(errno.value()),
            cause if cause.is_held() => Some(Errno::EAGAIN.value()),
            Cause::NotPidFile | Cause::Null(_) | Cause::Invalid(_) => Some(Errno::EINVAL.value()),
            Cause::Unproven(..) => Some(Errno::EPERM.value()),
            _ => None,
        }
    }

    /// The process that holds the pid file, where the error is [`ErrorKind::AlreadyRunning`] and it is known: a start that
    /// is still under way has not written its PID yet.
    #[must_use]
    pub fn holder(&self) -> Option<i32> {
        match self.cause {
            Cause::Held(pid) => pid,
            Cause::Unmonitored(pid) | Cause::OtherCommand(pid) => Some(pid),
            _ => None,
        }
    }

    /// The process that still has the lock of the pid file, where the error is [`ErrorKind::AlreadyRunning`] though the daemon has
    /// ended, or a descendant of a launched program that has: a worker, as a rule.
    #[must_use]
    pub fn remaining(&self) -> Option<i32> {
        match self.cause {
            Cause::Remains(pid) | Cause::Descendant(pid) => Some(pid),
            _ => None,
        }
    }

    pub(crate) fn is_unseen(&self) -> bool {
        self.cause == Cause::Unseen
    }

    /// Whether a pid file's status is unknown for this reason.
    pub(crate) fn leaves_unknown(&self) -> bool {
        matches!(self.cause, Cause::Unseen | Cause::Unproven(..))
    }

    /// The signal by which a person called the start off.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match (self.step, self.cause, self.subject()) {
            (Step::Start, Cause::Os(Errno::EINTR), Subject::Signal(signal)) => Some(*signal),
            _ => None,
        }
    }

    /// The status that the starter leaves with on this error.
    ///
    /// | what happened | status |
    /// |---|---|
    /// | the daemon exited before it was ready | its own, or 1 where that was 0 |
    /// | the daemon was killed before it was ready | 128 + the signal's number |
    /// | it was not ready in time | 124 |
    /// | [`Context::fail`](crate::Context::fail) | the status given there |
    /// | anything else | 1 |
    #[must_use]
    pub fn exit_status(&self) -> i32 {
        const TIMED_OUT: i32 = 124;
        const SIGNALLED: i32 = 128;
        match self.cause {
            Cause::Exited(status) | Cause::Said(status) if (1..=255).contains(&status) => status,
            Cause::Killed(signal) => SIGNALLED + signal,
            Cause::Os(_) if self.kind() == ErrorKind::Timeout => TIMED_OUT,
            _ => 1,
        }
    }

    /// Calls `with` on the message in bytes, as it is for `Display`, without allocating.
    pub fn with_message<T>(&self, with: impl FnOnce(&[u8]) -> T) -> T {
        let mut line = MessageBuf::new();
        self.write(&mut line);
        with(line.as_bytes())
    }

    /// Calls `with` on what the step was about, in bytes, without allocating: a path, a name, a number. Empty where
    /// there is nothing.
    pub fn with_subject<T>(&self, with: impl FnOnce(&[u8]) -> T) -> T {
        let mut line = MessageBuf::new();
        if !matches!(self.cause, Cause::Said(_)) {
            self.subject().write(&mut line);
        }
        with(line.as_bytes())
    }

    /// Prints `PROGRAM: ERROR` on standard error, in one piece. Lost where nobody has read from a full pipe for a second: the daemon
    /// can fill it, and signals may be blocked.
    pub(crate) fn print(&self, program: &[u8]) {
        const STDERR: libc::c_int = 2;
        const PATIENCE: Duration = Duration::from_secs(1);
        let mut line = MessageBuf::new();
        line.push_printable(program).push(b": ");
        self.write(&mut line);
        line.push(b"\n");
        let deadline = Deadline::after(Some(PATIENCE));
        let room = uninterrupted(|| fd::poll_unless_interrupted(&mut [fd::writable(STDERR)], deadline.poll_timeout()));
        if room != Ok(false) {
            let _: Sys<usize> = signal::write_without_broken_pipe(STDERR, line.as_bytes());
        }
    }

    fn write(&self, line: &mut MessageBuf) {
        match self.cause {
            Cause::NotPidFile => line.push(b"not a pid file: "),
            Cause::Unproven(pid, _) => {
                line.push(b"cannot tell whether PID ").push_number(i64::from(pid)).push(b" is the daemon: ")
            }
            Cause::OtherCommand(pid) => {
                line.push(b"another command runs under this name as PID ").push_number(i64::from(pid)).push(b": ")
            }
            Cause::Null(function) => line.push(function.as_bytes()).push(b": "),
            Cause::Invalid(function) => line.push(function.as_bytes()).push(b": invalid value "),
            _ => line.push(self.step.as_str().as_bytes()).push(b" failed: "),
        };
        let before = line.as_bytes().len();
        self.subject().write(line);
        match self.cause {
            Cause::Held(Some(pid)) => {
                line.push(b" (already running as PID ").push_number(i64::from(pid)).push(b")");
            }
            Cause::Held(None) => {
                line.push(b" (another start is under way)");
            }
            Cause::Unseen => {
                line.push(b" (locked by a process that is not visible here: in another PID namespace, or hidden)");
            }
            Cause::Remains(pid) => {
                line.push(b" (its daemon has ended, PID ").push_number(i64::from(pid)).push(b" still has its lock)");
            }
            Cause::Descendant(pid) => {
                line.push(b" (the program has ended, its descendant PID ")
                    .push_number(i64::from(pid))
                    .push(b" is alive)");
            }
            Cause::Unmonitored(pid) => {
                line.push(b" (its monitor was killed, PID ").push_number(i64::from(pid)).push(b" is alive)");
            }
            // What has not happened says more than the errno.
            Cause::Os(Errno::ETIMEDOUT) if self.step == Step::Ready && !self.words().is_empty() => {
                line.push(b": ").push(self.words().as_bytes());
                return;
            }
            _ if !self.words().is_empty() => {
                let is_first = line.as_bytes().len() == before;
                line.push(if is_first { b"(" } else { b" (" }).push(self.words().as_bytes()).push(b")");
            }
            _ => {}
        }
        // A program's own words are all there is to say.
        let all_said =
            matches!(self.cause, Cause::Said(_) | Cause::OtherCommand(_) | Cause::Null(_) | Cause::Invalid(_));
        if line.as_bytes().len() > before && !all_said {
            line.push(b": ");
        }
        self.cause.write(line);
    }

    fn subject(&self) -> &Subject {
        self.detail.as_ref().map_or(&Subject::Nothing, |Detail(detail)| &detail.0)
    }

    /// For the command: what is said in parentheses, if anything.
    #[doc(hidden)]
    #[must_use]
    pub fn words(&self) -> &'static str {
        self.detail.as_ref().map_or("", |Detail(detail)| detail.1)
    }
}

impl Subject {
    fn write(&self, line: &mut MessageBuf) {
        match self {
            Self::Nothing => {}
            Self::Text(text) => {
                line.push_printable(text.as_bytes());
            }
            Self::Word(word) => {
                line.push(word.as_bytes());
            }
            Self::Number(number) => {
                line.push_number(*number);
            }
            Self::Mode(mode) => {
                line.push_octal(*mode);
            }
            Self::Signal(signal) => push_signal(line, *signal),
            Self::Pid(pid) => {
                line.push(b"PID ").push_number(*pid);
            }
            Self::Time(time) => push_time(line, *time),
        }
    }
}

impl Cause {
    /// How a process ended that was to become ready.
    pub(crate) fn of_end(ended: Ended) -> Self {
        match ended {
            Ended::Exited(status) => Self::Exited(status),
            Ended::Killed(signal) => Self::Killed(signal),
            Ended::Unknown => Self::Lost,
        }
    }

    fn is_held(self) -> bool {
        matches!(
            self,
            Self::Held(_)
                | Self::Remains(_)
                | Self::Descendant(_)
                | Self::Unmonitored(_)
                | Self::OtherCommand(_)
                | Self::Unseen
        )
    }

    fn write(&self, line: &mut MessageBuf) {
        match self {
            Self::Os(errno) => errno.describe(line),
            Self::OtherCommand(_) | Self::Said(_) | Self::Invalid(_) => {}
            Self::Null(_) => {
                line.push(b" is NULL");
            }
            cause if cause.is_held() => Errno::EAGAIN.describe(line),
            Self::NotPidFile => {
                line.push(b"it holds something other than a PID, and was left unchanged");
            }
            Self::Unproven(_, why) => {
                line.push(why.as_bytes());
            }
            Self::Exited(status) => {
                line.push(b"exited with status ").push_number(i64::from(*status)).push(b" before it was ready");
            }
            Self::Killed(signal) => {
                line.push(b"killed by ");
                push_signal(line, *signal);
                line.push(b" before it was ready");
            }
            // All others are above.
            _ => {
                line.push(b"ended before it was ready");
            }
        }
    }
}

fn push_signal(line: &mut MessageBuf, signal: Signal) {
    line.push(b"signal ").push_number(i64::from(signal));
    if let Some(name) = signal_name(signal) {
        line.push(b" (").push(name.as_bytes()).push(b")");
    }
}

fn push_time(line: &mut MessageBuf, time: Duration) {
    line.push_number(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let milliseconds = time.subsec_millis();
    if milliseconds > 0 {
        let digits = [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10].map(|digit| b'0' + digit as u8);
        line.push(b".").push(&digits);
    }
    line.push(b" s");
}

macro_rules! signal_names {
    ($($name:ident)*) => {
        /// The macro's name of a signal, such as `SIGTERM`; none for real-time signals and numbers that are no signal.
        #[must_use]
        pub(crate) fn signal_name(signal: Signal) -> Option<&'static str> {
            match signal {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

signal_names! {
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
    SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGSYS
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_message(|message| formatter.write_str(&String::from_utf8_lossy(message)))
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        let detail = self.detail.as_ref().and_then(|Detail(detail)| Detail::new(detail.0.clone(), detail.1));
        Self { detail, ..*self }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !formatter.alternate() {
            return fmt::Display::fmt(self, formatter);
        }
        let mut debug = formatter.debug_struct("Error");
        debug.field("message", &self.to_string()).field("kind", &self.kind()).field("step", &self.step);
        if let Some(errno) = self.errno() {
            debug.field("errno", &errno);
        }
        debug.field("exit_status", &self.exit_status()).finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // An error that had it would be larger, and so would all code that drops one.
        static SOURCES: [OnceLock<std::io::Error>; 256] = [const { OnceLock::new() }; 256];
        let Cause::Os(errno) = self.cause else { return None };
        let source = usize::try_from(errno.value()).ok().and_then(|number| SOURCES.get(number))?;
        Some(source.get_or_init(|| std::io::Error::from_raw_os_error(errno.value())))
    }
}

impl From<Error> for std::io::Error {
    /// Keeps the whole error as the source, with the kind that belongs to its number.
    fn from(error: Error) -> Self {
        let kind = error.errno().map_or(std::io::ErrorKind::Other, |errno| Self::from_raw_os_error(errno).kind());
        Self::new(kind, error)
    }
}

/// A failed step in the daemon: what crosses the pipe to the starter, and what can be made without allocating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
    /// Which of several: a descriptor, a signal, a check. What it means is up to the step.
    pub(crate) value: i64,
}

impl Failure {
    pub(crate) fn new(step: Step, errno: Errno) -> Self {
        Self { step, errno, value: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Error, Step, Subject};
    use crate::sys::Errno;
    use crate::sys::c_buf::CBuf;
    use std::time::Duration;

    fn path(path: &str) -> Subject {
        Subject::Text(CBuf::new(path.as_bytes()).unwrap_or_default())
    }

    #[test]
    #[cfg_attr(miri, ignore = "strerror_r(3) has other texts there")]
    fn a_line_names_step_value_and_errno() {
        let error = Error::os(Step::WorkingDirectory, path("/nonexistent"), Errno::ENOENT);
        assert_eq!(error.to_string(), "working directory failed: /nonexistent: No such file or directory (2 ENOENT)");
    }

    #[test]
    #[cfg_attr(miri, ignore = "strerror_r(3) has other texts there")]
    fn without_a_subject_there_is_no_second_colon() {
        let error = Error::os(Step::Fork, Subject::Nothing, Errno::EAGAIN);
        assert_eq!(error.to_string(), "fork failed: Resource temporarily unavailable (11 EAGAIN)");
    }

    #[test]
    fn a_daemon_that_ended() {
        let error = |cause| Error::new(Step::Start, Subject::Pid(7), cause);
        assert_eq!(
            error(Cause::Exited(3)).to_string(),
            "start failed: PID 7: exited with status 3 before it was ready"
        );
        assert_eq!(
            error(Cause::Killed(11)).to_string(),
            "start failed: PID 7: killed by signal 11 (SIGSEGV) before it was ready"
        );
        assert_eq!(error(Cause::Exited(3)).exit_status(), 3);
        assert_eq!(error(Cause::Exited(0)).exit_status(), 1);
        assert_eq!(error(Cause::Killed(9)).exit_status(), 137);
        assert_eq!(error(Cause::Lost).exit_status(), 1);
    }

    #[test]
    #[cfg_attr(any(miri, target_env = "musl"), ignore = "strerror_r(3) has other texts there")]
    fn a_timeout() {
        let error = Error::os(Step::Ready, Subject::Time(Duration::from_millis(1500)), Errno::ETIMEDOUT);
        assert_eq!(error.to_string(), "ready failed: 1.500 s: Connection timed out (110 ETIMEDOUT)");
        assert_eq!(error.exit_status(), 124);
        let error = error.note("nothing listens there");
        assert_eq!(error.to_string(), "ready failed: 1.500 s: nothing listens there");
        assert_eq!(error.exit_status(), 124);
    }

    #[test]
    fn every_step_survives_the_pipe() {
        for &step in Step::ALL {
            assert_eq!(Step::from_number(step.number()), Some(step));
        }
    }
}
