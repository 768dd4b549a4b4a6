"""All processes of a daemon are found and stopped with it, also those that detach themselves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import textwrap
import time

import pytest
from daemons import COMMAND, LIMIT, NOBODY, NOGROUP, House, descendants, house, is_gone, is_root, kill, proc, stat, wait_gone, wait_until

__all__ = ["house"]

# A child, a child in a session of its own, and one that has detached itself altogether; each is a process of its own kind.
FAMILY = """
    def child(detaches):
        if os.fork():
            return
        if detaches:
            os.setsid()
            if detaches > 1 and os.fork():
                os._exit(0)
        report("child", os.getpid())
        if detaches > 2:
            os.closerange(3, 1000)
        forever()
    for detaches in range(4):
        child(detaches)
    forever()
"""


@pytest.fixture(params=["own", pytest.param("nobody", marks=is_root)])
def by(request: pytest.FixtureRequest, house: House) -> dict[str, bool]:
    """Which user starts and stops it."""
    if request.param == "nobody":
        os.chown(house.folder, NOBODY, NOGROUP)
    return {"nobody": request.param == "nobody"}


def family(house: House, count: int = 4) -> set[int]:
    return {int(house.hear().split()[1]) for _ in range(count)}


def test_all_are_stopped(house: House, by: dict[str, bool]) -> None:
    pid = house.started(house.script(FAMILY), **by)
    children = family(house)
    monitor = int(stat(pid)[1])
    preview = house.stop("--dry-run", "--json", **by).is_(0).json
    assert set(preview["others"]) == children
    said = house.stop("--json", **by).is_(0).json
    assert said["pid"] == pid and set(said["others"]) == children
    assert all(is_gone(child) for child in children | {pid, monitor}) and not house.pid_path.exists()


def test_those_who_ignore_the_end(house: House, by: dict[str, bool]) -> None:
    script = house.script("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + textwrap.dedent(FAMILY))
    house.started(script, **by)
    children = family(house)
    before = time.monotonic()
    house.stop("--retry", "TERM/0.2/KILL/5", **by).is_(0, "killed")
    assert time.monotonic() - before < 6
    assert all(is_gone(child) for child in children)


def test_when_the_daemon_is_dead(house: House, by: dict[str, bool]) -> None:
    pid = house.started(house.script(FAMILY), **by)
    children = family(house)
    kill(pid)
    house.stop(**by).is_(0, "test: did not run; stopped what it left")
    assert all(is_gone(child) for child in children) and not house.pid_path.exists()


def test_when_the_monitor_is_dead(house: House, by: dict[str, bool]) -> None:
    """The program goes on; status says so, start refuses, stop ends it."""
    pid = house.started("sleep", "1000", **by)
    kill(int(stat(pid)[1]))
    assert not is_gone(pid)
    said = house.command("status", "-p", house.pid_path, **by).is_(0, "but its monitor was killed")
    assert "monitor    killed" in said.stdout
    house.start("sleep", "1000", **by).is_(1, "", f"its monitor was killed, PID {pid} of it is alive")
    house.stop(**by).is_(0, f"stopped, PID {pid}")
    assert is_gone(pid) and not house.pid_path.exists()


def test_who_has_the_lock_when_all_else_was_killed(house: House) -> None:
    """It has left the session and lost its parent, so nothing shows whose it is: it is named, and blocks a second set."""
    pid = house.started(house.script("""
        if os.fork() == 0:
            os.setsid()
            if os.fork(): os._exit(0)
            report(os.getpid())
            forever()
        os.wait()
        report("orphaned")
        forever()
    """))
    left = int(next(line for line in (house.hear(), house.hear()) if line != "orphaned"))
    kill(int(stat(pid)[1]))
    kill(pid)
    said = house.command("status", "-p", house.pid_path, "--json")
    assert (said.returncode, said.json["result"], [holder["pid"] for holder in said.json["holders"]]) == (2, "held", [left])
    for words in (["--dry-run"], []):
        house.stop(*words).is_(1, err=f"PID {left} still has its lock")
    assert house.pid_path.exists() and not is_gone(left)
    house.start("sleep", "1000").is_(1)
    kill(left)
    house.stop().is_(0, "does not run")
    assert not house.pid_path.exists()


def test_a_stop_from_outside_spares_nobody(house: House) -> None:
    """A deploy hook inside asks for the end as well, before and after."""
    pid = house.started(house.script("""
        def end(*_):
            report("ending")
            signal.sigwait([signal.SIGUSR1])
            os._exit(0)
        signal.signal(signal.SIGTERM, end)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        monitor = os.getppid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            report(os.getpid())
            while True:
                signal.sigwait([signal.SIGUSR1])
                os.kill(monitor, signal.SIGUSR1)
                report("asked")
        forever()
    """))
    hook = int(house.hear())
    os.kill(hook, signal.SIGUSR1)
    assert house.hear() == "asked"
    # Two requests at the same moment would be one.
    wait_until(lambda: "stopping" in house.command("status", "-p", house.pid_path).stdout)
    stop = subprocess.Popen([COMMAND, "stop", "-p", str(house.pid_path), "--json", "--retry", "TERM/60/KILL/5"], stdout=subprocess.PIPE, text=True)
    assert house.hear() == "ending"
    os.kill(hook, signal.SIGUSR1)
    assert house.hear() == "asked"
    os.kill(pid, signal.SIGUSR1)
    said = json.loads(stop.communicate(timeout=LIMIT)[0])
    assert stop.returncode == 0 and (said["pid"], said["others"], said["left"]) == (pid, [hook], [])
    assert is_gone(hook) and is_gone(pid)


def test_the_monitor_leaves_with_the_last(house: House) -> None:
    pid = house.started(*house.shell("sleep 1 & exec sleep 1000"))
    monitor = int(stat(pid)[1])
    assert os.readlink(f"/proc/{monitor}/cwd") == "/"
    kill(pid)
    wait_gone(monitor)
    assert not house.pid_path.exists(), "it removes the file"


def test_a_start_that_fails(house: House) -> None:
    house.start("--notify", "running:2", *house.shell("setsid sleep 1000 & say $!; exit 9")).is_(9)
    assert is_gone(int(house.hear()))


FORKS = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report("here", os.getpid())
    # Each has one child and ends, a hundred times and more, or until it is killed.
    for generation in range(2000):
        if os.fork():
            if generation > 1:
                os._exit(0)
            if generation == 0:
                forever()
        else:
            time.sleep(0.002)
    forever()
"""


