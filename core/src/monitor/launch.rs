//! The launch message: everything that the monitor needs, resolved by the launcher.
//!
//! A header (magic, version, length), then fields of a tag, a length and a value, numbers in the machine's byte order. The monitor
//! takes nothing on trust: lengths, tags, NULs, ranges and descriptors are checked before anything happens.

use super::fields::{Reader, Tag, Writer};
use super::settings::{Ready, Settings};
use crate::descriptors::Keep;
use crate::guarded_file::Creation;
use crate::launch::Respawn;
use crate::privileges::Ids;
use crate::stop::KillMode;
use crate::streams::{self, LoggerEnds, Output};
use crate::sys::c_buf::CBuf;
use crate::sys::process::StringList;
use crate::sys::signal::{self, Signal};
use crate::sys::{Errno, Sys, fd, file, memory};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::Duration;

/// A program to be launched, and how.
#[derive(Debug)]
pub(crate) struct Launch {
    /// What the daemon is called.
    pub(crate) name: CBuf,
    pub(crate) path: CBuf,
    pub(crate) arguments: StringList,
    pub(crate) environment: StringList,
    /// Variables that are to have the program's PID, `LISTEN_PID` say.
    pub(crate) pid_variables: Vec<CBuf>,
    pub(crate) settings: Settings,
    pub(crate) sign: Sign,
    /// What the standard streams lead to, `/dev/null` where there is none.
    pub(crate) streams: [Option<RawFd>; 3],
    pub(crate) keep: Keep,
    pub(crate) umask: libc::mode_t,
    pub(crate) root: Option<CBuf>,
    /// Inside the root, absolute.
    pub(crate) working: CBuf,
    pub(crate) prevent_core: bool,
    pub(crate) ids: Ids,
    pub(crate) pid_file: Option<CBuf>,
    /// The pid file's lock; the program inherits it.
    pub(crate) lock: Option<RawFd>,
    pub(crate) state_file: CBuf,
    /// The lock on the daemon's name, which the program does not inherit.
    pub(crate) claim: Option<(CBuf, RawFd)>,
    pub(crate) stop_signal: Signal,
    /// Where the socket for [`Sign::Notify`] is made; it has an abstract name where there is none.
    pub(crate) notify: Option<CBuf>,
    /// Made by the launcher, and removed at the end.
    pub(crate) runtime_directory: Option<CBuf>,
    /// Where standard output and standard error lead.
    pub(crate) outputs: [Output; 2],
    /// What passes them on to the system log.
    pub(crate) logger: Option<LoggerEnds>,
}

/// By what the program says that it is ready, with [`Ready::Sign`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    None,
    /// A newline on this descriptor.
    Newline(RawFd),
    /// `READY=1` to the socket that `NOTIFY_SOCKET` names (sd_notify(3)).
    Notify,
    /// A descendant listens there.
    Listen(Place),
    /// This file, made or changed after the start.
    File(CBuf),
    /// This file, with the PID of a descendant in it.
    PidFile(CBuf),
}

/// Where a program may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A port, at any address or at this one.
    Port(Option<IpAddr>, u16),
    /// A Unix socket's path.
    Path(CBuf),
}

/// The [`Tag::OutputKind`] that a path follows.
const FILE: u64 = 3;

/// Durations are in milliseconds. This much is as good as for ever.
const LONGEST: u64 = 1 << 50;

/// Rounded up: what is left of a time is not no time.
fn milliseconds(time: Duration) -> u64 {
    const NANOSECONDS: u128 = 1_000_000;
    u64::try_from(time.as_nanos().div_ceil(NANOSECONDS)).unwrap_or(LONGEST).min(LONGEST)
}

fn duration(milliseconds: u64) -> Sys<Duration> {
    (milliseconds <= LONGEST).then(|| Duration::from_millis(milliseconds)).ok_or(Errno::EPROTO)
}

