//! Everything about a start that can be known before it: checked, opened and resolved, in the program that was started.
//!
//! Making a [`Plan`] is the only part of a start that may fail and leave nothing behind but an error. What is in it is all
//! that the daemon's half of the start needs, so that half need not allocate.

use crate::detach::Surroundings;
use crate::error::{Error, Failure, Step, Subject};
use crate::options::{Hooks, Options};
use crate::pidfile::PidFileLock;
use crate::registry;
use crate::runtime_directory::{self, Prepared};
use crate::session::Forks;
use crate::signals::Quiet;
use crate::streams::Stream;
use crate::sys::Errno;
use crate::sys::c_buf::CBuf;
use crate::sys::fd;
use crate::sys::fixed_buf::FixedBuf;
use crate::sys::process;
use crate::sys::stdio;
use crate::{activation, descriptors, directories, privileges, signals, streams};
use crate::{signal_queue, signal_stream};
use std::os::fd::RawFd;
use std::time::Duration;

pub(crate) struct Plan {
    pub(crate) detach: bool,
    /// Descriptors that are not kept are closed.
    pub(crate) closes: bool,
    pub(crate) forks: Forks,
    pub(crate) signals: signals::Plan,
    pub(crate) streams: streams::Plan,
    pub(crate) keep: descriptors::Keep,
    pub(crate) directories: directories::Plan,
    pub(crate) prevent_core: bool,
    pub(crate) pid_file: Option<PidFileLock>,
    pub(crate) pid_file_path: Option<CBuf>,
    pub(crate) privileges: privileges::Plan,
    pub(crate) manual_ready: bool,
    pub(crate) ready_descriptor: Option<RawFd>,
    pub(crate) ready_timeout: Option<Duration>,
    pub(crate) hooks: Hooks,
    /// Until the start is under way.
    pub(crate) runtime_directory: Option<Prepared>,
    /// From before the pid file is taken until the start is over: a signal that ended this process in between would leave the
    /// file behind. The last field, because it is dropped last.
    pub(crate) quiet: Option<Quiet>,
}

