//! What `start`, `restart` and `run` take: the program, and what is set for it.

use crate::completers;
use crate::values;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;
use daemonctx::{Facility, Groups, KillMode, Readiness};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What is executed, and in which surroundings.
#[derive(Debug, Args)]
pub(crate) struct Program {
    /// The program, and its arguments
    #[arg(value_names = ["PROGRAM", "ARGUMENT"], required = true, trailing_var_arg = true, num_args = 1..)]
    pub(crate) words: Vec<OsString>,

    #[command(flatten)]
    pub(crate) naming: Naming,
    #[command(flatten)]
    pub(crate) owner: Owner,
    #[command(flatten)]
    pub(crate) streams: Streams,
    #[command(flatten)]
    pub(crate) inherited: Inherited,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Daemon")]
pub(crate) struct Naming {
    /// The daemon's name; unless given the program's file name, or the script's where the program is an interpreter. The pid file is /run/NAME.pid for root, $XDG_RUNTIME_DIR/NAME.pid
    /// for other users
    #[arg(short, long, value_name = "NAME")]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::daemon_name))]
    pub(crate) name: Option<OsString>,

    /// Use this pid file
    #[arg(short, long, value_name = "FILE", add = ArgValueCompleter::new(completers::files))]
    pub(crate) pidfile: Option<PathBuf>,

    /// Use no pid file
    #[arg(long, conflicts_with = "pidfile")]
    pub(crate) no_pidfile: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "User and directories")]
pub(crate) struct Owner {
    /// The user to run as, by name or number; and the group, if it is not the user's own
    #[arg(short, long, value_name = "USER[:GROUP]", add = ArgValueCompleter::new(completers::owners))]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::owner))]
    pub(crate) user: Option<OsString>,

    /// The group to run as, by name or number
    #[arg(short, long, value_name = "GROUP", add = ArgValueCompleter::new(completers::groups))]
    pub(crate) group: Option<OsString>,

    /// The supplementary groups after a change of user: the user's own, or none
    #[arg(long, value_name = "WHICH", default_value = "own", value_parser = values::groups(), hide_possible_values = true)]
    pub(crate) groups: Groups,

    /// Neither the program nor its children gain privileges by set-user-ID bits or file capabilities
    #[arg(long)]
    pub(crate) no_new_privs: bool,

    /// The working directory; / unless given. Inside the new root if there is one. The user of --user enters it
    #[arg(short = 'd', long, value_name = "DIRECTORY", add = ArgValueCompleter::new(completers::directories))]
    pub(crate) chdir: Option<PathBuf>,

    /// A new root directory; the program is looked up inside
    #[arg(short = 'r', long, value_name = "DIRECTORY", add = ArgValueCompleter::new(completers::directories))]
    pub(crate) chroot: Option<PathBuf>,

    /// The file mode creation mask, octal
    #[arg(short = 'k', long, value_name = "MODE", default_value = "022", value_parser = values::mode)]
    pub(crate) umask: u32,

    /// Add this to the nice value: -20 to 19
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = values::nice)]
    pub(crate) nice: Option<i32>,

    /// Write no core files
    #[arg(long)]
    pub(crate) no_core: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Streams {
    /// Read standard input from this file; from /dev/null unless given, or unchanged with run
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(completers::files))]
    pub(crate) stdin: Option<PathBuf>,

    /// Append standard output to this file; /dev/null unless given, or unchanged with run
    #[arg(short = 'o', long, value_name = "FILE", add = ArgValueCompleter::new(completers::files))]
    pub(crate) stdout: Option<PathBuf>,

    /// Append standard error to this file; /dev/null unless given, or unchanged with run
    #[arg(short = 'e', long, value_name = "FILE", add = ArgValueCompleter::new(completers::files))]
    pub(crate) stderr: Option<PathBuf>,

    /// Empty these files first instead of appending to them
    #[arg(long)]
    pub(crate) truncate: bool,

    /// The mode of these files if they are created, octal; 640 unless given
    #[arg(long, value_name = "MODE", value_parser = values::mode)]
    pub(crate) log_mode: Option<u32>,

    /// The owner of these files if they are created
    #[arg(long, value_name = "USER[:GROUP]", add = ArgValueCompleter::new(completers::owners))]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::owner))]
    pub(crate) log_owner: Option<OsString>,

    /// Send standard output and standard error to the system log, line by line, unless a file is given
    #[arg(short = 'l', long)]
    pub(crate) syslog: bool,

    /// The identity of the lines in the system log; the daemon's name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) syslog_identity: Option<OsString>,

    /// The facility of the lines in the system log; daemon unless given
    #[arg(long, value_name = "FACILITY", value_parser = values::facilities(), hide_possible_values = true)]
    pub(crate) syslog_facility: Option<Facility>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Environment and descriptors")]
pub(crate) struct Inherited {
    /// Set an environment variable; may be repeated
    #[arg(short = 'E', long, value_name = "NAME=VALUE", add = ArgValueCompleter::new(completers::assignments))]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::assignment))]
    pub(crate) env: Vec<(OsString, OsString)>,

    /// Remove an environment variable; may be repeated
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completers::variables))]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::variable))]
    pub(crate) unset: Vec<OsString>,

    /// Start with an empty environment
    #[arg(long)]
    pub(crate) clean_env: bool,

    /// Keep a descriptor open, 3 or above; may be repeated
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = values::descriptor)]
    pub(crate) keep_fd: Vec<i32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Readiness")]
pub(crate) struct Ready {
    /// What makes the daemon ready: it still runs after a time, in the background too if it puts itself there (running:TIME); it was
    /// executed (exec); it put itself into the background (forking), and PIDFILE, which it writes, names it (forking:PIDFILE); it
    /// writes a newline to a descriptor, 3 unless given (fd, fd:NUMBER); it sends READY=1 to $NOTIFY_SOCKET (systemd); it listens on
    /// a TCP port or a Unix socket (listen:[ADDRESS:]PORT, listen:PATH); it writes a file (file:PATH)
    #[arg(long, value_name = "HOW", default_value = "running:0.5s", value_parser = values::readiness)]
    #[arg(add = ArgValueCompleter::new(completers::readiness))]
    pub(crate) notify: Readiness,

    /// How long the daemon may take to become ready before it is stopped; 0 for any time
    #[arg(short = 't', long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    pub(crate) ready_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Supervision")]
pub(crate) struct Respawn {
    /// Whether a stop ends the program with all its descendants, even those that daemonize (tree), or alone (process)
    #[arg(long, value_name = "MODE", default_value = "tree", value_parser = values::kill_modes(), hide_possible_values = true)]
    pub(crate) kill_mode: KillMode,

    /// Start the program again when it fails, but not after stop
    #[arg(long)]
    pub(crate) respawn: bool,

    /// The delay before the program is started again; 1s unless given
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) respawn_delay: Option<Duration>,

    /// How often the program is started again before giving up; 5 unless given, 0 for no limit. The count starts anew when the
    /// program has run for a minute
    #[arg(long, value_name = "NUMBER", value_parser = values::limit)]
    pub(crate) respawn_limit: Option<u32>,
}
