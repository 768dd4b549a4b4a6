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
use std::time::Duration;

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
fn debug_shows_what_is_set() {
    let mut daemon = Daemon::new();
    assert_eq!(format!("{:?}", daemon.program_name("hello")), r#"Daemon { program_name: "hello" }"#);
    daemon
        .chroot("/srv")
        .umask(0o77)
        .user("nobody")
        .group_id(7)
        .keep_descriptor(5)
        .detach(Detach::Yes)
        .manual_ready(true);
    daemon.stdin(Stream::descriptor(3)).stdout(LogFile::new("/var/log/a\nb").mode(0o644).group("adm"));
    daemon.stderr(Syslog::new().identity("hello").severity(Severity::Warning)).signal(1, SignalAction::Ignore);
    daemon.pid_file("/run/hello.pid").ready_timeout(None).stop_signal(2).stop_timeout(Duration::from_millis(1500));
    let shown = [
        r#"Daemon { program_name: "hello", chroot: "/srv", umask: 0o077, user: "nobody", group: 7"#,
        r#"detach: Yes, keep_descriptor: [5], stdin: Descriptor(3)"#,
        r#"stdout: LogFile { path: "/var/log/a\nb", mode: 0o644, group: "adm" }"#,
        r#"stderr: Syslog { identity: "hello", facility: DAEMON, severity: Warning }, signal: {SIGHUP: Ignore}"#,
        r#"pid_file: "/run/hello.pid", manual_ready: true, ready_timeout: None, stop_signal: SIGINT, stop_timeout: 1.5s }"#,
    ];
    assert_eq!(format!("{daemon:?}"), shown.join(", "));
    let mut daemon = Daemon::new();
    daemon.program_name("hello").umask(0o1000);
    assert_eq!(
        format!("{daemon:?}"),
        r#"Daemon { program_name: "hello" } (invalid: umask failed: 01000: Invalid argument (22 EINVAL))"#
    );

    let mut program = Program::new("/bin/sh");
    program.args(["-c", "exit"]).env_clear().env("A", "1").env_remove("B").readiness(Readiness::Newline(3));
    assert_eq!(
        format!("{program:?}"),
        r#"Program { path: "/bin/sh", args: ["-c", "exit"], env_clear: true, envs: ["A=1"], env_remove: ["B"], readiness: Newline(3) }"#
    );
    assert_eq!(format!("{:?}", Stream::file("/a")), r#"LogFile { path: "/a" }"#);
    assert_eq!(format!("{:?}", Stream::null()), "Null");
    assert_eq!(format!("{:?}", Facility::local(3)), "Some(LOCAL3)");
    let line = OutputLine { text: b"a\xff", is_ended: true };
    assert_eq!(format!("{line:?}"), "OutputLine { text: \"a\u{fffd}\", is_ended: true }");
}

#[test]
fn debug_of_what_a_process_holds() -> Result<(), Error> {
    let path = std::env::temp_dir().join(format!("interface-{}.pid", std::process::id()));
    let (pid, shown) = (std::process::id(), format!("{path:?}"));
    let file = PidFile::new(&path)?;
    assert_eq!(format!("{file:?}"), format!("PidFile {{ path: {shown}, proof: Lock }}"));
    let lock = file.acquire()?;
    assert_eq!(format!("{lock:?}"), format!("PidFileLock({shown})"));
    assert_eq!(format!("{:?}", file.running()?), format!("Some(Running {{ pid: {pid}, pid_file: {shown} }})"));
    let process = Process::open(i32::try_from(pid).unwrap_or_default())?;
    assert_eq!(format!("{process:?}"), format!("Some(Process({pid}))"));
    lock.release();
    Ok(())
}

#[test]
fn an_error_shows_its_line_and_has_its_source() {
    let refused = Daemon::new().working_directory("/proc/self/nonexistent").check();
    let Err(error) = refused else { unreachable!("there is no such directory") };
    assert_eq!(format!("{error:?}"), error.to_string());
    let parts = [
        "Error {".to_owned(),
        format!("    message: {:?},", error.to_string()),
        "    kind: Option,".to_owned(),
        "    step: WorkingDirectory,".to_owned(),
        format!("    errno: {},", libc::ENOENT),
        "    exit_status: 1,".to_owned(),
        "}".to_owned(),
    ];
    assert_eq!(format!("{error:#?}"), parts.join("\n"));
    let source = |error: &Error| {
        let source = std::error::Error::source(error)?.downcast_ref::<std::io::Error>()?;
        Some((source.kind(), source.raw_os_error()))
    };
    let expected = Some((std::io::ErrorKind::NotFound, Some(libc::ENOENT)));
    assert_eq!((source(&error), source(&error.clone())), (expected, expected));
    // No system call has failed.
    let path = std::env::temp_dir().join(format!("interface-{}.conf", std::process::id()));
    assert!(std::fs::write(&path, "[daemon]\n").is_ok());
    let refused = Daemon::new().pid_file(&path).check();
    assert!(std::fs::remove_file(&path).is_ok());
    let Err(error) = refused else { unreachable!("it is no pid file") };
    assert_eq!((source(&error), error.errno()), (None, Some(libc::EINVAL)));
}
