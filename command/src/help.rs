//! `help`: clap explains the options; exit codes and examples are added here.

use crate::answer::Answer;
use crate::options::Options;
use crate::screen::{Paint, Screen, columns};
use clap::{Command, CommandFactory};

/// What help says about a command besides its options.
pub struct Topic {
    /// The command.
    pub command: &'static str,
    /// Paragraphs.
    pub about: &'static [&'static str],
    /// Exit codes and their meaning.
    pub exits: &'static [(&'static str, &'static str)],
    /// What an example does, and its command line.
    pub examples: &'static [(&'static str, &'static str)],
}

const EXAMPLES: &[(&str, &str)] = &[
    (
        "Run a web server as another user, with its output in a file:",
        "daemonctx start -n web -u web -o /var/log/web.log -- python3 -m http.server",
    ),
    ("Show whether it runs and what it logged last:", "daemonctx status web"),
    ("Stop it and wait until it is gone:", "daemonctx stop web"),
];

const NAMED: &str = "NAME is the name given at the start. Its pid file is /run/NAME.pid for root and $XDG_RUNTIME_DIR/NAME.pid for other users (/tmp/daemonctx-UID/NAME.pid without that variable); without a file of their own, root's is meant. --pidfile names any other.";

const MISUSED: (&str, &str) = ("2", "The command line is wrong");
const NOT_PERMITTED: (&str, &str) = ("4", "Not permitted");

const STARTED: &[(&str, &str)] = &[
    ("0", "The daemon is ready, or ran already"),
    ("1", "The start failed, or the daemon exited before it was ready"),
    MISUSED,
    NOT_PERMITTED,
    ("5", "There is no such program"),
    ("6", "An option has a value that does not exist: no such user, directory or descriptor"),
    ("124", "The daemon was not ready in time and was stopped"),
    ("128+N", "Signal N killed the daemon before it was ready"),
    ("others", "The status that the daemon exited with before it was ready"),
];

const ENDED: &[(&str, &str)] =
    &[("0", "The daemon was stopped, or did not run"), ("1", "The daemon is still alive"), MISUSED, NOT_PERMITTED];

const PRINTED: &[(&str, &str)] = &[("0", "Printed"), MISUSED];

