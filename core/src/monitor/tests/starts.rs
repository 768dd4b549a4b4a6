//! From the launch message to its outcome.

use super::*;

#[test]
fn a_program_that_still_runs_is_ready() -> io::Result<()> {
    let time = Duration::from_millis(100);
    let mut sandbox = Sandbox::new(Ready::Running(time), "exec sleep 1000")?;
    let begun = Instant::now();
    let (program, monitor) = sandbox.started();
    assert!(begun.elapsed() >= time);
    assert_eq!(sandbox.pid("pid"), program);
    assert!(sandbox.has_state("state", "running") && sandbox.has_state("restarts", "0"));
    let start = proc::stat(program).map(|stat| stat.start);
    assert!(sandbox.has_state("program", &format!("{program} {}", start.unwrap_or_default())));
    assert_eq!(fs::read_to_string(format!("/proc/{monitor}/cmdline"))?, "daemonctx: test\0");
    assert_eq!(fs::read_to_string(format!("/proc/{monitor}/comm"))?, "daemonctx: test\n");
    let fields = fs::read_to_string(format!("/proc/{monitor}/stat"))?;
    let session = fields.rsplit(')').next().and_then(|fields| fields.split(' ').nth(4)).map(str::to_owned);
    assert_eq!(session, Some(monitor.to_string()), "leads a session");
    assert!(!sandbox.is_unlocked(), "the lock is held");
    stop(&sandbox, monitor, &[program]);
    Ok(())
}

#[test]
fn a_program_that_ends_too_early_is_a_failure() -> io::Result<()> {
    for (script, ended) in
        [("exit 3", Ended::Exited(3)), ("exit 0", Ended::Exited(0)), ("kill -9 $$", Ended::Killed(9))]
    {
        let sandbox = Sandbox::new(Ready::Running(LONG), &format!("echo $$ > $D/own; {script}"))?;
        assert_eq!(sandbox.failed(), Reason::Ended(sandbox.pid("own"), ended), "{script}");
        assert_eq!(sandbox.left(), [false; 2]);
    }
    Ok(())
}

#[test]
fn executed_is_ready_whatever_comes_then() -> io::Result<()> {
    for script in ["exit 3", "kill -9 $$"] {
        for _ in 0..20 {
            let sandbox = Sandbox::new(Ready::Executed, script)?;
            let launched = sandbox.begin();
            assert!(matches!(launched.wait(), Told::Ready(_)));
        }
    }
    Ok(())
}

#[test]
fn a_failed_step_is_told() -> io::Result<()> {
    type Spoil = fn(&mut Sandbox);
    let missing: Spoil = |sandbox| sandbox.launch.path = text("/nonexistent");
    let nowhere: Spoil = |sandbox| sandbox.launch.working = text("/nonexistent");
    let no_state: Spoil = |sandbox| sandbox.launch.state_file = text("/nonexistent/state");
    let cases = [(missing, Step::Execute), (nowhere, Step::ChangeDirectory), (no_state, Step::StateDirectory)];
    for (spoil, step) in cases {
        let mut sandbox = Sandbox::new(Ready::Executed, "exec sleep 1000")?;
        spoil(&mut sandbox);
        assert_eq!(sandbox.failed(), Reason::Step(Failure::new(step, Errno::ENOENT)));
        assert_eq!(sandbox.left(), [false; 2]);
    }
    Ok(())
}

/// Goes into the background as daemon(3) does, with a helper that has another session.
const BACKGROUND: &str = "(echo $$ > $D/first; setsid sh -c 'echo $$ > $D/orphan; exec sleep 1000' &
    exec sh -c 'echo $$ > $D/daemon; exec sleep 1000') & while ! [ -s $D/orphan -a -s $D/daemon ]; do sleep 0.01; done; exit 0";

