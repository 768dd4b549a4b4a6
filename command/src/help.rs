//! `help`: the table of options for people. What is no option, examples and exit codes, is here.

use crate::answer::{Answer, Failure};
use crate::arguments::Arguments;
use crate::options::{COMMANDS, Command, FLAGS, Flag, Word};
use crate::screen::{Paint, Screen, columns};

/// What is said of a command besides its options.
struct More {
    command: Command,
    about: &'static [&'static str],
    exits: &'static [(&'static str, &'static str)],
    examples: &'static [(&'static str, &'static str)],
}

const WHAT_IT_IS: &str = "daemonctx makes a daemon of any program, tells the truth about it, and ends it for sure.";

const EXAMPLES: &[(&str, &str)] = &[
    (
        "A web server as another user, its output in a file:",
        "daemonctx start -n web -u web -o /var/log/web.log -- python3 -m http.server",
    ),
    ("Whether it runs, and what it said last:", "daemonctx status web"),
    ("Gone, when this comes back:", "daemonctx stop web"),
];

/// What NAME is.
const NAMED: &str = "NAME is what start called it: its pid file is /run/NAME.pid for root, $XDG_RUNTIME_DIR/NAME.pid for others, who mean root's where they have none. Any other is named by --pidfile.";

const MISUSED: (&str, &str) = ("2", "The command line is wrong");
const NOT_PERMITTED: (&str, &str) = ("4", "Not permitted");

/// Of a start: what comes before a daemon is there, then what it left with.
const STARTED: &[(&str, &str)] = &[
    ("0", "It is ready, or runs already"),
    ("1", "It failed, or the daemon ended before it was ready"),
    MISUSED,
    NOT_PERMITTED,
    ("5", "There is no such program"),
    ("6", "What an option says cannot be: no such user, directory or descriptor"),
    ("124", "It was not ready in time, and has been ended"),
    ("128+N", "Signal N ended it before it was ready"),
    ("others", "The status that the daemon ended with before it was ready"),
];

const ENDED: &[(&str, &str)] =
    &[("0", "It has ended, or did not run"), ("1", "It is still there"), MISUSED, NOT_PERMITTED];

const PRINTED: &[(&str, &str)] = &[("0", "Printed"), MISUSED];

const MORE: &[More] = &[
    More {
        command: Command::Start,
        about: &[
            "The program need not know anything of daemons: it gets a session of its own, no terminal, and only the descriptors it should have. If it does not become ready, one line on standard error says what failed, and nothing is left behind.",
            "Options end where PROGRAM begins; what follows is the program's own.",
        ],
        exits: STARTED,
        examples: &[
            EXAMPLES[0],
            (
                "One that says itself when it is ready, and is started again when it fails:",
                "daemonctx start -n api --notify systemd --respawn -- /usr/local/bin/api",
            ),
            ("What would be done:", "daemonctx start --dry-run -n web -u www-data -- python3 -m http.server"),
        ],
    },
    More {
        command: Command::Stop,
        about: &[
            "It is told to end by SIGTERM, and killed when it does not; --retry says otherwise. Whoever else has its PID by now is never signalled.",
            NAMED,
        ],
        exits: ENDED,
        examples: &[
            EXAMPLES[2],
            (
                "With a minute to finish its work, and everything that it started:",
                "daemonctx stop web --retry TERM/60/KILL/5 --tree",
            ),
        ],
    },
    More {
        command: Command::Restart,
        about: &[
            "It is started, too, if it does not run. What can be found wrong before it is stopped, is: then it goes on.",
        ],
        exits: STARTED,
        examples: &[("", "daemonctx restart -n web -- python3 -m http.server")],
    },
    More {
        command: Command::TryRestart,
        about: &["This is condrestart of init scripts."],
        exits: STARTED,
        examples: &[("", "daemonctx try-restart -n web -- python3 -m http.server")],
    },
    More {
        command: Command::Reload,
        about: &[NAMED],
        exits: &[("0", "It has been signalled"), MISUSED, NOT_PERMITTED, ("7", "It does not run")],
        examples: &[
            ("", "daemonctx reload web"),
            ("Have it open its log files again:", "daemonctx reload web --signal USR1"),
        ],
    },
    More {
        command: Command::Status,
        about: &[
            "The last lines come from the files that its standard output and standard error go to, else from the journal or syslog's files. What another user may not see is left out.",
            "The exit codes are those of an init script. A start under way has the code for unknown: whether the daemon will run cannot be said yet.",
            NAMED,
        ],
        exits: &[
            ("0", "It runs"),
            ("1", "It is dead, and its pid file is still there"),
            ("2", "It is dead, and something still holds its pid file's lock; or the command line is wrong"),
            ("3", "It does not run"),
            ("4", "Unknown: not permitted to know, or it is just being started"),
        ],
        examples: &[
            EXAMPLES[1],
            ("A daemon of any other kind, by its pid file:", "daemonctx status --pidfile /run/sshd.pid"),
            ("For programs:", "daemonctx status web --json | jq .memory.rss"),
        ],
    },
    More {
        command: Command::Run,
        about: &[
            "For containers, service managers and debugging: user, directories, limits and streams are those of a daemon, but nothing is forked, and the terminal stays unless an option takes it away.",
        ],
        exits: &[("1-6", "It could not be executed: see start"), ("others", "The program's own")],
        examples: &[("", "daemonctx run -u www-data --no-new-privs -- python3 -m http.server")],
    },
    More {
        command: Command::Completions,
        about: &["SHELL is bash, zsh or fish."],
        exits: PRINTED,
        examples: &[
            ("bash:", "daemonctx completions bash > /etc/bash_completion.d/daemonctx"),
            ("zsh:", "daemonctx completions zsh > /usr/local/share/zsh/site-functions/_daemonctx"),
            ("fish:", "daemonctx completions fish > ~/.config/fish/completions/daemonctx.fish"),
        ],
    },
    More { command: Command::Help, about: &[], exits: PRINTED, examples: &[] },
    More { command: Command::Version, about: &[], exits: PRINTED, examples: &[] },
];

