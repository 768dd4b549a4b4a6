//! Everything that can be set, with its defaults.

use crate::descriptors::{Keep, Others};
use crate::detach::Detach;
use crate::error::{Error, Step, signal_name};
use crate::option_errors::OptionErrors;
use crate::pidfile::PidFile;
use crate::stop::KillMode;
use crate::streams::Stream;
use crate::sys::c_buf::CBuf;
use crate::sys::process;
use crate::sys::signal::Signal;
use crate::{privileges, signals};
use std::os::fd::RawFd;
use std::time::Duration;

/// What a daemon is to be, as the program said it.
pub(crate) struct Options {
    pub(crate) program: CBuf,
    pub(crate) working: CBuf,
    pub(crate) root: Option<CBuf>,
    pub(crate) umask: libc::mode_t,
    pub(crate) prevent_core: bool,
    pub(crate) detach: Detach,
    pub(crate) allow_threads: bool,
    pub(crate) keep: Keep,
    pub(crate) keep_all: bool,
    pub(crate) streams: [Option<Stream>; 3],
    pub(crate) signals: signals::Map,
    /// The mask, and what signals do that are not in the map, stay as they are.
    pub(crate) keep_signals: bool,
    pub(crate) pid_file: Option<PidFile>,
    pub(crate) runtime_directory: Option<CBuf>,
    pub(crate) privileges: privileges::Request,
    pub(crate) manual_ready: bool,
    pub(crate) ready_descriptor: Option<RawFd>,
    pub(crate) ready_timeout: Option<Duration>,
    pub(crate) hooks: Hooks,
    pub(crate) stop: StopOptions,
    /// The executable that becomes the monitor of a launched program.
    pub(crate) monitor: Option<CBuf>,
    /// Where the state files of launched programs are.
    pub(crate) state_directory: Option<CBuf>,
}

/// By the names of the setters, those with another value than the default.
impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usual = Self::new(&mut OptionErrors::default());
        let mut debug = formatter.debug_struct("Daemon");
        debug.field("program_name", &self.program);
        for ((name, value), (_, usual)) in self.shown().into_iter().zip(usual.shown()) {
            if value != usual {
                debug.field(name, &format_args!("{value}"));
            }
        }
        debug.finish()
    }
}

impl Options {
    /// Every option that has a default, as it is shown.
    fn shown(&self) -> [(&'static str, String); 27] {
        fn of(value: &impl std::fmt::Debug) -> String {
            format!("{value:?}")
        }
        fn if_set(value: Option<&impl std::fmt::Debug>) -> String {
            value.map(of).unwrap_or_default()
        }
        let [stdin, stdout, stderr] = &self.streams;
        let (privileges, stop) = (&self.privileges, &self.stop);
        [
            ("working_directory", of(&self.working)),
            ("chroot", if_set(self.root.as_ref())),
            ("umask", format!("{:#05o}", self.umask)),
            ("user", if_set(privileges.user.as_ref())),
            ("group", if_set(privileges.group.as_ref())),
            ("supplementary_groups", of(&privileges.groups)),
            ("no_new_privileges", of(&privileges.no_new_privileges)),
            ("prevent_core", of(&self.prevent_core)),
            ("allow_threads", of(&self.allow_threads)),
            ("detach", of(&self.detach)),
            ("keep_descriptor", of(&self.keep)),
            ("keep_all_descriptors", of(&self.keep_all)),
            ("stdin", if_set(stdin.as_ref())),
            ("stdout", if_set(stdout.as_ref())),
            ("stderr", if_set(stderr.as_ref())),
            ("signal", of(&self.signals)),
            ("pid_file", if_set(self.pid_file.as_ref().map(PidFile::text))),
            ("runtime_directory", if_set(self.runtime_directory.as_ref())),
            ("ready_descriptor", if_set(self.ready_descriptor.as_ref())),
            ("manual_ready", of(&self.manual_ready)),
            ("ready_timeout", self.ready_timeout.map_or_else(|| "None".to_owned(), |time| of(&time))),
            ("monitor", if_set(self.monitor.as_ref())),
            ("state_directory", if_set(self.state_directory.as_ref())),
            ("stop_signal", signal_name(stop.signal).map_or_else(|| of(&stop.signal), str::to_owned)),
            ("stop_timeout", of(&stop.timeout)),
            ("kill_mode", of(&stop.kill_mode)),
            ("take_over", of(&stop.takes_over)),
        ]
    }
}

/// How a launched program is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StopOptions {
    pub(crate) signal: Signal,
    pub(crate) timeout: Duration,
    pub(crate) kill_mode: KillMode,
    /// What a killed monitor has left under the name is stopped first.
    pub(crate) takes_over: bool,
}

impl Default for StopOptions {
    fn default() -> Self {
        const TIMEOUT: Duration = Duration::from_secs(5);
        Self { signal: libc::SIGTERM, timeout: TIMEOUT, kill_mode: KillMode::Tree, takes_over: false }
    }
}

/// What a language binding has to run around the fork; see [`Daemon::fork_hooks`](crate::Daemon::fork_hooks).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) before: Option<fn()>,
    pub(crate) in_starter: Option<fn()>,
}

impl Options {
    /// Those of PEP 3143, but for the umask.
    pub(crate) fn new(errors: &mut OptionErrors) -> Self {
        const READY_TIMEOUT: Duration = Duration::from_secs(30);
        let program = process::program_name().map_or(b"daemon".as_slice(), std::ffi::CStr::to_bytes);
        let mut text = |step, bytes| {
            let text = CBuf::new(bytes).map_err(|errno| Error::about(step, bytes, errno));
            errors.add(text).unwrap_or_default()
        };
        Self {
            program: text(Step::ProgramName, program),
            working: text(Step::WorkingDirectory, b"/"),
            root: None,
            umask: 0o022,
            prevent_core: true,
            allow_threads: false,
            detach: Detach::Auto,
            keep: Keep::default(),
            keep_all: false,
            streams: [None, None, None],
            signals: signals::Map::default(),
            keep_signals: false,
            pid_file: None,
            runtime_directory: None,
            privileges: privileges::Request::default(),
            manual_ready: false,
            ready_descriptor: None,
            ready_timeout: Some(READY_TIMEOUT),
            hooks: Hooks::default(),
            stop: StopOptions::default(),
            monitor: None,
            state_directory: None,
        }
    }

    /// The descriptors that the daemon keeps.
    pub(crate) fn kept(&self) -> Result<Keep, Error> {
        self.keep.checked(if self.keep_all { Others::Keep } else { Others::Close })
    }

    /// Those that a program which is executed gets.
    pub(crate) fn kept_on_exec(&self) -> Result<Keep, Error> {
        self.keep.checked(if self.keep_all { Others::KeepInheritable } else { Others::Close })
    }
}
