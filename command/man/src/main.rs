//! Writes the manual page of the command, man/daemonctx.1: options as clap_mangen renders them, the rest from the command's help.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use daemonctx_command::{TOPICS, Topic};
use std::io::{self, Write};
use std::path::Path;

/// What no option says.
const END: &str = include_str!("end.roff");

/// Of the last change to the page; not of its writing, which is repeated to compare.
const DATE: &str = "2026-11-30";

/// The command whose options others share.
const FIRST: &str = "start";

fn main() -> io::Result<()> {
    let page = page()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man/daemonctx.1");
    std::fs::File::create(path)?.write_all(&page)
}

fn page() -> io::Result<Vec<u8>> {
    let mut all = daemonctx_command::command();
    all.build();
    let mut out =
        b".\\\" SPDX-License-Identifier: MIT OR Apache-2.0\n.\\\" Written by `make man`; do not edit.\n".to_vec();
    writeln!(out, ".TH DAEMONCTX 1 \"{DATE}\" \"daemonctx {}\" \"User Commands\"", env!("CARGO_PKG_VERSION"))?;
    let about = all.get_about().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman(format!("daemonctx - {}", lower_first(&about)))]);
    roff.control("SH", ["SYNOPSIS"]);
    for (place, topic) in TOPICS.iter().enumerate() {
        if place > 0 {
            roff.control("br", []);
        }
        usage(&mut roff, topic);
    }
    roff.control("SH", ["COMMANDS"]);
    for topic in TOPICS {
        let about = verb(&all, topic.command).get_about().map(ToString::to_string).unwrap_or_default();
        roff.control("TP", []).text([bold(topic.command)]).text([roman(about + ".")]);
    }
    roff.to_writer(&mut out)?;
    for topic in TOPICS.iter().filter(|topic| !topic.about.is_empty() || !topic.examples.is_empty()) {
        command(&all, topic, &mut out)?;
    }
    out.write_all(END.as_bytes())?;
    Ok(String::from_utf8_lossy(&out).lines().flat_map(wrapped).collect::<String>().into_bytes())
}

/// Text in lines that are as long as mandoc's style wants them. No line becomes a request.
fn wrapped(line: &str) -> Vec<String> {
    const LONGEST: usize = 79;
    let mut rows = vec![String::new()];
    for word in line.split(' ') {
        let is_request = word.starts_with(['.', '\'']);
        match rows.last_mut() {
            Some(row) if row.is_empty() => row.push_str(word),
            Some(row) if line.starts_with('.') || is_request || row.len() + 1 + word.len() <= LONGEST => {
                *row += " ";
                *row += word;
            }
            _ => rows.push(word.to_owned()),
        }
    }
    rows.iter().map(|row| [row, "\n"].concat()).collect()
}

fn verb(all: &Command, name: &str) -> Command {
    all.find_subcommand(name).cloned().unwrap_or_default()
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `daemonctx start [OPTION]... [--] PROGRAM [ARGUMENT]...`
fn usage(roff: &mut Roff, topic: &Topic) {
    let usage = daemonctx_command::usage(topic.command);
    let operands = usage.split_once("[OPTION]...").map_or("", |(_, operands)| operands);
    roff.text([bold(format!("daemonctx {}", topic.command)), roman(" "), italic(format!("[OPTION]...{operands}"))]);
}

fn command(all: &Command, topic: &Topic, out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [topic.command.to_uppercase().as_str()]);
    usage(&mut roff, topic);
    for about in topic.about {
        roff.control("PP", []).text([roman(*about)]);
    }
    let (options, shared) = own_options(all, verb(all, topic.command));
    if let Some(shared) = shared {
        roff.control("PP", []).text([roman(shared)]);
    }
    roff.to_writer(out)?;
    let operands: Vec<_> = options.get_positionals().map(|operand| operand.get_id().clone()).collect();
    let options = operands.into_iter().fold(options, |command, id| command.mut_arg(id, |operand| operand.hide(true)));
    let mut rendered = Vec::new();
    Man::new(options).render_options_section(&mut rendered)?;
    // One section a command: what clap makes sections are its subsections.
    for line in
        String::from_utf8_lossy(&rendered).lines().filter(|line| !line.starts_with(".ie") && !line.starts_with(".el"))
    {
        let heading = line.strip_prefix(".SH ").map(|heading| [".SS ", heading].concat());
        writeln!(out, "{}", heading.as_deref().unwrap_or(line))?;
    }
    let mut roff = Roff::new();
    roff.control("SS", ["Exit status"]);
    for (code, meaning) in topic.exits {
        roff.control("TP", []).text([bold(*code)]).text([roman([meaning, "."].concat())]);
    }
    if !topic.examples.is_empty() {
        roff.control("SS", ["Examples"]);
    }
    for (place, (what, how)) in topic.examples.iter().enumerate() {
        if place > 0 {
            roff.control("PP", []);
        }
        if !what.is_empty() {
            roff.text([roman(*what)]);
        }
        roff.control("RS", []).control("nf", []).text([roman(*how)]).control("fi", []).control("RE", []);
    }
    roff.to_writer(out)
}

/// Less the options that `start` has too, with a sentence that says so; less --help of those commands.
fn own_options(all: &Command, verb: Command) -> (Command, Option<String>) {
    let first = verb_ids(&self::verb(all, FIRST));
    let own = verb_ids(&verb);
    if verb.get_name() == FIRST || !own.contains(&"words".to_owned()) {
        return (verb, None);
    }
    let missing: Vec<_> =
        first.iter().filter(|id| !own.contains(id)).map(|id| ["--", &id.replace('_', "-")].concat()).collect();
    let except = if missing.is_empty() { String::new() } else { [", except ", &missing.join(", ")].concat() };
    let shared =
        first.iter().filter(|id| own.contains(id)).fold(verb, |verb, id| verb.mut_arg(id, |option| option.hide(true)));
    (shared, Some(["It has the options of ", FIRST, &except, "."].concat()))
}

fn verb_ids(verb: &Command) -> Vec<String> {
    verb.get_arguments().map(|option| option.get_id().as_str().to_owned()).collect()
}
