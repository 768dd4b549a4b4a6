//! What there is to see of a process: `/proc` (proc(5)), as far as it may be read. What may not is not known, and no
//! error.

use crate::bounded::look_in_child;
use crate::sys;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A process, as far as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// What the kernel calls it: 15 bytes, which it may have chosen itself.
    pub(crate) name: Vec<u8>,
    pub(crate) state: u8,
    pub(crate) cpu: Duration,
    pub(crate) threads: u64,
    /// Since boot.
    pub(crate) began: Duration,
}

impl Process {
    /// None where there is none of that PID.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &read(pid, "stat").ok()?, sys::ticks_per_second())
    }

    /// Everything that runs, as far as it may be seen.
    pub(crate) fn all() -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(Self::read).collect()
    }

    /// The fields of `/proc/PID/stat`. The name in parentheses may hold anything, so they are counted behind its end.
    fn parse(pid: i32, stat: &[u8], ticks: u64) -> Option<Self> {
        // Their numbers in proc(5), from the first behind the name.
        const STATE: usize = 3;
        let begin = stat.iter().position(|byte| *byte == b'(')?;
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&[u8]> = words(stat.get(end + 1..)?).collect();
        let field = |number: usize| fields.get(number - STATE).and_then(|field| number_in(field));
        let time = |ticks_of: u64| Duration::from_millis(ticks_of.saturating_mul(1000) / ticks);
        Some(Self {
            pid,
            parent: i32::try_from(field(4)?).ok()?,
            session: i32::try_from(field(6)?).ok()?,
            name: stat.get(begin + 1..end)?.to_owned(),
            state: *fields.first()?.first()?,
            cpu: time(field(14)?.saturating_add(field(15)?)),
            threads: field(20)?,
            began: time(field(22)?),
        })
    }

    /// The state's letter as a word.
    pub(crate) fn state_word(&self) -> &'static str {
        match self.state {
            b'R' => "running",
            b'S' | b'I' => "sleeping",
            b'D' => "waiting for a device",
            b'T' => "stopped",
            b't' => "traced",
            b'Z' if self.lacks_main_thread() => "main thread ended",
            b'Z' => "zombie",
            b'X' | b'x' => "dead",
            _ => "unknown",
        }
    }

    /// A process that has ended, and whose parent has not heard of it yet.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x') && !self.lacks_main_thread()
    }

    /// Its main thread has ended, and others have not. Memory and descriptors are not shown of it.
    pub(crate) fn lacks_main_thread(&self) -> bool {
        self.state == b'Z' && self.threads > 1
    }
}

/// The effective user.
pub(crate) fn user(pid: i32) -> Option<u32> {
    const EFFECTIVE: usize = 1;
    users(pid).get(EFFECTIVE).copied()
}

/// The real, the effective, the saved user, and that for files; none where they are hidden.
pub(crate) fn users(pid: i32) -> Vec<u32> {
    let status = read(pid, "status").unwrap_or_default();
    let users = words(line_of(&status, b"Uid:").unwrap_or_default()).filter_map(number_in);
    users.filter_map(|user| u32::try_from(user).ok()).collect()
}

/// Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident, with what it shares with others.
    pub(crate) rss: Option<u64>,
    pub(crate) swap: Option<u64>,
}

/// From counters: the memory map, which a process can keep locked, is not looked at.
pub(crate) fn memory(pid: i32) -> Memory {
    let status = read(pid, "status").unwrap_or_default();
    Memory { rss: kibibytes(&status, b"VmRSS:"), swap: kibibytes(&status, b"VmSwap:") }
}

/// Resident bytes with its share of what others have too. This blocks while the memory map is locked.
pub(crate) fn pss(pid: i32) -> Option<u64> {
    kibibytes(&read(pid, "smaps_rollup").unwrap_or_default(), b"Pss:")
}

fn kibibytes(text: &[u8], label: &[u8]) -> Option<u64> {
    number_in(words(line_of(text, label)?).next()?)?.checked_mul(1024)
}

