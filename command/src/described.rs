//! The daemon that the options describe.

use crate::answer::{Failure, code};
use crate::options::{self, Inherited, Launch, Owner, Program};
use crate::place::Place;
use crate::program;
use crate::streams::streams;
use crate::sys;
use crate::usage;
use crate::values::{self, split};
use daemonctx::{Daemon, Detach, Readiness, Respawn};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::PathBuf;

/// What is to be started, and how.
pub(crate) struct Described {
    pub(crate) daemon: Daemon,
    pub(crate) executable: daemonctx::Program,
    /// The file that is executed.
    pub(crate) program: PathBuf,
    pub(crate) nice: Option<i32>,
}

impl Described {
    /// A daemon in the background.
    pub(crate) fn launched(launch: &Launch, place: &Place) -> Result<Self, Failure> {
        let mut described = Self::new(&launch.program, place, Detach::Yes)?;
        readiness(&mut described, launch, place)?;
        described.executable.respawn(respawn(&launch.respawn)?);
        described.daemon.kill_mode(launch.respawn.kill_mode).take_over(launch.respawn.respawn);
        Ok(described)
    }

    /// Whether the program is there to be executed.
    pub(crate) fn has_program(program: &Program) -> bool {
        find_program(program).is_ok()
    }

    /// This process, prepared to become the program.
    pub(crate) fn in_foreground(program: &Program, place: &Place) -> Result<Self, Failure> {
        Self::new(program, place, Detach::No)
    }

    fn new(options: &Program, place: &Place, detach: Detach) -> Result<Self, Failure> {
        let program = find_program(options)?;
        let mut daemon = daemon(options, place)?;
        streams(&mut daemon, &options.streams, detach)?;
        daemon.detach(detach);
        let mut executable = daemonctx::Program::new(&program);
        let mut words = options.words.iter();
        if let Some(name) = words.next() {
            executable.arg0(name);
        }
        executable.args(words);
        environment(&mut executable, &options.inherited);
        daemon.take_option_error()?;
        executable.take_option_error()?;
        Ok(Self { daemon, executable, program, nice: options.owner.nice })
    }
}

fn find_program(options: &Program) -> Result<PathBuf, Failure> {
    let Inherited { env, unset, clean_env, .. } = &options.inherited;
    let inherits = !clean_env && !unset.iter().any(|name| name == "PATH");
    let search_path = program::search_path(env, inherits);
    let name = options.words.first().map_or(OsStr::new(""), OsString::as_os_str);
    // Otherwise it would be the program that is not found.
    let root = options.owner.chroot.as_deref().filter(|root| {
        std::fs::metadata(root).map_or_else(|error| error.kind() == ErrorKind::NotFound, |root| !root.is_dir())
    });
    if let Some(root) = root {
        let why = format!("--chroot: expected a directory, got \"{}\"", root.to_string_lossy());
        return Err(Failure::new(code::NOT_CONFIGURED, why));
    }
    program::find(name, search_path.as_deref(), options.owner.chroot.as_deref())
}

/// The standard streams have options of their own.
const FIRST_KEPT: i32 = 3;

fn daemon(options: &Program, place: &Place) -> Result<Daemon, Failure> {
    let Owner { umask, no_core, no_new_privs, chroot, chdir, .. } = &options.owner;
    let mut daemon = Daemon::new();
    daemon.program_name(&place.name);
    daemon.umask(*umask);
    daemon.prevent_core(*no_core).no_new_privileges(*no_new_privs);
    if let Some(file) = &place.pid_file {
        daemon.pid_file_from(file);
    }
    if let Some(directory) = place.run() {
        daemon.state_directory(directory);
    }
    if let Some(root) = chroot {
        daemon.chroot(root);
    }
    if let Some(directory) = chdir {
        daemon.working_directory(directory);
    }
    for fd in &options.inherited.keep_fd {
        if *fd < FIRST_KEPT {
            let why = format!("--keep-fd: {}, got \"{fd}\"", values::EXPECTED_DESCRIPTOR);
            return Err(Failure::new(code::NOT_CONFIGURED, why));
        }
        daemon.keep_descriptor(*fd);
    }
    owner(&mut daemon, &options.owner)?;
    Ok(daemon)
}

/// `USER`, `USER:GROUP` or `:GROUP`.
fn owner(daemon: &mut Daemon, options: &Owner) -> Result<(), Failure> {
    if let Some((user, group)) = options.user.as_deref().map(|owner| split(owner, b':')) {
        if !user.is_empty() {
            daemon.user(user);
        }
        if let Some(group) = group {
            daemon.group(group);
        }
    }
    if let Some(group) = &options.group {
        daemon.group(group);
    }
    daemon.supplementary_groups(options.groups);
    Ok(())
}

fn environment(executable: &mut daemonctx::Program, options: &Inherited) {
    if options.clean_env {
        executable.env_clear();
    }
    for name in &options.unset {
        executable.env_remove(name);
    }
    executable.envs(options.env.iter().map(|(name, value)| (name, value)));
}

fn readiness(described: &mut Described, launch: &Launch, place: &Place) -> Result<(), Failure> {
    let readiness = launch.ready.notify.clone();
    let timeout = Some(launch.ready.ready_timeout).filter(|time| !time.is_zero());
    match readiness {
        // The program writes to a descriptor of its own, and to nothing else.
        Readiness::Newline(number) if launch.program.inherited.keep_fd.contains(&number) => {
            return Err(Failure::misused(format!(
                "--notify fd:{number}: not together with --keep-fd {number}; see `daemonctx help start`"
            )));
        }
        Readiness::Newline(number) if number >= sys::descriptor_limit() => {
            let limit = sys::descriptor_limit();
            let why = format!(
                "--notify fd:{number}: expected a number below the limit of open descriptors, {limit} (ulimit -n)"
            );
            return Err(Failure::new(code::FAILED, why));
        }
        Readiness::Forked(Some(ref path)) if place.has_pid_file(path) => {
            let path = path.to_string_lossy();
            return Err(Failure::misused(format!(
                "--notify forking:{path}: not the file of --pidfile, which daemonctx writes; see `daemonctx help start`"
            )));
        }
        Readiness::StillRunning(time) if timeout.is_some_and(|timeout| time >= timeout) => {
            return Err(Failure::misused(
                "--ready-timeout: expected more than the time of --notify running; see `daemonctx help start`",
            ));
        }
        _ => {}
    }
    described.executable.readiness(readiness);
    described.daemon.ready_timeout(timeout);
    Ok(())
}

fn respawn(options: &options::Respawn) -> Result<Option<Respawn>, Failure> {
    usage::need(
        &["respawn"],
        options.respawn,
        &[("respawn-delay", options.respawn_delay.is_some()), ("respawn-limit", options.respawn_limit.is_some())],
    )?;
    let usual = Respawn::default();
    let delay = options.respawn_delay.unwrap_or(usual.delay);
    let limit = options.respawn_limit.map_or(usual.limit, |limit| Some(limit).filter(|limit| *limit != 0));
    Ok(options.respawn.then_some(Respawn { delay, limit, ..usual }))
}

/// The command line that is executed, for people.
pub(crate) fn command_line(program: &Program) -> String {
    let words = program.words.iter().map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}
