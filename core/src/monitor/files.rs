//! What the monitor writes down: the pid file and the state file.

use super::action::Phase;
use super::launch::Launch;
use super::proc;
use crate::line::Line;
use crate::sys::file::{self, Identity, Kind, Lock};
use crate::sys::process::{self, Ended, Pid};
use crate::sys::{Errno, Sys, fd, time};
use crate::text::{Text, c_text};
use std::os::fd::{AsRawFd, RawFd};

const READ_BY_ALL: libc::mode_t = 0o644;

/// What the state file says beside what the launch message does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) phase: Phase,
    pub(super) program: Option<Pid>,
    pub(super) restarts: u32,
    pub(super) end: Option<Ended>,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Left => "left",
            Self::Stopping => "stopping",
            Self::Waiting => "waiting",
            Self::GaveUp => "gave-up",
            Self::Ended => "ended",
        }
    }
}

/// The state file, replaced as a whole each time.
pub(super) struct StateFile<'a> {
    path: &'a Text,
    /// A name of its own until it is complete.
    new: Text,
}

impl<'a> StateFile<'a> {
    pub(super) fn of(launch: &'a Launch) -> Sys<Self> {
        let mut path = Line::new();
        path.push(launch.state_file.as_bytes()).push(b".new");
        Ok(Self { path: &launch.state_file, new: Text::path(path.as_bytes())? })
    }

    pub(super) fn write(&self, launch: &Launch, facts: &Facts) -> Sys<()> {
        // Left by a monitor that was killed; the launcher's lock keeps others from writing one now.
        let _: Sys<()> = file::unlink(self.new.as_c_str());
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let output = file::open(self.new.as_c_str(), flags, READ_BY_ALL)?;
        let written = fill(output.as_raw_fd(), launch, facts)
            .and_then(|()| file::rename(self.new.as_c_str(), self.path.as_c_str()));
        if written.is_err() {
            let _: Sys<()> = file::unlink(self.new.as_c_str());
        }
        written
    }

    /// One that cannot be removed names a monitor that is gone.
    pub(super) fn remove(&self) {
        for path in [self.path, &self.new] {
            let _: Sys<()> = file::unlink(path.as_c_str());
        }
    }
}

fn fill(output: RawFd, launch: &Launch, facts: &Facts) -> Sys<()> {
    let mut line = Line::new();
    line.push(b"daemonctx=1\nname=");
    escape(&mut line, launch.name.as_bytes());
    line.push(b"\nstate=").push(facts.phase.word().as_bytes());
    line.push(b"\nmonitor=");
    identity(&mut line, process::id());
    if let Some(program) = facts.program {
        line.push(b"\nprogram=");
        identity(&mut line, program);
    }
    let mut room = [0; 64];
    line.push(b"\nboot=").push(boot(&mut room));
    line.push(b"\npidns=").push_number(pid_namespace());
    line.push(b"\nsince=").push_number(i64::try_from(time::realtime().as_secs()).unwrap_or(0));
    line.push(b"\nrestarts=").push_number(i64::from(facts.restarts));
    if let Some(limit) = launch.settings.respawn.and_then(|respawn| respawn.limit) {
        line.push(b"\nlimit=").push_number(i64::from(limit));
    }
    match facts.end {
        Some(Ended::Exited(status)) => line.push(b"\nend=exited ").push_number(i64::from(status)),
        Some(Ended::Killed(signal)) => line.push(b"\nend=killed ").push_number(i64::from(signal)),
        Some(Ended::Unknown) | None => &mut line,
    };
    line.push(b"\n");
    write_all(output, line.as_bytes())?;
    if let Some(path) = &launch.pid_file {
        write_field(output, b"pidfile=", [path.as_bytes()].into_iter())?;
    }
    write_field(output, b"command=", launch.arguments.iter().map(std::ffi::CStr::to_bytes))
}

/// One field of any length, with tabs between its parts.
fn write_field<'a>(output: RawFd, name: &[u8], parts: impl Iterator<Item = &'a [u8]>) -> Sys<()> {
    /// Escaped it is twice as long at the most, and fits.
    const PIECE: usize = 1024;
    write_all(output, name)?;
    for (index, part) in parts.enumerate() {
        if index > 0 {
            write_all(output, b"\t")?;
        }
        for piece in part.chunks(PIECE) {
            let mut line = Line::new();
            escape(&mut line, piece);
            write_all(output, line.as_bytes())?;
        }
    }
    write_all(output, b"\n")
}

