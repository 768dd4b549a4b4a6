//! Everything that can be said on the command line, in one table: what is read, shown by `help`, and completed by shells.

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Start,
    Stop,
    Restart,
    TryRestart,
    Reload,
    Status,
    Run,
    Completions,
    Help,
    Version,
}

/// A command as it is called and explained.
pub(crate) struct Word {
    pub(crate) command: Command,
    pub(crate) name: &'static str,
    pub(crate) operands: &'static str,
    pub(crate) help: &'static str,
    /// Part of options' sets of commands.
    pub(crate) bit: u16,
}

const START: u16 = 1;
const STOP: u16 = 1 << 1;
const RESTART: u16 = 1 << 2;
const TRY_RESTART: u16 = 1 << 3;
const RELOAD: u16 = 1 << 4;
const STATUS: u16 = 1 << 5;
const RUN: u16 = 1 << 6;
const OTHERS: u16 = 1 << 7;

/// Those that start a program in the background.
const STARTS: u16 = START | RESTART | TRY_RESTART;
/// Those that execute one.
const EXECUTES: u16 = STARTS | RUN;
/// Those that end one.
const STOPS: u16 = STOP | RESTART | TRY_RESTART;
const DAEMONS: u16 = EXECUTES | STOP | RELOAD | STATUS;

const PROGRAM: &str = "[--] PROGRAM [ARGUMENT...]";

/// The commands, in the order of a daemon's life.
pub(crate) const COMMANDS: &[Word] = &[
    Word {
        command: Command::Start,
        name: "start",
        operands: PROGRAM,
        bit: START,
        help: "Start a program as a daemon, and wait until it is ready; one that runs already is left alone",
    },
    Word {
        command: Command::Stop,
        name: "stop",
        operands: "[NAME]",
        bit: STOP,
        help: "End the daemon, and wait until it is gone",
    },
    Word {
        command: Command::Restart,
        name: "restart",
        operands: PROGRAM,
        bit: RESTART,
        help: "Stop the daemon, then start it",
    },
    Word {
        command: Command::TryRestart,
        name: "try-restart",
        operands: PROGRAM,
        bit: TRY_RESTART,
        help: "Restart the daemon if it runs; do nothing if it does not",
    },
    Word {
        command: Command::Reload,
        name: "reload",
        operands: "[NAME]",
        bit: RELOAD,
        help: "Have the daemon read its configuration again, by a signal",
    },
    Word {
        command: Command::Status,
        name: "status",
        operands: "[NAME]",
        bit: STATUS,
        help: "Show whether the daemon runs, since when, what it uses, and what it logged last",
    },
    Word {
        command: Command::Run,
        name: "run",
        operands: PROGRAM,
        bit: RUN,
        help: "Become the program, in the foreground, prepared like a daemon",
    },
    Word {
        command: Command::Completions,
        name: "completions",
        operands: "SHELL",
        bit: OTHERS,
        help: "Print what has bash, zsh or fish complete this command",
    },
    Word { command: Command::Help, name: "help", operands: "[COMMAND]", bit: OTHERS, help: "Explain a command" },
    Word { command: Command::Version, name: "version", operands: "", bit: OTHERS, help: "Print the version" },
];

impl Word {
    /// Whether the operands are a program and its arguments.
    pub(crate) fn executes(&self) -> bool {
        self.bit & EXECUTES != 0
    }
}

/// What a value is, for those who complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    User,
    Group,
    Variable,
    Signal,
    /// One of these.
    Words(&'static [&'static str]),
    /// Anything.
    Free,
}

/// An option.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    /// What its value is called and what it is; none for a switch.
    pub(crate) value: Option<(&'static str, Kind)>,
    /// Whether saying it more than once adds up.
    pub(crate) repeats: bool,
    pub(crate) group: &'static str,
    pub(crate) help: &'static str,
    commands: u16,
}

impl Flag {
    pub(crate) fn is_for(&self, word: &Word) -> bool {
        self.commands & word.bit != 0
    }
}

const fn switch(group: &'static str, long: &'static str, commands: u16, help: &'static str) -> Flag {
    Flag { long, short: None, value: None, repeats: false, group, help, commands }
}

