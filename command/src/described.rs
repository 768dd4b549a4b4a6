//! The daemon that the options describe.

use crate::answer::Failure;
use crate::arguments::Arguments;
use crate::place::Place;
use crate::program;
use crate::schedule::seconds;
use crate::streams::streams;
use daemonctx::{Daemon, Detach, Executable, Groups, Readiness, Respawn};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be started, and how.
pub(crate) struct Described {
    pub(crate) daemon: Daemon,
    pub(crate) executable: Executable,
    /// The file that is executed.
    pub(crate) program: PathBuf,
    pub(crate) nice: Option<i32>,
}

impl Described {
    pub(crate) fn new(arguments: &Arguments, place: &Place, detach: Detach) -> Result<Self, Failure> {
        let variables = variables(arguments)?;
        let root = arguments.get("chroot").map(Path::new);
        let name = arguments.operands.first().map_or(OsStr::new(""), OsString::as_os_str);
        let inherits = !arguments.has("clean-env") && !arguments.all("unset").any(|name| name == "PATH");
        let search_path = program::search_path(&variables, inherits);
        let program = program::find(name, search_path.as_deref(), root)?;
        let mut daemon = daemon(arguments, place)?;
        streams(&mut daemon, arguments, detach)?;
        daemon.detach(detach);
        let mut executable = Executable::new(&program)?;
        for argument in &arguments.operands {
            executable.argument(argument)?;
        }
        environment(&mut executable, arguments, &variables)?;
        readiness(&mut daemon, &mut executable, arguments)?;
        executable.respawn(respawn(arguments)?);
        let nice = arguments.read_as("nice", |text| text.parse().ok().filter(|add| (-20..=19).contains(add)))?;
        Ok(Self { daemon, executable, program, nice })
    }
}

fn daemon(arguments: &Arguments, place: &Place) -> Result<Daemon, Failure> {
    const UMASK: u32 = 0o022;
    let mut daemon = Daemon::new()?;
    daemon.program_name(&place.name)?;
    daemon.umask(arguments.read_as("umask", mode)?.unwrap_or(UMASK))?;
    daemon.prevent_core(arguments.has("no-core")).no_new_privileges(arguments.has("no-new-privs"));
    if let Some(file) = &place.pid_file {
        daemon.pid_file_from(file);
    }
    if let Some(root) = arguments.get("chroot") {
        daemon.chroot(root)?;
    }
    if let Some(directory) = arguments.get("chdir") {
        daemon.working_directory(directory)?;
    }
    for fd in arguments.all("keep-fd") {
        let number = fd.to_str().and_then(|fd| fd.parse().ok());
        let number =
            number.ok_or_else(|| arguments.misused(&format!("--keep-fd {}: not understood", fd.to_string_lossy())))?;
        daemon.keep_descriptor(number)?;
    }
    owner(&mut daemon, arguments)?;
    Ok(daemon)
}

/// `USER`, `USER:GROUP` or `:GROUP`.
fn owner(daemon: &mut Daemon, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(owner) = arguments.get("user") {
        let (user, group) = split(owner, b':');
        if !user.is_empty() {
            daemon.user(user)?;
        }
        if let Some(group) = group {
            daemon.group(group)?;
        }
    }
    if let Some(group) = arguments.get("group") {
        daemon.group(group)?;
    }
    let groups = |text: &str| match text {
        "own" => Some(Groups::Own),
        "none" => Some(Groups::None),
        _ => None,
    };
    daemon.supplementary_groups(arguments.read_as("groups", groups)?.unwrap_or(Groups::Own));
    Ok(())
}

/// What is before the first `at`, and what is behind it, if it is there.
pub(crate) fn split(text: &OsStr, at: u8) -> (&OsStr, Option<&OsStr>) {
    let mut parts = text.as_bytes().splitn(2, |byte| *byte == at).map(OsStr::from_bytes);
    (parts.next().unwrap_or_default(), parts.next())
}