#[test]
fn a_program_that_goes_into_the_background_is_followed() -> io::Result<()> {
    for ready in [Ready::Followed, Ready::Running(Duration::from_millis(50))] {
        let sandbox = Sandbox::new(ready, BACKGROUND)?;
        let (program, monitor) = sandbox.started();
        until("followed", || sandbox.pid("pid") == sandbox.pid("daemon"));
        until("in the state file", || {
            sandbox.state().get("program").is_some_and(|it| it.starts_with(&sandbox.read("daemon")))
        });
        let (orphan, daemon) = (sandbox.pid("orphan"), sandbox.pid("daemon"));
        assert!(!is_gone(orphan) && !is_gone(daemon));
        stop(&sandbox, monitor, &[program, orphan, daemon]);
    }
    Ok(())
}

#[test]
fn a_pid_file_of_its_own_names_the_daemon() -> io::Result<()> {
    let script = "sleep 1000 & (sleep 0.2; sh -c 'echo $$ > $D/own; exec sleep 1000') & exit 0";
    let mut sandbox = Sandbox::new(Ready::Sign, script)?;
    fs::write(sandbox.folder.join("own"), format!("{}\n", std::process::id()))?;
    sandbox.launch.sign = Sign::PidFile(text(sandbox.folder.join("own").to_string_lossy().as_bytes()));
    let (program, monitor) = sandbox.started();
    assert_eq!((program, sandbox.pid("pid")), (sandbox.pid("own"), sandbox.pid("own")));
    stop(&sandbox, monitor, &[program]);
    Ok(())
}

#[test]
fn a_newline_is_a_sign() -> io::Result<()> {
    for number in [3, 4, 9, 100] {
        let script = format!("echo >&{number}; exec sleep 1000");
        let script = if number < 10 { script } else { format!("bash -c '{script}'") };
        let mut sandbox = Sandbox::new(Ready::Sign, &script)?;
        sandbox.launch.sign = Sign::Newline(number);
        let (program, monitor) = sandbox.started();
        stop(&sandbox, monitor, &[program]);
        let mut sandbox = Sandbox::new(Ready::Sign, &format!("exec {number}>&-; exec sleep 1000"))?;
        sandbox.launch.sign = Sign::Newline(number);
        if number < 10 {
            assert_eq!(sandbox.failed(), Reason::SignLost);
        }
    }
    Ok(())
}

/// Its descriptors are closed before it is dead.
#[test]
fn the_status_of_a_program_that_ends_without_its_sign_is_told() -> io::Result<()> {
    for _ in 0..100 {
        let mut sandbox = Sandbox::new(Ready::Sign, "echo $$ > $D/own; exit 3")?;
        sandbox.launch.sign = Sign::Newline(3);
        assert_eq!(sandbox.failed(), Reason::Ended(sandbox.pid("own"), Ended::Exited(3)));
    }
    Ok(())
}