/// What is open in a process.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pub(crate) open: u64,
    pub(crate) sockets: Inodes,
}

/// The inodes of sockets.
#[derive(Debug, Default)]
pub(crate) struct Inodes {
    /// Of Unix sockets. The kernel says so of the descriptor: in their table other users' sockets can name any inode.
    pub(crate) local: Vec<u64>,
    pub(crate) other: Vec<u64>,
}

impl Inodes {
    pub(crate) fn add(&mut self, more: Self) {
        self.local.extend(more.local);
        self.other.extend(more.other);
    }

    /// Each once, in order.
    pub(crate) fn sort(&mut self) {
        for inodes in [&mut self.local, &mut self.other] {
            inodes.sort_unstable();
            inodes.dedup();
        }
    }
}

/// A child looks: a process can have a file that it closes meanwhile be released by whoever looks, which may take for ever.
pub(crate) fn descriptors(pid: i32) -> io::Result<Descriptors> {
    const LOCAL: u8 = b'l';
    const OTHER: u8 = b'-';
    // A byte for each descriptor; for a socket's its kind and inode behind it.
    let listed = look_in_child(|listed| {
        for entry in fs::read_dir(path(pid, "fd"))? {
            let path = entry?.path();
            let target = fs::read_link(&path).unwrap_or_default();
            let inode = target.as_os_str().as_bytes().strip_prefix(b"socket:[");
            let inode = inode.and_then(|rest| rest.strip_suffix(b"]")).and_then(number_in);
            match inode {
                Some(inode) => {
                    listed.push(if sys::is_unix_socket(&path) { LOCAL } else { b'i' });
                    listed.extend(inode.to_ne_bytes());
                }
                None => listed.push(OTHER),
            }
        }
        Ok(())
    })?;
    let mut found = Descriptors { open: 0, sockets: Inodes::default() };
    let mut rest = &listed[..];
    while let Some((kind, more)) = rest.split_first() {
        found.open += 1;
        rest = more;
        if *kind == OTHER {
            continue;
        }
        let Some((inode, more)) = more.split_first_chunk() else { break };
        let of_its_kind = if *kind == LOCAL { &mut found.sockets.local } else { &mut found.sockets.other };
        of_its_kind.push(u64::from_ne_bytes(*inode));
        rest = more;
    }
    Ok(found)
}

/// How many descriptors it may have open; none where that is unlimited, or unknown.
pub(crate) fn descriptor_limit(pid: i32) -> Option<u64> {
    let limits = read(pid, "limits").ok()?;
    number_in(words(line_of(&limits, b"Max open files")?).next()?)
}

/// A process of the daemon's, and how deep it stands in the tree.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) process: Process,
    pub(crate) depth: usize,
}