pub(crate) fn help(arguments: &Arguments) -> Result<Answer, Failure> {
    let sheet = Sheet::new(Screen::of(&std::io::stdout()));
    match arguments.operands.as_slice() {
        [] => Ok(Answer::text(sheet.overview())),
        [name] => {
            let word = COMMANDS.iter().find(|word| name == word.name);
            let word =
                word.ok_or_else(|| arguments.misused(&[&name.to_string_lossy(), ": no such command"].concat()))?;
            Ok(Answer::text(sheet.of_command(word)))
        }
        _ => Err(arguments.misused("needs one COMMAND")),
    }
}

/// Whoever says nothing at all has not been understood, and is told what there is.
pub(crate) fn no_command() -> Failure {
    let sheet = Sheet::new(Screen::of(&std::io::stderr()));
    Failure::misused("needs a COMMAND").with_overview(["\n", &sheet.overview()].concat())
}

/// A text that grows line by line.
struct Sheet {
    screen: Screen,
    width: usize,
    text: String,
}

/// Where explanations begin.
const EXPLAINED: usize = 28;
/// Where they do, where that is too far to the right.
const EXPLAINED_BELOW: usize = 8;
/// What is narrower has no room for two columns.
const ROOMY: usize = 60;

impl Sheet {
    fn new(screen: Screen) -> Self {
        const USUAL: usize = 80;
        /// Longer lines are hard to read.
        const WIDEST: usize = 100;
        let width = screen.width.unwrap_or(USUAL).min(WIDEST);
        Self { screen, width, text: String::new() }
    }

    fn overview(mut self) -> String {
        self.paragraph(0, WHAT_IT_IS);
        self.heading("Usage");
        self.verbatim("daemonctx COMMAND [OPTION...] [OPERAND...]");
        self.heading("Commands");
        for word in COMMANDS {
            self.entry(word.name, word.help, 2 + longest(COMMANDS.iter().map(|word| word.name)) + 2);
        }
        self.examples(EXAMPLES);
        self.text.push('\n');
        self.paragraph(0, "A command's options, exit codes and examples: daemonctx help COMMAND. The exit codes are those of an init script (LSB).");
        self.text
    }