#[test]
fn a_message_is_a_sign() -> io::Result<()> {
    // The sender stays: messages of processes that are gone do not count.
    let script = "[ $LISTEN_PID = $$ ] && echo $$ > $D/meant
exec python3 -c 'import os, socket; s = os.environ[\"NOTIFY_SOCKET\"]; t = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
t.sendto(b\"STATUS=x\\nREADY=1\", \"\\0\" + s[1:]); os.execlp(\"sleep\", \"sleep\", \"1000\")'";
    let mut sandbox = Sandbox::new(Ready::Sign, script)?;
    sandbox.launch.sign = Sign::Notify;
    let (program, monitor) = sandbox.started();
    assert_eq!(sandbox.pid("meant"), program);
    stop(&sandbox, monitor, &[program]);
    Ok(())
}

#[test]
fn a_listener_is_a_sign() -> io::Result<()> {
    let listen = |family: &str, address: &str| {
        format!(
            "python3 -c 'import os, socket, time; s = socket.socket(socket.{family}); s.bind({address}); time.sleep(0.1); s.listen()
open(os.environ[\"D\"] + \"/port\", \"w\").write(str(time.time()) + \"\\n\"); time.sleep(1000)' & wait"
        )
    };
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port();
    drop(taken);
    let address = Some(std::net::Ipv4Addr::LOCALHOST.into());
    let internet = (listen("AF_INET", &format!("(\"127.0.0.1\", {port})")), Sign::Listen(Place::Port(address, port)));
    for by_path in [false, true] {
        let (script, sign) = internet.clone();
        let mut sandbox = Sandbox::new(Ready::Sign, &script)?;
        sandbox.launch.sign = sign;
        if by_path {
            let script = listen("AF_UNIX", "os.environ[\"D\"] + \"/socket\"");
            sandbox.launch.arguments = list(&["sh", "-c", &script]);
            let path = sandbox.folder.join("socket");
            sandbox.launch.sign = Sign::Listen(Place::Path(text(path.to_string_lossy().as_bytes())));
        }
        let (program, monitor) = sandbox.started();
        if by_path {
            drop(std::os::unix::net::UnixStream::connect(sandbox.folder.join("socket"))?);
        } else {
            drop(std::net::TcpStream::connect(("127.0.0.1", port))?);
        }
        stop(&sandbox, monitor, &[program]);
    }
    Ok(())
}

#[test]
fn a_file_is_a_sign() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Sign, "sleep 0.1; : > $D/ready; exec sleep 1000")?;
    sandbox.launch.sign = Sign::File(text(sandbox.folder.join("ready").to_string_lossy().as_bytes()));
    let (program, monitor) = sandbox.started();
    assert!(sandbox.folder.join("ready").exists());
    stop(&sandbox, monitor, &[program]);
    Ok(())
}

#[test]
fn a_file_of_the_past_is_no_sign_whatever_its_date() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Sign, "sleep 0.3; : > $D/ready; exec sleep 1000")?;
    let path = sandbox.folder.join("ready");
    let future = SystemTime::now() + Duration::from_secs(3600);
    fs::File::create(&path)?.set_modified(future)?;
    // A file that is as old as the kernel's tick is taken for a new one.
    std::thread::sleep(Duration::from_millis(100));
    sandbox.launch.sign = Sign::File(text(path.to_string_lossy().as_bytes()));
    let (program, monitor) = sandbox.started();
    assert!(fs::metadata(&path)?.modified()? < future);
    stop(&sandbox, monitor, &[program]);
    Ok(())
}

#[test]
fn a_symbolic_link_is_the_file_that_it_leads_to() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Sign, "ln -s old $D/ready; sleep 0.3; : > $D/old; exec sleep 1000")?;
    let old = sandbox.folder.join("old");
    let before = SystemTime::now() - Duration::from_secs(3600);
    fs::File::create(&old)?.set_modified(before)?;
    sandbox.launch.sign = Sign::File(text(sandbox.folder.join("ready").to_string_lossy().as_bytes()));
    let (program, monitor) = sandbox.started();
    assert!(fs::metadata(&old)?.modified()? > before);
    stop(&sandbox, monitor, &[program]);
    Ok(())
}

#[test]
fn a_start_that_takes_too_long_leaves_nothing() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Sign, &format!("trap '' TERM; {BACKGROUND}"))?;
    sandbox.launch.sign = Sign::Newline(3);
    sandbox.launch.settings.start_timeout = Some(Duration::from_millis(500));
    sandbox.launch.settings.stop_timeout = Duration::from_millis(100);
    assert_eq!(sandbox.failed(), Reason::TimedOut);
    assert!(is_gone(sandbox.pid("orphan")) && is_gone(sandbox.pid("daemon")));
    assert_eq!(sandbox.left(), [false; 2]);
    Ok(())
}

#[test]
fn a_start_that_is_cancelled_leaves_nothing() -> io::Result<()> {
    for is_told in [false, true] {
        let ready = if is_told { Ready::Followed } else { Ready::Running(LONG) };
        let sandbox = Sandbox::new(ready, BACKGROUND)?;
        let launched = sandbox.begin();
        let (orphan, daemon) = (sandbox.pid("orphan"), sandbox.pid("daemon"));
        if is_told {
            assert!(matches!(launched.wait(), Told::Ready(_)));
        }
        launched.cancel();
        assert_eq!(launched.wait(), Told::Failed { reason: Reason::Cancelled, is_stuck: false });
        assert!(is_gone(orphan) && is_gone(daemon));
        assert_eq!(sandbox.left(), [false; 2]);
    }
    Ok(())
}