/// All topics, in the order of the commands.
pub const TOPICS: &[Topic] = &[
    Topic {
        command: "start",
        about: &[
            "The program gets a session of its own, no terminal, and only the descriptors that it should have. If it does not become ready, one line on standard error says why, and nothing is left behind. A process named daemonctx: NAME stays with it.",
            "A program that puts itself into the background is followed to its daemon. A start under the name of a daemon that runs with another command line fails.",
            "Options end where PROGRAM begins; everything after it belongs to the program.",
        ],
        exits: STARTED,
        examples: &[
            EXAMPLES[0],
            (
                "A program that reports its readiness, started again when it fails:",
                "daemonctx start -n api --notify systemd --respawn -- /usr/local/bin/api",
            ),
            ("Print what would be done:", "daemonctx start --dry-run -n web -u www-data -- python3 -m http.server"),
        ],
    },
    Topic {
        command: "stop",
        about: &[
            "SIGTERM asks the daemon to exit; SIGKILL follows if it does not. --retry changes that. Its descendants are stopped as well, unless it was started with --kill-mode process. A process that has reused the PID is never signalled.",
            NAMED,
        ],
        exits: ENDED,
        examples: &[EXAMPLES[2], ("Allow a minute to finish its work:", "daemonctx stop web --retry TERM/1m/KILL/5s")],
    },
    Topic {
        command: "restart",
        about: &[
            "A daemon that does not run is started. What can be checked about the start is checked before the daemon is stopped.",
        ],
        exits: STARTED,
        examples: &[("", "daemonctx restart -n web -- python3 -m http.server")],
    },
    Topic {
        command: "try-restart",
        about: &["Init scripts call this condrestart."],
        exits: STARTED,
        examples: &[("", "daemonctx try-restart -n web -- python3 -m http.server")],
    },
    Topic {
        command: "reload",
        about: &[NAMED],
        exits: &[("0", "The daemon was signalled"), MISUSED, NOT_PERMITTED, ("7", "The daemon does not run")],
        examples: &[
            ("", "daemonctx reload web"),
            ("Have it reopen its log files:", "daemonctx reload web --signal USR1"),
        ],
    },
    Topic {
        command: "status",
        about: &[
            "The last log lines come from the files that standard output and standard error go to, otherwise from the journal or syslog's files. What the caller may not see is left out.",
            "The exit codes are those of an init script. A daemon that is being started has the code for unknown: whether it will run is not known yet.",
            NAMED,
        ],
        exits: &[
            ("0", "The daemon runs"),
            ("1", "The daemon is dead and its pid file exists"),
            ("2", "The daemon is dead and its pid file is still locked; or the command line is wrong"),
            ("3", "The daemon does not run"),
            ("4", "Unknown: not permitted to know, or the daemon is being started"),
        ],
        examples: &[
            EXAMPLES[1],
            ("Any other daemon, by its pid file:", "daemonctx status --pidfile /run/sshd.pid"),
            ("For programs:", "daemonctx status web --json | jq .memory.rss"),
        ],
    },
    Topic {
        command: "list",
        about: &[
            "Daemons that were started by this command and this user: with their state, PID, last change, restarts and memory.",
        ],
        exits: PRINTED,
        examples: &[
            ("", "daemonctx list"),
            ("The names of those that run:", "daemonctx list --json | jq -r '.daemons[]|select(.pid).name'"),
        ],
    },
    Topic {
        command: "logs",
        about: &["The files are those of --stdout and --stderr. A line says where other output goes.", NAMED],
        exits: &[
            ("0", "Printed"),
            ("1", "The output does not go to a file, or the file cannot be read"),
            MISUSED,
            NOT_PERMITTED,
            ("7", "The daemon does not run and was not started by this command"),
        ],
        examples: &[("", "daemonctx logs web"), ("Follow it:", "daemonctx logs web -f -n 100")],
    },
    Topic {
        command: "run",
        about: &[
            "For containers, service managers and debugging: user, directories, limits and descriptors are those of a daemon, but nothing is forked, and terminal and streams stay unless an option changes them.",
        ],
        exits: &[("1-6", "The program could not be executed: see start"), ("others", "The program's own")],
        examples: &[("", "daemonctx run -u www-data --no-new-privs -- python3 -m http.server")],
    },
    Topic {
        command: "completions",
        about: &[],
        exits: PRINTED,
        examples: &[
            ("bash:", "daemonctx completions bash > /etc/bash_completion.d/daemonctx"),
            ("zsh:", "daemonctx completions zsh > /usr/local/share/zsh/site-functions/_daemonctx"),
            ("fish:", "daemonctx completions fish > ~/.config/fish/completions/daemonctx.fish"),
        ],
    },
    Topic { command: "help", about: &[], exits: PRINTED, examples: &[] },
    Topic { command: "version", about: &[], exits: PRINTED, examples: &[] },
];

/// The definition of the whole command line.
#[must_use]
pub fn command() -> Command {
    Options::command()
}

/// Of one command, or of all.
pub(crate) fn help(topic: Option<&str>) -> Answer {
    let screen = Screen::of(&std::io::stdout());
    Answer::text(topic.map_or_else(|| overview(screen), |topic| explain(topic, screen)))
}

/// The overview as an error.
pub(crate) fn overview_for_stderr() -> String {
    overview(Screen::of(&std::io::stderr()))
}

fn overview(screen: Screen) -> String {
    let mut sheet = Sheet::new(screen);
    sheet.clap(command().help_template("{about}.\n\nUsage: daemonctx COMMAND [OPTION]...\n\n{all-args}"));
    sheet.examples(EXAMPLES);
    sheet.text.push('\n');
    sheet.paragraph(0, "Options, exit codes and examples of a command: daemonctx help COMMAND. The exit codes are those of an init script (LSB).");
    sheet.text
}

fn explain(name: &str, screen: Screen) -> String {
    let mut sheet = Sheet::new(screen);
    let Some(topic) = TOPICS.iter().find(|topic| topic.command == name) else { return String::new() };
    let mut all = command();
    all.build();
    let Some(verb) = all.find_subcommand(name).cloned() else { return String::new() };
    let about = sheet.folded(topic.about);
    let template = ["{about}.\n", &about, "\nUsage: ", &usage_of(&verb), "\n\n{all-args}"].concat();
    sheet.clap(verb.help_template(template));
    sheet.heading("Exit codes");
    let column = 2 + topic.exits.iter().map(|(code, _)| columns(code)).max().unwrap_or_default() + 2;
    for (code, meaning) in topic.exits {
        sheet.entry(code, meaning, column);
    }
    sheet.examples(topic.examples);
    sheet.text
}