impl Launch {
    pub(crate) fn encode(&self) -> Sys<Vec<u8>> {
        let mut fields = Writer::new()?;
        fields.text(Tag::Name, &self.name)?;
        fields.text(Tag::Path, &self.path)?;
        self.arguments.iter().try_for_each(|argument| fields.bytes(Tag::Argument, argument.to_bytes()))?;
        self.environment.iter().try_for_each(|variable| fields.bytes(Tag::Variable, variable.to_bytes()))?;
        self.pid_variables.iter().try_for_each(|name| fields.text(Tag::PidVariable, name))?;
        self.encode_settings(&mut fields)?;
        match &self.sign {
            Sign::None => {}
            Sign::Newline(fd) => fields.descriptor(Tag::SignNewline, *fd)?,
            Sign::Notify => fields.flag(Tag::SignNotify, true)?,
            Sign::Listen(Place::Port(address, port)) => {
                fields.number(Tag::SignListenPort, u64::from(*port))?;
                address.map_or(Ok(()), |address| fields.address(Tag::SignListenAddress, address))?;
            }
            Sign::Listen(Place::Path(path)) => fields.text(Tag::SignListenPath, path)?,
            Sign::File(path) => fields.text(Tag::SignFile, path)?,
            Sign::PidFile(path) => fields.text(Tag::SignPidFile, path)?,
        }
        for (tag, stream) in [Tag::Stdin, Tag::Stdout, Tag::Stderr].into_iter().zip(self.streams) {
            stream.map_or(Ok(()), |stream| fields.descriptor(tag, stream))?;
        }
        self.keep.iter().try_for_each(|fd| fields.descriptor(Tag::Keep, fd))?;
        fields.number(Tag::Umask, u64::from(self.umask))?;
        self.root.as_ref().map_or(Ok(()), |root| fields.text(Tag::Root, root))?;
        fields.text(Tag::WorkingDirectory, &self.working)?;
        fields.flag(Tag::PreventCore, self.prevent_core)?;
        self.encode_ids(&mut fields)?;
        self.pid_file.as_ref().map_or(Ok(()), |path| fields.text(Tag::PidFile, path))?;
        self.lock.map_or(Ok(()), |lock| fields.descriptor(Tag::Lock, lock))?;
        fields.text(Tag::StateFile, &self.state_file)?;
        if let Some((path, lock)) = &self.claim {
            fields.text(Tag::ClaimPath, path)?;
            fields.descriptor(Tag::Claim, *lock)?;
        }
        fields.number(Tag::StopSignal, u64::from(self.stop_signal.unsigned_abs()))?;
        self.notify.as_ref().map_or(Ok(()), |path| fields.text(Tag::NotifyPath, path))?;
        self.runtime_directory.as_ref().map_or(Ok(()), |path| fields.text(Tag::RuntimeDirectory, path))?;
        self.encode_outputs(&mut fields)?;
        fields.finish()
    }

    fn encode_settings(&self, fields: &mut Writer) -> Sys<()> {
        let settings = &self.settings;
        match settings.ready {
            Ready::Executed => fields.flag(Tag::ReadyExecuted, true)?,
            Ready::Running(time) => fields.number(Tag::ReadyRunning, milliseconds(time))?,
            Ready::Followed => fields.flag(Tag::ReadyFollowed, true)?,
            Ready::Sign => {}
        }
        settings.start_timeout.map_or(Ok(()), |time| fields.number(Tag::StartTimeout, milliseconds(time)))?;
        fields.number(Tag::StopTimeout, milliseconds(settings.stop_timeout))?;
        fields.flag(Tag::KillProcess, settings.kill_mode == KillMode::Process)?;
        let Some(respawn) = settings.respawn else { return Ok(()) };
        fields.number(Tag::RespawnDelay, milliseconds(respawn.delay))?;
        fields.number(Tag::RespawnSettled, milliseconds(respawn.settled))?;
        respawn.limit.map_or(Ok(()), |limit| fields.number(Tag::RespawnLimit, u64::from(limit)))
    }

