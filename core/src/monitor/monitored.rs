//! A launched daemon as its state file records it.

use super::claim::{self, Claim};
use super::leftovers::{self, Identity, Leftovers};
use super::proc;
use crate::error::{Error, Step, Subject};
use crate::pidfile::{PidFile, is_recorded_here, recorded_field as field, recorded_identity};
use crate::procfs;
use crate::run_directory;
use crate::stop::KillMode;
use crate::stop::StopRequest;
use crate::sys::c_buf::CBuf;
use crate::sys::parse_decimal;
use crate::sys::signal::Signal;
use crate::sys::time::Deadline;
use crate::sys::{Errno, Sys, file, identity, memory};
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// What a launched daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MonitoredState {
    /// The program is not ready yet.
    Starting,
    /// The program is ready.
    Running,
    /// The program has ended, descendants of it are alive.
    Left,
    /// Program and descendants are being ended.
    Stopping,
    /// The program has failed and is about to be started again.
    Waiting,
    /// The program has failed more often than it was to be started again.
    GaveUp,
    /// The program has ended by itself.
    Ended,
    /// The monitor was killed; the program is alive.
    Unmonitored,
    /// The monitor was killed, and the program is not alive.
    Lost,
}

/// Where an output stream of a launched program leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MonitoredOutput<'a> {
    /// `/dev/null`.
    Nothing,
    /// This file.
    File(&'a Path),
    /// The system log.
    Syslog,
    /// A descriptor of the launcher: a terminal, a pipe.
    Descriptor,
}

impl Identity {
    fn parse(value: &[u8]) -> Option<Self> {
        recorded_identity(value).map(|(pid, start)| Self { pid, start })
    }
}

/// A launched daemon.
#[derive(Clone)]
pub struct Monitored {
    path: CBuf,
    name: Vec<u8>,
    state: MonitoredState,
    monitor: Identity,
    program: Option<Identity>,
    /// Alive until the launch is confirmed.
    guard: Option<Identity>,
    restarts: u64,
    limit: Option<u64>,
    since: u64,
    /// When the file was written, in clock ticks since boot.
    written: u64,
    end: Vec<u8>,
    command: Vec<u8>,
    pid_file: Option<Vec<u8>>,
    outputs: [Vec<u8>; 2],
    stop_signal: Signal,
    stop_timeout: Duration,
    spares_descendants: bool,
}

impl std::fmt::Debug for Monitored {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("Monitored");
        debug.field("name", &self.name()).field("state", &self.state).field("pid", &self.pid());
        debug.field("monitor_pid", &self.monitor_pid()).field("command", &self.command());
        if let Some(path) = self.pid_file() {
            debug.field("pid_file", &path);
        }
        debug.field("restarts", &self.restarts).finish()
    }
}

fn failed(path: &[u8]) -> impl FnOnce(Errno) -> Error + '_ {
    |errno| Error::about(Step::PidFile, path, errno)
}

impl Monitored {
    /// The daemon of a name, or of a pid file elsewhere; none if there is no state file. `run` is where state files are, the usual
    /// place where there is none.
    ///
    /// # Errors
    /// The state file cannot be read, or is none: EBADMSG. EXDEV: it belongs to another boot or PID namespace. EPERM: `/proc` does.
    pub fn find(name: impl AsRef<OsStr>, pid_file: Option<&Path>, run: Option<&Path>) -> Result<Option<Self>, Error> {
        let name = name.as_ref().as_bytes();
        let place = |path: Option<&Path>| path.map(|path| file::absolute_path(path.as_os_str().as_bytes())).transpose();
        let path = place(pid_file)
            .and_then(|pid_file| run_directory::state_file(name, pid_file.as_ref(), place(run)?.as_ref()));
        Self::read(path.map_err(failed(name))?)
    }

    /// All daemons of a run directory, by name. State files that are not readable, or belong to another boot or PID namespace, are
    /// skipped.
    ///
    /// # Errors
    /// The directory cannot be read; one that is missing holds no daemons.
    pub fn list(run: Option<&Path>) -> Result<Vec<Self>, Error> {
        let run = run.map(|run| file::absolute_path(run.as_os_str().as_bytes())).transpose();
        let paths = run.and_then(|run| run_directory::state_files(run.as_ref())).map_err(failed(b"state files"))?;
        let mut found: Vec<Self> = paths.into_iter().filter_map(|path| Self::read(path).ok().flatten()).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    pub(crate) fn read(path: CBuf) -> Result<Option<Self>, Error> {
        let text = match read_whole(&path) {
            Ok(text) => text,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(failed(path.as_bytes())(errno)),
        };
        if !procfs::is_own() {
            return Err(failed(path.as_bytes())(Errno::EPERM).note("/proc belongs to another PID namespace"));
        }
        let shown = path.clone();
        let read = parse(path, &text).ok_or(Errno::EBADMSG).and_then(|(found, is_here)| {
            let found = if is_here { found.look()? } else { return Err(Errno::EXDEV) };
            Ok(Some(found))
        });
        read.map_err(|errno| {
            let error = failed(shown.as_bytes())(errno);
            if errno == Errno::EBADMSG { error.note("damaged, or written without /proc") } else { error }
        })
    }

    /// What a killed monitor could not write down.
    fn look(mut self) -> Sys<Self> {
        let has_ended = matches!(self.state, MonitoredState::GaveUp | MonitoredState::Ended);
        if !has_ended && self.monitor.open()?.is_none() {
            let program = self.program.map_or(Ok(None), Identity::open)?;
            self.state = if program.is_some() { MonitoredState::Unmonitored } else { MonitoredState::Lost };
        }
        Ok(self)
    }

    /// The daemon's name.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    /// What it did when this was read.
    #[must_use]
    pub fn state(&self) -> MonitoredState {
        self.state
    }

    /// The program's PID, while it has a process.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.program.map(|program| program.pid)
    }

