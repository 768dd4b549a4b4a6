//! What `status` shows to people.

use crate::bounded;
use crate::found::{Found, Held, Seen, Supervision, user_name};
use crate::logged::Log;
use crate::mapped::CommandLine;
use crate::place::Place;
use crate::process::{Member, Process};
use crate::screen::{Paint, Screen, columns};
use crate::stop::did_you_mean;
use crate::time;
use daemonctx::{MonitoredState, PidFile};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A text that grows line by line: a headline, labels with values, logs.
struct Sheet<'a> {
    screen: &'a Screen,
    text: String,
}

/// Where values begin, and logs.
const VALUES: usize = 13;
const LOGS: usize = 4;
/// How many rows of a terminal one command line or log line may take.
const ROWS: usize = 3;
/// How many processes are shown on a terminal.
const PROCESSES: usize = 24;
/// How many processes, or sockets, are shown anywhere else.
const MOST: usize = 200;

pub(crate) fn text(screen: &Screen, place: &Place, found: &Found) -> String {
    let (name, file) = (&place.name, place.pid_file.as_ref());
    let mut sheet = Sheet { screen, text: String::new() };
    sheet.headline(&screen.harmless(name.as_bytes()), found);
    match found {
        Found::Running(seen) => sheet.running(seen, file),
        Found::Starting { holders } => {
            sheet.pid_file(file, "");
            sheet.holders(holders, "processes");
        }
        Found::Held { last, holders, why, log } => {
            sheet.pid_file(file, if *why == Held::Lock { "locked" } else { "" });
            sheet.last_process(*last);
            let label = match why {
                Held::Lock => "locked by",
                Held::Left => "left",
                Held::Waiting => "monitor",
            };
            sheet.holders(holders, label);
            sheet.logs(log);
        }
        Found::Dead { last, log } => {
            sheet.pid_file(file, &file.map_or_else(String::new, written));
            sheet.last_process(*last);
            sheet.logs(log);
        }
        Found::Ended { end, restarts, state, log } => {
            let unknown = if *state == MonitoredState::Lost { "unknown" } else { "" };
            sheet.value("last end", end.as_deref().unwrap_or(unknown), usize::MAX);
            sheet.value("restarts", &restarts.to_string(), usize::MAX);
            sheet.logs(log);
        }
        Found::NotRunning => {
            sheet.pid_file(file, "there is none");
            let hint = screen.harmless(did_you_mean(place).trim_start_matches(", ").as_bytes());
            sheet.value("hint", &hint, usize::MAX);
        }
        Found::Unknown(why) => {
            sheet.pid_file(file, "");
            let why = screen.harmless(why.as_bytes());
            sheet.value("reason", &why, usize::MAX);
        }
    }
    sheet.text
}

fn written(file: &PidFile) -> String {
    let written = std::fs::symlink_metadata(file.path()).ok().and_then(|file| time::local(file.mtime()));
    written.map_or_else(String::new, |time| ["written ", &time].concat())
}

/// The daemon's state, in which colour, and what else is to be said of it.
fn state(found: &Found) -> (Paint, &'static str, String) {
    match found {
        Found::Running(seen) if seen.monitored.as_ref().is_some_and(|it| it.is_stopping) => {
            (Paint::Doubtful, "stopping", since(seen))
        }
        Found::Running(seen) => match seen.process.as_ref().map(|process| process.state) {
            Some(b'T' | b't') => (Paint::Doubtful, "stopped", [" by a signal; it runs", &since(seen)].concat()),
            _ => match seen.monitored {
                Some(Supervision { monitor: None, .. }) => {
                    (Paint::Doubtful, "running", [&since(seen), ", but its monitor was killed"].concat())
                }
                _ => (Paint::Good, "running", since(seen)),
            },
        },
        Found::Starting { .. } => (Paint::Doubtful, "starting", String::new()),
        Found::Held { why: Held::Waiting, .. } => {
            (Paint::Doubtful, "to be started again", ": it has failed".to_owned())
        }
        Found::Held { why: Held::Left, .. } => (Paint::Bad, "dead", ", but processes of it are left".to_owned()),
        Found::Held { .. } => (Paint::Bad, "dead", ", but its pid file is still locked".to_owned()),
        Found::Dead { .. } => (Paint::Bad, "dead", ", and has left its pid file behind".to_owned()),
        Found::Ended { state: MonitoredState::GaveUp, .. } => {
            (Paint::Bad, "dead", ": it failed too often and was given up".to_owned())
        }
        Found::Ended { state: MonitoredState::Lost, .. } => {
            (Paint::Bad, "dead", ": its monitor was killed too, so how it ended is not known".to_owned())
        }
        Found::Ended { .. } => (Paint::Bad, "dead", ": it ended by itself".to_owned()),
        Found::NotRunning => (Paint::Dim, "not running", String::new()),
        Found::Unknown(_) => (Paint::Doubtful, "unknown", ": it may be running, or not".to_owned()),
    }
}

