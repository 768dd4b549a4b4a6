//! What a command says at its end: a text for people or JSON for programs, and the exit code.

use crate::screen::{escaped, escaped_json};
use crate::sys;
use daemonctx::{Error, ErrorKind, Launching, Step};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

/// Exit codes of an init script (LSB 5.0, "Init Script Actions"). `status` has its own, see `status`; a start that fails leaves with
/// the daemon's status.
pub(crate) mod code {
    pub(crate) const SUCCESS: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const MISUSED: u8 = 2;
    pub(crate) const NOT_PERMITTED: u8 = 4;
    pub(crate) const NOT_INSTALLED: u8 = 5;
    pub(crate) const NOT_CONFIGURED: u8 = 6;
    pub(crate) const NOT_RUNNING: u8 = 7;
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// As it is printed.
    text: String,
    json: Value,
    code: u8,
    /// The output is all that the command is for, so it fails where that cannot be written.
    is_report: bool,
    /// A start that is confirmed when all else is done, and the daemon's name.
    launching: Option<(Box<Launching>, String)>,
}

impl Answer {
    /// One line with names in it, which are escaped.
    pub(crate) fn new(line: impl Into<String>, json: Value) -> Self {
        Self::drawn(escaped(&line.into()), json)
    }

    /// Several such lines.
    pub(crate) fn of_lines(lines: &[String], json: Value) -> Self {
        let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
        Self::drawn(lines.join("\n"), json)
    }

    /// A text that is fit for a terminal, with colours of our own.
    pub(crate) fn drawn(text: String, json: Value) -> Self {
        Self { text, json, code: code::SUCCESS, is_report: false, launching: None }
    }

    /// A text of the command's own alone; as JSON it is `{"text": …}`.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        let json = json!({ "text": text });
        Self::drawn(text, json).report()
    }

    /// Of a command that does nothing but print it.
    pub(crate) fn report(self) -> Self {
        self.report_if(true)
    }

    pub(crate) fn report_if(self, is_report: bool) -> Self {
        Self { is_report: self.is_report || is_report, ..self }
    }

    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Of a start.
    pub(crate) fn confirming(self, launching: Launching, name: &str) -> Self {
        Self { launching: Some((Box::new(launching), name.to_owned())), ..self }
    }

    /// Prints it on standard output, and gives the exit code: that of what was done or found, also where printing fails; another one
    /// where there was nothing else to do.
    pub(crate) fn print(mut self, json: bool, quiet: bool) -> u8 {
        let is_printed = json || !quiet;
        if let Some((launching, name)) = self.launching.take() {
            return match launching.confirm() {
                Ok(_) => self.print_started(json, is_printed),
                Err(error) => Failure::from(error).of(&name).print(json),
            };
        }
        self.printed(if is_printed { self.say(json) } else { Ok(()) })
    }

    /// The exit code. A pipe whose reader has left has been read as far as somebody wanted to.
    fn printed(&self, said: std::io::Result<()>) -> u8 {
        match said {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                let code = if self.is_report { code::FAILED } else { self.code };
                Failure::new(code, format!("cannot write to standard output: {error}")).print(false)
            }
            _ => self.code,
        }
    }

    /// The start is confirmed, so nothing fails it any more: neither that nobody can be told, nor a pipe that nobody reads, which is not
    /// waited for long.
    fn print_started(&self, json: bool, is_printed: bool) -> u8 {
        const PATIENCE: Duration = Duration::from_secs(1);
        let may_write = is_printed && sys::may_write(std::io::stdout().as_fd(), PATIENCE);
        self.printed(if may_write { self.say(json) } else { Ok(()) })
    }

    fn say(&self, json: bool) -> std::io::Result<()> {
        say(if json { escaped_json(&self.json.to_string()) } else { self.text.clone() })
    }
}

fn say(mut text: String) -> std::io::Result<()> {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// Why it could not be.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    program: String,
    message: String,
    /// A text of the command's own behind the message.
    overview: String,
    // On the heap, as it is rarely there and always handed back.
    json: Box<Map<String, Value>>,
    /// The signal by which a person called it off.
    signal: Option<i32>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        let (program, overview) = ("daemonctx".to_owned(), String::new());
        Self { code, program, message: message.into(), overview, json: Box::default(), signal: None }
    }

    pub(crate) fn misused(message: impl Into<String>) -> Self {
        Self::new(code::MISUSED, message)
    }

    /// The same, with an overview of what is right.
    pub(crate) fn with_overview(self, overview: String) -> Self {
        Self { overview, ..self }
    }

    /// A system call that the library does not make.
    pub(crate) fn of_system(what: String, error: &std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => code::NOT_PERMITTED,
            _ => code::FAILED,
        };
        Self::new(code, format!("{what}: {error}"))
    }

    /// The line begins with the daemon's name, as a starter's does.
    pub(crate) fn of(self, program: &str) -> Self {
        Self { program: program.to_owned(), ..self }
    }

    /// What to do, behind the line for people.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        Self { message: self.message + hint, ..self }
    }

    /// Of a failed step of the library's.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.json.get("errno").and_then(Value::as_i64).and_then(|errno| i32::try_from(errno).ok())
    }

    pub(crate) fn is_misuse(&self) -> bool {
        self.code == code::MISUSED
    }

    /// Another exit code for the same.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Prints one line on standard error, and with `json` an object on standard output; gives the exit code. Where a person called
    /// the command off by a signal, the process ends by that.
    pub(crate) fn print(&self, json: bool) -> u8 {
        if json {
            let mut error = Map::new();
            error.insert("message".into(), self.message.as_str().into());
            error.extend(self.json.as_ref().clone());
            error.insert("status".into(), self.code.into());
            // Who cannot be told has the status still.
            let _ = say(escaped_json(&json!({ "result": "failed", "error": error }).to_string()));
        }
        let line = [&escaped(&self.program), ": ", &escaped(&self.message), "\n"].concat();
        let _ = std::io::stderr().write_all([line, self.overview.clone()].concat().as_bytes());
        if let Some(signal) = self.signal {
            daemonctx::parts::die_by(signal);
        }
        self.code
    }
}

/// A failed step of the library's, and the code that an init script has for it.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match (error.kind(), error.errno()) {
            (ErrorKind::Start | ErrorKind::Timeout, _) => u8::try_from(error.exit_status()).unwrap_or(code::FAILED),
            (_, Some(libc::EPERM | libc::EACCES)) => code::NOT_PERMITTED,
            (_, Some(libc::ENOSPC | libc::EDQUOT)) => code::FAILED,
            (_, Some(libc::ENOENT)) if error.step() == Step::Execute => code::NOT_INSTALLED,
            (ErrorKind::PidFile, Some(libc::ENOENT | libc::ENOTDIR)) => code::NOT_CONFIGURED,
            (ErrorKind::Usage, _) => code::MISUSED,
            (ErrorKind::Option, _) => code::NOT_CONFIGURED,
            _ => code::FAILED,
        };
        let mut json = Map::new();
        json.insert("step".into(), error.step().as_str().into());
        let value = error.with_subject(|subject| String::from_utf8_lossy(subject).into_owned());
        json.insert("value".into(), value.into());
        json.insert("errno".into(), error.errno().into());
        Self { json: Box::new(json), signal: error.signal(), ..Self::new(code, error.to_string()) }
    }
}
