//! The command `daemonctx`: runs any program as a daemon, reports whether it started, shows it and stops it cleanly.
//!
//! Everything that knows what a daemon is, is in the crate `daemonctx`. Here are options, exit codes and what is printed.
//!
//! # The files
//!
//! `options` is the command line, with `values` for what options hold, `usage` for what is wrong, `help` and `completions`.
//! `start`, `stop`, `reload`, `status`, `list` and `logs` are the commands. `place` says which daemon is meant, `monitored` what a state
//! file adds, `script` what a program is called. `described` makes a daemon of the options, `program` finds what is executed,
//! `schedule` is `--retry`, `priority` the nice value, `progress` the line on a terminal. `holders` are the holders of a pid file without
//! a monitor; `process`, `sockets` and `logged` read what can be seen, `look` shows it on a `screen`, with `time` in words. `answer` is
//! a command's outcome: text, JSON, exit code. `sys` has the few system calls.

#![deny(unsafe_code)]

mod answer;
mod bounded;
mod completers;
mod completions;
mod described;
mod found;
mod help;
mod holders;
mod list;
mod logged;
mod logs;
mod look;
mod mapped;
mod monitored;
mod options;
mod other_program;
mod place;
mod priority;
mod process;
mod program;
mod progress;
mod reload;
mod run_directories;
mod schedule;
mod screen;
mod script;
mod signals;
mod sockets;
mod start;
mod status;
mod stop;
mod streams;
mod sys;
mod time;
mod usage;
mod values;

use answer::{Answer, Failure};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
pub use help::{TOPICS, Topic, command, usage};
use options::{Command, Options};
use std::ffi::OsString;
use std::path::Path;

/// Does what the arguments say, the first of which is the program's own name, and returns the exit status.
///
/// `run` does not return: it becomes another program. `monitor` is an executable that calls
/// [`become_monitor_if_asked`](daemonctx::become_monitor_if_asked) first of all; it stays with each program that is started.
pub fn run(arguments: impl IntoIterator<Item = OsString>, monitor: &Path) -> u8 {
    let words: Vec<_> = arguments.into_iter().collect();
    // An error may stand before the option.
    let json = words.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json");
    let (options, given) = match read(&words) {
        Ok(read) => read,
        Err(Reply::Answer(answer)) => return answer.print(json, false),
        Err(Reply::Failure(failure)) => return failure.print(json),
    };
    let (json, quiet) = options.command.report().map_or((json, false), |report| (report.json, report.quiet));
    match answer(&options.command, &given, monitor) {
        Ok(answer) => answer.report_if(options.command.is_dry_run()).print(json, quiet),
        Err(failure) => failure.print(json),
    }
}

/// What is said instead of doing something.
enum Reply {
    Answer(Box<Answer>),
    Failure(Box<Failure>),
}

/// The options, and those among them that were given with their values.
fn read(words: &[OsString]) -> Result<(Options, Vec<Given>), Reply> {
    let mut command = command();
    let verb =
        words.iter().skip(1).find_map(|word| command.find_subcommand(word).map(|verb| verb.get_name().to_owned()));
    let matches = command.try_get_matches_from_mut(words);
    let read = matches
        .and_then(|matches| Options::from_arg_matches(&matches).map(|options| (options, given(&command, &matches))));
    read.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp => Reply::Answer(Box::new(help::help(verb.as_deref()))),
        ErrorKind::DisplayVersion => Reply::Answer(Box::new(version())),
        _ => {
            let about = verb.as_ref().and_then(|verb| command.find_subcommand(verb)).unwrap_or(&command);
            Reply::Failure(Box::new(usage::failure(&error, about, verb.as_deref())))
        }
    })
}

/// An option as it was given.
pub(crate) struct Given {
    pub(crate) long: String,
    pub(crate) value: String,
}

impl Given {
    /// As it was typed, or could have been.
    fn as_typed(&self) -> String {
        let option = ["--", &self.long].concat();
        match self.value.as_str() {
            // A flag.
            "true" => option,
            value => [&option, " ", &monitored::quoted(value)].concat(),
        }
    }
}

fn given(command: &clap::Command, matches: &ArgMatches) -> Vec<Given> {
    let Some((verb, matches)) = matches.subcommand() else { return Vec::new() };
    let Some(verb) = command.find_subcommand(verb) else { return Vec::new() };
    let is_given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    // The others are the program and clap's groups, one for each structure of options.
    let long = |id: &clap::Id| verb.get_arguments().find(|option| option.get_id() == id)?.get_long();
    let options = matches.ids().filter(is_given).filter_map(|id| Some((id, long(id)?)));
    let given = options.flat_map(|(id, long)| {
        let values = matches.get_raw(id.as_str()).into_iter().flatten().map(|value| value.to_string_lossy());
        values.map(|value| Given { long: long.to_owned(), value: value.into_owned() }).collect::<Vec<_>>()
    });
    given.collect()
}

fn answer(command: &Command, given: &[Given], monitor: &Path) -> Result<Answer, Failure> {
    match command {
        Command::Start(launch) => start::start(launch, given, monitor),
        Command::Run(run) => start::run(run, given),
        Command::Restart(restart) => start::restart(restart, given, monitor),
        Command::TryRestart(restart) => start::try_restart(restart, given, monitor),
        Command::Stop(stop) => stop::stop(stop),
        Command::Reload(reload) => reload::reload(reload),
        Command::Status(status) => status::status(status),
        Command::List(_) => list::list(),
        Command::Logs(options) => logs::logs(options),
        Command::Completions(completions) => Ok(completions::script(completions.shell)),
        Command::Complete(complete) => Ok(completions::complete(complete)),
        Command::Help(topic) => Ok(help::help(topic.command.as_deref())),
        Command::Version(_) => Ok(version()),
    }
}

fn version() -> Answer {
    Answer::text(concat!("daemonctx ", env!("CARGO_PKG_VERSION")))
}