pub(crate) fn mode(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| is_number && *mode <= 0o777)
}

/// What `--env` says, in its order.
fn variables(arguments: &Arguments) -> Result<Vec<(OsString, OsString)>, Failure> {
    let assignments = arguments.all("env").map(|assignment| match split(assignment, b'=') {
        (name, Some(value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(arguments.misused(&format!("--env {}: needs NAME=VALUE", assignment.to_string_lossy()))),
    });
    assignments.collect()
}

fn environment(
    executable: &mut Executable,
    arguments: &Arguments,
    variables: &[(OsString, OsString)],
) -> Result<(), Failure> {
    executable.inherit_environment(!arguments.has("clean-env"));
    for name in arguments.all("unset") {
        executable.without_variable(name)?;
    }
    for (name, value) in variables {
        executable.variable(name, value)?;
    }
    Ok(())
}

fn readiness(daemon: &mut Daemon, executable: &mut Executable, arguments: &Arguments) -> Result<(), Failure> {
    const NEWLINE: i32 = 3;
    let read = |text: &str| match text.split_once(':').map_or((text, None), |(how, more)| (how, Some(more))) {
        ("exec", None) => Some(Readiness::Executed),
        ("running", Some(time)) => seconds(time).map(Readiness::StillRunning),
        ("fd", number) => number.map_or(Some(NEWLINE), |text| text.parse().ok()).map(Readiness::Newline),
        ("systemd", None) => Some(Readiness::Notify),
        _ => None,
    };
    let readiness = arguments.read_as("notify", read)?.unwrap_or_default();
    if let Readiness::Newline(number) = readiness {
        check_ready_descriptor(arguments, number)?;
    }
    executable.readiness(readiness.clone());
    let timeout = arguments.read_as("ready-timeout", seconds)?.unwrap_or(Duration::from_secs(30));
    let timeout = Some(timeout).filter(|time| !time.is_zero());
    if let (Readiness::StillRunning(time), Some(timeout)) = (readiness, timeout) {
        if time >= timeout {
            return Err(arguments.misused("--ready-timeout: must be longer than what --notify=running waits"));
        }
    }
    daemon.ready_timeout(timeout)?;
    Ok(())
}

/// The descriptor that the program is to write to is its own, and nothing else's.
fn check_ready_descriptor(arguments: &Arguments, number: i32) -> Result<(), Failure> {
    let is = |fd: &OsStr| fd.to_str().and_then(|fd| fd.parse().ok()) == Some(number);
    if number < 0 || arguments.all("keep-fd").any(is) {
        return Err(arguments.misused(&format!("--notify fd:{number}: a descriptor that is not kept")));
    }
    Ok(())
}

fn respawn(arguments: &Arguments) -> Result<Option<Respawn>, Failure> {
    arguments.need(&["respawn"], &["respawn-delay", "respawn-limit"])?;
    let usual = Respawn::default();
    let delay = arguments.read_as("respawn-delay", seconds)?.unwrap_or(usual.delay);
    let limit = arguments.read_as("respawn-limit", |text| text.parse().ok())?;
    let limit = limit.map_or(usual.limit, |limit| Some(limit).filter(|limit| *limit != 0));
    Ok(arguments.has("respawn").then_some(Respawn { delay, limit, ..usual }))
}

/// The command line that is executed, for people.
pub(crate) fn command_line(arguments: &Arguments) -> String {
    let words = arguments.operands.iter().map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::split;
    use std::ffi::OsStr;

    #[test]
    fn owners_and_assignments() {
        let os = OsStr::new;
        assert_eq!(split(os("a:b:c"), b':'), (os("a"), Some(os("b:c"))));
        assert_eq!(split(os("a"), b':'), (os("a"), None));
        assert_eq!(split(os(":b"), b':'), (os(""), Some(os("b"))));
        assert_eq!(split(os("A="), b'='), (os("A"), Some(os(""))));
    }
}
