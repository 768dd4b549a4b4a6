//! What execve(2) makes of a file by its first bytes: a script names its interpreter, a binary its loader, and the administrator may have
//! registered others (binfmt_misc).

use crate::sys::c_buf::CBuf;
use crate::sys::file::Kind;
#[cfg(target_os = "linux")]
use crate::sys::fixed_buf::FixedBuf;
use crate::sys::{Errno, Sys, file, memory, process};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// As many bytes as the kernel looks at (`BINPRM_BUF_SIZE`).
pub(crate) const HEAD: usize = 256;

/// What a file is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format<'a> {
    /// This interpreter is executed.
    Script(&'a [u8]),
    /// A binary for this machine.
    Binary,
    /// execve(2) fails with ENOEXEC.
    Invalid,
    /// It depends on what the kernel does not show.
    Unknown,
}

/// What the kernel of this machine executes.
#[derive(Debug, Default)]
pub(crate) struct Formats {
    /// The machine of this process's own binary.
    own: Option<Machine>,
    registered: Registered,
}

/// The word size, the byte order and the number of the machine, as in an ELF header.
type Machine = (u8, u8, u16);

const CLASS_64: u8 = 2;

/// The formats of binfmt_misc.
#[derive(Debug, Default)]
enum Registered {
    These(Vec<Rule>),
    /// The kernel has binfmt_misc, and its file system is not mounted here. A container is such a place.
    #[default]
    Unknown,
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    Magic { offset: usize, magic: Vec<u8>, mask: Vec<u8> },
    Extension(Vec<u8>),
}

impl Formats {
    /// Looks at this process's binary and at `/proc/sys/fs/binfmt_misc`.
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn find() -> Sys<Self> {
        let mut head = [0; HEAD];
        let own = process::RUNNING_EXECUTABLE.and_then(|path| open(path, &mut head).ok());
        Ok(Self { own: own.and_then(|_| machine(&head)), registered: registered()? })
    }

    /// What the file at `path` is, whose first bytes are `head`.
    pub(crate) fn format<'a>(&self, path: &[u8], head: &'a [u8; HEAD]) -> Format<'a> {
        if head.starts_with(b"#!") {
            return interpreter(head).map_or(Format::Invalid, Format::Script);
        }
        match machine(head).map(|machine| self.executes(machine)) {
            Some(Some(true)) if is_program(head) => return Format::Binary,
            Some(None) => return Format::Unknown,
            _ => {}
        }
        match &self.registered {
            _ if !cfg!(target_os = "linux") => Format::Unknown,
            Registered::These(rules) if rules.iter().any(|rule| rule.covers(path, head)) => Format::Unknown,
            Registered::Unknown if is_often_registered(head) => Format::Unknown,
            _ => Format::Invalid,
        }
    }

    /// Whether the kernel executes binaries for that machine itself; none where that depends on how it was built.
    fn executes(&self, machine: Machine) -> Option<bool> {
        const I386: u16 = 3;
        const ARM: u16 = 40;
        const X86_64: u16 = 62;
        const AARCH64: u16 = 183;
        let (class, _, number) = machine;
        let own = self.own?;
        match own {
            _ if machine == own => Some(true),
            (CLASS_64, _, X86_64) if number == I386 => Some(true),
            (CLASS_64, _, AARCH64) if number == ARM => Some(true),
            (CLASS_64, _, own @ (X86_64 | AARCH64)) if (class, number) != (1, own) => Some(false),
            _ => None,
        }
    }
}

/// What those who register formats register as a rule, for Wine, Java, WebAssembly and Python; and what other kernels execute.
fn is_often_registered(head: &[u8; HEAD]) -> bool {
    const KNOWN: [&[u8]; 6] = [b"\x7fELF", b"MZ", b"PK\x03\x04", b"\xca\xfe\xba\xbe", b"\0asm", b"bFLT"];
    let is_compiled_python = head.get(2..4) == Some(b"\r\n");
    is_compiled_python || KNOWN.iter().any(|magic| head.starts_with(magic))
}

const FLAGS: libc::c_int = libc::O_RDONLY | libc::O_NONBLOCK;

