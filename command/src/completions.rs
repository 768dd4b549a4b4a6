//! `completions`: a script for each shell that asks this command for candidates, found by clap_complete. What is the shell's own
//! (files, and the arguments of the program that is started) the shell completes.

use crate::answer::Answer;
use crate::completers::{DIRECTORIES, FILES};
use crate::help;
use crate::options::{Complete, Shell};
use clap::Command;
use clap_complete::CompletionCandidate;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

pub(crate) fn script(shell: Shell) -> Answer {
    Answer::text(match shell {
        Shell::Bash => include_str!("completions/daemonctx.bash"),
        Shell::Zsh => include_str!("completions/daemonctx.zsh"),
        Shell::Fish => include_str!("completions/daemonctx.fish"),
    })
}

/// The first line says who completes: `words` follow; `files` or `directories`, behind what stands before them in the word;
/// or the `program` at a place in the line. Each further line is a word, a tab and its meaning.
pub(crate) fn complete(asked: &Complete) -> Answer {
    let mut command = help::command();
    command.build();
    if let Some(place) = program_at(&command, &asked.words, asked.index) {
        return Answer::text(format!("program {place}"));
    }
    let found =
        clap_complete::engine::complete(&mut command, asked.words.clone(), asked.index, None).unwrap_or_default();
    let current = asked.words.get(asked.index).map(OsString::as_os_str).unwrap_or_default();
    let mut lines = vec!["words".to_owned()];
    for candidate in
        found.iter().filter(|found| found.get_value().as_bytes().starts_with(current.as_bytes()) || is_marker(found))
    {
        let word = candidate.get_value().to_string_lossy();
        for (marker, mode) in [(FILES, "files"), (DIRECTORIES, "directories")] {
            if let Some(lead) = word.strip_suffix(marker) {
                return Answer::text([mode, " ", lead].concat());
            }
        }
        let help = candidate.get_help().map(|help| brief(&help.to_string()).to_owned()).unwrap_or_default();
        if !word.contains(['\n', '\t']) {
            lines.push([&word, "\t", &help].concat());
        }
    }
    Answer::text(lines.join("\n"))
}

fn is_marker(candidate: &CompletionCandidate) -> bool {
    candidate.get_value().as_bytes().contains(&1)
}

/// The place of the program's name, where the word at `index` is that or belongs to it.
fn program_at(command: &Command, words: &[OsString], index: usize) -> Option<usize> {
    const FIRST: usize = 2;
    let verb = command.find_subcommand(words.get(1)?)?;
    if index < FIRST || !verb.get_positionals().any(|operand| operand.is_trailing_var_arg_set()) {
        return None;
    }
    let mut place = FIRST;
    while place < index {
        let word = words.get(place)?;
        if word == "--" {
            return Some(place + 1);
        }
        if !is_option(word) {
            return Some(place);
        }
        place += if value_is_next(verb, word) { 2 } else { 1 };
    }
    (place == index && !words.get(index)?.as_bytes().starts_with(b"-")).then_some(index)
}

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-") && word != "-"
}

/// Whether the word behind this option is its value.
fn value_is_next(verb: &Command, word: &OsStr) -> bool {
    let takes_value = |argument: &clap::Arg| argument.get_action().takes_values();
    let word = word.to_string_lossy();
    if let Some(long) = word.strip_prefix("--") {
        return verb.get_arguments().any(|argument| argument.get_long() == Some(long) && takes_value(argument));
    }
    let letters = word.strip_prefix('-').unwrap_or_default();
    let with_value = |letter: char| {
        verb.get_arguments().any(|argument| argument.get_short() == Some(letter) && takes_value(argument))
    };
    letters
        .find(with_value)
        .is_some_and(|place| letters.chars().next_back().is_some_and(|last| place + last.len_utf8() == letters.len()))
}

/// The beginning of an explanation: there is little room beside a word.
fn brief(help: &str) -> &str {
    let ends = ["; ", ". ", ": ", " (", "\n"].into_iter().filter_map(|end| help.find(end));
    &help[..ends.min().unwrap_or(help.len())]
}

#[cfg(test)]
mod tests {
    use super::{brief, program_at};
    use std::ffi::OsString;

    #[test]
    fn the_program_begins_behind_the_options() {
        let mut command = crate::help::command();
        command.build();
        let at = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            program_at(&command, &words, words.len() - 1)
        };
        for line in [
            "d start -n x",
            "d start --",
            "d start --name=x -",
            "d stop a",
            "d sta",
            "d start --no-pi",
            "d start -lu x",
        ] {
            assert_eq!(at(line), None, "{line}");
        }
        for (line, place) in
            [("d start ", 2), ("d run -n x s", 4), ("d start -- ", 3), ("d start a --b", 2), ("d start -lu x y -z", 4)]
        {
            assert_eq!(at(line), Some(place), "{line}");
        }
    }

    #[test]
    fn explanations_are_cut() {
        assert_eq!(brief("One thing (more); another"), "One thing");
        assert_eq!(brief("One thing"), "One thing");
    }
}