    fn encode_outputs(&self, fields: &mut Writer) -> Sys<()> {
        for output in &self.outputs {
            let kind = match output {
                Output::Nothing => 0,
                Output::Descriptor => 1,
                Output::Syslog => 2,
                Output::File(_) => FILE,
            };
            fields.number(Tag::OutputKind, kind)?;
            let Output::File(place) = output else { continue };
            let Creation { mode, user, group } = *place.creation();
            fields.text(Tag::OutputPath, place.path())?;
            mode.map_or(Ok(()), |mode| fields.number(Tag::OutputMode, u64::from(mode)))?;
            user.map_or(Ok(()), |user| fields.number(Tag::OutputUser, u64::from(user)))?;
            group.map_or(Ok(()), |group| fields.number(Tag::OutputGroup, u64::from(group)))?;
        }
        let Some(logger) = &self.logger else { return Ok(()) };
        fields.descriptor(Tag::LogSocket, logger.socket)?;
        for (pipe, head) in logger.pipes.iter().zip(&logger.heads) {
            pipe.map_or(Ok(()), |pipe| fields.descriptor(Tag::LogPipe, pipe))?;
            fields.text(Tag::LogHead, head)?;
        }
        Ok(())
    }

    fn encode_ids(&self, fields: &mut Writer) -> Sys<()> {
        let ids = &self.ids;
        ids.user.map_or(Ok(()), |user| fields.number(Tag::User, u64::from(user)))?;
        ids.group.map_or(Ok(()), |group| fields.number(Tag::Group, u64::from(group)))?;
        if let Some(groups) = &ids.groups {
            fields.flag(Tag::SetsGroups, true)?;
            groups.iter().try_for_each(|group| fields.number(Tag::SupplementaryGroup, u64::from(*group)))?;
        }
        fields.flag(Tag::LeavesRootBehind, ids.leaves_root_behind)?;
        fields.flag(Tag::NoNewPrivileges, ids.no_new_privileges)
    }

    /// # Errors
    /// EPROTO: it is no launch message of this version, or one with a value that cannot be. EBADF: it names a descriptor that is not
    /// open.
    pub(crate) fn decode(message: &[u8]) -> Sys<Self> {
        let mut fields = Reader::new(message)?;
        let launch = Self {
            name: fields.text(Tag::Name)?.ok_or(Errno::EPROTO)?,
            path: fields.text(Tag::Path)?.ok_or(Errno::EPROTO)?,
            arguments: decode_list(&mut fields, Tag::Argument)?,
            environment: decode_list(&mut fields, Tag::Variable)?,
            pid_variables: decode_names(&mut fields)?,
            settings: decode_settings(&mut fields)?,
            sign: decode_sign(&mut fields)?,
            streams: decode_streams(&mut fields)?,
            keep: decode_keep(&mut fields)?,
            umask: fields.limited(Tag::Umask, 0o777)?.ok_or(Errno::EPROTO)? as libc::mode_t,
            root: fields.path(Tag::Root)?,
            working: fields.path(Tag::WorkingDirectory)?.ok_or(Errno::EPROTO)?,
            prevent_core: fields.flag(Tag::PreventCore)?,
            ids: decode_ids(&mut fields)?,
            pid_file: fields.path(Tag::PidFile)?,
            lock: fields.descriptor(Tag::Lock)?,
            state_file: fields.path(Tag::StateFile)?.ok_or(Errno::EPROTO)?,
            claim: fields.path(Tag::ClaimPath)?.zip(fields.descriptor(Tag::Claim)?),
            stop_signal: decode_signal(&mut fields)?,
            notify: fields.path(Tag::NotifyPath)?,
            runtime_directory: fields.path(Tag::RuntimeDirectory)?,
            outputs: [decode_output(&mut fields)?, decode_output(&mut fields)?],
            logger: decode_logger(&mut fields)?,
        };
        fields.finish()?;
        launch.check()?;
        Ok(launch)
    }

