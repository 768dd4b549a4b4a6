//! The life of a start: starter, session leader, daemon.
//!
//! Between the first fork and the report nothing here allocates, frees, takes a lock or runs foreign code. That is what
//! makes it safe with other threads alive: they are gone in the child, but the locks they held are not. It is also why
//! everything is prepared in [`Plan`].
#![allow(unsafe_code, reason = "the two forks; their contract is Daemon::open's")]

use crate::activation;
use crate::error::{Error, Failure, Step};
use crate::launch::PreparedProgram;
use crate::plan::Plan;
use crate::registry;
use crate::report::{self, Listener, Record, Reporter};
use crate::session::{self, NoDaemon, Side};
use crate::starter::Watch;
use crate::sys::Errno;
use crate::sys::process::{self, Forked, Pid};
use crate::tie::Tie;
use crate::{signal_queue, signal_stream};

/// Which process this is after a start.
pub(crate) enum Role {
    Starter(Watch),
    /// With what ties it to the starter, where there is one.
    Daemon(Option<Tie>),
}

/// Starts; the starter is to leave when it knows.
///
/// # Errors
/// In the starter: nothing has happened. In a process that does not detach: the step that failed.
///
/// # Safety
/// That of [`Daemon::open`](crate::Daemon::open).
pub(crate) unsafe fn start(plan: &mut Plan) -> Result<Role, Error> {
    if !plan.detach {
        return stay(plan);
    }
    let channel = open_line(plan)?;
    registry::inherit_all();
    signal_stream::inherit_all();
    run(plan.hooks.before);
    // SAFETY: the caller keeps the contract.
    let role = unsafe { beget(plan, channel, None) };
    registry::inherit_none();
    signal_stream::stay();
    if !matches!(role, Ok(Role::Daemon(_))) {
        run(plan.hooks.in_starter);
    }
    role.map_err(|none| none.explain(|failure| plan.explain(failure)))
}

/// What a start is in a program that goes on.
pub(crate) enum Aside {
    Starter(Listeners, Pid),
    Daemon(Option<Tie>),
}

/// What a caller reads, with one sender each.
pub(crate) struct Listeners {
    pub(crate) helper: Listener,
    pub(crate) daemon: Listener,
}

/// What becomes of the process that a helper starts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// It goes on, and so does the start when it does not.
    Returns,
    /// It leaves when all is told, and the start is cancelled if it exits before.
    Leaves,
}

/// What a helper does: it waits for the outcome, reports it to the caller and exits.
fn help(mut watch: Watch, teller: &Reporter, caller: Caller) -> ! {
    let outcome = watch.follow(teller, caller == Caller::Leaves);
    watch.conclude(outcome, teller);
    process::exit_now(0)
}

/// Starts with a helper that is forked to be the starter, which waits and tells. So the daemon is nobody's child when it is
/// ready, and the program's own children stay its own.
///
/// # Errors
/// As for [`start`].
///
/// # Safety
/// That of [`Daemon::open`](crate::Daemon::open).
pub(crate) unsafe fn start_aside(plan: &mut Plan, caller: Caller) -> Result<Aside, Error> {
    if !plan.detach {
        return stay(plan).map(|_| Aside::Daemon(None));
    }
    let channel = open_line(plan)?;
    // The daemon never holds the end that the helper reports on: it is closed with all that is not kept.
    let (listener, teller) = report::channel().map_err(|errno| plan.explain(Failure::new(Step::Pipe, errno)))?;
    let (heard, own) = open_line(plan)?;
    match (caller, &plan.pid_file) {
        (Caller::Leaves, _) => {
            registry::inherit_all();
            signal_stream::inherit_all();
        }
        (Caller::Returns, Some(lock)) => lock.inherit_across_fork(),
        (Caller::Returns, None) => {}
    }
    run(plan.hooks.before);
    let quiet = plan.take_quiet();
    // SAFETY: the child allocates nothing and takes no lock until it has reported; the caller keeps the rest.
    let forked = unsafe { process::fork() };
    match forked {
        Ok(Forked::Child) => {
            plan.is_under_way();
            drop((listener, heard));
            quiet.leave_as_it_is();
            registry::take_ownership();
            let helper = process::id();
            // SAFETY: as above.
            match unsafe { beget(plan, channel, Some(&teller)) } {
                Ok(Role::Daemon(tie)) => {
                    std::mem::forget(teller);
                    registry::inherit_none();
                    if caller == Caller::Returns {
                        // Its line is the program's, which goes on.
                        signal_queue::close();
                    }
                    Ok(Aside::Daemon(tie.map(|tie| tie.with_helper(helper, own))))
                }
                Ok(Role::Starter(watch)) => {
                    drop(own);
                    help(watch, &teller, caller)
                }
                Err(none) => exit_with(&teller, &none.as_record()),
            }
        }
        forked => {
            registry::inherit_none();
            signal_stream::stay();
            match caller {
                Caller::Returns => drop(quiet),
                Caller::Leaves => quiet.leave_as_it_is(),
            }
            plan.leave_to_helper();
            run(plan.hooks.in_starter);
            match forked {
                Ok(Forked::Parent(helper)) => {
                    plan.is_under_way();
                    if let Some(lock) = plan.pid_file.take() {
                        lock.abandon();
                    }
                    Ok(Aside::Starter(Listeners { helper: listener, daemon: heard }, helper))
                }
                _ => Err(plan.explain(Failure::new(Step::Fork, forked.err().unwrap_or(Errno::EAGAIN)))),
            }
        }
    }
}

