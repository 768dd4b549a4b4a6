//! The command `daemonctx`: starts any program as a daemon and tells the truth about it, stops it for sure, shows it.
//!
//! Everything that knows what a daemon is, is in the crate `daemonctx`. Here are the words: options, exit codes, what is printed.
//!
//! # The files
//!
//! `options` is the table of everything that can be said, `arguments` reads a command line by it, `help` and `completions` show it.
//! `start`, `stop`, `reload` and `status` are the commands, `described` makes a daemon of the options, `program` finds
//! what is executed, `schedule` is `--retry`, `priority` the nice value, `place` where pid files are. `tree` and `cgroup` find what belongs to a daemon, `process` and `logged` what there is to see of it.
//! `answer` is what a command says at its end: text, JSON, exit code. `sys` has the few system calls.

#![deny(unsafe_code)]

mod answer;
mod arguments;
mod cgroup;
mod completions;
mod described;
mod help;
mod logged;
mod options;
mod place;
mod priority;
mod process;
mod program;
mod reload;
mod schedule;
mod start;
mod status;
mod stop;
mod sys;
mod tree;

use answer::{Answer, Failure};
use arguments::Arguments;
use options::Command;
use std::ffi::OsString;

/// Does what the arguments say, the first of which is the program's own name, and gives the status to leave with.
///
/// `run` and the daemon's side of a start do not come back: they become another program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut arguments = arguments.into_iter();
    drop(arguments.next());
    let arguments = match Arguments::read(arguments) {
        Ok(arguments) => arguments,
        Err(failure) => return failure.print(false),
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