def test_one_that_forks_meanwhile(house: House, by: dict[str, bool]) -> None:
    house.started(house.script(FORKS), **by)
    house.hear()
    house.stop("--retry", "TERM/0.1/KILL/20", **by).is_(0)
    assert not [pid for pid in descendants() if "script.py" in proc(pid, "cmdline")]


def test_chains_of_forks(house: House) -> None:
    """Each process is forked by one that exits at once. On one processor they leave the monitor a sixtieth of its time."""
    script = house.script("""
        import time
        def begin(*_):
            os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
            os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            end = time.monotonic() + 60
            for chain in range(8):
                if os.fork() == 0:
                    length = 0
                    while time.monotonic() < end:
                        if os.fork(): os._exit(0)
                        length += 1
                        if chain == 7 and length == 300: report("long")
                    os._exit(0)
        signal.signal(signal.SIGUSR1, begin)
        report("here")
        forever()
    """)
    pid = house.started(script)
    assert house.hear() == "here"
    monitor = int(stat(pid)[1])
    os.kill(pid, signal.SIGUSR1)
    try:
        assert house.hear() == "long"
        house.stop("--retry", "KILL/10").is_(0)
        assert is_gone(pid) and is_gone(monitor) and not house.pid_path.exists()
    except BaseException:
        # Chains that go on leave no time to any other test, nor to the end of this one. After a stop the number may be another group's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise


def test_other_sessions_are_left_alone(house: House) -> None:
    """A daemon without a monitor, in a session that somebody else leads, takes nobody of that along."""
    script = house.script("""
        os.setsid()
        other = subprocess.Popen(["sleep", "1000"])
        program = ["sh", "-c", f"echo runs >/proc/self/fd/{REPORT}; exec sleep 1000"]
        subprocess.Popen([COMMAND, "run", "-p", PID_FILE, "--keep-fd", str(REPORT), *program], pass_fds=[REPORT])
        report(other.pid)
        forever()
    """.replace("REPORT", str(house.mouth)))
    leader = subprocess.Popen([script], pass_fds=[house.mouth])
    heard = [house.hear(), house.hear()]
    other = int(next(line for line in heard if line != "runs"))
    house.stop().is_(0)
    assert not is_gone(other) and leader.poll() is None
    kill(other)
    leader.kill()
    leader.wait()


@pytest.mark.parametrize("retry", [[], ["--retry", "KILL"]])
def test_restart_from_inside(house: House, retry: list[str]) -> None:
    """A deploy hook of the daemon: all of the daemon ends but the command, which starts the next one."""
    script = house.script(f"""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        other = subprocess.Popen(["sleep", "1000"])
        report(other.pid)
        signal.sigwait([signal.SIGUSR1])
        restart = [COMMAND, "restart", *{retry!r}, "-p", PID_FILE, "--keep-fd", "{house.mouth}", *sys.argv]
        subprocess.run(["sh", "-c", '"$@" >"$0" 2>&1; exit 1', FOLDER + "/said", *restart], pass_fds=[{house.mouth}])
    """)
    os.mkfifo(said := house.folder / "said")
    first, other = house.started(script), int(house.hear())
    os.kill(first, signal.SIGUSR1)
    assert said.read_text() == f"script.py: restarted, PID {house.pid()}\n"
    assert is_gone(first) and is_gone(other) and int(house.hear()) != other
    second = house.pid()
    house.stop().is_(0, f"PID {second} and 1 descendant")


def test_signals_reach_nobody_else(house: House, by: dict[str, bool]) -> None:
    """This process, the test, is not in the tree."""
    called = []
    before = signal.signal(signal.SIGTERM, lambda *_: called.append(1))
    house.started(house.script(FAMILY), **by)
    family(house)
    house.stop(**by).is_(0)
    signal.signal(signal.SIGTERM, before)
    assert not called


def test_the_former_option_tree_is_accepted(house: House) -> None:
    house.started("--tree", "--", "sleep", "1000")
    house.stop("--tree").is_(0)