fn run(hook: Option<fn()>) {
    if let Some(hook) = hook {
        hook();
    }
}

/// A start that does not detach is the daemon's half alone.
pub(crate) fn stay(plan: &mut Plan) -> Result<Role, Error> {
    drop(plan.quiet.take());
    match become_daemon(plan, None) {
        Ok(()) => {
            plan.is_under_way();
            Ok(Role::Daemon(None))
        }
        Err(failure) => Err(plan.explain(failure)),
    }
}

/// Makes the line that the daemon reports on, and has the daemon keep its end.
fn open_line(plan: &mut Plan) -> Result<(Listener, Reporter), Error> {
    let (listener, reporter) = report::channel().map_err(|errno| plan.explain(Failure::new(Step::Pipe, errno)))?;
    plan.keep(reporter.as_raw_fd())?;
    Ok((listener, reporter))
}

/// The two forks. Comes back in the starter, and in the daemon once it is one. A helper names the line to its `caller`.
///
/// # Safety
/// That of [`Daemon::open`](crate::Daemon::open).
unsafe fn beget(
    plan: &mut Plan,
    (listener, reporter): (Listener, Reporter),
    caller: Option<&Reporter>,
) -> Result<Role, NoDaemon> {
    let quiet = plan.take_quiet();
    // The daemon is the session leader's child and an orphan in a moment: adopted, its end can be waited for like a child's.
    let adopted_before = process::adopt_orphans(true);
    // SAFETY: the daemon allocates nothing and takes no lock until it has reported; the caller keeps the rest.
    match unsafe { session::fork_daemon(plan.forks, caller) } {
        Ok(Side::Daemon) => {
            plan.is_under_way();
            drop(listener);
            quiet.leave_as_it_is();
            match become_daemon(plan, Some(&reporter)) {
                Ok(()) => Ok(Role::Daemon(Some(Tie::with_starter(reporter)))),
                Err(failure) => give_up(&reporter, failure),
            }
        }
        Ok(Side::Starter { leader, daemon }) => {
            plan.is_under_way();
            quiet.leave_as_it_is();
            plan.streams.leave_to_daemon();
            Ok(Role::Starter(Watch::new(listener, leader, daemon, plan)))
        }
        Err(none) => {
            if adopted_before == Ok(false) {
                // The program would adopt orphans, which it may reap or not.
                let _: Result<bool, _> = process::adopt_orphans(false);
            }
            Err(none)
        }
    }
}

/// What makes a process a daemon, in this order. Each step is in the file that is called like it.
fn become_daemon(plan: &mut Plan, reporter: Option<&Reporter>) -> Result<(), Failure> {
    signal_stream::stay();
    plan.signals.apply()?;
    plan.streams.apply()?;
    if plan.closes {
        plan.keep.close_others();
    }
    activation::hand_over();
    plan.directories.change_root()?;
    if plan.directories.root().is_some() {
        plan.streams.enter_root();
    }
    if plan.prevent_core {
        process::forbid_core_files().map_err(|errno| Failure::new(Step::CoreLimit, errno))?;
    }
    registry::write_all().map_err(|errno| Failure::new(Step::PidFile, errno))?;
    plan.privileges.apply(plan.detach)?;
    plan.directories.enter()?;
    plan.streams.begin_logging(plan.forks.second(), reporter)
}

/// Makes this process the daemon, and has it execute `program`. Returns only with the failure.
pub(crate) fn execute(plan: &mut Plan, program: &PreparedProgram) -> Error {
    drop(plan.quiet.take());
    let failure = become_daemon(plan, None).map_or_else(|failure| failure, |()| program.execute());
    if failure.step == Step::Execute { program.explain(failure) } else { plan.explain(failure) }
}

/// Tells the starter which step failed, and is gone.
pub(crate) fn give_up(reporter: &Reporter, failure: Failure) -> ! {
    exit_with(reporter, &Record::Failed(failure))
}

fn exit_with(reporter: &Reporter, record: &Record) -> ! {
    registry::release_all();
    // Without the record the end of the line says that the start has failed.
    let _: Result<(), _> = reporter.send(record);
    process::exit_now(1)
}

/// What a daemon does whose starter was killed meanwhile: that one has told its caller nothing good, so it must not stay.
pub(crate) fn vanish() -> ! {
    registry::release_all();
    process::exit_now(1)
}