/// Opening a device may have an effect, and the owner of the directory may put one here at any moment.
#[cfg(target_os = "linux")]
fn open_regular(path: &CStr) -> Sys<OwnedFd> {
    let place = file::open(path, libc::O_PATH, 0)?;
    if file::status_of(place.as_raw_fd())?.kind != Kind::Regular {
        return Err(Errno::EACCES);
    }
    let mut link: FixedBuf<32> = FixedBuf::new();
    link.push(b"/proc/self/fd/").push_number(i64::from(place.as_raw_fd()));
    match file::open(link.as_c_str()?, FLAGS, 0) {
        // There is no /proc.
        Err(Errno::ENOENT) => file::open(path, FLAGS, 0),
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_regular(path: &CStr) -> Sys<OwnedFd> {
    if file::status_behind(path)?.kind != Kind::Regular {
        return Err(Errno::EACCES);
    }
    file::open(path, FLAGS, 0)
}

/// Opens an executable and reads its first bytes; behind a shorter one they are zero.
pub(crate) fn open(path: &CStr, head: &mut [u8; HEAD]) -> Sys<OwnedFd> {
    let file = open_regular(path)?;
    head.fill(0);
    file::read_start(file.as_raw_fd(), head)?;
    Ok(file)
}

/// A script's interpreter, as the kernel cuts it out of the first line (`load_script`).
fn interpreter(head: &[u8; HEAD]) -> Option<&[u8]> {
    let line = head.iter().position(|byte| *byte == b'\n').and_then(|end| head.get(..end));
    let text = line.unwrap_or(head).get(2..)?;
    let begin = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let rest = text.get(begin..)?;
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\t' | 0));
    // Without an end it may have been cut off.
    let name = rest.get(..end.or(line.map(|_| rest.len()))?)?;
    Some(name).filter(|name| !name.is_empty())
}

fn machine(head: &[u8; HEAD]) -> Option<Machine> {
    const CLASS: usize = 4;
    const DATA: usize = 5;
    const MACHINE: usize = 18;
    let is_elf = head.starts_with(b"\x7fELF");
    let number = u16::from_ne_bytes(*head.get(MACHINE..)?.first_chunk()?);
    is_elf.then_some((*head.get(CLASS)?, *head.get(DATA)?, number))
}

/// Whether an ELF file is no object file, core file or anything else.
fn is_program(head: &[u8; HEAD]) -> bool {
    const TYPE: usize = 16;
    const EXECUTABLE: u16 = 2;
    const SHARED: u16 = 3;
    let kind = head.get(TYPE..).and_then(|rest| rest.first_chunk()).map(|bytes| u16::from_ne_bytes(*bytes));
    matches!(kind, Some(EXECUTABLE | SHARED))
}

/// Calls `with` on the path of the loader that a binary names (`PT_INTERP`), if it names one.
pub(crate) fn find_loader(fd: RawFd, head: &[u8; HEAD], mut with: impl FnMut(&[u8])) {
    const INTERPRETER: u32 = 3;
    const LONGEST: usize = 256;
    let is_64 = head.get(4) == Some(&CLASS_64);
    // Where the table of segments is, how long an entry is, and how many there are; in an entry, where the segment is and its length.
    let (table, entry, count, place, length) = if is_64 { (32, 56, 56, 8, 32) } else { (28, 32, 44, 4, 16) };
    let (Some(table), Some(count)) = (number(head, table, is_64), short(head, count)) else { return };
    for index in 0..u64::from(count) {
        let mut segment = [0; 56];
        let Some(room) = segment.get_mut(..entry) else { return };
        let offset = table.saturating_add(index.saturating_mul(entry as u64));
        if file::read_at(fd, room, offset) != Ok(entry) {
            return;
        }
        if word(&segment, 0) != Some(INTERPRETER) {
            continue;
        }
        let (Some(place), Some(length)) = (number(&segment, place, is_64), number(&segment, length, is_64)) else {
            return;
        };
        let mut path = [0; LONGEST];
        let Some(room) = usize::try_from(length).ok().and_then(|length| path.get_mut(..length)) else { return };
        if file::read_at(fd, room, place) == Ok(room.len()) {
            if let Some(path) = room.split(|byte| *byte == 0).next().filter(|path| !path.is_empty()) {
                with(path);
            }
        }
        return;
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// An address or a length, of 64 bits or of 32.
fn number(bytes: &[u8], at: usize, is_64: bool) -> Option<u64> {
    if is_64 { Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?)) } else { word(bytes, at).map(u64::from) }
}

impl Rule {
    /// Of the text in `/proc/sys/fs/binfmt_misc`; none of a rule that is not enabled.
    fn parse(text: &[u8]) -> Sys<Option<Self>> {
        let mut lines = text.split(|byte| *byte == b'\n');
        if lines.next() != Some(b"enabled") {
            return Ok(None);
        }
        let (mut offset, mut magic, mut mask) = (0, Vec::new(), Vec::new());
        for line in lines {
            let mut words = line.splitn(2, |byte| *byte == b' ');
            match (words.next(), words.next()) {
                (Some(b"extension"), Some(extension)) => {
                    let extension = extension.strip_prefix(b".").unwrap_or(extension);
                    return copied(extension).map(|extension| Some(Self::Extension(extension)));
                }
                (Some(b"offset"), Some(value)) => {
                    offset =
                        crate::sys::parse_decimal(value).and_then(|value| usize::try_from(value).ok()).unwrap_or(0);
                }
                (Some(b"magic"), Some(value)) => magic = hexadecimal(value)?,
                (Some(b"mask"), Some(value)) => mask = hexadecimal(value)?,
                _ => {}
            }
        }
        Ok((!magic.is_empty()).then_some(Self::Magic { offset, magic, mask }))
    }

    fn covers(&self, path: &[u8], head: &[u8; HEAD]) -> bool {
        match self {
            Self::Extension(extension) => {
                path.rsplit(|byte| *byte == b'.').next().is_some_and(|last| last == extension.as_slice())
            }
            Self::Magic { offset, magic, mask } => {
                let there = head.get(*offset..).unwrap_or_default();
                let mask = mask.iter().copied().chain(std::iter::repeat(u8::MAX));
                let pairs = magic.iter().zip(there).zip(mask);
                there.len() >= magic.len() && pairs.into_iter().all(|((one, other), mask)| (one ^ other) & mask == 0)
            }
        }
    }
}

fn copied(bytes: &[u8]) -> Sys<Vec<u8>> {
    let mut copy = Vec::new();
    memory::extend(&mut copy, bytes)?;
    Ok(copy)
}

fn hexadecimal(text: &[u8]) -> Sys<Vec<u8>> {
    let mut bytes = Vec::new();
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    for pair in text.chunks_exact(2) {
        if let [high, low] = pair {
            let byte = digit(high).zip(digit(low)).map_or(0, |(high, low)| high << 4 | low);
            memory::push(&mut bytes, byte as u8)?;
        }
    }
    Ok(bytes)
}

const DIRECTORY: &CStr = c"/proc/sys/fs/binfmt_misc";

/// The rules that are registered, as far as they can be seen.
fn registered() -> Sys<Registered> {
    if file::status_behind(c"/proc/sys/fs").is_err() {
        return Ok(Registered::Unknown);
    }
    if file::status_behind(DIRECTORY) == Err(Errno::ENOENT) {
        return Ok(Registered::These(Vec::new()));
    }
    let mut room = [0; 16];
    match read_entry(b"status", &mut room) {
        Ok(text) if text.starts_with(b"enabled") => {}
        Ok(_) => return Ok(Registered::These(Vec::new())),
        Err(_) => return Ok(Registered::Unknown),
    }
    let (mut rules, mut complete) = (Vec::new(), Ok(()));
    let listed = file::for_each_name(DIRECTORY, &mut |_, name| {
        if !name.starts_with(b".") && name != b"status" && name != b"register" {
            complete = complete.and(add_rule(&mut rules, name));
        }
    });
    match complete.and(listed) {
        Ok(()) => Ok(Registered::These(rules)),
        Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
        Err(_) => Ok(Registered::Unknown),
    }
}

fn add_rule(rules: &mut Vec<Rule>, name: &[u8]) -> Sys<()> {
    const LONGEST: usize = 2048;
    let mut room = memory::filled(0, LONGEST)?;
    let rule = Rule::parse(read_entry(name, &mut room)?)?;
    rule.map_or(Ok(()), |rule| memory::push(rules, rule))
}

fn read_entry<'a>(name: &[u8], room: &'a mut [u8]) -> Sys<&'a [u8]> {
    let mut path = Vec::new();
    [DIRECTORY.to_bytes(), b"/", name].iter().try_for_each(|part| memory::extend(&mut path, part))?;
    file::read_small(CBuf::path(&path)?.as_c_str(), room)
}