    /// What no field says alone.
    fn check(&self) -> Sys<()> {
        let signs = self.sign != Sign::None;
        let holds = !self.name.as_bytes().is_empty()
            && self.arguments.iter().next().is_some()
            && self.environment.iter().all(|variable| variable.to_bytes().contains(&b'='))
            && signs == (self.settings.ready == Ready::Sign)
            && self.pid_file.is_some() == self.lock.is_some()
            && self.settings.start_timeout != Some(Duration::ZERO);
        let is_free = |number| !self.keep.iter().any(|kept| kept == number);
        match self.sign {
            Sign::Newline(number) if !is_free(number) => Err(Errno::EPROTO),
            _ if !holds => Err(Errno::EPROTO),
            _ => self.descriptors().try_for_each(|fd| fd::flags(fd).map(drop)),
        }
    }

    /// All numbers that mean something to the program.
    pub(super) fn numbers(&self) -> impl Iterator<Item = RawFd> {
        let sign = if let Sign::Newline(number) = self.sign { Some(number) } else { None };
        self.keep.iter().chain(sign)
    }

    /// Removes the daemon's directory if it is empty.
    pub(super) fn remove_runtime_directory(&self) {
        if let Some(path) = &self.runtime_directory {
            let _: Sys<()> = file::remove_directory(path.as_c_str());
        }
    }

    /// All descriptors that go from the launcher to the monitor.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let claim = self.claim.as_ref().map(|(_, lock)| *lock);
        let logger = self.logger.iter().flat_map(LoggerEnds::descriptors);
        self.streams.into_iter().flatten().chain(self.keep.iter()).chain(self.lock).chain(claim).chain(logger)
    }
}

fn decode_list(fields: &mut Reader<'_>, tag: Tag) -> Sys<StringList> {
    let mut list = StringList::default();
    while let Some(text) = fields.text(tag)? {
        list.push(text)?;
    }
    list.finish()?;
    Ok(list)
}

fn decode_names(fields: &mut Reader<'_>) -> Sys<Vec<CBuf>> {
    let mut names = Vec::new();
    while let Some(name) = fields.text(Tag::PidVariable)? {
        memory::push(&mut names, name)?;
    }
    Ok(names)
}

fn decode_settings(fields: &mut Reader<'_>) -> Sys<Settings> {
    let executed = fields.flag(Tag::ReadyExecuted)?.then_some(Ready::Executed);
    let running = fields.number(Tag::ReadyRunning)?.map(duration).transpose()?.map(Ready::Running);
    let followed = fields.flag(Tag::ReadyFollowed)?.then_some(Ready::Followed);
    let ready = match (executed, running, followed) {
        (None, None, None) => Ready::Sign,
        (Some(ready), None, None) | (None, Some(ready), None) | (None, None, Some(ready)) => ready,
        _ => return Err(Errno::EPROTO),
    };
    let start_timeout = fields.number(Tag::StartTimeout)?.map(duration).transpose()?;
    let stop_timeout = duration(fields.number(Tag::StopTimeout)?.ok_or(Errno::EPROTO)?)?;
    let kill_mode = if fields.flag(Tag::KillProcess)? { KillMode::Process } else { KillMode::Tree };
    let delay = fields.number(Tag::RespawnDelay)?.map(duration).transpose()?;
    let settled = fields.number(Tag::RespawnSettled)?.map(duration).transpose()?;
    let limit = fields.limited(Tag::RespawnLimit, u64::from(u32::MAX))?.map(|limit| limit as u32);
    let respawn = match (delay, settled) {
        (Some(delay), Some(settled)) => Some(Respawn { delay, limit, settled }),
        (None, None) if limit.is_none() => None,
        _ => return Err(Errno::EPROTO),
    };
    Ok(Settings { ready, start_timeout, stop_timeout, kill_mode, respawn })
}