fn since(seen: &Seen) -> String {
    let moment = seen.since.and_then(time::local).map_or_else(String::new, |moment| [" since ", &moment].concat());
    let ago = seen.uptime.map_or_else(String::new, |uptime| [" (", &time::span(uptime), ")"].concat());
    [moment, ago].concat()
}

impl Sheet<'_> {
    fn headline(&mut self, name: &str, found: &Found) {
        const AFTER_DOT: usize = 2;
        let (paint, state, more) = state(found);
        let begin = [name, " is ", state].concat();
        let rows = self.fold(&[&begin, more.as_str()].concat(), AFTER_DOT, usize::MAX);
        let filled = !matches!(found, Found::NotRunning);
        let dot = if filled { self.screen.either("●", "*") } else { self.screen.either("○", "-") };
        self.text += &self.screen.paint(paint, dot);
        for (index, row) in rows.iter().enumerate() {
            self.text += if index == 0 { " " } else { "  " };
            // Painted where it is whole.
            self.text += &match row.strip_prefix(&begin).filter(|_| index == 0) {
                Some(rest) => {
                    [&self.screen.paint(Paint::Bold, name), " is ", &self.screen.paint(paint, state), rest].concat()
                }
                None => row.clone(),
            };
            self.text.push('\n');
        }
        self.text.push('\n');
    }

    fn running(&mut self, seen: &Seen, file: Option<&PidFile>) {
        let process = seen.process.as_ref();
        let command = process.map_or_else(String::new, |process| self.command(seen.command.as_ref(), &process.name));
        self.value("command", &command, ROWS);
        self.value("process", &process_line(seen), usize::MAX);
        self.value("memory", &memory(seen), usize::MAX);
        let cpu = process.map_or_else(String::new, |process| time::exact_span(process.cpu));
        self.value("CPU", &cpu, usize::MAX);
        self.value("files", &files(seen), usize::MAX);
        self.value("listens", &self.listening(seen), usize::MAX);
        self.pid_file(file, "");
        if let Some(supervision) = &seen.monitored {
            let monitor = supervision.monitor.map_or_else(|| "killed".to_owned(), |monitor| monitor.to_string());
            self.value("monitor", &monitor, usize::MAX);
            let restarts = if supervision.restarts == 0 { String::new() } else { supervision.restarts.to_string() };
            let last_end = supervision.last_end.as_ref().map_or_else(String::new, |end| [", last ", end].concat());
            self.value(
                "restarts",
                &[restarts, last_end].concat().replacen(", last ", "last ", usize::from(supervision.restarts == 0)),
                usize::MAX,
            );
        }
        if seen.family.len() > 1 {
            self.family(&seen.family);
        }
        self.value("output", &self.outputs(seen), usize::MAX);
        let hidden = match (process, seen.open) {
            (None, _) => "all else: not permitted",
            (_, None) => "descriptors, sockets and output: not permitted",
            _ if seen.is_blocked() => "command lines and PSS: the kernel does not answer, the memory map is locked",
            _ => "",
        };
        self.value("not shown", hidden, usize::MAX);
        self.logs(&seen.log);
    }

    fn pid_file(&mut self, file: Option<&PidFile>, more: &str) {
        let Some(file) = file else { return };
        let path = self.path(file.path());
        let more = if more.is_empty() { String::new() } else { [", ", more].concat() };
        self.value("pid file", &[path, more].concat(), usize::MAX);
    }

    fn path(&self, path: &Path) -> String {
        self.screen.harmless(path.as_os_str().as_bytes())
    }

    /// A program's own title stands as it is; words of a command line are told apart.
    fn command(&self, command: Option<&CommandLine>, name: &[u8]) -> String {
        let Some(CommandLine { words, is_cut }) = command else { return "unknown".to_owned() };
        let shown = match &words[..] {
            [] => ["[", &self.screen.harmless(name), "]"].concat(),
            [title] => self.screen.harmless(title),
            words => words.iter().map(|word| self.screen.argument(word)).collect::<Vec<_>>().join(" "),
        };
        shown + self.mark(*is_cut)
    }

    fn mark(&self, is_cut: bool) -> &'static str {
        if is_cut { self.screen.either("…", "...") } else { "" }
    }

    fn listening(&self, seen: &Seen) -> String {
        let sockets = seen.listening.iter().flatten();
        let shown = sockets.map(|socket| {
            let kind = if socket.kind == "udp" { "/udp" } else { "" };
            [&self.screen.harmless(&socket.address), kind].concat()
        });
        in_a_row(shown)
    }

    /// Where nothing can be shown of it.
    fn outputs(&self, seen: &Seen) -> String {
        let outputs = seen.outputs.iter().flatten().filter(|_| seen.log.is_empty());
        outputs.map(|output| self.screen.harmless(output)).collect::<Vec<_>>().join(", ")
    }

    fn family(&mut self, family: &[(Member, Option<CommandLine>)]) {
        let most = if self.screen.width.is_some() { PROCESSES } else { MOST };
        let mut rows = Vec::new();
        for (place, (member, command)) in family.iter().enumerate().take(most) {
            let command = self.command(command.as_ref(), &member.process.name);
            let pid = member.process.pid.to_string();
            let row = [&branches(self.screen, family, place), pid.as_str(), " ", &command].concat();
            rows.extend(self.fold(&row, VALUES, 1));
        }
        if family.len() > most {
            rows.push(["and ", &(family.len() - most).to_string(), " more"].concat());
        }
        self.rows("processes", &rows);
    }

    fn last_process(&mut self, last: Option<i32>) {
        let Some(last) = last else { return };
        let now = Process::read(last).filter(|process| !process.has_ended());
        let more = now.map_or_else(
            || " is gone".to_owned(),
            |process| [" is another program's now: ", &self.screen.harmless(&process.name)].concat(),
        );
        self.value("process", &[last.to_string(), more].concat(), usize::MAX);
    }

    fn holders(&mut self, holders: &[Process], label: &str) {
        let shown =
            holders.iter().map(|holder| [&holder.pid.to_string(), " ", &self.screen.harmless(&holder.name)].concat());
        let shown = in_a_row(shown);
        self.value(label, if shown.is_empty() { "not permitted to know" } else { &shown }, usize::MAX);
    }

    fn logs(&mut self, logs: &[Log]) {
        for log in logs {
            let source = self.screen.harmless(&log.source);
            let more = if log.lines.is_empty() { ": nothing yet" } else { "" };
            self.text.push('\n');
            for row in self.fold(&[&source, more].concat(), 2, usize::MAX) {
                self.text += &["  ", &self.screen.paint(Paint::Bold, &row), "\n"].concat();
            }
            for line in &log.lines {
                self.log_line(line);
            }
        }
    }

    fn log_line(&mut self, line: &[u8]) {
        let (line, is_cut) = bounded::cut(line);
        let line = self.screen.harmless(&plain(line)) + self.mark(is_cut);
        for row in self.fold(&line, LOGS, ROWS) {
            self.text += &[" ".repeat(LOGS).as_str(), &row, "\n"].concat();
        }
    }

    /// Nothing where there is nothing to say.
    fn value(&mut self, label: &str, value: &str, most: usize) {
        if !value.is_empty() {
            let rows = self.fold(value, VALUES, most);
            self.rows(label, &rows);
        }
    }

    fn rows(&mut self, label: &str, rows: &[String]) {
        let mut label = label;
        for row in rows {
            let gap = " ".repeat(VALUES - 2 - columns(label));
            self.text += &["  ", &self.screen.paint(Paint::Dim, label), &gap, row, "\n"].concat();
            label = "";
        }
    }

    /// What is to stand behind `indent` columns.
    fn fold(&self, text: &str, indent: usize, most: usize) -> Vec<String> {
        match self.screen.width {
            Some(width) => self.screen.fold(text, width.saturating_sub(indent).max(1), most),
            None => vec![text.to_owned()],
        }
    }
}