/// Newlines, tabs and backslashes, so that a value stays on its line and a part apart from the next.
fn escape(line: &mut Line, value: &[u8]) {
    for &byte in value {
        match byte {
            b'\n' => line.push(b"\\n"),
            b'\t' => line.push(b"\\t"),
            b'\\' => line.push(b"\\\\"),
            _ => line.push(&[byte]),
        };
    }
}

fn identity(line: &mut Line, pid: Pid) {
    line.push_number(i64::from(pid));
    if let Ok(stat) = proc::stat(pid) {
        line.push(b" ").push_number(i64::try_from(stat.start).unwrap_or(0));
    }
}

fn boot(room: &mut [u8]) -> &[u8] {
    let id = file::read_small(c_text!("/proc/sys/kernel/random/boot_id"), room);
    id.unwrap_or_default().trim_ascii()
}

fn pid_namespace() -> i64 {
    let status = file::status_behind(c_text!("/proc/self/ns/pid"));
    status.map_or(0, |status| i64::try_from(status.identity.inode).unwrap_or(0))
}

fn write_all(output: RawFd, mut bytes: &[u8]) -> Sys<()> {
    while !bytes.is_empty() {
        match fd::write(output, bytes)? {
            0 => return Err(Errno::EIO),
            written => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// The pid file that the launcher has locked.
pub(super) struct PidFile<'a> {
    path: &'a Text,
    lock: RawFd,
    identity: Identity,
}

impl<'a> PidFile<'a> {
    pub(super) fn of(launch: &'a Launch) -> Sys<Option<Self>> {
        let (Some(path), Some(lock)) = (&launch.pid_file, launch.lock) else { return Ok(None) };
        Ok(Some(Self { path, lock, identity: file::status_of(lock)?.identity }))
    }

    /// Writes a PID, into a new file where somebody removed the old one.
    ///
    /// # Errors
    /// ESTALE: another file has its place.
    pub(super) fn write(&mut self, pid: Pid) -> Sys<()> {
        match self.write_to_file(pid) {
            Err(Errno::ENOENT) => self.make_again().and_then(|()| self.write_to_file(pid)),
            written => written,
        }
    }

    /// The descriptor that can write is open no longer than that.
    fn write_to_file(&self, pid: Pid) -> Sys<()> {
        let output = file::open(self.path.as_c_str(), libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
        let status = file::status_of(output.as_raw_fd())?;
        if status.identity != self.identity || status.kind != Kind::Regular {
            return Err(Errno::ESTALE);
        }
        let mut line = Line::new();
        line.push_number(i64::from(pid)).push(b"\n");
        file::truncate(output.as_raw_fd())?;
        write_all(output.as_raw_fd(), line.as_bytes())
    }

    /// The new file's lock has the old one's number, so the next life inherits it.
    fn make_again(&mut self) -> Sys<()> {
        const READ_BY_OWNER: libc::mode_t = 0o600;
        // By O_NOATIME the owner's lock is told from that of a process that can only read the file.
        let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | file::O_NOATIME;
        let new = file::open(self.path.as_c_str(), flags, READ_BY_OWNER)?;
        if !file::lock(new.as_raw_fd(), Lock::Exclusive)? {
            return Err(Errno::ESTALE);
        }
        file::set_mode(new.as_raw_fd(), READ_BY_ALL)?;
        let identity = file::status_of(new.as_raw_fd())?.identity;
        fd::connect(new.as_raw_fd(), self.lock)?;
        fd::set_close_on_exec(self.lock)?;
        self.identity = identity;
        Ok(())
    }

    /// Removes the file, unless another has taken its place.
    pub(super) fn remove(&self) {
        if file::status_at(self.path.as_c_str()).is_ok_and(|status| status.identity == self.identity) {
            // Where it cannot be removed it is stale: its lock goes with this process.
            let _: Sys<()> = file::unlink(self.path.as_c_str());
        }
    }
}