const fn value(
    group: &'static str,
    long: &'static str,
    name: &'static str,
    kind: Kind,
    commands: u16,
    help: &'static str,
) -> Flag {
    Flag { long, short: None, value: Some((name, kind)), repeats: false, group, help, commands }
}

const fn short(short: char, flag: Flag) -> Flag {
    Flag { short: Some(short), ..flag }
}

const fn repeated(flag: Flag) -> Flag {
    Flag { repeats: true, ..flag }
}

const WHICH: &str = "Which daemon";
const SURROUNDINGS: &str = "Who and where it is";
const STREAMS: &str = "Where its output goes";
const ENVIRONMENT: &str = "What it inherits";
const READY: &str = "When it is ready";
const KEEPING: &str = "What becomes of it";
const ENDING: &str = "How it ends";
const SAYING: &str = "What is said";

/// The options, as `help` shows them.
pub(crate) const FLAGS: &[Flag] = &[
    short(
        'n',
        value(
            WHICH,
            "name",
            "NAME",
            Kind::Free,
            EXECUTES,
            "What the daemon is called; the program's own name unless given. Its pid file is /run/NAME.pid for root, $XDG_RUNTIME_DIR/NAME.pid for others",
        ),
    ),
    short('p', value(WHICH, "pidfile", "FILE", Kind::File, DAEMONS, "The pid file, where it is another")),
    switch(
        WHICH,
        "no-pidfile",
        EXECUTES,
        "No pid file: such a daemon cannot be asked about or stopped by this command",
    ),
    short(
        'u',
        value(
            SURROUNDINGS,
            "user",
            "USER[:GROUP]",
            Kind::User,
            EXECUTES,
            "The user to run as, by name or number, and the group, if it is not the user's own",
        ),
    ),
    short('g', value(SURROUNDINGS, "group", "GROUP", Kind::Group, EXECUTES, "The group to run as, by name or number")),
    value(
        SURROUNDINGS,
        "groups",
        "WHICH",
        Kind::Words(&["own", "none"]),
        EXECUTES,
        "The supplementary groups when the user changes: the user's own, or none",
    ),
    switch(
        SURROUNDINGS,
        "no-new-privs",
        EXECUTES,
        "Neither the program nor what it runs gains privileges by set-user-ID bits or file capabilities",
    ),
    short(
        'd',
        value(
            SURROUNDINGS,
            "chdir",
            "DIRECTORY",
            Kind::Directory,
            EXECUTES,
            "The working directory; / unless given. Inside the new root, where there is one",
        ),
    ),
    short(
        'r',
        value(
            SURROUNDINGS,
            "chroot",
            "DIRECTORY",
            Kind::Directory,
            EXECUTES,
            "A new root directory; the program is looked for inside",
        ),
    ),
    short(
        'k',
        value(
            SURROUNDINGS,
            "umask",
            "MODE",
            Kind::Free,
            EXECUTES,
            "The file mode creation mask, octal; 022 unless given",
        ),
    ),
    value(SURROUNDINGS, "nice", "NUMBER", Kind::Free, EXECUTES, "How much to add to the nice value: -20 to 19"),
    switch(SURROUNDINGS, "no-core", EXECUTES, "No core files, which may hold secrets"),
    value(
        STREAMS,
        "stdin",
        "FILE",
        Kind::File,
        EXECUTES,
        "Where standard input comes from; /dev/null unless given, and what it is in run",
    ),
    short(
        'o',
        value(
            STREAMS,
            "stdout",
            "FILE",
            Kind::File,
            EXECUTES,
            "The file that standard output is appended to; /dev/null unless given, and what it is in run",
        ),
    ),
    short(
        'e',
        value(
            STREAMS,
            "stderr",
            "FILE",
            Kind::File,
            EXECUTES,
            "The file that standard error is appended to; /dev/null unless given",
        ),
    ),
    switch(STREAMS, "truncate", EXECUTES, "Empty these files at first instead of appending to them"),
    value(
        STREAMS,
        "log-mode",
        "MODE",
        Kind::Free,
        EXECUTES,
        "The mode of these files where they are made, octal; 640 unless given",
    ),
    value(STREAMS, "log-owner", "USER[:GROUP]", Kind::User, EXECUTES, "The owner of these files where they are made"),
    short(
        'l',
        switch(
            STREAMS,
            "syslog",
            EXECUTES,
            "Standard output and standard error go to the system log, line by line, where no file is given",
        ),
    ),
    value(
        STREAMS,
        "syslog-identity",
        "NAME",
        Kind::Free,
        EXECUTES,
        "What the lines in the system log are said by; the daemon's name unless given",
    ),
    value(
        STREAMS,
        "syslog-facility",
        "FACILITY",
        Kind::Words(&[
            "daemon", "user", "mail", "auth", "authpriv", "cron", "local0", "local1", "local2", "local3", "local4",
            "local5", "local6", "local7",
        ]),
        EXECUTES,
        "The facility of the lines in the system log; daemon unless given",
    ),
    repeated(short(
        'E',
        value(
            ENVIRONMENT,
            "env",
            "NAME=VALUE",
            Kind::Variable,
            EXECUTES,
            "Set an environment variable; as often as needed",
        ),
    )),
    repeated(value(
        ENVIRONMENT,
        "unset",
        "NAME",
        Kind::Variable,
        EXECUTES,
        "Take an environment variable away; as often as needed",
    )),
    switch(ENVIRONMENT, "clean-env", EXECUTES, "Begin with an empty environment"),
    repeated(value(
        ENVIRONMENT,
        "keep-fd",
        "NUMBER",
        Kind::Free,
        EXECUTES,
        "Keep a descriptor open; as often as needed",
    )),
    value(
        READY,
        "notify",
        "HOW",
        Kind::Words(&["exec", "running:SECONDS", "fd:NUMBER", "systemd"]),
        STARTS,
        "What makes it ready: that it is executed (exec, the default); that it has run for so long (running:SECONDS); that it writes a newline to a descriptor, 3 unless given (fd, fd:NUMBER); that it sends READY=1 to $NOTIFY_SOCKET (systemd)",
    ),
    short(
        't',
        value(
            READY,
            "ready-timeout",
            "SECONDS",
            Kind::Free,
            STARTS,
            "How long it may take to be ready, then it is ended; 30 unless given, 0 for any time",
        ),
    ),
    switch(
        KEEPING,
        "tree",
        STARTS,
        "All processes of the daemon are found later, also those that detach themselves, and are ended with it; by a control group of its own where that can be made, else by a process that stays and keeps them",
    ),
    switch(
        KEEPING,
        "respawn",
        STARTS,
        "Start the program again when it fails, by a process that stays and watches it; not after stop",
    ),
    value(
        KEEPING,
        "respawn-delay",
        "SECONDS",
        Kind::Free,
        STARTS,
        "How long to wait before it is started again; 1 unless given",
    ),
    value(
        KEEPING,
        "respawn-limit",
        "NUMBER",
        Kind::Free,
        STARTS,
        "How often it is started again before giving up; 5 unless given, 0 for always. A program that has run for a minute begins anew",
    ),
    short(
        'R',
        value(
            ENDING,
            "retry",
            "SCHEDULE",
            Kind::Words(&["TERM/30/KILL/5", "TERM/5/KILL/5", "30"]),
            STOPS,
            "Signals and seconds to wait after each, such as TERM/30/KILL/5, which is the default; a single number is TERM/NUMBER/KILL/NUMBER, forever any time, and 5 seconds follow a last signal",
        ),
    ),
    switch(ENDING, "tree", STOP, "End all processes that belong to it, too; done anyway where start --tree was said"),
    short('s', value(ENDING, "signal", "SIGNAL", Kind::Signal, RELOAD, "The signal to send, HUP unless given")),
    value(
        SAYING,
        "lines",
        "NUMBER",
        Kind::Free,
        STATUS,
        "How many of the last lines it logged to show; 10 unless given",
    ),
    switch(SAYING, "json", DAEMONS, "Say it in JSON, for programs"),
    switch(SAYING, "dry-run", DAEMONS & !STATUS, "Check everything and say what would be done, but do nothing"),
    short('q', switch(SAYING, "quiet", DAEMONS, "Say nothing unless something fails")),
    short('h', switch(SAYING, "help", DAEMONS | OTHERS, "Explain the command")),
];