#[cfg(test)]
mod tests {
    use super::{Format, Formats, HEAD, Registered, Rule};

    fn head(text: &[u8]) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        head
    }

    fn elf(class: u8, kind: u8, machine: u8) -> [u8; HEAD] {
        let mut head = head(b"\x7fELF");
        (head[4], head[5], head[16], head[18]) = (class, 1, kind, machine);
        head
    }

    #[test]
    fn the_first_line_names_the_interpreter() {
        let formats = Formats::default();
        let long = [&b"#!/"[..], &[b'x'; HEAD]].concat();
        let last = [&b"#!/"[..], &[b'x'; HEAD - 4], b"\n"].concat();
        for (text, expected) in [
            (&b"#!/bin/sh\n"[..], Format::Script(b"/bin/sh")),
            (b"#!/bin/sh", Format::Script(b"/bin/sh")),
            (b"#! \t/bin/sh -e\nx", Format::Script(b"/bin/sh")),
            (b"#!/bin/sh\r\n", Format::Script(b"/bin/sh\r")),
            (b"#!sh\n", Format::Script(b"sh")),
            (b"#!\n", Format::Invalid),
            (b"#!  \n/bin/sh", Format::Invalid),
            (&long, Format::Invalid),
            (&last, Format::Script(&last[2..HEAD - 1])),
        ] {
            assert_eq!(formats.format(b"/x", &head(text)), expected, "{text:?}");
        }
    }

    #[test]
    #[cfg_attr(not(target_endian = "little"), ignore = "headers of little-endian machines")]
    fn binaries_are_those_of_this_machine() {
        let formats = Formats { own: Some((2, 1, 62)), registered: Registered::These(Vec::new()) };
        for (class, kind, machine, expected) in [
            (2, 3, 62, Format::Binary),
            (2, 2, 62, Format::Binary),
            (1, 2, 3, Format::Binary),
            (2, 1, 62, Format::Invalid),
            (2, 3, 183, Format::Invalid),
            (1, 3, 62, Format::Unknown),
        ] {
            assert_eq!(formats.format(b"/x", &elf(class, kind, machine)), expected, "{class} {kind} {machine}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn rules_that_are_registered_count() {
        let rule = |text: &[u8]| Rule::parse(text).ok().flatten();
        let registered: Vec<_> = [
            &b"enabled\ninterpreter /usr/bin/mono\nflags: \noffset 0\nmagic 4d5a\n"[..],
            b"enabled\ninterpreter /usr/bin/x\nflags: F\noffset 1\nmagic 00ff\nmask 00fe\n",
            b"enabled\ninterpreter /usr/bin/x\nflags: \nextension .jar\n",
            b"disabled\ninterpreter /usr/bin/x\nflags: \noffset 0\nmagic 7878\n",
        ]
        .into_iter()
        .filter_map(rule)
        .collect();
        assert_eq!(registered.len(), 3);
        let formats = Formats { own: None, registered: Registered::These(registered) };
        for (path, text, expected) in [
            ("/x", &b"MZ"[..], Format::Unknown),
            ("/x", b"xy\xfez", Format::Unknown),
            ("/x", b"xy\xfdz", Format::Invalid),
            ("/x.jar", b"anything", Format::Unknown),
            ("/x", b"xx", Format::Invalid),
        ] {
            assert_eq!(formats.format(path.as_bytes(), &head(text)), expected, "{path} {text:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_no_rules_are_seen_usual_ones_may_be_registered() {
        let formats = Formats::default();
        for (text, expected) in [
            (&b"MZ"[..], Format::Unknown),
            (b"\x7fELF", Format::Unknown),
            (b"echo hello\n", Format::Invalid),
            (b"", Format::Invalid),
        ] {
            assert_eq!(formats.format(b"/x", &head(text)), expected, "{text:?}");
        }
    }
}
