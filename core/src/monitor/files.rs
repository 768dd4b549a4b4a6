//! What the monitor writes down: the pid file and the state file.

use super::action::Phase;
use super::launch::Launch;
use super::proc;
use crate::error::Failure;
use crate::stop::KillMode;
use crate::sys::c_buf::CBuf;
use crate::sys::file::{self, Identity, Kind, Lock};
use crate::sys::fixed_buf::FixedBuf;
use crate::sys::parse_decimal;
use crate::sys::process::{self, Ended, Pid};
use crate::sys::{Errno, Sys, fd, memory, time};
use crate::{run_directory, streams};
use std::os::fd::{AsRawFd, RawFd};

const READ_BY_ALL: libc::mode_t = 0o644;

/// What the state file says beside what the launch message does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) phase: Phase,
    /// The guard, which lives until the start is confirmed.
    pub(super) guard: Pid,
    pub(super) program: Option<Pid>,
    pub(super) restarts: u32,
    pub(super) end: Option<LastEnd>,
    /// When the phase or the program changed last, in seconds since 1970.
    pub(super) since: u64,
}

/// What became of the last life.
#[derive(Clone, Copy, Debug)]
pub(super) enum LastEnd {
    Of(Ended),
    /// The program could not be started again.
    NotStarted(Failure),
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
    path: &'a CBuf,
    /// A name of its own until it is complete.
    new: CBuf,
    directory: CBuf,
    /// It was written before, so its directory was there.
    was_there: bool,
}

impl<'a> StateFile<'a> {
    pub(super) fn of(launch: &'a Launch) -> Sys<Self> {
        let mut path = Vec::new();
        memory::extend(&mut path, launch.state_file.as_bytes())?;
        memory::extend(&mut path, b".new")?;
        Ok(Self {
            path: &launch.state_file,
            new: CBuf::path(&path)?,
            directory: launch.state_file.parent()?,
            was_there: false,
        })
    }

    pub(super) fn write(&mut self, launch: &Launch, facts: &Facts) -> Sys<()> {
        let written = self.replace(launch, facts);
        self.was_there |= written.is_ok();
        written
    }

    fn replace(&self, launch: &Launch, facts: &Facts) -> Sys<()> {
        // Left by a monitor that was killed; the launcher's lock keeps others from writing one now.
        let _: Sys<()> = file::unlink(self.new.as_c_str());
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let output = match file::open(self.new.as_c_str(), flags, READ_BY_ALL) {
            Err(Errno::ENOENT) if self.was_there => {
                run_directory::make_directory(&self.directory)?;
                file::open(self.new.as_c_str(), flags, READ_BY_ALL)
            }
            // No room for another file.
            Err(full @ (Errno::ENOSPC | Errno::EDQUOT)) => {
                return self.overwrite(launch, facts).map_err(|_| full);
            }
            opened => opened,
        }?;
        let written = fill(Output::to(output.as_raw_fd()), launch, facts)
            .and_then(|_| file::rename(self.new.as_c_str(), self.path.as_c_str()));
        if written.is_err() {
            let _: Sys<()> = file::unlink(self.new.as_c_str());
        }
        match written {
            // Without an old text there is no room of its own.
            Err(full @ (Errno::ENOSPC | Errno::EDQUOT)) => self.overwrite(launch, facts).map_err(|_| full),
            written => written,
        }
    }

    /// On a full disk there is room where the old text is. A reader may find a part of it, for a moment.
    fn overwrite(&self, launch: &Launch, facts: &Facts) -> Sys<()> {
        /// What a file system gives out at once, the least of them.
        const BLOCK: u64 = 512;
        let output = file::open(self.path.as_c_str(), libc::O_WRONLY | libc::O_NOFOLLOW, 0)?;
        let room = file::status_of(output.as_raw_fd())?.size.next_multiple_of(BLOCK);
        if fill(Output::counting(), launch, facts)? > room {
            return Err(Errno::ENOSPC);
        }
        let length = fill(Output::to(output.as_raw_fd()), launch, facts)?;
        file::shorten(output.as_raw_fd(), length)
    }

    /// One that cannot be removed names a monitor that is gone.
    pub(super) fn remove(&self) {
        for path in [self.path, &self.new] {
            let _: Sys<()> = file::unlink(path.as_c_str());
        }
    }
}