    /// The monitor's PID.
    #[must_use]
    pub fn monitor_pid(&self) -> i32 {
        self.monitor.pid
    }

    /// How often the program was started again, and how often at the most, if there is a limit.
    #[must_use]
    pub fn restarts(&self) -> (u64, Option<u64>) {
        (self.restarts, self.limit)
    }

    /// Which processes a stop ends.
    #[must_use]
    pub fn kill_mode(&self) -> KillMode {
        if self.spares_descendants { KillMode::Process } else { KillMode::Tree }
    }

    /// The time since 1970 of the last change.
    #[must_use]
    pub fn since(&self) -> Duration {
        Duration::from_secs(self.since)
    }

    /// How the program ended last, `exited 3` or `killed 9`; `failed 2 execve` (errno and step) where it could not be started again;
    /// empty if it has not ended.
    #[must_use]
    pub fn end(&self) -> &OsStr {
        OsStr::from_bytes(&self.end)
    }

    /// The program's arguments, the first of which is its name.
    #[must_use]
    pub fn command(&self) -> Vec<&OsStr> {
        self.words().collect()
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &OsStr> {
        self.command.split(|&byte| byte == 0).map(OsStr::from_bytes)
    }

    /// The daemon's pid file.
    #[must_use]
    pub fn pid_file(&self) -> Option<&Path> {
        self.pid_file.as_ref().map(|path| Path::new(OsStr::from_bytes(path)))
    }

    /// Where standard output led when the daemon was launched.
    #[must_use]
    pub fn stdout(&self) -> MonitoredOutput<'_> {
        let [output, _] = &self.outputs;
        read_output(output)
    }

    /// Where standard error led when the daemon was launched.
    #[must_use]
    pub fn stderr(&self) -> MonitoredOutput<'_> {
        let [_, error] = &self.outputs;
        read_output(error)
    }

    /// The processes of the daemon that are alive: the program first, then its descendants. What a killed monitor left includes its
    /// session's. Processes that have left both are not found.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        self.find_processes().into_iter().map(|one| one.pid).collect()
    }

    pub(super) fn find_processes(&self) -> Vec<Identity> {
        if self.is_unmonitored() {
            return self.leftovers().find();
        }
        let mut all = leftovers::descendants_of(self.monitor);
        if let Some(place) = all.iter().position(|one| Some(*one) == self.program) {
            if let Some(first) = all.get_mut(..=place) {
                first.rotate_right(1);
            }
        }
        all
    }

    fn is_unmonitored(&self) -> bool {
        !matches!(self.monitor.open(), Ok(Some(_)))
    }

    fn leftovers(&self) -> Leftovers {
        Leftovers { monitor: self.monitor, program: self.program, lived: self.written }
    }

    /// Whether the program that is written down is alive.
    pub(super) fn has_program(&self) -> bool {
        let is_ending = |pid| proc::stat(pid).is_ok_and(|stat| stat.is_ending());
        self.program.is_some_and(|program| program.is_alive() && !is_ending(program.pid))
    }

    /// Whether the launcher has confirmed the launch.
    pub(super) fn is_confirmed(&self) -> bool {
        !self.guard.is_some_and(Identity::is_alive)
    }

    /// Stops the daemon, and waits until it is gone: program, descendants, pid file and state file. False when `timeout` (`None`: any
    /// time) has passed first. The monitor does it; what a killed monitor left is stopped by this process. Of a daemon that has ended
    /// only the state file is removed.
    ///
    /// # Errors
    /// EPERM: it is another user's. EAGAIN: a launch takes it over.
    pub fn stop(&self, request: StopRequest, timeout: Option<Duration>) -> Result<bool, Error> {
        let failed = |errno| Error::os(Step::Signal, Subject::Text(self.path.clone()), errno);
        let deadline = Deadline::after(timeout);
        match self.stop_by_monitor(request, deadline) {
            Ok(true) | Err(Errno::ESRCH) => {}
            stopped => return stopped.map_err(failed),
        }
        // The monitor was killed, or has left what tells how its program ended.
        let left = match Self::read(self.path.clone())? {
            Some(left) if left.monitor == self.monitor => left,
            _ => return Ok(true),
        };
        let claim = Claim::of_state_file(&self.path).map_err(failed)?;
        let is_gone = left.stop_rest(request, deadline);
        claim.release();
        is_gone.map_err(failed)
    }

    /// For a launch that takes the daemon over.
    ///
    /// # Errors
    /// It does not end in time: ETIMEDOUT.
    pub(super) fn end_for_successor(&self, deadline: Deadline) -> Result<(), Error> {
        let ended = match self.stop_by_monitor(StopRequest::Terminate, deadline) {
            Err(Errno::ESRCH) => self.stop_rest(StopRequest::Terminate, deadline),
            stopped => stopped,
        };
        let ended = ended.and_then(|ended| if ended { Ok(()) } else { Err(Errno::ETIMEDOUT) });
        ended.map_err(|errno| Error::os(Step::Signal, Subject::Text(self.path.clone()), errno))
    }

    /// Whoever calls this has the name, so nobody launches meanwhile.
    fn stop_rest(&self, request: StopRequest, deadline: Deadline) -> Sys<bool> {
        let rest = self.leftovers();
        if request == StopRequest::EndWithProgram {
            if let Some(program) = self.program.map_or(Ok(None), Identity::open)? {
                if !program.wait(deadline.remaining())? {
                    return Ok(false);
                }
            }
        }
        let signal = Some(self.stop_signal).filter(|_| request != StopRequest::Kill);
        if !rest.end(signal, self.stop_timeout, self.spares_descendants, deadline) {
            return Ok(false);
        }
        if let Some(path) = &self.pid_file {
            PidFile::clear_away(CBuf::path(path)?);
        }
        claim::clear_away(&self.path);
        file::unlink(self.path.as_c_str()).map(|()| true)
    }

    fn stop_by_monitor(&self, request: StopRequest, deadline: Deadline) -> Sys<bool> {
        let monitor = self.monitor.open()?.ok_or(Errno::ESRCH)?;
        request.send(&monitor)?;
        monitor.wait(deadline.remaining())
    }
}