fn process_line(seen: &Seen) -> String {
    let user = seen.user.map_or_else(String::new, |user| [", user ", &user_name(user)].concat());
    let state = seen.process.as_ref().map_or_else(String::new, |process| [", ", process.state_word()].concat());
    let threads = seen.process.as_ref().map_or(1, |process| process.threads);
    let threads = if threads == 1 { String::new() } else { [", ", &threads.to_string(), " threads"].concat() };
    [&seen.pid.to_string(), user.as_str(), &state, &threads].concat()
}

fn memory(seen: &Seen) -> String {
    let Some(rss) = seen.memory.rss else { return String::new() };
    let pss = seen.pss.map_or_else(String::new, |pss| [" (PSS ", &time::size(pss), ")"].concat());
    let swap = seen.memory.swap.map_or_else(String::new, |swap| [", swap ", &time::size(swap)].concat());
    [time::size(rss), pss, swap].concat()
}

fn files(seen: &Seen) -> String {
    let limit = seen.limit.map_or_else(String::new, |limit| [", at most ", &limit.to_string()].concat());
    seen.open.map_or_else(String::new, |open| [&open.to_string(), " open", &limit].concat())
}

/// The first of them, and how many more there are.
fn in_a_row(all: impl Iterator<Item = String>) -> String {
    let mut all = all.fuse();
    let mut shown: Vec<_> = all.by_ref().take(MOST).collect();
    let more = all.count();
    if more > 0 {
        shown.push(["and ", &more.to_string(), " more"].concat());
    }
    shown.join(", ")
}

