"""`daemonctx stop` and `reload`: the daemon is gone afterwards, and nobody else is touched."""

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from daemons import AS_NOBODY, COMMAND, LIMIT, NOBODY, NOGROUP, PYTHON, House, descendants, descriptors, house, is_gone, is_root, kill, stat, wait_gone

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]


def test_gone_when_it_returns(house: House) -> None:
    script = house.script("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(time.sleep(0.3)))
        report("here")
        forever()
    """)
    pid = house.started(script)
    assert house.hear() == "here"
    house.stop().is_(0, f"stopped, PID {pid}")
    assert is_gone(pid) and not house.pid_path.exists()
    assert house.stop().is_(0).stdout == "test: does not run\n"


def test_twenty_at_once(house: House) -> None:
    pid = house.started(*SLEEP)
    words = [COMMAND, "stop", "-p", str(house.pid_path)]
    stops = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(20)]
    assert [stop.wait(LIMIT) for stop in stops] == [0] * 20
    assert is_gone(pid) and not house.pid_path.exists()


def test_during_a_start_that_has_only_the_lock(house: House) -> None:
    """The state file comes while `stop` waits for the process that has the lock: this one, which does not end."""
    other = house.folder / "other.pid"
    house.command("start", "-p", other, *SLEEP).is_(0)
    pid = int(other.read_text())
    lock = os.open(house.pid_path, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)
    stop = subprocess.Popen([COMMAND, "stop", "-p", str(house.pid_path)], stdout=subprocess.PIPE, text=True)
    while not any("pidfd" in path for path in descriptors(stop.pid).values()):
        assert stop.poll() is None
        time.sleep(0.01)
    state = next(path for folder in state_folders() for path in folder.glob("*other.pid.state") if f"program={pid} " in path.read_text())
    shutil.copy(state, state.with_name(state.name.replace("other.pid", house.pid_path.name)))
    assert stop.communicate(timeout=LIMIT)[0].endswith(f"stopped, PID {pid}\n") and stop.returncode == 0
    assert is_gone(pid)
    os.close(lock)
    house.pid_path.unlink()


def state_folders() -> list[pathlib.Path]:
    own = os.environ.get("XDG_RUNTIME_DIR", f"/tmp/daemonctx-{os.geteuid()}")
    return [pathlib.Path(folder, "daemonctx") for folder in ("/run", own)]


def test_schedules(house: House) -> None:
    for schedule, by in [
        ("TERM/0.2/KILL/5", "KILL"),
        ("0.2", "KILL"),
        ("HUP/0.1/-SIGTERM/0.1/9", "KILL"),
        ("TERM/0.1/INT/5", "INT"),
        ("KILL", "KILL"),
        ("INT/forever", "INT"),
    ]:
        pid = house.started(house.deaf("TERM", "HUP", ends_by="INT"))
        assert house.hear() == "here"
        said = house.stop("--retry", schedule, "--json").is_(0).json
        assert (said["pid"], said["signal"], said["result"]) == (pid, by, "stopped")
        assert is_gone(pid) and (by != "INT" or house.hear() == "ended")


def test_still_there(house: House) -> None:
    pid = house.started(house.deaf("TERM"))
    assert house.hear() == "here"
    house.stop("-R", "TERM/0.2", "name").is_(1, "", f"name: stop failed: PID {pid}: still there after TERM")
    assert not is_gone(pid) and house.pid_path.exists()
    assert house.stop("-R", "TERM/0.1/KILL/5").is_(0).stdout == f"test: killed, PID {pid}\n"


def test_one_that_is_stopped(house: House) -> None:
    """SIGSTOP, or a terminal: SIGTERM alone would wait for ever."""
    pid = house.started(house.deaf(ends_by="TERM"))
    assert house.hear() == "here"
    os.kill(pid, signal.SIGSTOP)
    house.stop("--retry", "TERM/10").is_(0)
    assert house.hear() == "ended"


@is_root
def test_not_permitted(house: House) -> None:
    pid = house.started(*SLEEP)
    house.stop(nobody=True).is_(4, "", "(1 EPERM)")
    house.stop(nobody=True).is_(4, "", "(1 EPERM)")
    house.command("reload", "-p", house.pid_path, nobody=True).is_(4, "", "(1 EPERM)")
    house.pid_path.chmod(0o600)
    house.stop(nobody=True).is_(4, "", "(13 EACCES)")
    house.pid_path.chmod(0o644)
    assert not is_gone(pid)
    house.stop().is_(0)


@is_root
def test_somebody_elses_file(house: House) -> None:
    """nobody writes a file that names root's process, and has root signal it: no."""
    innocent = subprocess.Popen(["sleep", "1000"])
    house.pid_path.write_text(f"{innocent.pid}\n")
    os.chown(house.pid_path, NOBODY, NOGROUP)
    house.stop().is_(4, "", f"cannot tell whether PID {innocent.pid} is the daemon: {house.pid_path}: the pid file belongs to another user")
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()
    house.pid_path.unlink()


def test_after_the_name(house: House) -> None:
    """The options of a command that starts nothing may stand behind the name."""
    house.started(*SLEEP)
    house.command("stop", "somename", "--pidfile", house.pid_path, "--dry-run").is_(0, "somename: would send TERM, KILL")
    house.command("stop", "somename", "--pidfile", house.pid_path).is_(0, "somename: stopped")


LEAVES = "sleep 1000 & say $!; wait"


def test_a_child_that_holds_the_lock(house: House) -> None:
    """What a killed daemon has left may be the very thing that listens on its port: no daemon is started beside it."""
    pid = house.started(*house.shell(LEAVES))
    child = int(house.hear())
    kill(pid)
    left = f"its program has ended, PID {child} of it is left; `daemonctx stop --pidfile {house.pid_path}` ends it"
    for words in (SLEEP, ["--json", *SLEEP], ["--name", "test", *SLEEP], house.shell(LEAVES)):
        house.start(*words).is_(1, err=left)
    assert not is_gone(child)
    house.stop().is_(0, "did not run; stopped what it left")
    assert is_gone(child) and not house.pid_path.exists()
    house.started(*SLEEP)
    house.stop().is_(0)


@is_root
def test_a_lock_of_a_reader_of_the_file(house: House) -> None:
    """Every user who can read a file can lock it: that makes no daemon run, and is in no start's way."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    house.pid_path.write_text(f"{gone.pid}\n")
    stranger = subprocess.Popen([*AS_NOBODY, "sh", "-c", 'exec 3<"$0"; flock 3; echo; exec sleep 1000', house.pid_path], stdout=subprocess.PIPE)
    assert stranger.stdout and stranger.stdout.readline() == b"\n"
    house.stop().is_(0, "does not run")
    house.pid_path.write_text(f"{gone.pid}\n")
    house.started(*SLEEP)
    house.stop().is_(0)
    stranger.kill()
    stranger.communicate()


def test_a_reader_is_no_holder(house: House) -> None:
    """Somebody who looks at the pid file (tail -f) does not belong to the daemon."""
    pid = house.started(*house.shell(LEAVES))
    child = int(house.hear())
    with open(house.pid_path) as file:
        reader = subprocess.Popen(["sleep", "1000"], stdin=file)
    kill(child)
    wait_gone(pid)
    house.stop().is_(0)
    assert reader.poll() is None
    reader.kill()
    reader.wait()


@pytest.mark.parametrize("mode", ["tree", "process"])
def test_descendants_end_with_the_daemon_or_stay(house: House, mode: str) -> None:
    house.started("--kill-mode", mode, *house.shell("setsid sleep 1000 & say $!; wait"))
    child = int(house.hear())
    house.stop().is_(0, "stopped")
    assert is_gone(child) == (mode == "tree")
    if mode == "process":
        kill(child)


def test_descendants_that_are_spared_are_reported_as_left(house: House) -> None:
    """By stop and by its preview, while the program runs and when it has ended."""
    words = ["--kill-mode", "process", *house.shell("setsid sleep 1000 & say $!; read line <fifo; exit 3")]
    os.mkfifo(house.folder / "fifo")
    started = lambda: (house.started("--chdir", house.folder, *words), int(house.hear()))  # noqa: E731

    pid, child = started()
    line = f"test: would send TERM, KILL to PID {pid} and leave PID {child}, as --kill-mode process asks\n"
    house.stop("--dry-run").is_(0, line)
    said = house.stop("--dry-run", "--json").is_(0).json
    assert (said["others"], said["left"]) == ([], [child])
    house.stop().is_(0, f"test: stopped, PID {pid}; left 1 descendant, as --kill-mode process asks\n")
    assert not is_gone(child)
    kill(child)

    pid, child = started()
    said = house.stop("--json").is_(0).json
    assert (said["pid"], said["others"], said["left"]) == (pid, [], [child])
    kill(child)

    pid, child = started()
    (house.folder / "fifo").write_text("end\n")
    wait_gone(pid)
    assert house.command("status", "--pidfile", house.pid_path, "--quiet").returncode == 2
    house.stop("--dry-run").is_(0, f"test: does not run, would leave PID {child}, as --kill-mode process asks\n")
    house.stop().is_(0, "test: did not run; left 1 descendant, as --kill-mode process asks\n")
    assert not is_gone(child)
    kill(child)


def test_a_child_that_ends_with_its_program_was_not_left(house: House) -> None:
    body = "sleep 1000 & child=$!; trap 'kill $child; wait; exit' TERM; say $child; wait"
    house.started("--kill-mode", "process", *house.shell(body))
    child = int(house.hear())
    said = house.stop("--json").is_(0).json
    assert (said["others"], said["left"]) == ([child], [])


@is_root
@pytest.mark.parametrize("has_monitor", [True, False], ids=["monitor", "killed"])
def test_dry_run_is_refused_where_stop_is(house: House, has_monitor: bool) -> None:
    """The program is the caller's, and root started it."""
    name = house.folder.name
    pid = house.started("--name", name, "--user", NOBODY, *SLEEP)
    if not has_monitor:
        kill(int(stat(pid)[1]))
    for words in [["--dry-run"], []]:
        house.command("stop", *words, name, nobody=True).is_(4)
    assert not is_gone(pid)
    house.command("stop", "--dry-run", name).is_(0, "would send")
    house.command("stop", name).is_(0, "stopped")


def test_children_that_end_a_moment_later(house: House) -> None:
    """A worker that takes its time to see that its master was killed does not spoil the next start."""
    pid = house.started(*house.shell("sleep 2 & say $!; wait"))
    child = int(house.hear())
    house.command("restart", "-p", house.pid_path, "--retry", "KILL", *SLEEP).is_(0, "restarted")
    assert house.pid() != pid and is_gone(child)
    house.stop().is_(0)


def test_dry_run(house: House) -> None:
    house.stop("--dry-run").is_(0, "test: does not run, nothing to stop")
    pid = house.started(*house.shell(LEAVES))
    child = int(house.hear())
    house.stop("--dry-run").is_(0, f"test: would send TERM, KILL to PID {pid}, then end PID {child}\n")
    said = house.stop("--dry-run", "--json", "--retry", "INT/1/TERM/1").is_(0).json
    assert said == {
        "result": "would_stop", "dry_run": True, "name": "test", "pid": pid, "signals": ["INT", "TERM"], "others": [child],
        "left": [],
    }  # fmt: skip
    assert not is_gone(pid) and not is_gone(child)
    house.stop().is_(0)


def test_a_reused_pid_in_a_namespace(house: House) -> None:
    """The PID itself, given to somebody else: in a PID namespace where the next one can be chosen."""
    if os.geteuid() or subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode:
        pytest.skip("no PID namespaces")
    script = house.script("""
        subprocess.run([COMMAND, "start", "-q", "-p", PID_FILE, "sleep", "1000"], check=True)
        pid = int(open(PID_FILE).read())
        os.kill(pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{pid}"):
            os.waitpid(-1, 0)
        time.sleep(0.1)  # A process's age is known to 20 ms.
        open("/proc/sys/kernel/ns_last_pid", "w").write(str(pid - 1))
        innocent = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
        report(innocent == pid)
        for words in (["reload"], ["stop", "--dry-run"], ["stop"]):
            report(subprocess.run([COMMAND, *words, "-p", PID_FILE], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL).returncode)
        report(os.waitpid(innocent, os.WNOHANG))
        os.kill(innocent, signal.SIGKILL)
    """)
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        pytest.skip("the kernel does not let the next PID be chosen")
    words = ["unshare", "--pid", "--fork", "--mount-proc", PYTHON, script]
    ended = subprocess.run(words, pass_fds=[house.mouth], timeout=LIMIT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert [house.hear() for _ in range(5)] == ["True", "7", "0", "0", "(0, 0)"]


def test_reload(house: House) -> None:
    script = house.script("""
        signal.signal(signal.SIGHUP, lambda *_: report("hup"))
        signal.signal(signal.SIGUSR1, lambda *_: report("usr1"))
        report("here")
        forever()
    """)
    house.command("reload", "-p", house.pid_path, "x").is_(7, "", "x: does not run")
    pid = house.started(script)
    assert house.hear() == "here"
    house.command("reload", "-p", house.pid_path).is_(0, f"test: sent HUP to PID {pid}")
    assert house.hear() == "hup"
    said = house.command("reload", "-p", house.pid_path, "--signal", "usr1", "--json").is_(0).json
    assert said == {"result": "signalled", "dry_run": False, "name": "test", "pid": pid, "signal": "USR1"}
    assert house.hear() == "usr1"
    house.command("reload", "-p", house.pid_path, "--dry-run").is_(0, f"would send HUP to PID {pid}")
    house.command("reload", "-p", house.pid_path, "-q").is_(0)
    assert house.hear() == "hup" and house.is_silent()
    house.stop().is_(0)


def test_pid_files_of_others(house: House) -> None:
    """Written by a program that does not lock it."""
    other = subprocess.Popen(["sleep", "1000"])
    house.pid_path.write_text(f"{other.pid}")
    house.stop("--dry-run").is_(0, f"to PID {other.pid}")
    house.stop().is_(0, f"stopped, PID {other.pid}")
    assert other.wait(LIMIT) == -signal.SIGTERM and not house.pid_path.exists()


def test_what_is_no_pid_file(house: House) -> None:
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)):
        make(house.pid_path)
        assert house.stop().returncode == 1
        assert house.start(*SLEEP).returncode == 1
        os.rmdir(house.pid_path) if house.pid_path.is_dir() else house.pid_path.unlink()
    house.stop().is_(0)


