//! The command `daemonctx`: starts any program as a daemon and tells the truth about it, stops it for sure, shows it.
//!
//! Everything that knows what a daemon is, is in the crate `daemonctx`. Here are the words: options, exit codes, what is printed.
//!
//! # The files
//!
//! `options` is the table of everything that can be said, `arguments` reads a command line by it, `help` and `completions` show it.
//! `start`, `stop`, `reload` and `status` are the commands, `described` makes a daemon of the options, `program` finds
//! what is executed, `schedule` is `--retry`, `priority` the nice value, `place` where pid files are. `tree` and `cgroup`
//! find what belongs to a daemon, `holders` who has its pid file; `process`, `sockets` and `logged` what there is to see of
//! it, which `look` shows to people: on a `screen`, whatever that can, with `time` in words.
//! `answer` is what a command says at its end: text, JSON, exit code. `sys` has the few system calls.

#![deny(unsafe_code)]

mod answer;
mod arguments;
mod cgroup;
mod completions;
mod described;
mod help;
mod holders;
mod logged;
mod look;
mod options;
mod place;
mod priority;
mod process;
mod program;
mod reload;
mod schedule;
mod screen;
mod sockets;
mod start;
mod status;
mod stop;
mod streams;
mod sys;
mod time;
mod tree;

use answer::{Answer, Failure};
use arguments::Arguments;
use options::Command;
use std::ffi::OsString;

/// Does what the arguments say, the first of which is the program's own name, and gives the status to leave with.
///
/// `run` and the daemon's side of a start do not come back: they become another program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<_> = arguments.into_iter().skip(1).collect();
    // What is wrong may stand before it.
    let json = words.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let arguments = match Arguments::read(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(failure) => return failure.print(json),
    };
    match answer(&arguments) {
        Ok(answer) => answer.print(arguments.has("json"), arguments.has("quiet")),
        Err(failure) => failure.print(arguments.has("json")),
    }
}

fn answer(arguments: &Arguments) -> Result<Answer, Failure> {
    match arguments.command() {
        Command::Start => start::start(arguments),
        Command::Run => start::run(arguments),
        Command::Restart => start::restart(arguments),
        Command::TryRestart => start::try_restart(arguments),
        Command::Stop => stop::stop(arguments),
        Command::Reload => reload::reload(arguments),
        Command::Status => status::status(arguments),
        Command::Completions => completions::completions(arguments),
        Command::Help => help::help(arguments),
        Command::Version => Ok(Answer::text(concat!("daemonctx ", env!("CARGO_PKG_VERSION")))),
    }
}