    fn of_command(mut self, word: &Word) -> String {
        let more = MORE.iter().find(|more| more.command == word.command);
        self.paragraph(0, &[word.help, "."].concat());
        for about in more.map_or(&[][..], |more| more.about) {
            self.text.push('\n');
            self.paragraph(0, about);
        }
        self.heading("Usage");
        self.verbatim(["daemonctx", word.name, "[OPTION...]", word.operands].join(" ").trim_end());
        self.options(word);
        if let Some(more) = more {
            self.heading("Exit codes");
            let codes = 2 + longest(more.exits.iter().map(|(code, _)| *code)) + 2;
            for (code, meaning) in more.exits {
                self.entry(code, meaning, codes);
            }
            self.examples(more.examples);
        }
        self.text
    }

    /// In groups, as they follow each other in the table.
    fn options(&mut self, word: &Word) {
        let mut group = "";
        for flag in FLAGS.iter().filter(|flag| flag.is_for(word)) {
            if flag.group != group {
                group = flag.group;
                self.heading(group);
            }
            self.entry(&term(flag), flag.help, EXPLAINED);
        }
    }

    fn examples(&mut self, examples: &[(&str, &str)]) {
        if !examples.is_empty() {
            self.heading("Examples");
        }
        for (what, how) in examples {
            if !what.is_empty() {
                self.paragraph(2, what);
            }
            self.verbatim(&["  ", how].concat());
        }
    }

    fn heading(&mut self, text: &str) {
        self.text.push('\n');
        for row in self.screen.fold(text, self.width, usize::MAX) {
            self.text += &[&self.screen.paint(Paint::Bold, &row), "\n"].concat();
        }
    }

    /// To be copied, so never broken.
    fn verbatim(&mut self, text: &str) {
        self.text += &["  ", text, "\n"].concat();
    }

    fn paragraph(&mut self, indent: usize, text: &str) {
        for row in self.screen.fold(text, self.width - indent, usize::MAX) {
            self.text += &[" ".repeat(indent).as_str(), &row, "\n"].concat();
        }
    }

    /// A term, and what it means: beside it where there is room, else below.
    fn entry(&mut self, term: &str, meaning: &str, column: usize) {
        let fits = self.width >= ROOMY || column < EXPLAINED;
        let column = if fits { column } else { EXPLAINED_BELOW };
        let begin = ["  ", term].concat();
        let used = columns(&begin);
        self.text += &begin;
        let mut gap = if used + 2 <= column { column - used } else { self.break_line(column) };
        for row in self.screen.fold(meaning, self.width - column, usize::MAX) {
            self.text += &[" ".repeat(gap).as_str(), &row, "\n"].concat();
            gap = column;
        }
    }

    fn break_line(&mut self, column: usize) -> usize {
        self.text.push('\n');
        column
    }
}

fn longest<'a>(words: impl Iterator<Item = &'a str>) -> usize {
    words.map(columns).max().unwrap_or_default()
}

/// `-n, --name NAME`
fn term(flag: &Flag) -> String {
    let short =
        flag.short.map_or_else(|| "    ".to_owned(), |short| ["-", short.encode_utf8(&mut [0; 4]), ", "].concat());
    let value = flag.value.map_or_else(String::new, |(name, _)| [" ", name].concat());
    [&short, "--", flag.long, &value].concat()
}

#[cfg(test)]
mod tests {
    use super::{MORE, Sheet};
    use crate::options::{COMMANDS, FLAGS};
    use crate::screen::{Screen, columns};

    const SCREEN: Screen = Screen { width: Some(60), colours: false, unicode: false };

    #[test]
    fn every_command_and_option_is_explained() {
        for word in COMMANDS {
            assert!(MORE.iter().any(|more| more.command == word.command), "{}", word.name);
            let text = Sheet::new(SCREEN).of_command(word);
            for flag in FLAGS {
                let long = format!("--{}", flag.long);
                let is_there = text.split_whitespace().any(|shown| shown == long);
                assert!(is_there || !flag.is_for(word), "{} {long}", word.name);
            }
        }
    }

    #[test]
    fn words_stay_on_the_screen() {
        for width in [20, 40, 60, 80, 200] {
            let screen = Screen { width: Some(width), ..SCREEN };
            let sheets = COMMANDS.iter().map(|word| Sheet::new(screen).of_command(word));
            for line in sheets.chain([Sheet::new(screen).overview()]).collect::<String>().lines() {
                let is_verbatim = line.trim_start().starts_with("daemonctx ") || line.trim_start().starts_with('-');
                assert!(is_verbatim || columns(line) <= width, "{width}: {line}");
            }
        }
    }
}