/// How long the text is.
fn fill(mut output: Output, launch: &Launch, facts: &Facts) -> Sys<u64> {
    output.push(b"daemonctx=1\nname=")?.escape(launch.name.as_bytes())?;
    output.push(b"\nstate=")?.push(facts.phase.word().as_bytes())?;
    output.push(b"\nmonitor=")?.identity(process::id())?;
    if let Some(program) = facts.program {
        output.push(b"\nprogram=")?.identity(program)?;
    }
    if process::parent_id() == facts.guard {
        output.push(b"\nguard=")?.identity(facts.guard)?;
    }
    let mut room = [0; 64];
    output.push(b"\nboot=")?.push(boot(&mut room)?)?;
    output.push(b"\npidns=")?.number(pid_namespace()?)?;
    output.push(b"\nsince=")?.number(facts.since)?;
    output.push(b"\nwritten=")?.number(time::boot_ticks())?;
    output.push(b"\nrestarts=")?.number(u64::from(facts.restarts))?;
    if let Some(limit) = launch.settings.respawn.and_then(|respawn| respawn.limit) {
        output.push(b"\nlimit=")?.number(u64::from(limit))?;
    }
    match facts.end {
        Some(LastEnd::Of(Ended::Exited(status))) => {
            output.push(b"\nend=exited ")?.number(u64::from(status.unsigned_abs()))?
        }
        Some(LastEnd::Of(Ended::Killed(signal))) => {
            output.push(b"\nend=killed ")?.number(u64::from(signal.unsigned_abs()))?
        }
        Some(LastEnd::NotStarted(Failure { step, errno, .. })) => {
            let output = output.push(b"\nend=failed ")?.number(u64::from(errno.value().unsigned_abs()))?;
            output.push(b" ")?.push(step.as_str().as_bytes())?
        }
        Some(LastEnd::Of(Ended::Unknown)) | None => &mut output,
    };
    output.push(b"\nstopsignal=")?.number(u64::from(launch.stop_signal.unsigned_abs()))?;
    let milliseconds = launch.settings.stop_timeout.as_millis();
    output.push(b"\nstoptimeout=")?.number(u64::try_from(milliseconds).unwrap_or(u64::MAX))?;
    if launch.settings.kill_mode == KillMode::Process {
        output.push(b"\nkillmode=process")?;
    }
    for (name, target) in [b"\nstdout=", b"\nstderr="].into_iter().zip(&launch.outputs) {
        match target {
            streams::Output::Nothing => &mut output,
            streams::Output::Descriptor => output.push(name)?.push(b"descriptor")?,
            streams::Output::Syslog => output.push(name)?.push(b"syslog")?,
            streams::Output::File(place) => output.push(name)?.push(b"file ")?.escape(place.path().as_bytes())?,
        };
    }
    if let Some(path) = &launch.pid_file {
        output.push(b"\npidfile=")?.escape(path.as_bytes())?;
    }
    output.push(b"\ncommand=")?;
    for (index, argument) in launch.arguments.iter().enumerate() {
        output.push(if index > 0 { b"\t" } else { b"" })?.escape(argument.to_bytes())?;
    }
    output.push(b"\n")?.flush()?;
    Ok(output.total)
}

/// A file that is written piece by piece. Small: the monitor keeps the deepest stack that it ever had.
struct Output {
    fd: RawFd,
    bytes: [u8; Self::ROOM],
    length: usize,
    total: u64,
}

impl Output {
    const ROOM: usize = 512;
    const NONE: RawFd = -1;

    fn to(fd: RawFd) -> Self {
        Self { fd, bytes: [0; Self::ROOM], length: 0, total: 0 }
    }

    /// Nothing is written, and all is counted.
    fn counting() -> Self {
        Self::to(Self::NONE)
    }

    fn push(&mut self, text: &[u8]) -> Sys<&mut Self> {
        for &byte in text {
            if self.length == Self::ROOM {
                self.flush()?;
            }
            if let Some(slot) = self.bytes.get_mut(self.length) {
                *slot = byte;
                self.length += 1;
            }
        }
        Ok(self)
    }

    fn flush(&mut self) -> Sys<()> {
        let length = std::mem::take(&mut self.length);
        self.total += length as u64;
        if self.fd == Self::NONE {
            return Ok(());
        }
        write_all(self.fd, self.bytes.get(..length).unwrap_or_default())
    }

    fn number(&mut self, number: u64) -> Sys<&mut Self> {
        self.push(FixedBuf::<20>::new().push_unsigned(number).as_bytes())
    }

    /// Newlines, tabs and backslashes, so that a value stays on its line and an argument apart from the next.
    fn escape(&mut self, value: &[u8]) -> Sys<&mut Self> {
        for &byte in value {
            match byte {
                b'\n' => self.push(b"\\n")?,
                b'\t' => self.push(b"\\t")?,
                b'\\' => self.push(b"\\\\")?,
                _ => self.push(&[byte])?,
            };
        }
        Ok(self)
    }

