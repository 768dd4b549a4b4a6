//! The life of a start: starter, session leader, daemon.
//!
//! Between the first fork and the report nothing here allocates, frees, takes a lock or runs foreign code. That is what
//! makes it safe with other threads alive: they are gone in the child, but the locks they held are not. It is also why
//! everything is prepared in [`Plan`].
#![allow(unsafe_code, reason = "the two forks; their contract is Daemon::open's")]

use crate::activation;
use crate::error::{Error, Failure, Step};
use crate::parts::{signal_queue, signal_stream};
use crate::pidfile;
use crate::plan::Plan;
use crate::readiness::Nobody;
use crate::report::{self, Listener, Record, Reporter};
use crate::session;
use crate::starter::Watch;
use crate::sys::Errno;
use crate::sys::process::{self, Forked, Pid};
use crate::tie::Tie;

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
    pidfile::all_go_along();
    signal_stream::all_go_along();
    run(plan.hooks.before);
    // SAFETY: the caller keeps the contract.
    let role = unsafe { beget(plan, channel) };
    pidfile::none_goes_along();
    signal_stream::stay();
    if !matches!(role, Ok(Role::Daemon(_))) {
        run(plan.hooks.in_starter);
    }
    role.map_err(|failure| plan.explain(failure))
}

/// What a start is in a program that goes on.
pub(crate) enum Aside {
    /// With what the helper tells.
    Starter(Listener, Pid),
    Daemon(Option<Tie>),
}

/// What becomes of the process that a helper starts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// It goes on, and so does the start when it does not.
    Returns,
    /// It goes on, and the start is off when it has gone before it knows.
    Waits,
    /// It leaves when all is told.
    Leaves,
}

/// What a helper does: it waits for the outcome, tells whoever wants to know (and must, or the start is off), and leaves.
pub(crate) type Helper = fn(&mut Plan, Watch, Reporter, bool) -> !;

/// A helper for programs that become daemons themselves.
pub(crate) fn help(_plan: &mut Plan, watch: Watch, teller: Reporter, must_know: bool) -> ! {
    let _: Option<Pid> = watch.tell::<Nobody>(&teller, None, must_know);
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
    let (listener, teller) = report::channel().map_err(|errno| plan.explain(Failure::new(Step::Pipe, errno)))?;
    if caller != Caller::Waits {
        plan.keep(teller.as_raw_fd())?;
    }
    if let Some(lock) = &plan.pid_file {
        lock.goes_along();
    }
    run(plan.hooks.before);
    let quiet = plan.take_quiet();
    // SAFETY: the child allocates nothing and takes no lock until it has reported; the caller keeps the rest.
    let forked = unsafe { process::fork() };
    match forked {
        Ok(Forked::Child) => {
            plan.is_under_way();
            drop(listener);
            quiet.leave_as_it_is();
            pidfile::own_all();
            let helper = process::id();
            if plan.helper_stays {
                // What stays must not be the terminal's. A group's leader cannot be asked for more, and this is none.
                let _: Result<(), _> = process::new_session();
            }
            // SAFETY: as above.
            match unsafe { beget(plan, channel) } {
                Ok(Role::Daemon(tie)) => {
                    pidfile::none_goes_along();
                    if caller != Caller::Leaves {
                        // Its line is the program's, which goes on.
                        signal_queue::close();
                    }
                    Ok(Aside::Daemon(tie.map(|tie| tie.with_helper(helper, stays_with_daemon(teller, caller)))))
                }
                Ok(Role::Starter(watch)) => (plan.helper)(plan, watch, teller, caller != Caller::Returns),
                Err(failure) => give_up(&teller, failure),
            }
        }
        forked => {
            pidfile::none_goes_along();
            match caller {
                Caller::Returns | Caller::Waits => drop(quiet),
                Caller::Leaves => quiet.leave_as_it_is(),
            }
            plan.let_go();
            run(plan.hooks.in_starter);
            match forked {
                Ok(Forked::Parent(helper)) => {
                    plan.is_under_way();
                    if let Some(lock) = plan.pid_file.take() {
                        lock.abandon();
                    }
                    Ok(Aside::Starter(listener, helper))
                }
                _ => Err(plan.explain(Failure::new(Step::Fork, forked.err().unwrap_or(Errno::EAGAIN)))),
            }
        }
    }
}

/// In the daemon: its end of the helper's line, where that has been kept. Else it was closed with all the others.
fn stays_with_daemon(teller: Reporter, caller: Caller) -> Option<Reporter> {
    if caller != Caller::Waits {
        return Some(teller);
    }
    std::mem::forget(teller);
    None
}

fn run(hook: Option<fn()>) {
    if let Some(hook) = hook {
        hook();
    }
}

/// A start that does not detach is the daemon's half alone.
fn stay(plan: &mut Plan) -> Result<Role, Error> {
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

/// The two forks. Comes back in the starter, and in the daemon once it is one.
///
/// # Safety
/// That of [`Daemon::open`](crate::Daemon::open).
#[inline(never)]
pub(crate) unsafe fn beget(plan: &mut Plan, (listener, reporter): (Listener, Reporter)) -> Result<Role, Failure> {
    let quiet = plan.take_quiet();
    // The daemon is the session leader's child and an orphan in a moment: adopted, its end can be waited for like a child's.
    let adopted_before = process::adopt_orphans(true);
    // SAFETY: the daemon allocates nothing and takes no lock until it has reported; the caller keeps the rest.
    match unsafe { session::beget(plan.forks, &reporter) } {
        Ok(Forked::Child) => {
            plan.is_under_way();
            drop(listener);
            quiet.leave_as_it_is();
            match become_daemon(plan, Some(&reporter)) {
                Ok(()) => Ok(Role::Daemon(Some(Tie::with_starter(reporter)))),
                Err(failure) => give_up(&reporter, failure),
            }
        }
        Ok(Forked::Parent(leader)) => {
            plan.is_under_way();
            quiet.leave_as_it_is();
            plan.streams.leave_to_daemon();
            Ok(Role::Starter(Watch::new(listener, leader, plan.ready_timeout)))
        }
        Err(errno) => {
            if adopted_before == Ok(false) {
                let _: Result<bool, _> = process::adopt_orphans(false);
            }
            Err(Failure::new(Step::Fork, errno))
        }
    }
}

/// What makes a process a daemon, in this order. Each step is in the file that is called like it.
fn become_daemon(plan: &mut Plan, reporter: Option<&Reporter>) -> Result<(), Failure> {
    signal_stream::stay();
    plan.signals.apply()?;
    plan.streams.apply()?;
    plan.keep.close_others()?;
    activation::hand_over();
    plan.directories.apply()?;
    if plan.directories.root().is_some() {
        plan.streams.enter_root();
    }
    if plan.prevent_core {
        process::forbid_core_files().map_err(|errno| Failure::new(Step::CoreLimit, errno))?;
    }
    pidfile::write_all().map_err(|errno| Failure::new(Step::PidFile, errno))?;
    plan.privileges.apply(plan.detach)?;
    plan.streams.begin_logging(plan.forks.second(), reporter)?;
    plan.target.as_ref().map_or(Ok(()), |target| Err(target.execute()))
}

/// Tells the starter which step failed, and is gone.
pub(crate) fn give_up(reporter: &Reporter, failure: Failure) -> ! {
    pidfile::release_all();
    let _: Result<(), _> = reporter.send(&Record::Failed(failure));
    process::exit_now(1)
}

/// What a daemon does whose starter was killed meanwhile: that one has told its caller nothing good, so it must not stay.
pub(crate) fn vanish() -> ! {
    pidfile::release_all();
    process::exit_now(1)
}
