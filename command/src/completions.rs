//! `completions`: the table of options for shells. What is theirs is in the templates beside this file; what stands
//! between two `@` there is made here.

use crate::answer::{Answer, Failure};
use crate::arguments::Arguments;
use crate::options::{COMMANDS, Command, FLAGS, Flag, Kind, Word};
use crate::schedule;

const SHELLS: &[&str] = &["bash", "zsh", "fish"];

pub(crate) fn completions(arguments: &Arguments) -> Result<Answer, Failure> {
    let script = match arguments.operands.as_slice() {
        [shell] if shell == "bash" => bash(),
        [shell] if shell == "zsh" => zsh(),
        [shell] if shell == "fish" => fish(),
        [other] => return Err(arguments.misused(&[&other.to_string_lossy(), ": not bash, zsh or fish"].concat())),
        _ => return Err(arguments.misused("needs a SHELL: bash, zsh or fish")),
    };
    Ok(Answer::text(script))
}

/// What a command's operands are.
enum Operands {
    Program,
    /// Of a daemon.
    Name,
    OneOf(Vec<&'static str>),
}

fn operands(word: &Word) -> Operands {
    match word.command {
        _ if word.executes() => Operands::Program,
        Command::Stop | Command::Reload | Command::Status => Operands::Name,
        Command::Help => Operands::OneOf(commands().collect()),
        Command::Completions => Operands::OneOf(SHELLS.to_vec()),
        _ => Operands::OneOf(Vec::new()),
    }
}

fn commands() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|word| word.name)
}

fn flags_of(word: &Word) -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| flag.is_for(word))
}

/// Each once, be it explained differently for different commands.
fn flags_with_value() -> impl Iterator<Item = (&'static Flag, &'static str, Kind)> {
    FLAGS.iter().filter_map(|flag| flag.value.map(|(name, kind)| (flag, name, kind)))
}

fn long(flag: &Flag) -> String {
    ["--", flag.long].concat()
}

fn short(flag: &Flag) -> Option<String> {
    flag.short.map(|short| ["-", short.encode_utf8(&mut [0; 4])].concat())
}

/// The first thing that is said of it: there is little room beside a word.
fn brief(help: &str) -> &str {
    let ends = ["; ", ". ", ": ", " ("].into_iter().filter_map(|end| help.find(end));
    &help[..ends.min().unwrap_or(help.len())]
}

/// The words of a value, as far as they are always the same: `fd:` of `fd:NUMBER`.
fn fixed(words: &[&'static str]) -> Vec<&'static str> {
    let is_placeholder = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let cut = |word: &'static str| match word.split_once(':') {
        Some((start, rest)) if is_placeholder(rest) => &word[..=start.len()],
        _ => word,
    };
    words.iter().map(|word| cut(word)).collect()
}

/// A value such as NAME=VALUE: what is known is the name.
fn is_assignment(name: &str) -> bool {
    name.contains('=')
}

fn fill(template: &str, places: &[(&str, String)]) -> String {
    places.iter().fold(template.to_owned(), |text, (place, value)| text.replace(place, value))
}

/// In single quotes, for bash and zsh.
fn quoted(text: &str) -> String {
    ["'", &text.replace('\'', r"'\''"), "'"].concat()
}

fn lines(indent: &str, lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| [indent, &line].concat()).collect::<Vec<_>>().join("\n")
}

fn bash() -> String {
    let spellings = |flag: &Flag| short(flag).into_iter().chain([long(flag)]).collect::<Vec<_>>();
    let with_value: Vec<_> = flags_with_value().flat_map(|(flag, ..)| spellings(flag)).collect();
    let is_path = |kind: &Kind| matches!(kind, Kind::File | Kind::Directory);
    let paths = flags_with_value().filter(|(.., kind)| is_path(kind)).flat_map(|(flag, ..)| spellings(flag));
    let paths: Vec<_> = paths.map(|option| ["_daemonctx_values:", &option].concat()).collect();
    let value = |(flag, name, kind): (&Flag, &str, Kind)| {
        let action = bash_action(name, kind);
        (!action.is_empty()).then(|| [&spellings(flag).join(" | "), ") ", &action, " ;;"].concat())
    };
    let options = |word: &Word| {
        let options: Vec<_> = flags_of(word).map(long).collect();
        let operands = match operands(word) {
            Operands::Program => "PROGRAM".to_owned(),
            Operands::Name => "NAME".to_owned(),
            Operands::OneOf(words) => words.join(" "),
        };
        [word.name, ") options=", &quoted(&options.join(" ")), " operands=", &quoted(&operands), " ;;"].concat()
    };
    let places = [
        ("@WITH_VALUE@", with_value.join(" | ")),
        ("@VALUES@", lines("    ", flags_with_value().filter_map(value))),
        ("@FILES@", paths.join(" | ")),
        ("@COMMON@", "--help --version".to_owned()),
        ("@COMMANDS@", commands().collect::<Vec<_>>().join(" ")),
        ("@OPTIONS@", lines("            ", COMMANDS.iter().map(options))),
    ];
    fill(include_str!("completions/template.bash"), &places)
}

