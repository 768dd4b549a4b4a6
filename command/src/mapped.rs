//! What lies in a process's memory, or is counted over it: its command line and its share of memory. The kernel reads both under the lock
//! of the memory map, which a process can keep taken (a page of a FUSE file system of its own), so a child reads them.

use crate::bounded::{self, LINE};
use crate::process;
use std::fs::File;
use std::io::{self, Read, Write};

/// The beginning of a command line; it has no words in a process without one. Programs may write over theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) is_cut: bool,
}

/// What was read in time.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    /// Of the first process.
    pub(crate) pss: Option<u64>,
    /// Of each process; none of those that there was no time for.
    pub(crate) commands: Vec<Option<CommandLine>>,
}

/// The first is the daemon.
pub(crate) fn read(pids: &[i32]) -> Mapped {
    let (text, _) = bounded::read_what_comes(|output| write(pids, output));
    let mut found = Mapped::default();
    let mut rest = &text[..];
    for place in 0..pids.len() {
        found.commands.push(take(&mut rest).map(parse));
        if place == 0 {
            found.pss = take(&mut rest).and_then(process::number_in);
        }
    }
    found
}

/// The command line alone; none where there was no time for it.
pub(crate) fn command_line(pid: i32) -> Option<CommandLine> {
    let text = bounded::look_in_child(|text| {
        text.extend(line(pid));
        Ok(())
    });
    text.ok().map(|text| parse(&text))
}

fn write(pids: &[i32], mut output: impl Write) -> io::Result<()> {
    for (place, pid) in pids.iter().enumerate() {
        put(&mut output, &line(*pid))?;
        if place == 0 {
            let pss = process::pss(*pid).map_or_else(String::new, |pss| pss.to_string());
            put(&mut output, pss.as_bytes())?;
        }
    }
    Ok(())
}

/// A field is its length and its bytes, written at once: a part of one is not read as a whole.
fn put(output: &mut impl Write, field: &[u8]) -> io::Result<()> {
    output.write_all(&[&field.len().to_ne_bytes(), field].concat())
}

fn take<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = text.split_first_chunk()?;
    let (field, rest) = rest.split_at_checked(usize::from_ne_bytes(*length))?;
    *text = rest;
    Some(field)
}

/// One byte more than is shown, if there is one.
fn line(pid: i32) -> Vec<u8> {
    let mut line = Vec::new();
    let most = u64::try_from(LINE).unwrap_or(u64::MAX).saturating_add(1);
    if let Ok(file) = File::open(process::path(pid, "cmdline")) {
        // One that cannot be read any more is that of a process that has ended.
        let _ = file.take(most).read_to_end(&mut line);
    }
    line
}

fn parse(line: &[u8]) -> CommandLine {
    let (line, is_cut) = bounded::cut(line);
    let end = line.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // A title, with what was there before behind it wiped out, or a command line whose last arguments may be empty.
    let words = match line.get(..end).unwrap_or_default() {
        [] => Vec::new(),
        line => line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
    };
    CommandLine { words, is_cut }
}

#[cfg(test)]
mod tests {
    use super::{parse, put, take};
    use crate::bounded::LINE;

    #[test]
    fn command_lines() {
        assert_eq!(parse(b"sleep\x001\0").words, [&b"sleep"[..], b"1"]);
        assert_eq!(parse(b"a title\0\0\0").words, [b"a title"]);
        assert!(parse(b"").words.is_empty() && parse(b"\0\0").words.is_empty());
        let long = parse(&vec![b'x'; LINE + 1]);
        assert!(long.is_cut && long.words[0].len() == LINE);
    }

    #[test]
    fn a_field_that_is_not_whole_is_none() -> std::io::Result<()> {
        let mut text = Vec::new();
        put(&mut text, b"one")?;
        put(&mut text, b"two")?;
        let mut rest = &text[..text.len() - 1];
        assert_eq!([take(&mut rest), take(&mut rest)], [Some(&b"one"[..]), None]);
        Ok(())
    }
}
