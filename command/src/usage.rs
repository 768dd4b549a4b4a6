//! A wrong command line, explained in one line: which option, what is expected, what was given.

use crate::answer::Failure;
use crate::help;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// What clap found wrong. `verb` is the command that was named, `command` its definition or that of all.
pub(crate) fn failure(error: &Error, command: &Command, verb: Option<&str>) -> Failure {
    if let ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand = error.kind() {
        return Failure::misused("needs a COMMAND").with_overview(["\n", &help::overview_for_stderr()].concat());
    }
    let topic = verb.map_or_else(|| "daemonctx help".to_owned(), |verb| ["daemonctx help ", verb].concat());
    Failure::misused([&explain(error, command), "; see `", &topic, "`"].concat())
}

/// Options that say more about others are given with one of those.
pub(crate) fn need(others: &[&str], is_there: bool, options: &[(&str, bool)]) -> Result<(), Failure> {
    match options.iter().find(|(_, is_given)| *is_given && !is_there) {
        Some((option, _)) => Err(Failure::misused(
            ["--", option, ": only with --", &others.join(" or --"), "; see `daemonctx help start`"].concat(),
        )),
        None => Ok(()),
    }
}

fn explain(error: &Error, command: &Command) -> String {
    let option = text(error, ContextKind::InvalidArg).map(option_name).unwrap_or_default();
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => [option.as_str(), ": needs a value"].concat(),
        ErrorKind::InvalidValue => {
            let expected = list(error, ContextKind::ValidValue);
            [&option, ": expected ", &alternatives(&expected), ", got \"", value, "\"", &hint(error)].concat()
        }
        ErrorKind::ValueValidation => {
            let expected = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            [&option, ": ", &expected, ", got \"", value, "\""].concat()
        }
        ErrorKind::InvalidUtf8 => "expected UTF-8".to_owned(),
        ErrorKind::UnknownArgument if option.starts_with('-') => {
            let hint = match longer(command, &option) {
                Some(longer) => did_you_mean(&longer),
                None if option == "--name" && operand_of(command) == "NAME" => {
                    [", give the name alone: daemonctx ", command.get_name(), " NAME"].concat()
                }
                None => hint(error),
            };
            [&option, ": no such option", &hint].concat()
        }
        ErrorKind::UnknownArgument => unexpected(command, &option),
        ErrorKind::TooManyValues => [&option, ": takes no value, got \"", value, "\""].concat(),
        ErrorKind::InvalidSubcommand => {
            let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            // As RPM's and Red Hat's scripts call it.
            let hint = if name == "condrestart" { did_you_mean("try-restart") } else { hint(error) };
            [name, ": no such command", &hint].concat()
        }
        ErrorKind::MissingRequiredArgument => missing(command, error),
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg).map(option_name) {
            Some(prior) if prior != option => [&option, ": not together with ", &prior].concat(),
            _ => [option.as_str(), ": given twice"].concat(),
        },
        _ => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

/// `--ready-timeout` for `--timeout`: the only option that has this word.
fn longer(command: &Command, option: &str) -> Option<String> {
    let word = option.strip_prefix("--")?;
    let options = command.get_arguments().filter(|option| !option.is_hide_set()).filter_map(clap::Arg::get_long);
    let mut found = options.filter(|long| long.split('-').any(|part| part == word));
    match (found.next(), found.next()) {
        (Some(one), None) => Some(["--", one].concat()),
        _ => None,
    }
}

/// `--name` of `--name <NAME>`, PROGRAM of `<PROGRAM>`.
fn option_name(shown: &str) -> String {
    let word = shown.split([' ', '=']).next().unwrap_or_default();
    word.trim_matches(['<', '>', '[', ']', '.']).to_owned()
}

/// One operand too many.
fn unexpected(command: &Command, operand: &str) -> String {
    let expected = match command.get_positionals().next() {
        Some(_) => ["expected one ", &operand_of(command)].concat(),
        None => "expected no operand".to_owned(),
    };
    [&expected, ", got \"", operand, "\" too"].concat()
}

fn missing(command: &Command, error: &Error) -> String {
    let names = list(error, ContextKind::InvalidArg);
    match names.first() {
        Some(name) if name.starts_with('-') => ["needs ", &option_name(name)].concat(),
        _ if matches!(command.get_name(), "restart" | "try-restart") => {
            ["needs a ", &operand_of(command), ", with the arguments and the options of its start"].concat()
        }
        _ => ["needs a ", &operand_of(command)].concat(),
    }
}

/// `SHELL: bash, zsh or fish`
fn operand_of(command: &Command) -> String {
    let Some(operand) = command.get_positionals().next() else { return String::new() };
    let name = operand.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> = operand.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if values.is_empty() { name } else { [&name, ": ", &alternatives(&values)].concat() }
}

/// `; did you mean --notify?`
fn hint(error: &Error) -> String {
    const KINDS: [ContextKind; 3] =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let found = KINDS.into_iter().find_map(|kind| list(error, kind).into_iter().next_back());
    found.map_or_else(String::new, |found| did_you_mean(&option_name(&found)))
}

pub(crate) fn did_you_mean(word: &str) -> String {
    [", did you mean ", word, "?"].concat()
}

/// `exec, fd or systemd`
pub(crate) fn alternatives(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => [&first.join(", "), " or ", last].concat(),
        _ => words.concat(),
    }
}

fn text(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    }
}

fn list(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}