impl Plan {
    /// Checks everything. The pid file comes last: a start that cannot succeed does not lock others out.
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let surroundings = Surroundings::look();
        let detach = surroundings.detaches(options.detach);
        if detach && !options.allow_threads {
            refuse_threads()?;
        }
        let plan = Self::prepare(options, surroundings, detach, options.manual_ready)?;
        activation::close_on_exec();
        Ok(plan)
    }

    /// The same for a process that stays what it is, with its descriptors.
    pub(crate) fn staying(options: &Options) -> Result<Self, Error> {
        let plan = Self::prepare(options, Surroundings::look(), false, options.manual_ready)?;
        activation::close_on_exec();
        Ok(Self { closes: false, ..plan })
    }

    /// The same for a process that becomes another program: it does not detach, and passes on what a service manager gave it.
    pub(crate) fn in_place(options: &Options) -> Result<Self, Error> {
        Self::prepare(options, Surroundings::look(), false, false)
    }

    fn prepare(options: &Options, surroundings: Surroundings, detach: bool, manual_ready: bool) -> Result<Self, Error> {
        activation::prepare().map_err(|errno| Error::os(Step::KeepDescriptor, Subject::Word("LISTEN_PID"), errno))?;
        let privileges = privileges::Plan::new(&options.privileges)?;
        let directories = directories::Plan::new(options.umask, options.root.as_ref(), &options.working)?;
        directories.check_permitted()?;
        privileges.check_permitted()?;
        let mut keep = options.kept()?;
        let default = if surroundings.below_inetd { Stream::inherit() } else { Stream::null() };
        let seen = streams::Surroundings { program: options.program.as_bytes(), root: directories.root() };
        let streams = streams::Plan::new(&options.streams, &default, manual_ready, &seen)?;
        stdio::flush_output();

        let has_pid_file = registry::any() || options.pid_file.is_some();
        let others = if options.keep_signals { signals::Others::Keep } else { signals::Others::Reset };
        let signals = signals::Plan::new(&options.signals, others, has_pid_file);

        let root = directories.root();
        let quiet = Quiet::begin();
        let directory = options.runtime_directory.as_ref();
        let directory = directory.map(|path| runtime_directory::prepare(path, privileges.owner())).transpose()?;
        let pid_file = options.pid_file.as_ref().map(|file| file.lock(root)).transpose()?;
        prepare_pid_files(options, privileges.changes_user())?;
        if let Some(fd) = options.ready_descriptor {
            let open = fd::flags(fd).and_then(|_| keep.add(fd));
            open.map_err(|errno| Error::os(Step::ReadyDescriptor, Subject::Number(i64::from(fd)), errno))?;
        }
        // The handlers of queue and streams stay as well, and would write to whatever had got the numbers.
        let own = registry::descriptors().chain(signal_queue::descriptors()).chain(signal_stream::ends());
        for fd in streams.descriptors().chain(own) {
            keep_too(&mut keep, fd)?;
        }
        Ok(Self {
            detach,
            closes: true,
            forks: Forks::find(),
            signals: signals.map_err(|errno| Error::os(Step::Signals, Subject::Nothing, errno))?,
            streams,
            keep,
            directories,
            prevent_core: options.prevent_core,
            pid_file,
            pid_file_path: options.pid_file.as_ref().map(|file| file.text().clone()),
            privileges,
            manual_ready,
            ready_descriptor: options.ready_descriptor,
            ready_timeout: options.ready_timeout,
            hooks: options.hooks,
            runtime_directory: directory,
            quiet: Some(quiet),
        })
    }

    /// The start is under way: what it has made is removed with the pid file.
    pub(crate) fn is_under_way(&mut self) {
        if let Some(directory) = self.runtime_directory.take() {
            directory.keep();
        }
    }

    /// Takes over the mask of signals for the rest of the start.
    pub(crate) fn take_quiet(&mut self) -> Quiet {
        self.quiet.take().unwrap_or_else(Quiet::begin)
    }

    /// Has the daemon keep one of our own descriptors as well.
    pub(crate) fn keep(&mut self, fd: RawFd) -> Result<(), Error> {
        keep_too(&mut self.keep, fd)
    }

    /// After the fork, in the caller: what only daemon and helper use is closed.
    pub(crate) fn leave_to_helper(&mut self) {
        self.streams.leave_to_daemon();
    }

    /// The error that a failure in the daemon is, with what the step was about.
    pub(crate) fn explain(&self, failure: Failure) -> Error {
        let Failure { step, errno, value } = failure;
        let subject = match step {
            Step::ChangeRoot | Step::ChangeDirectory => self.directories.subject(step),
            Step::SetUser | Step::SetGroup | Step::VerifyPrivileges => self.privileges.subject(step, value),
            Step::Signals => i32::try_from(value).map_or(Subject::Nothing, Subject::Signal),
            Step::PidFile => self.pid_file_path.clone().map_or(Subject::Nothing, Subject::Text),
            Step::Start => Subject::Word("supervisor process"),
            Step::Report if errno == Errno::EBADMSG => Subject::Word("invalid record from the daemon"),
            _ => Subject::Nothing,
        };
        Error::os(step, subject, errno)
    }
}

/// Other threads do not exist after fork(2). Where they cannot be counted there may be none.
fn refuse_threads() -> Result<(), Error> {
    let others = process::thread_count().unwrap_or(1).saturating_sub(1);
    if others == 0 {
        return Ok(());
    }
    let mut counted = FixedBuf::<32>::new();
    counted.push_unsigned(others).push(if others == 1 { b" other" } else { b" others" });
    let error = Error::about(Step::Threads, counted.as_bytes(), Errno::EOPNOTSUPP);
    Err(error.note("the daemon would not have them: start before they begin, use launch, or allow threads"))
}

fn prepare_pid_files(options: &Options, changes_user: bool) -> Result<(), Error> {
    registry::open_writers(changes_user).map_err(|errno| {
        let subject = options.pid_file.as_ref().map_or(Subject::Nothing, |file| Subject::Text(file.text().clone()));
        let error = Error::os(Step::PidFile, subject, errno);
        let is_writable = errno == Errno::EOPNOTSUPP;
        if is_writable { error.note("its file system cannot keep the daemon's user from writing to it") } else { error }
    })
}

fn keep_too(keep: &mut descriptors::Keep, fd: RawFd) -> Result<(), Error> {
    keep.add(fd).map_err(|errno: Errno| Error::os(Step::KeepDescriptor, Subject::Number(i64::from(fd)), errno))
}
