//! After the start: respawn, stop, and processes that are killed.

use super::*;
use std::io::Write;

#[test]
fn a_program_outlives_its_monitor() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Executed, "exec sleep 1000")?;
    let (program, monitor) = sandbox.started();
    signal(monitor, libc::SIGKILL);
    ends(monitor);
    assert!(!is_gone(program) && !sandbox.is_unlocked(), "and holds the lock");
    assert!(sandbox.has_state("state", "running") && sandbox.pid("pid") == program);
    signal(program, libc::SIGKILL);
    Ok(())
}

fn respawn(limit: u32) -> Option<Respawn> {
    Some(Respawn { delay: Duration::from_millis(10), limit: Some(limit), settled: LONG })
}

#[test]
fn a_program_that_fails_is_started_again_until_the_limit() -> io::Result<()> {
    let script =
        "echo $$ >> $D/lives; setsid sleep 1000 & echo $! >> $D/orphans; rm -f $D/pid; read line < $D/go; exit 3";
    let mut sandbox = Sandbox::new(Ready::Executed, script)?;
    sandbox.launch.settings.respawn = respawn(3);
    let go = sandbox.folder.join("go");
    assert!(std::process::Command::new("mkfifo").arg(&go).status()?.success());
    let mut go = fs::OpenOptions::new().read(true).write(true).open(go)?;
    let (_, monitor) = sandbox.started();
    // A line for each life, once the start is confirmed.
    go.write_all(b"\n\n\n\n")?;
    ends(monitor);
    let count = |name: &str| sandbox.read(name).lines().count();
    assert_eq!((count("lives"), count("orphans")), (4, 4));
    assert!(sandbox.read("orphans").lines().all(|pid| is_gone(pid.parse().unwrap_or_default())));
    assert!(sandbox.has_state("state", "gave-up") && sandbox.has_state("end", "exited 3"));
    assert!(sandbox.has_state("restarts", "3") && sandbox.has_state("limit", "3"));
    assert!(!sandbox.folder.join("pid").exists());
    Ok(())
}

#[test]
fn a_pid_file_that_was_removed_is_made_again() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Executed, "echo $$ >> $D/lives; exec sleep 1000")?;
    sandbox.launch.settings.respawn = respawn(3);
    let (program, monitor) = sandbox.started();
    assert_eq!(sandbox.pid("lives"), program);
    fs::remove_file(sandbox.folder.join("pid"))?;
    signal(program, libc::SIGKILL);
    until("started again", || sandbox.read("lives").lines().count() == 2);
    until("written again", || sandbox.read("lives").ends_with(&sandbox.read("pid")));
    let again = sandbox.pid("pid");
    assert!(!is_gone(again) && !sandbox.is_unlocked(), "and locked");
    stop(&sandbox, monitor, &[again]);
    Ok(())
}

#[test]
fn a_stop_that_was_asked_for_ends_with_its_requester() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Executed, "echo $$ >> $D/lives; exec sleep 1000")?;
    sandbox.launch.settings.respawn = respawn(3);
    let (program, monitor) = sandbox.started();
    let ask =
        |then: &str| std::process::Command::new("sh").args(["-c", &format!("kill -USR1 {monitor}; {then}")]).spawn();
    let mut requester = ask("exec sleep 1000")?;
    until("stopping", || sandbox.has_state("state", "stopping"));
    requester.kill()?;
    requester.wait()?;
    until("running again", || sandbox.has_state("state", "running"));
    signal(program, libc::SIGKILL);
    until("started again", || sandbox.read("lives").lines().count() == 2);
    // One that is gone before it is looked at.
    until("written down", || sandbox.has_state("state", "running") && sandbox.has_state("restarts", "1"));
    assert!(ask("")?.wait()?.success());
    until("running still", || sandbox.has_state("state", "running"));
    let again = sandbox.pid("pid");
    signal(again, libc::SIGKILL);
    until("started a third time", || sandbox.read("lives").lines().count() == 3);
    until("written down", || sandbox.has_state("state", "running") && sandbox.has_state("restarts", "2"));
    stop(&sandbox, monitor, &[sandbox.pid("pid")]);
    Ok(())
}

#[test]
fn files_that_were_removed_are_written_again_in_time() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Executed, "exec sleep 1000")?;
    let states = sandbox.folder.join("states");
    fs::create_dir(&states)?;
    sandbox.launch.state_file = text(states.join("state").to_string_lossy().as_bytes());
    let (program, monitor) = sandbox.started();
    let state = || fs::read_to_string(states.join("state")).unwrap_or_default();
    let since = |text: String| text.lines().find(|line| line.starts_with("since=")).map(str::to_owned);
    let first = since(state());
    fs::remove_dir_all(&states)?;
    fs::remove_file(sandbox.folder.join("pid"))?;
    until("the state", || since(state()).is_some() && since(state()) == first);
    until("the pid", || sandbox.pid("pid") == program);
    assert!(!sandbox.is_unlocked());
    stop(&sandbox, monitor, &[program]);
    assert!(!states.join("state").exists());
    Ok(())
}