def test_time(house: House) -> None:
    """No fixed sleeps: a daemon that ends at once is gone at once."""
    house.started(*SLEEP)
    before = time.monotonic()
    house.stop().is_(0)
    assert time.monotonic() - before < 1


def test_a_daemon_of_a_daemon(house: House) -> None:
    """A daemon that another has started is a descendant of that one, and stopping it leaves the other alone."""
    inner = house.folder / "inner.pid"
    script = house.script(f"""
        subprocess.run([COMMAND, "start", "-q", "-p", {str(inner)!r}, "sleep", "1000"], check=True)
        report("started")
        forever()
    """)
    outer = house.started("--notify", "exec", script)
    assert house.hear() == "started"
    pid = int(inner.read_text())
    house.command("stop", "-p", inner).is_(0, f"stopped, PID {pid}\n")
    assert is_gone(pid) and not is_gone(outer)
    assert len(descriptors(outer)) >= 4
    house.stop().is_(0)


@pytest.mark.parametrize("words, line", [([], "test: stopped while it was starting"), (["--json"], '"result":"stopped"')])
def test_during_a_start(house: House, words: list[str], line: str) -> None:
    """The start is under way until the program writes a newline."""
    options = ["--pidfile", house.pid_path, "--keep-fd", house.mouth, "--notify", "fd:77", "-n", "x"]
    argv = [COMMAND, "start", *map(str, options), *house.shell("say here; exec sleep 1000")]
    with subprocess.Popen(argv, pass_fds=[house.mouth], stderr=subprocess.PIPE, text=True) as start:
        assert house.hear() == "here"
        house.stop(*words).is_(0, line)
        _, err = start.communicate(timeout=LIMIT)
    assert start.returncode == 1 and "x: start failed" in err
    house.stop().is_(0, "does not run")