/// The daemon and what belongs to it: those that its monitor names, and what descends from it, or is in its session where that is no
/// other program's.
pub(crate) fn family(daemon: &Process, members: &[i32]) -> Vec<Member> {
    let mut all = Process::all();
    all.retain(|process| !process.has_ended());
    // 0 is every session whose leader is outside of this PID namespace.
    let leads = |other: &Process| other.pid == daemon.session && other.pid != daemon.pid;
    let owns_session = daemon.session > 1 && !all.iter().any(leads);
    let is_root = |other: &Process| {
        other.pid == daemon.pid || owns_session && other.session == daemon.session || members.contains(&other.pid)
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    all.retain(|other| other.pid != own);
    all.sort_by_key(|other| (other.pid != daemon.pid, other.began, other.pid));
    let roots: Vec<i32> = all.iter().filter(|other| is_root(other)).map(|other| other.pid).collect();
    in_tree_order(all, roots)
}

/// Those named and their descendants, each with its children behind it.
fn in_tree_order(all: Vec<Process>, mut members: Vec<i32>) -> Vec<Member> {
    let mut known = 0;
    while known < members.len() {
        let is_new = |other: &&Process| other.parent == members[known] && !members.contains(&other.pid);
        let children: Vec<i32> = all.iter().filter(is_new).map(|other| other.pid).collect();
        members.extend(children);
        known += 1;
    }
    let (mut waiting, _): (Vec<_>, Vec<_>) = all.into_iter().partition(|other| members.contains(&other.pid));
    let is_top = |process: &&Process| !members.contains(&process.parent);
    let tops: Vec<i32> = waiting.iter().filter(is_top).map(|process| process.pid).collect();
    let mut found = Vec::new();
    // Each with its children behind it, and no recursion: how deep the tree is, is the daemon's choice.
    let mut next: Vec<_> = tops.into_iter().rev().map(|top| (top, 0)).collect();
    while let Some((pid, depth)) = next.pop() {
        let Some(place) = waiting.iter().position(|process| process.pid == pid) else { continue };
        let process = waiting.remove(place);
        let children = waiting.iter().rev().filter(|other| other.parent == pid);
        next.extend(children.map(|child| (child.pid, depth + 1)));
        found.push(Member { process, depth });
    }
    found
}

pub(crate) fn path(pid: i32, name: &str) -> String {
    ["/proc/", &pid.to_string(), "/", name].concat()
}

fn read(pid: i32, name: &str) -> io::Result<Vec<u8>> {
    fs::read(path(pid, name))
}

/// What stands behind a label at the beginning of a line.
pub(crate) fn line_of<'a>(text: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(label))
}

pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

pub(crate) fn number_in(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Process, in_tree_order, kibibytes, line_of, words};
    use std::time::Duration;

    const STAT: &[u8] =
        b"7 (a) Z 1 (b\n) S 5 6 6 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 250 1 1 18446744073709551615\n";

    fn process(pid: i32, parent: i32) -> Process {
        let read = Process::parse(pid, STAT, 100);
        read.map_or_else(|| std::process::abort(), |read| Process { parent, ..read })
    }

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let expected = Process {
            pid: 7,
            parent: 5,
            session: 6,
            name: b"a) Z 1 (b\n".to_vec(),
            state: b'S',
            cpu: Duration::from_secs(2),
            threads: 3,
            began: Duration::from_millis(2500),
        };
        assert_eq!(Process::parse(7, STAT, 100), Some(expected));
        for cut in [&b""[..], b"7", b"7 (a", b"7 (a)", b"7 (a) S", b"7 (a) S x y z", b")7("] {
            assert_eq!(Process::parse(7, cut, 100), None);
        }
    }

    #[test]
    fn a_main_thread_may_end_before_the_others() {
        let zombie = |threads| Process { state: b'Z', threads, ..process(7, 5) };
        assert!(zombie(1).has_ended() && !zombie(2).has_ended());
        assert_eq!([1, 2].map(|threads| zombie(threads).state_word()), ["zombie", "main thread ended"]);
    }

    #[test]
    fn labelled_lines() {
        let status = b"Name:\tx\nVmRSS:\t     12 kB\nUid:\t1\t2\t3\t4\nVmSwap:\tx kB\n";
        assert_eq!(kibibytes(status, b"VmRSS:"), Some(12 * 1024));
        assert_eq!(kibibytes(status, b"VmSwap:"), None);
        assert_eq!(kibibytes(status, b"Pss:"), None);
        let user = line_of(status, b"Uid:").map(|ids| words(ids).nth(1));
        assert_eq!(user, Some(Some(&b"2"[..])));
    }

    #[test]
    fn a_tree_has_everybody_once() {
        let all = [(13, 12), (10, 1), (14, 13), (11, 10), (12, 11), (99, 98)].map(|(pid, parent)| process(pid, parent));
        let found = in_tree_order(all.to_vec(), vec![10, 13, 11]);
        let shown: Vec<_> = found.iter().map(|member| (member.process.pid, member.depth)).collect();
        assert_eq!(shown, [(10, 0), (11, 1), (12, 2), (13, 3), (14, 4)]);
    }
}