fn bash_action(name: &str, kind: Kind) -> String {
    let one_of = |words: Vec<&str>| ["_daemonctx_one_of \"$2\" ", &quoted(&words.join(" "))].concat();
    match kind {
        Kind::File => r#"_daemonctx_files "$2""#.to_owned(),
        Kind::Directory => r#"_daemonctx_directories "$2""#.to_owned(),
        Kind::User => r#"_daemonctx_owner "$2""#.to_owned(),
        Kind::Group => r#"_daemonctx_groups "$2""#.to_owned(),
        Kind::Variable if is_assignment(name) => r#"_daemonctx_assignment "$2""#.to_owned(),
        Kind::Variable => r#"_daemonctx_variables "$2""#.to_owned(),
        Kind::Signal => one_of(schedule::names().collect()),
        Kind::Words(words) => one_of(fixed(words)),
        Kind::Free => String::new(),
    }
}

fn zsh() -> String {
    let command = |word: &Word| quoted(&[word.name, ":", &brief(word.help).replace(':', r"\:")].concat());
    let function = |(flag, _, kind): (&Flag, &str, Kind)| {
        let words = zsh_words(kind)?;
        let (open, whole): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.ends_with(':'));
        let open = if open.is_empty() { String::new() } else { ["compadd -S '' -- ", &open.join(" "), "; "].concat() };
        Some(["_daemonctx_value_", flag.long, "() { ", &open, "compadd -- ", &whole.join(" "), " }\n"].concat())
    };
    let options = |word: &Word| {
        let specs = flags_of(word).map(zsh_spec).chain(zsh_operands(word));
        let specs = lines("            ", specs.map(|spec| [&spec, r" \"].concat()));
        [word.name, ")\n        _arguments -s -S \\\n", &specs, "\n            && return\n        ;;"].concat()
    };
    let places = [
        ("@COMMANDS@", lines("        ", COMMANDS.iter().map(command))),
        ("@VALUES@", lines("", flags_with_value().filter_map(function))),
        ("@OPTIONS@", lines("    ", COMMANDS.iter().map(options))),
    ];
    fill(include_str!("completions/template.zsh"), &places)
}

fn zsh_words(kind: Kind) -> Option<Vec<&'static str>> {
    match kind {
        Kind::Words(words) => Some(fixed(words)),
        Kind::Signal => Some(schedule::names().collect()),
        _ => None,
    }
}

/// `'(-n --name)'{-n+,--name=}'[What it is]:NAME:_files'`
fn zsh_spec(flag: &'static Flag) -> String {
    let long = long(flag);
    let (after_short, after_long) = if flag.value.is_some() { ("+", "=") } else { ("", "") };
    let help = brief(flag.help).replace('[', r"\[").replace(']', r"\]").replace(':', r"\:");
    let action = flag.value.map_or_else(String::new, |(name, kind)| {
        [":", &name.replace(':', r"\:"), ":", &zsh_action(flag, name, kind)].concat()
    });
    let rest = quoted(&["[", &help, "]", &action].concat());
    match (short(flag), flag.repeats) {
        (Some(short), true) => ["'*'{", &short, after_short, ",", &long, after_long, "}", &rest].concat(),
        (Some(short), false) => {
            ["'(", &short, " ", &long, ")'{", &short, after_short, ",", &long, after_long, "}", &rest].concat()
        }
        (None, true) => ["'*'", &long, after_long, &rest].concat(),
        (None, false) => [&long, after_long, &rest].concat(),
    }
}

fn zsh_action(flag: &Flag, name: &str, kind: Kind) -> String {
    match kind {
        Kind::File => "_files".to_owned(),
        Kind::Directory => "_directories".to_owned(),
        Kind::User => "_daemonctx_owner".to_owned(),
        Kind::Group => "_groups".to_owned(),
        Kind::Variable if is_assignment(name) => "_daemonctx_assignment".to_owned(),
        Kind::Variable => "_daemonctx_variables".to_owned(),
        Kind::Signal | Kind::Words(_) => ["_daemonctx_value_", flag.long].concat(),
        Kind::Free => " ".to_owned(),
    }
}

fn zsh_operands(word: &Word) -> Vec<String> {
    match operands(word) {
        Operands::Program => vec![r"'(-)1:program:_command_names -e'".to_owned(), r"'*::argument:_normal'".to_owned()],
        Operands::Name => vec![r"'1::daemon:_daemonctx_names'".to_owned()],
        Operands::OneOf(words) if words.is_empty() => Vec::new(),
        Operands::OneOf(words) => vec![["'1:", word.name, ":(", &words.join(" "), ")'"].concat()],
    }
}

fn fish() -> String {
    let executing: Vec<_> = COMMANDS.iter().filter(|word| word.executes()).map(|word| word.name).collect();
    let longs: Vec<_> = flags_with_value().map(|(flag, ..)| flag.long).collect();
    let shorts: String = flags_with_value().filter_map(|(flag, ..)| flag.short).collect();
    let command = |word: &Word| {
        ["complete -c daemonctx -n __daemonctx_has_no_command -a ", word.name, " -d ", &fish_quoted(brief(word.help))]
            .concat()
    };
    let operands = |word: &Word| {
        let words = match operands(word) {
            Operands::Name => "(__daemonctx_names)".to_owned(),
            Operands::OneOf(words) if !words.is_empty() => words.join(" "),
            _ => return None,
        };
        Some(["complete -c daemonctx -n '__daemonctx_wants ", word.name, "' -a ", &fish_quoted(&words)].concat())
    };
    let commands = COMMANDS.iter().map(command).chain(COMMANDS.iter().filter_map(operands));
    let places = [
        ("@EXECUTE@", executing.join(" ")),
        ("@LONG@", longs.join("|")),
        ("@SHORT@", shorts),
        ("@COMMANDS@", lines("", commands)),
        ("@OPTIONS@", lines("", FLAGS.iter().map(fish_option))),
    ];
    fill(include_str!("completions/template.fish"), &places)
}

fn fish_option(flag: &'static Flag) -> String {
    let words: Vec<_> = COMMANDS.iter().filter(|word| flag.is_for(word)).map(|word| word.name).collect();
    let short = flag.short.map_or_else(String::new, |short| [" -s ", short.encode_utf8(&mut [0; 4])].concat());
    let value = flag.value.map_or_else(String::new, |(name, kind)| fish_action(name, kind));
    let help = fish_quoted(brief(flag.help));
    [
        "complete -c daemonctx -n '__daemonctx_is ",
        &words.join(" "),
        "'",
        &short,
        " -l ",
        flag.long,
        &value,
        " -d ",
        &help,
    ]
    .concat()
}

fn fish_action(name: &str, kind: Kind) -> String {
    let action = match kind {
        Kind::File => return " -r -F".to_owned(),
        Kind::Free => return " -x".to_owned(),
        Kind::Directory => "(__fish_complete_directories)".to_owned(),
        Kind::User => "(__daemonctx_owner)".to_owned(),
        Kind::Group => "(__fish_complete_groups)".to_owned(),
        Kind::Variable if is_assignment(name) => "(set -nx)=".to_owned(),
        Kind::Variable => "(set -nx)".to_owned(),
        Kind::Signal => schedule::names().collect::<Vec<_>>().join(" "),
        Kind::Words(words) => fixed(words).join(" "),
    };
    [" -x -a ", &fish_quoted(&action)].concat()
}

fn fish_quoted(text: &str) -> String {
    ["'", &text.replace('\\', r"\\").replace('\'', r"\'"), "'"].concat()
}

#[cfg(test)]
mod tests {
    use super::{bash, brief, fish, fixed, zsh};

    #[test]
    fn every_place_is_filled() {
        for script in [bash(), zsh(), fish()] {
            let is_place =
                |word: &str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            let left: Vec<_> = script.split('@').filter(|word| is_place(word)).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(fixed(&["fd:NUMBER", "exec", "TERM/5/KILL/5"]), ["fd:", "exec", "TERM/5/KILL/5"]);
        assert_eq!(brief("One thing (more); another"), "One thing");
        assert_eq!(brief("One thing"), "One thing");
    }
}
