//! The command line: a structure of options for each command, read by clap. Help, completions and the manual page show the same.

mod program;

use crate::completers;
use crate::schedule::{self, Schedule};
use crate::values;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::engine::ArgValueCompleter;
pub(crate) use program::{Inherited, Owner, Program, Ready, Respawn, Streams};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run any program as a daemon, report whether it started, and stop it cleanly
#[derive(Debug, Parser)]
#[command(
    name = "daemonctx",
    version,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
#[command(subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Explain the commands
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) enum Command {
    /// Start a program as a daemon and wait until it is ready; a daemon that runs is left alone
    #[command(disable_help_flag = true)]
    Start(Launch),
    /// Stop the daemon and wait until it is gone
    #[command(disable_help_flag = true)]
    Stop(Stop),
    /// Stop the daemon, then start it
    #[command(disable_help_flag = true)]
    Restart(Restart),
    /// Restart the daemon if it runs; do nothing otherwise
    #[command(disable_help_flag = true)]
    TryRestart(Restart),
    /// Send the daemon a signal to reload its configuration
    #[command(disable_help_flag = true)]
    Reload(Reload),
    /// Show whether the daemon runs, since when, what it uses and what it logged last
    #[command(disable_help_flag = true)]
    Status(Status),
    /// List this user's daemons
    #[command(disable_help_flag = true)]
    List(List),
    /// Print the end of the files that the daemon's output goes to
    #[command(disable_help_flag = true)]
    Logs(Logs),
    /// Execute the program in the foreground, prepared like a daemon
    #[command(disable_help_flag = true)]
    Run(Run),
    /// Print a script that completes this command in bash, zsh or fish
    #[command(disable_help_flag = true)]
    Completions(Completions),
    /// Explain a command
    #[command(disable_help_flag = true)]
    Help(Help),
    /// Print the version
    #[command(disable_help_flag = true)]
    Version(Version),
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(Complete),
}

/// `start`, and what all commands that start a program share.
#[derive(Debug, Args)]
pub(crate) struct Launch {
    #[command(flatten)]
    pub(crate) program: Program,
    #[command(flatten)]
    pub(crate) ready: Ready,
    #[command(flatten)]
    pub(crate) respawn: Respawn,
    #[command(flatten)]
    pub(crate) say: Say,
}

#[derive(Debug, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) launch: Launch,
    #[command(flatten)]
    pub(crate) ending: Ending,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) program: Program,
    #[command(flatten)]
    pub(crate) say: Say,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) ending: Ending,

    #[command(flatten)]
    pub(crate) say: Say,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) which: Which,

    /// The signal to send: a name or a number
    #[arg(
        short,
        long,
        value_name = "SIGNAL",
        default_value = "HUP",
        allow_hyphen_values = true,
        help_heading = "Signal"
    )]
    #[arg(value_parser = values::signal, add = ArgValueCompleter::new(completers::signals))]
    pub(crate) signal: i32,

    #[command(flatten)]
    pub(crate) say: Say,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How many of the last log lines to show
    #[arg(long, value_name = "NUMBER", default_value_t = 10, help_heading = "Messages")]
    #[arg(value_parser = values::count)]
    pub(crate) lines: usize,

    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) which: Which,

    /// How many of the last lines of each file to print
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10, help_heading = "Messages")]
    #[arg(value_parser = values::count)]
    pub(crate) lines: usize,

    /// Print what is appended, until the command is interrupted
    #[arg(short, long, help_heading = "Messages")]
    pub(crate) follow: bool,

    #[command(flatten)]
    help: HelpFlag,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,

    #[command(flatten)]
    help: HelpFlag,
}

#[derive(Debug, Args)]
pub(crate) struct Help {
    /// The command to explain
    #[arg(value_name = "COMMAND", value_parser = values::command_names(), hide_possible_values = true)]
    pub(crate) command: Option<String>,

    #[command(flatten)]
    help: HelpFlag,
}

#[derive(Debug, Args)]
pub(crate) struct Version {
    #[command(flatten)]
    help: HelpFlag,
}

/// What the shells call back.
#[derive(Debug, Args)]
pub(crate) struct Complete {
    /// Which word is completed, from 0
    pub(crate) index: usize,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// A daemon that may be there.
#[derive(Debug, Args)]
#[command(next_help_heading = "Daemon")]
pub(crate) struct Which {
    /// The daemon's name
    #[arg(value_name = "NAME", help_heading = "Arguments", add = ArgValueCompleter::new(completers::daemons))]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::daemon_name))]
    pub(crate) daemon: Option<OsString>,

    /// Use this pid file
    #[arg(short, long, value_name = "FILE", add = ArgValueCompleter::new(completers::files))]
    pub(crate) pidfile: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Stop")]
pub(crate) struct Ending {
    /// Signals, each with the time to wait after it. A single TIME means TERM/TIME/KILL/TIME; a time may be forever; the last one
    /// is 5s unless given
    #[arg(short = 'R', long, value_name = "SCHEDULE", default_value = "TERM/30s/KILL/5s", allow_hyphen_values = true)]
    #[arg(value_parser = schedule::parse, add = ArgValueCompleter::new(completers::schedules))]
    pub(crate) retry: Schedule,
}

/// How a command reports.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Report {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print nothing unless something fails
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    help: HelpFlag,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct Say {
    /// Check everything and print what would be done, but do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Accepted and ignored: descendants stop with the program now, unless --kill-mode says otherwise
    #[arg(long, hide = true)]
    tree: bool,

    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
struct HelpFlag {
    /// Explain the command
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl Command {
    /// Whether it only says what would be done.
    pub(crate) fn is_dry_run(&self) -> bool {
        match self {
            Self::Start(Launch { say, .. })
            | Self::Run(Run { say, .. })
            | Self::Stop(Stop { say, .. })
            | Self::Reload(Reload { say, .. }) => say.dry_run,
            Self::Restart(restart) | Self::TryRestart(restart) => restart.launch.say.dry_run,
            _ => false,
        }
    }

    /// How its outcome is printed.
    pub(crate) fn report(&self) -> Option<&Report> {
        match self {
            Self::Start(Launch { say, .. }) | Self::Run(Run { say, .. }) | Self::Stop(Stop { say, .. }) => {
                Some(&say.report)
            }
            Self::Restart(restart) | Self::TryRestart(restart) => Some(&restart.launch.say.report),
            Self::Reload(reload) => Some(&reload.say.report),
            Self::Status(status) => Some(&status.report),
            Self::List(list) => Some(&list.report),
            Self::Logs(_) | Self::Completions(_) | Self::Help(_) | Self::Version(_) | Self::Complete(_) => None,
        }
    }
}

/// A shell that there is a script for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}