#[test]
fn a_monitor_that_is_killed_during_a_start_leaves_nothing() -> io::Result<()> {
    let sandbox = Sandbox::new(Ready::Running(LONG), BACKGROUND)?;
    let launched = sandbox.begin();
    let (orphan, daemon) = (sandbox.pid("orphan"), sandbox.pid("daemon"));
    let monitor = sandbox.state().get("monitor").and_then(|it| it.split(' ').next()?.parse().ok());
    signal(monitor.unwrap_or_default(), libc::SIGKILL);
    assert_eq!(launched.wait(), Told::Failed { reason: Reason::Lost, is_stuck: false });
    assert!(is_gone(orphan) && is_gone(daemon));
    assert_eq!(sandbox.left(), [false; 2]);
    Ok(())
}

#[test]
fn the_status_of_a_daemon_that_fails_in_the_background_is_told() -> io::Result<()> {
    for _ in 0..20 {
        let sandbox = Sandbox::new(Ready::Running(LONG), "(exit 42) & exit 0")?;
        let reason = sandbox.failed();
        assert!(matches!(reason, Reason::Ended(_, Ended::Exited(42))), "{reason:?}");
    }
    Ok(())
}

/// Both are pending when the monitor goes on: the confirmation, and the end of the program.
#[test]
fn a_confirmation_before_the_end_of_the_program_counts() -> io::Result<()> {
    let sandbox = Sandbox::new(Ready::Executed, "exec sleep 1000")?;
    let mut launched = sandbox.begin();
    let Told::Ready(program) = launched.wait() else { unreachable!() };
    let monitor = monitor_of(program);
    signal(monitor, libc::SIGSTOP);
    assert_eq!(launched.confirm(), Ok(()));
    signal(program, libc::SIGKILL);
    signal(monitor, libc::SIGCONT);
    ends(monitor);
    assert!(sandbox.has_state("state", "ended") && sandbox.has_state("end", "killed 9"));
    Ok(())
}

#[test]
fn a_program_that_ends_before_the_confirmation_fails_the_start() -> io::Result<()> {
    for limit in [None, Some(3)] {
        let mut sandbox = Sandbox::new(Ready::Executed, "exec sleep 1000")?;
        let respawn = |limit| Respawn { delay: Duration::from_millis(10), limit: Some(limit), settled: LONG };
        sandbox.launch.settings.respawn = limit.map(respawn);
        let mut launched = sandbox.begin();
        let Told::Ready(program) = launched.wait() else { unreachable!() };
        let monitor = monitor_of(program);
        signal(program, libc::SIGKILL);
        ends(monitor);
        let reason = Reason::Ended(program, Ended::Killed(libc::SIGKILL));
        assert_eq!(launched.confirm(), Err(Told::Failed { reason, is_stuck: false }));
        assert_eq!(sandbox.left(), [false; 2]);
    }
    Ok(())
}

#[test]
fn a_guard_that_is_killed_changes_nothing() -> io::Result<()> {
    let sandbox = Sandbox::new(Ready::Running(Duration::from_millis(300)), "echo $$ > $D/program; exec sleep 1000")?;
    let mut launched = sandbox.begin();
    let program = sandbox.pid("program");
    signal(launched.guard, libc::SIGKILL);
    assert_eq!(launched.wait(), Told::Ready(program));
    assert_eq!(launched.confirm(), Ok(()));
    stop(&sandbox, monitor_of(program), &[program]);
    Ok(())
}

#[test]
fn a_message_that_is_spoiled_is_refused() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Executed, "exec sleep 1000")?;
    let message = sandbox.launch.encode().map_err(error)?;
    assert!(Launch::decode(&message).is_ok());
    for length in 0..message.len() {
        assert_eq!(Launch::decode(message.get(..length).unwrap_or_default()).err(), Some(Errno::EPROTO), "{length}");
    }
    // A changed byte is refused, or changes a value that may be anything; it never panics.
    for place in 0..message.len() {
        for flip in [1, 0x80, 0xff] {
            let mut spoiled = message.clone();
            spoiled.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= flip);
            drop(Launch::decode(&spoiled));
        }
    }
    let closed: RawFd = 999_999;
    sandbox.launch.streams = [None, Some(closed), None];
    let message = sandbox.launch.encode().map_err(error)?;
    assert_eq!(Launch::decode(&message).err(), Some(Errno::EBADF));
    Ok(())
}