@is_root
def test_a_hidden_monitor_is_not_passed_over(house: House) -> None:
    """Its user may signal the program, and the monitor of root's would start that again."""
    pid = house.started("--respawn", "--respawn-delay", "0", "--user", "nobody", "--", "sleep", "1000")
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh"]
    os.chmod(house.folder, 0o755)
    house.stop(nobody=True, wrap=hide).is_(4, "", "not permitted")
    assert house.pid() == pid and not is_gone(pid)
    house.stop().is_(0)


# What ptrace(2) does to an end. PTRACE_SEIZE; PTRACE_O_TRACEEXIT holds a process that is being killed until its tracer lets it go.
TRACE = """
    import ctypes
    def trace(pid, holds): return ctypes.CDLL(None).ptrace(0x4206, pid, None, 0x40 if holds else 0) == 0
"""


@pytest.mark.parametrize("door", ["command", "PidFile"])
def test_a_descendant_that_holds_the_program_is_killed(house: House, door: str) -> None:
    pid = house.started(house.script(TRACE + """
    program = os.getpid()
    if os.fork() == 0:
        report(os.getpid(), trace(program, True))
    forever()
    """))
    tracer, has_seized = house.hear().split()
    if has_seized != "True":
        pytest.skip("a child may not trace its parent here (Yama)")
    if door == "command":
        house.stop("--retry", "TERM/0.2/KILL/15").is_(0, f"killed, PID {pid}")
    else:
        daemonctx = pytest.importorskip("daemonctx")
        daemonctx.PidFile(str(house.pid_path)).stop(0.2)
    assert is_gone(pid) and is_gone(int(tracer)) and not house.pid_path.exists()


