//! What the public types promise by their traits alone. That it compiles is most of the test; see docs/api-guidelines.md.

use daemonctx::parts::{Forked, Handshake, OutputLine, Process, SignalStream};
use daemonctx::{
    Context, Daemon, Detach, Error, ErrorKind, Facility, Fork, Groups, KillMode, Launching, ListenAddress,
    ListenDescriptor, LogFile, Monitored, MonitoredOutput, MonitoredState, PendingStart, PidFile, PidFileLock, Program,
    Readiness, Respawn, Running, Severity, SignalAction, Status, Step, StopRequest, Stopped, Stream, Syslog,
};
use std::fmt::Debug;
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};

fn any_thread_may_have<T: Debug + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
fn is_a_value<T: Clone + Eq + Hash + Debug + Send + Sync>() {}
fn is_small<T: Copy + Eq + Hash + Debug + Send + Sync>() {}
fn is_an_error<T: std::error::Error + Into<std::io::Error> + Send + Sync + 'static>() {}

#[test]
fn threads_may_have_them() {
    any_thread_may_have::<Context>();
    any_thread_may_have::<Daemon>();
    any_thread_may_have::<Fork>();
    any_thread_may_have::<Handshake>();
    any_thread_may_have::<Launching>();
    any_thread_may_have::<LogFile>();
    any_thread_may_have::<Monitored>();
    any_thread_may_have::<PidFileLock>();
    any_thread_may_have::<Process>();
    any_thread_may_have::<Program>();
    any_thread_may_have::<Running>();
    any_thread_may_have::<SignalStream>();
    any_thread_may_have::<PendingStart>();
    any_thread_may_have::<Stream>();
    any_thread_may_have::<Syslog>();
    is_an_error::<Error>();
}

#[test]
fn values_have_the_common_traits() {
    is_small::<Detach>();
    is_small::<ErrorKind>();
    is_small::<Facility>();
    is_small::<Forked>();
    is_small::<Groups>();
    is_small::<KillMode>();
    is_small::<MonitoredOutput<'_>>();
    is_small::<MonitoredState>();
    is_small::<OutputLine<'_>>();
    is_small::<Respawn>();
    is_small::<Severity>();
    is_small::<SignalAction>();
    is_small::<Status>();
    is_small::<StopRequest>();
    is_small::<Step>();
    is_small::<Stopped>();
    is_a_value::<ListenAddress>();
    is_a_value::<ListenDescriptor>();
    is_a_value::<Readiness>();
    is_a_value::<PidFile>();
    assert!(Severity::Emergency < Severity::Debug);
    assert_eq!(format!("{:>10}", Step::PidFile), "  pid file");
}

#[test]
fn debug_is_never_empty() {
    assert!(!format!("{:?}", Daemon::new()).is_empty());
    assert!(!format!("{:?}", Syslog::new()).is_empty());
}