fn read_output(text: &[u8]) -> MonitoredOutput<'_> {
    match text {
        b"syslog" => MonitoredOutput::Syslog,
        b"descriptor" => MonitoredOutput::Descriptor,
        _ => match text.strip_prefix(b"file ") {
            Some(path) => MonitoredOutput::File(Path::new(OsStr::from_bytes(path))),
            None => MonitoredOutput::Nothing,
        },
    }
}

fn read_whole(path: &CBuf) -> Sys<Vec<u8>> {
    /// A command line is not longer.
    const MOST: u64 = 8 << 20;
    let opened = file::open(path.as_c_str(), libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
    let status = file::status_of(opened.as_raw_fd())?;
    if status.owner != 0 && status.owner != identity::effective_user() {
        return Err(Errno::EPERM);
    }
    let size = status.size.min(MOST);
    let mut text = memory::filled(0, usize::try_from(size).unwrap_or(0))?;
    let length = file::read_start(opened.as_raw_fd(), &mut text)?;
    text.truncate(length);
    Ok(text)
}

/// Without memory the rest is missing.
fn unescape(value: &[u8]) -> Vec<u8> {
    let mut bytes = value.iter().copied();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\t' => 0,
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                other => other.unwrap_or(b'\\'),
            },
            _ => byte,
        };
        if memory::push(&mut plain, byte).is_err() {
            break;
        }
    }
    plain
}

/// What is in a state file, and whether it is of this boot and this PID namespace.
fn parse(path: CBuf, text: &[u8]) -> Option<(Monitored, bool)> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.next().filter(|line| *line == b"daemonctx=1")?;
    let field = |name: &[u8]| field(text, name);
    let state = match field(b"state")? {
        b"starting" => MonitoredState::Starting,
        b"running" => MonitoredState::Running,
        b"left" => MonitoredState::Left,
        b"stopping" => MonitoredState::Stopping,
        b"waiting" => MonitoredState::Waiting,
        b"gave-up" => MonitoredState::GaveUp,
        b"ended" => MonitoredState::Ended,
        _ => return None,
    };
    let found = Monitored {
        path,
        name: unescape(field(b"name")?),
        state,
        monitor: Identity::parse(field(b"monitor")?)?,
        program: field(b"program").and_then(Identity::parse),
        guard: field(b"guard").and_then(Identity::parse),
        restarts: field(b"restarts").and_then(parse_decimal)?,
        limit: field(b"limit").and_then(parse_decimal),
        since: field(b"since").and_then(parse_decimal)?,
        written: field(b"written").and_then(parse_decimal).unwrap_or(0),
        end: field(b"end").map(unescape).unwrap_or_default(),
        command: unescape(field(b"command")?),
        pid_file: field(b"pidfile").map(unescape),
        outputs: [b"stdout".as_slice(), b"stderr"].map(|name| field(name).map(unescape).unwrap_or_default()),
        stop_signal: field(b"stopsignal").and_then(parse_decimal).and_then(|it| Signal::try_from(it).ok())?,
        stop_timeout: Duration::from_millis(field(b"stoptimeout").and_then(parse_decimal)?),
        spares_descendants: field(b"killmode") == Some(b"process"),
    };
    Some((found, is_recorded_here(text)))
}
