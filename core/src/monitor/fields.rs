//! Fields of a tag, a length and a value. They are read in the order in which they are written.

use crate::sys::c_buf::CBuf;
use crate::sys::{Errno, Sys, fd, memory};
use std::net::IpAddr;
use std::os::fd::RawFd;

const MAGIC: [u8; 4] = *b"dmnx";
/// Launcher and monitor are of one build; the number tells a mistake in the installation.
const VERSION: u32 = 2;
/// Magic, version, length of the whole.
pub(super) const HEADER: usize = 12;
/// Longer than what execve(2) takes: a quarter of the default stack limit of 8 MiB, or 6 MiB.
const LONGEST: u32 = 16 << 20;

macro_rules! tags {
    ($($name:ident)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Tag { $($name),* }
    };
}

tags! {
    Name Path Argument Variable PidVariable
    ReadyExecuted ReadyRunning ReadyFollowed StartTimeout StopTimeout KillProcess RespawnDelay RespawnSettled RespawnLimit
    SignNewline SignNotify SignListenPort SignListenAddress SignListenPath SignFile SignPidFile
    Stdin Stdout Stderr Keep
    Umask Root WorkingDirectory PreventCore
    User Group SetsGroups SupplementaryGroup LeavesRootBehind NoNewPrivileges
    PidFile Lock StateFile ClaimPath Claim StopSignal
    NotifyPath RuntimeDirectory OutputKind OutputPath OutputMode OutputUser OutputGroup LogSocket LogPipe LogHead
}

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Sys<Self> {
        let mut bytes = Vec::new();
        memory::extend(&mut bytes, &MAGIC)?;
        memory::extend(&mut bytes, &VERSION.to_ne_bytes())?;
        memory::extend(&mut bytes, &[0; 4])?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&mut self, tag: Tag, value: &[u8]) -> Sys<()> {
        let length = u32::try_from(value.len()).map_err(|_| Errno::E2BIG)?;
        memory::push(&mut self.0, tag as u8)?;
        memory::extend(&mut self.0, &length.to_ne_bytes())?;
        memory::extend(&mut self.0, value)
    }

    pub(super) fn text(&mut self, tag: Tag, value: &CBuf) -> Sys<()> {
        self.bytes(tag, value.as_bytes())
    }

    pub(super) fn number(&mut self, tag: Tag, value: u64) -> Sys<()> {
        self.bytes(tag, &value.to_ne_bytes())
    }

    pub(super) fn descriptor(&mut self, tag: Tag, fd: RawFd) -> Sys<()> {
        self.number(tag, u64::try_from(fd).map_err(|_| Errno::EBADF)?)
    }

    /// 4 bytes of IPv4, or 16 of IPv6.
    pub(super) fn address(&mut self, tag: Tag, address: IpAddr) -> Sys<()> {
        match address {
            IpAddr::V4(address) => self.bytes(tag, &address.octets()),
            IpAddr::V6(address) => self.bytes(tag, &address.octets()),
        }
    }

    /// Only what is set is written.
    pub(super) fn flag(&mut self, tag: Tag, is_set: bool) -> Sys<()> {
        if is_set { self.bytes(tag, &[]) } else { Ok(()) }
    }

    /// # Errors
    /// E2BIG: it is longer than what a program may be given.
    pub(super) fn finish(mut self) -> Sys<Vec<u8>> {
        let length = u32::try_from(self.0.len()).ok().filter(|length| *length <= LONGEST).ok_or(Errno::E2BIG)?;
        for (to, from) in self.0.iter_mut().skip(HEADER - 4).zip(length.to_ne_bytes()) {
            *to = from;
        }
        Ok(self.0)
    }
}

pub(super) struct Reader<'a>(&'a [u8]);

/// The length of the whole that a header announces.
pub(super) fn announced(header: [u8; HEADER]) -> Sys<usize> {
    let [m0, m1, m2, m3, v0, v1, v2, v3, l0, l1, l2, l3] = header;
    let length = u32::from_ne_bytes([l0, l1, l2, l3]);
    let is_ours = [m0, m1, m2, m3] == MAGIC && u32::from_ne_bytes([v0, v1, v2, v3]) == VERSION;
    if !is_ours || length > LONGEST || (length as usize) < HEADER {
        return Err(Errno::EPROTO);
    }
    Ok(length as usize)
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Sys<Self> {
        let (header, fields) = message.split_first_chunk().ok_or(Errno::EPROTO)?;
        if announced(*header)? != message.len() {
            return Err(Errno::EPROTO);
        }
        Ok(Self(fields))
    }

    /// The next field, if it has this tag.
    fn next(&mut self, tag: Tag) -> Sys<Option<&'a [u8]>> {
        let Some((&found, rest)) = self.0.split_first() else { return Ok(None) };
        if found != tag as u8 {
            return Ok(None);
        }
        let (length, rest) = rest.split_first_chunk().ok_or(Errno::EPROTO)?;
        let length = usize::try_from(u32::from_ne_bytes(*length)).map_err(|_| Errno::EPROTO)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(Errno::EPROTO)?;
        self.0 = rest;
        Ok(Some(value))
    }

    pub(super) fn text(&mut self, tag: Tag) -> Sys<Option<CBuf>> {
        self.next(tag)?.map(|value| CBuf::new(value).map_err(protocol)).transpose()
    }

    /// An absolute path.
    pub(super) fn path(&mut self, tag: Tag) -> Sys<Option<CBuf>> {
        let Some(value) = self.next(tag)? else { return Ok(None) };
        let path = CBuf::path(value).map_err(protocol)?;
        if value.first() == Some(&b'/') { Ok(Some(path)) } else { Err(Errno::EPROTO) }
    }

    pub(super) fn number(&mut self, tag: Tag) -> Sys<Option<u64>> {
        let Some(value) = self.next(tag)? else { return Ok(None) };
        let value = <[u8; 8]>::try_from(value).map_err(|_| Errno::EPROTO)?;
        Ok(Some(u64::from_ne_bytes(value)))
    }

    pub(super) fn limited(&mut self, tag: Tag, highest: u64) -> Sys<Option<u64>> {
        match self.number(tag)? {
            Some(number) if number > highest => Err(Errno::EPROTO),
            number => Ok(number),
        }
    }

    pub(super) fn address(&mut self, tag: Tag) -> Sys<Option<IpAddr>> {
        let Some(value) = self.next(tag)? else { return Ok(None) };
        let short = <[u8; 4]>::try_from(value).map(IpAddr::from);
        short.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).map(Some).map_err(|_| Errno::EPROTO)
    }

    /// A descriptor above the standard streams.
    pub(super) fn descriptor(&mut self, tag: Tag) -> Sys<Option<RawFd>> {
        let Some(number) = self.number(tag)? else { return Ok(None) };
        let fd = RawFd::try_from(number).ok().filter(|fd| *fd >= fd::FIRST_OTHER);
        fd.map(Some).ok_or(Errno::EPROTO)
    }

    pub(super) fn flag(&mut self, tag: Tag) -> Sys<bool> {
        match self.next(tag)? {
            None => Ok(false),
            Some([]) => Ok(true),
            Some(_) => Err(Errno::EPROTO),
        }
    }

    /// Whatever is left is no field of this version, not in its place, or there twice.
    pub(super) fn finish(self) -> Sys<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Errno::EPROTO) }
    }
}

fn protocol(errno: Errno) -> Errno {
    if errno == Errno::ENOMEM { errno } else { Errno::EPROTO }
}