    fn identity(&mut self, pid: Pid) -> Sys<&mut Self> {
        self.number(u64::from(pid.unsigned_abs()))?;
        match unless_missing(proc::stat(pid))? {
            Some(stat) => self.push(b" ")?.number(stat.start),
            None => Ok(self),
        }
    }
}

fn boot(room: &mut [u8]) -> Sys<&[u8]> {
    let id = file::read_small(c"/proc/sys/kernel/random/boot_id", room);
    Ok(unless_missing(id)?.unwrap_or_default().trim_ascii())
}

fn pid_namespace() -> Sys<u64> {
    let status = unless_missing(file::status_behind(c"/proc/self/ns/pid"))?;
    Ok(status.map_or(0, |status| status.identity.inode))
}

/// What `/proc` does not have is left out. Any other error may pass: a file without the identity would name a daemon that nobody finds.
fn unless_missing<T>(read: Sys<T>) -> Sys<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(errno),
    }
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

/// The PID in the first line of a file that a program wrote.
pub(super) fn read_pid(path: &CBuf) -> Sys<Pid> {
    let mut room = [0; 64];
    let text = file::read_small(path.as_c_str(), &mut room)?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    parse_decimal(line.trim_ascii())
        .and_then(|pid| Pid::try_from(pid).ok())
        .filter(|pid| *pid > 1)
        .ok_or(Errno::EBADMSG)
}

/// The pid file that the launcher has locked.
pub(super) struct PidFile<'a> {
    path: &'a CBuf,
    lock: RawFd,
    identity: Identity,
    /// The PID in it.
    written: Option<Pid>,
}

impl<'a> PidFile<'a> {
    pub(super) fn of(launch: &'a Launch) -> Sys<Option<Self>> {
        let (Some(path), Some(lock)) = (&launch.pid_file, launch.lock) else { return Ok(None) };
        Ok(Some(Self { path, lock, identity: file::status_of(lock)?.identity, written: None }))
    }

    /// Writes a PID that is not in the file, into a new file where the old one was removed. A program that writes its PID to the same
    /// path may replace the file: that one stays as long as it names the program, and goes when it names one that has ended.
    ///
    /// # Errors
    /// ESTALE: another file has its place.
    pub(super) fn write(&mut self, pid: Pid) -> Sys<()> {
        if self.written == Some(pid) && file::status_at(self.path.as_c_str()) != Err(Errno::ENOENT) {
            return Ok(());
        }
        match self.write_to_file(pid) {
            Err(Errno::ENOENT) => self.write_to_new_file(pid),
            Err(Errno::ESTALE) => match read_pid(self.path) {
                Ok(named) if named == pid => Ok(()),
                Ok(named) if self.written == Some(named) => {
                    file::unlink(self.path.as_c_str())?;
                    self.write_to_new_file(pid)
                }
                _ => Err(Errno::ESTALE),
            },
            written => written,
        }?;
        self.written = Some(pid);
        Ok(())
    }

    fn write_to_new_file(&mut self, pid: Pid) -> Sys<()> {
        self.make_again()?;
        self.write_to_file(pid)
    }

    /// The descriptor that can write is open no longer than that.
    fn write_to_file(&self, pid: Pid) -> Sys<()> {
        let output = file::open(self.path.as_c_str(), libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK, 0)?;
        let status = file::status_of(output.as_raw_fd())?;
        if status.identity != self.identity || status.kind != Kind::Regular {
            return Err(Errno::ESTALE);
        }
        // One write over the old PID, the rest of which becomes empty lines: nobody finds an empty file.
        let mut text = Output::to(output.as_raw_fd());
        text.number(u64::from(pid.unsigned_abs()))?.push(b"\n")?;
        let length = text.length as u64;
        while (text.length as u64) < status.size && text.length < Output::ROOM {
            text.push(b"\n")?;
        }
        text.flush()?;
        file::shorten(output.as_raw_fd(), length)
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

    /// Removes the file, and one in its place that names the same process.
    pub(super) fn remove(&self) {
        let is_own = file::status_at(self.path.as_c_str()).is_ok_and(|status| status.identity == self.identity);
        if is_own || self.written.is_some_and(|pid| read_pid(self.path) == Ok(pid)) {
            // Where it cannot be removed it is stale: its lock goes with this process.
            let _: Sys<()> = file::unlink(self.path.as_c_str());
        }
    }
}