fn decode_sign(fields: &mut Reader<'_>) -> Sys<Sign> {
    let newline = fields.descriptor(Tag::SignNewline)?.map(Sign::Newline);
    let notify = fields.flag(Tag::SignNotify)?.then_some(Sign::Notify);
    let port = fields.limited(Tag::SignListenPort, u64::from(u16::MAX))?.map(|port| port as u16);
    let address = fields.address(Tag::SignListenAddress)?;
    let port = port.map(|port| Sign::Listen(Place::Port(address, port)));
    let path = fields.path(Tag::SignListenPath)?.map(|path| Sign::Listen(Place::Path(path)));
    let file = fields.path(Tag::SignFile)?.map(Sign::File);
    let pid_file = fields.path(Tag::SignPidFile)?.map(Sign::PidFile);
    let mut signs = [newline, notify, port, path, file, pid_file].into_iter().flatten();
    match (signs.next(), signs.next()) {
        (sign, None) => Ok(sign.unwrap_or(Sign::None)),
        _ => Err(Errno::EPROTO),
    }
}

fn decode_streams(fields: &mut Reader<'_>) -> Sys<[Option<RawFd>; 3]> {
    Ok([fields.descriptor(Tag::Stdin)?, fields.descriptor(Tag::Stdout)?, fields.descriptor(Tag::Stderr)?])
}

fn decode_output(fields: &mut Reader<'_>) -> Sys<Output> {
    Ok(match fields.limited(Tag::OutputKind, FILE)?.ok_or(Errno::EPROTO)? {
        0 => Output::Nothing,
        1 => Output::Descriptor,
        2 => Output::Syslog,
        _ => {
            let path = fields.path(Tag::OutputPath)?.ok_or(Errno::EPROTO)?;
            let mode = fields.limited(Tag::OutputMode, 0o7777)?.map(|mode| mode as libc::mode_t);
            let user = fields.limited(Tag::OutputUser, HIGHEST_ID)?.map(|user| user as u32);
            let group = fields.limited(Tag::OutputGroup, HIGHEST_ID)?.map(|group| group as u32);
            Output::File(streams::Place::resolved(path, Creation { mode, user, group }))
        }
    })
}

fn decode_logger(fields: &mut Reader<'_>) -> Sys<Option<LoggerEnds>> {
    let Some(socket) = fields.descriptor(Tag::LogSocket)? else { return Ok(None) };
    let mut logger = LoggerEnds { pipes: [None, None], heads: Default::default(), socket };
    for (pipe, head) in logger.pipes.iter_mut().zip(&mut logger.heads) {
        *pipe = fields.descriptor(Tag::LogPipe)?;
        *head = fields.text(Tag::LogHead)?.ok_or(Errno::EPROTO)?;
    }
    Ok(Some(logger))
}

fn decode_keep(fields: &mut Reader<'_>) -> Sys<Keep> {
    let mut keep = Keep::default();
    while let Some(fd) = fields.descriptor(Tag::Keep)? {
        keep.add(fd)?;
    }
    Ok(keep)
}

/// The highest number is "no change" to the kernel.
const HIGHEST_ID: u64 = u32::MAX as u64 - 1;

fn decode_ids(fields: &mut Reader<'_>) -> Sys<Ids> {
    let user = fields.limited(Tag::User, HIGHEST_ID)?.map(|user| user as u32);
    let group = fields.limited(Tag::Group, HIGHEST_ID)?.map(|group| group as u32);
    let mut groups = fields.flag(Tag::SetsGroups)?.then(Vec::new);
    while let Some(group) = fields.limited(Tag::SupplementaryGroup, HIGHEST_ID)? {
        memory::push(groups.as_mut().ok_or(Errno::EPROTO)?, group as u32)?;
    }
    let leaves_root_behind = fields.flag(Tag::LeavesRootBehind)?;
    let no_new_privileges = fields.flag(Tag::NoNewPrivileges)?;
    Ok(Ids { user, group, groups, leaves_root_behind, no_new_privileges })
}

fn decode_signal(fields: &mut Reader<'_>) -> Sys<Signal> {
    let number = fields.limited(Tag::StopSignal, signal::LAST as u64)?.filter(|number| *number > 0);
    number.map(|number| number as Signal).ok_or(Errno::EPROTO)
}