/// What stands before a process in a tree.
fn branches(screen: &Screen, family: &[(Member, Option<CommandLine>)], place: usize) -> String {
    let depth = family[place].0.depth;
    let goes_on = |level: usize| {
        let later = family[place + 1..].iter().map(|(member, _)| member.depth);
        later.take_while(|depth| *depth >= level).any(|depth| depth == level)
    };
    let bar = |level| if goes_on(level) { screen.either("│  ", "|  ") } else { "   " };
    let mut text: String = (1..depth).map(bar).collect();
    if depth > 0 {
        text += if goes_on(depth) { screen.either("├─ ", "|- ") } else { screen.either("└─ ", "`- ") };
    }
    text
}

/// A log line without the colours that programs give theirs, and with spaces for tabs.
fn plain(line: &[u8]) -> Vec<u8> {
    const TAB: usize = 8;
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
    while let Some((byte, next)) = rest.split_first() {
        rest = match colour_end(rest) {
            Some(end) => &rest[end..],
            None if *byte == b'\t' => {
                text.resize((text.len() / TAB + 1) * TAB, b' ');
                next
            }
            None => {
                text.push(*byte);
                next
            }
        };
    }
    text
}

/// The length of a sequence such as `ESC [ 1 ; 32 m` (ECMA-48, SGR) that the text begins with.
fn colour_end(text: &[u8]) -> Option<usize> {
    let numbers = text.strip_prefix(b"\x1b[")?;
    let end = numbers.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';')?;
    (numbers[end] == b'm').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn log_lines() {
        assert_eq!(plain(b"\x1b[1;32mINFO\x1b[0m\ta\r"), b"INFO    a");
        assert_eq!(plain(b"\x1b[2J\x1b[32"), b"\x1b[2J\x1b[32");
        assert_eq!(plain(b""), b"");
    }
}
