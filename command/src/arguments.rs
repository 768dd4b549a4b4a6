//! A command line, read by the table in `options`.

use crate::answer::Failure;
use crate::help;
use crate::options::{COMMANDS, Command, FLAGS, Flag, Word};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};

/// What was said.
pub(crate) struct Arguments {
    word: &'static Word,
    flags: Vec<(&'static Flag, OsString)>,
    /// A program and its arguments, or a name.
    pub(crate) operands: Vec<OsString>,
}

impl Arguments {
    /// Without the program's own name.
    pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let mut parser = Parser::from_args(arguments);
        let word = read_command(&mut parser)?;
        let mut read = Self { word, flags: Vec::new(), operands: Vec::new() };
        while let Some(argument) = parser.next().map_err(|error| read.misused(&error.to_string()))? {
            match argument {
                Arg::Value(operand) => {
                    read.operands.push(operand);
                    // Behind a program's name all is its own.
                    if read.word.executes() {
                        read.operands.extend(parser.raw_args().map_err(|error| read.misused(&error.to_string()))?);
                    }
                }
                Arg::Short(short) => read.take(&mut parser, |flag| flag.short == Some(short), &format!("-{short}"))?,
                Arg::Long(long) => {
                    let (long, shown) = (long.to_owned(), format!("--{long}"));
                    read.take(&mut parser, |flag| flag.long == long, &shown)?;
                }
            }
        }
        if read.has("help") {
            read.operands = vec![read.word.name.into()];
            read.word = word_of(Command::Help);
        }
        Ok(read)
    }

    fn take(&mut self, parser: &mut Parser, is: impl Fn(&Flag) -> bool, shown: &str) -> Result<(), Failure> {
        let flag = FLAGS.iter().find(|flag| is(flag) && flag.is_for(self.word));
        let flag = flag.ok_or_else(|| self.misused(&format!("{shown}: no such option")))?;
        let value = match flag.value {
            Some(_) => parser.value().map_err(|error| self.misused(&error.to_string()))?,
            None => OsString::new(),
        };
        if !flag.repeats && self.has(flag.long) {
            return Err(self.misused(&format!("{shown}: said twice")));
        }
        self.flags.push((flag, value));
        Ok(())
    }

    /// That the command line is wrong, and where to read how it is right.
    pub(crate) fn misused(&self, why: &str) -> Failure {
        Failure::misused(format!("{} {why}; see `daemonctx help {0}`", self.word.name))
    }

    /// That options which say more about others are not said without one of those.
    pub(crate) fn need(&self, others: &[&str], options: &[&str]) -> Result<(), Failure> {
        let is_there = others.iter().any(|other| self.has(other));
        match options.iter().find(|option| self.has(option) && !is_there) {
            Some(option) => Err(self.misused(&format!("--{option}: only with --{}", others.join(" or --")))),
            None => Ok(()),
        }
    }

    pub(crate) fn command(&self) -> Command {
        self.word.command
    }

    pub(crate) fn has(&self, long: &str) -> bool {
        self.get(long).is_some()
    }

    pub(crate) fn get(&self, long: &str) -> Option<&OsStr> {
        self.all(long).next()
    }

    pub(crate) fn all(&self, long: &str) -> impl Iterator<Item = &OsStr> {
        self.flags.iter().filter(move |(flag, _)| flag.long == long).map(|(_, value)| value.as_os_str())
    }

    /// All options that were given, with their values.
    pub(crate) fn said(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.flags.iter().map(|(flag, value)| (flag.long, value.as_os_str()))
    }

    /// A value that is read as something; nothing where the option is not given.
    pub(crate) fn read_as<T>(&self, long: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
        let Some(value) = self.get(long) else { return Ok(None) };
        match value.to_str().and_then(read) {
            Some(value) => Ok(Some(value)),
            None => Err(self.misused(&format!("--{long} {}: not understood", value.to_string_lossy()))),
        }
    }
}

fn read_command(parser: &mut Parser) -> Result<&'static Word, Failure> {
    let misused = |why: String| Failure::misused(format!("{why}; see `daemonctx help`"));
    match parser.next().map_err(|error| misused(error.to_string()))? {
        None => Err(help::no_command()),
        Some(Arg::Long("help") | Arg::Short('h')) => Ok(word_of(Command::Help)),
        Some(Arg::Long("version") | Arg::Short('V')) => Ok(word_of(Command::Version)),
        Some(Arg::Value(name)) => COMMANDS
            .iter()
            .find(|word| name == word.name)
            .ok_or_else(|| misused(format!("{}: no such command", name.to_string_lossy()))),
        Some(other) => Err(misused(other.unexpected().to_string())),
    }
}

fn word_of(command: Command) -> &'static Word {
    COMMANDS.iter().find(|word| word.command == command).unwrap_or(&COMMANDS[0])
}