def test_a_descendant_that_holds_the_program_is_killed_within_a_second(house: House) -> None:
    pid = house.started(house.script(TRACE + """
    program = os.getpid()
    if os.fork() == 0:
        report(os.getpid(), trace(program, True))
        forever()
    forever()
    """))
    tracer, has_seized = house.hear().split()
    if has_seized != "True":
        pytest.skip("a child may not trace its parent here (Yama)")
    monitor = int(stat(pid)[1])
    # Whether all is over by then depends on the machine.
    house.stop("--retry", "KILL/1")
    for gone in (int(tracer), pid, monitor):
        wait_gone(gone)
    assert not house.pid_path.exists()


def test_an_end_that_a_tracer_hides_is_no_readiness(house: House) -> None:
    """waitid(2) does not show a process that has ended to its parent while another one traces it."""
    said = house.start(house.script(TRACE + """
    program, (heard, told) = os.getpid(), os.pipe()
    if os.fork() == 0:
        report(trace(program, False))
        os.write(told, b"x")
        forever()
    os.read(heard, 1)
    os._exit(3)
    """))
    if house.hear() != "True":
        pytest.skip("a child may not trace its parent here (Yama)")
    said.is_(1, err="ended before it was ready")
    assert not descendants() and not house.pid_path.exists()


@is_root
def test_a_failed_start_that_cannot_be_undone_says_so(house: House) -> None:
    """The monitor stays with the process, and removes what is left when it has ended after all."""
    words = [COMMAND, "start", "-p", str(house.pid_path), "--keep-fd", str(house.mouth), "--notify", "fd:9", "-t", "300ms"]
    starter = subprocess.Popen([*words, *house.shell("say $$; exec sleep 1000")], pass_fds=[house.mouth], stderr=subprocess.PIPE, text=True)
    pid = int(house.hear())
    tracer = subprocess.Popen([house.script(TRACE + f"""
    report(trace({pid}, True))
    forever()
    """)], pass_fds=[house.mouth])
    assert house.hear() == "True"
    assert "a process of it cannot be killed, and is left" in starter.communicate(timeout=LIMIT)[1] and starter.returncode == 124
    monitor = int(stat(pid)[1])
    assert house.pid() == pid and "is stopping" in house.command("status", "-p", house.pid_path).stdout
    kill(tracer.pid)
    tracer.wait()
    wait_gone(monitor)
    assert is_gone(pid) and not house.pid_path.exists()