/// `daemonctx start [OPTION]... [--] PROGRAM [ARGUMENT]...`
#[must_use]
pub fn usage(command: &str) -> String {
    self::command().find_subcommand(command).map(usage_of).unwrap_or_default()
}

fn usage_of(verb: &Command) -> String {
    let operands = verb.get_positionals().map(|operand| {
        let names = operand.get_value_names().unwrap_or_default();
        match names {
            [program, argument] => ["[--] ", program, " [", argument, "]..."].concat(),
            [name] if operand.is_required_set() => name.to_string(),
            names => ["[", &names.concat(), "]"].concat(),
        }
    });
    ["daemonctx", verb.get_name(), "[OPTION]..."]
        .map(str::to_owned)
        .into_iter()
        .chain(operands)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A text that grows line by line.
struct Sheet {
    screen: Screen,
    width: usize,
    text: String,
}

impl Sheet {
    fn new(screen: Screen) -> Self {
        const USUAL: usize = 80;
        /// Longer lines are hard to read.
        const WIDEST: usize = 100;
        let width = screen.width.unwrap_or(USUAL).min(WIDEST);
        Self { screen, width, text: String::new() }
    }

    /// What clap makes of a definition: its headings painted, and words broken that are too long for a narrow screen.
    fn clap(&mut self, command: Command) {
        /// What is narrower has no room for two columns.
        const ROOMY: usize = 60;
        let mut command = command.term_width(self.width).next_line_help(self.width < ROOMY);
        let text = command.render_help().to_string();
        for line in text.trim_end().lines().map(str::trim_end) {
            if let Some(usage) = line.strip_prefix("Usage:") {
                self.text += &[&self.screen.paint(Paint::Bold, "Usage"), ":", usage, "\n"].concat();
            } else if line.ends_with(':') && !line.starts_with(' ') {
                self.heading(line.trim_end_matches(':'));
            } else if line.trim_start().starts_with('-') {
                self.text += &[line, "\n"].concat();
            } else {
                let text = line.trim_start();
                self.paragraph(line.len() - text.len(), text);
            }
        }
    }

    fn folded(&self, paragraphs: &[&str]) -> String {
        let fold = |text: &&str| ["\n", &self.screen.fold(text, self.width, usize::MAX).join("\n"), "\n"].concat();
        paragraphs.iter().map(fold).collect()
    }

    fn examples(&mut self, examples: &[(&str, &str)]) {
        if !examples.is_empty() {
            self.heading("Examples");
        }
        for (what, how) in examples {
            if !what.is_empty() {
                self.paragraph(2, what);
            }
            // To be copied, so never broken.
            self.text += &["    ", how, "\n"].concat();
        }
    }

    /// Behind an empty line.
    fn heading(&mut self, text: &str) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        for row in self.screen.fold(&[text, ":"].concat(), self.width, usize::MAX) {
            let name = row.trim_end_matches(':');
            self.text += &[&self.screen.paint(Paint::Bold, name), &row[name.len()..], "\n"].concat();
        }
    }

    fn paragraph(&mut self, indent: usize, text: &str) {
        for row in self.screen.fold(text, self.width - indent, usize::MAX) {
            self.text += &[" ".repeat(indent).as_str(), &row, "\n"].concat();
        }
    }

    fn entry(&mut self, term: &str, meaning: &str, column: usize) {
        let mut begin = ["  ", term].concat();
        for row in self.screen.fold(meaning, self.width - column, usize::MAX) {
            self.text += &[begin.as_str(), &" ".repeat(column - columns(&begin)), &row, "\n"].concat();
            begin.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TOPICS, command};

    #[test]
    fn every_command_is_explained() {
        let commands: Vec<_> = command()
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set())
            .map(|verb| verb.get_name().to_owned())
            .collect();
        let topics: Vec<_> = TOPICS.iter().map(|topic| topic.command).collect();
        assert_eq!(commands, topics);
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }
}