/// An administrator may give the program's own pid file as the daemon's.
#[test]
fn a_program_may_replace_the_pid_file_by_its_own() -> io::Result<()> {
    let write = "echo $$ > $D/new; mv $D/new $D/pid; echo $$ >> $D/lives; echo >&3 2>/dev/null; exec sleep 1000 3>&-";
    let background = format!("setsid sh -c '{write}' & until test -e $D/lives; do sleep 0.01; done");
    for (ready, sign, script) in
        [(Ready::Sign, Sign::Newline(3), write), (Ready::Followed, Sign::None, background.as_str())]
    {
        let mut sandbox = Sandbox::new(ready, script)?;
        sandbox.launch.sign = sign;
        sandbox.launch.settings.respawn = respawn(3);
        let (program, monitor) = sandbox.started();
        assert_eq!((sandbox.pid("pid"), sandbox.pid("lives")), (program, program));
        assert!(!sandbox.state().contains_key("end"), "it runs");
        fs::rename(sandbox.folder.join("lives"), sandbox.folder.join("first"))?;
        signal(program, libc::SIGKILL);
        let again = sandbox.pid("lives");
        until("running", || sandbox.has_state("state", "running"));
        assert_eq!(sandbox.pid("pid"), again);
        assert!(program != again && !is_gone(again));
        stop(&sandbox, monitor, &[again]);
    }
    Ok(())
}

#[test]
fn a_pid_file_that_cannot_be_written_keeps_no_program_from_a_restart() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Executed, "echo $$ >> $D/lives; exec sleep 1000")?;
    sandbox.launch.settings.respawn = respawn(3);
    let (program, monitor) = sandbox.started();
    assert_eq!(sandbox.pid("lives"), program);
    fs::remove_file(sandbox.folder.join("pid"))?;
    fs::create_dir(sandbox.folder.join("pid"))?;
    signal(program, libc::SIGKILL);
    until("started again", || sandbox.read("lives").lines().count() == 2);
    until("recorded", || sandbox.has_state("restarts", "1"));
    signal(monitor, libc::SIGTERM);
    ends(monitor);
    assert!(sandbox.folder.join("pid").is_dir() && !sandbox.folder.join("state").exists());
    Ok(())
}

#[test]
fn a_new_master_is_followed_by_the_file_that_names_it() -> io::Result<()> {
    let master = "echo $$ > $D/new; mv $D/new $D/own; echo $$ >> $D/masters; exec sleep 1000";
    let script = format!(
        "echo $$ > $D/own; trap 'exit 0' TERM; (trap '' TERM; exec sleep 1000) &
        until test -e $D/go; do sleep 0.01; done; sh -c '{master}' & wait"
    );
    let mut sandbox = Sandbox::new(Ready::Sign, &script)?;
    sandbox.launch.sign = Sign::PidFile(text(sandbox.folder.join("own").to_string_lossy().as_bytes()));
    let (program, monitor) = sandbox.started();
    assert_eq!(sandbox.pid("own"), program);
    fs::write(sandbox.folder.join("go"), "")?;
    let master = sandbox.pid("masters");
    signal(program, libc::SIGTERM);
    until("followed", || sandbox.pid("pid") == master);
    signal(monitor, libc::SIGQUIT);
    ends(monitor);
    assert!(is_gone(master) && sandbox.left() == [false; 2]);
    Ok(())
}

#[test]
fn descendants_outlive_a_program_that_is_killed_until_a_stop() -> io::Result<()> {
    let script = "setsid sleep 1000 & echo $! > $D/worker; echo $$ > $D/program; exec sleep 1000";
    let sandbox = Sandbox::new(Ready::Executed, script)?;
    let (program, monitor) = sandbox.started();
    let worker = sandbox.pid("worker");
    signal(program, libc::SIGKILL);
    until("left", || sandbox.has_state("state", "left") && sandbox.has_state("end", "killed 9"));
    assert!(!is_gone(worker));
    stop(&sandbox, monitor, &[worker]);
    Ok(())
}

#[test]
fn a_stop_may_spare_descendants() -> io::Result<()> {
    let script = "setsid sleep 1000 & echo $! > $D/worker; exec sleep 1000";
    let mut sandbox = Sandbox::new(Ready::Executed, script)?;
    sandbox.launch.settings.kill_mode = KillMode::Process;
    let (program, monitor) = sandbox.started();
    let worker = sandbox.pid("worker");
    signal(monitor, libc::SIGTERM);
    ends(monitor);
    assert!(is_gone(program) && !is_gone(worker));
    signal(worker, libc::SIGKILL);
    assert_eq!(sandbox.left(), [false; 2]);
    Ok(())
}

#[test]
fn a_program_that_ignores_the_stop_signal_is_killed() -> io::Result<()> {
    let mut sandbox = Sandbox::new(Ready::Sign, "trap '' TERM; echo >&3; while :; do sleep 1; done")?;
    sandbox.launch.sign = Sign::Newline(3);
    sandbox.launch.settings.stop_timeout = Duration::from_millis(100);
    let (program, monitor) = sandbox.started();
    stop(&sandbox, monitor, &[program]);
    Ok(())
}
