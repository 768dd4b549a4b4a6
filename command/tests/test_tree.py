"""`--tree`: all processes of a daemon are found, also those that detach themselves; by a control group, or by a keeper."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import textwrap
import time

import pytest
from daemons import CGROUPS, NOBODY, NOGROUP, House, control_groups, descendants, descriptors, house, is_gone, is_root, kill, needs_cgroup, proc, stat, wait_gone

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


@pytest.fixture(params=[pytest.param("group", marks=[is_root, needs_cgroup]), pytest.param("keeper", marks=is_root)])
def by(request: pytest.FixtureRequest, house: House) -> dict[str, bool]:
    """How the tree is kept together: who is nobody can make no control group here."""
    if request.param == "keeper":
        os.chown(house.folder, NOBODY, NOGROUP)
    return {"nobody": request.param == "keeper"}


def family(house: House, count: int = 4) -> set[int]:
    return {int(house.hear().split()[1]) for _ in range(count)}


def keeper_of(pid: int) -> int | None:
    parent = int(stat(pid)[1])
    # It may not have its name yet.
    return parent if any(path.endswith("/test.pid") for path in descriptors(parent).values()) else None


def test_all_are_ended(house: House, by: dict[str, bool]) -> None:
    """Also by a stop that does not say --tree: it was said at the start."""
    for words in ([], ["--tree"]):
        pid = house.started("--tree", house.script(FAMILY), **by)
        children = family(house)
        assert (keeper_of(pid) is not None) == by["nobody"]
        assert len(control_groups(house)) == (0 if by["nobody"] else 1)
        keeper = keeper_of(pid)
        preview = house.stop("--dry-run", "--json", *words, **by).is_(0).json
        assert set(preview["others"]) == children
        said = house.stop("--json", *words, **by).is_(0).json
        assert said["pid"] == pid and set(said["others"]) <= children and len(said["others"]) == 4
        assert all(is_gone(child) for child in children | {pid})
        assert not house.pid_path.exists() and not control_groups(house)
        assert keeper is None or is_gone(keeper)


def test_those_who_ignore_the_end(house: House, by: dict[str, bool]) -> None:
    script = house.script("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + textwrap.dedent(FAMILY))
    house.started("--tree", script, **by)
    children = family(house)
    before = time.monotonic()
    house.stop("--retry", "TERM/0.2/KILL/5", **by).is_(0, "killed")
    assert time.monotonic() - before < 6
    assert all(is_gone(child) for child in children)


def test_when_the_daemon_is_dead(house: House, by: dict[str, bool]) -> None:
    pid = house.started("--tree", house.script(FAMILY), **by)
    children = family(house)
    kill(pid)
    house.stop(**by).is_(0, "test: did not run; stopped what it left")
    assert all(is_gone(child) for child in children) and not house.pid_path.exists()


def test_the_keeper_leaves_with_the_last(house: House) -> None:
    os.chown(house.folder, NOBODY, NOGROUP)
    pid = house.started("--tree", *house.shell("sleep 0.2 & exec sleep 1000"), nobody=True)
    keeper = keeper_of(pid)
    assert keeper
    assert os.readlink(f"/proc/{keeper}/cwd") == "/"
    kill(pid)
    wait_gone(keeper)
    assert not house.pid_path.exists(), "it removes the file"


def test_a_start_that_fails(house: House, by: dict[str, bool]) -> None:
    house.start("--tree", "--notify", "running:2", "sh", "-c", "exit 9", **by).is_(9)
    house.start("--tree", "/nonexistent", **by).is_(5)
    assert not control_groups(house)


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
    house.started("--tree", house.script(FORKS), **by)
    house.hear()
    time.sleep(0.2)  # Let it be at it.
    house.stop("--retry", "TERM/0.1/KILL/20", **by).is_(0)
    assert not [pid for pid in descendants() if "script.py" in proc(pid, "cmdline")]


def test_without_preparation(house: House) -> None:
    """stop --tree of a daemon that was started without: its children and its session are found."""
    house.started(house.script(FAMILY))
    children = family(house)
    said = house.stop("--tree", "--json").is_(0).json
    # But for those that have detached themselves altogether: what --tree at the start is for.
    missed = [child for child in children if not is_gone(child)]
    assert len(missed) == 2 and set(said["others"]) == children - set(missed)
    for child in missed:
        kill(child)
    house.stop().is_(0)


def test_other_sessions_are_left_alone(house: House) -> None:
    """A daemon in a session that somebody else leads takes nobody of that along."""
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
    house.stop("--tree").is_(0)
    assert not is_gone(other) and leader.poll() is None
    kill(other)
    leader.kill()
    leader.wait()


def test_a_session_that_somebody_has_left(house: House) -> None:
    """Its leader has logged out, and other jobs are still at work in it."""
    script = house.script(
        """
        os.setsid()
        other = subprocess.Popen(["sleep", "1000"])
        program = ["sh", "-c", f"echo runs >/proc/self/fd/REPORT; exec sleep 1000"]
        argv = [COMMAND, "run", "-p", PID_FILE, "--keep-fd", "REPORT", *program]
        subprocess.Popen(argv, pass_fds=[REPORT], preexec_fn=os.setpgrp)
        report(other.pid)
        """.replace("REPORT", str(house.mouth))
    )
    subprocess.run([script], pass_fds=[house.mouth], check=True, stderr=subprocess.DEVNULL)
    heard = [house.hear(), house.hear()]
    other = int(next(line for line in heard if line != "runs"))
    house.stop("--tree").is_(0)
    assert not is_gone(other)
    kill(other)


@pytest.mark.parametrize("tree", [True, False])
def test_from_inside(house: House, by: dict[str, bool], tree: bool) -> None:
    """A daemon that has a child restart it: the command does not end itself, and there is one daemon afterwards."""
    log = house.folder / "log"
    script = house.script(f"""
        words = [COMMAND, "restart", "-p", PID_FILE, *{["--tree"] if tree else []}, "--keep-fd", "{house.mouth}"]
        report("here", os.getpid())
        if not os.path.exists(FOLDER + "/once"):
            open(FOLDER + "/once", "w").close()
            with open({str(log)!r}, "w") as log:
                subprocess.Popen([*words, sys.argv[0]], stdout=log, stderr=log, pass_fds=[{house.mouth}])
        forever()
    """)
    first = house.started("--tree", script, **by)
    assert house.hear() == f"here {first}"
    second = int(house.hear().split()[1])
    assert second != first and is_gone(first)
    deadline = time.monotonic() + 10
    while "PID" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "restarted, PID" in log.read_text(), log.read_text()
    own = next(line[3:] for line in proc("self", "cgroup").splitlines() if line.startswith("0::"))
    above = {str(pathlib.Path(group).parent) for group in control_groups(house)}
    assert above <= {str(CGROUPS / own.lstrip("/"))}, "the new group is beside the old one, and not in it"
    assert house.pid() == second
    house.stop(**by).is_(0)
    assert is_gone(second) and not control_groups(house)


def test_stop_from_inside(house: House, by: dict[str, bool]) -> None:
    log = house.folder / "log"
    script = house.script(f"""
        report("here", os.getpid())
        with open({str(log)!r}, "w") as log:
            child = subprocess.Popen([COMMAND, "stop", "-p", PID_FILE], stdout=log, stderr=log)
        report("child", child.pid)
        forever()
    """)
    pid = house.started("--tree", script, **by)
    house.hear()
    wait_gone(int(house.hear().split()[1]))
    assert is_gone(pid) and "test: stopped" in log.read_text(), log.read_text()
    assert not house.pid_path.exists() and not control_groups(house)


def test_signals_reach_nobody_else(house: House, by: dict[str, bool]) -> None:
    """This process, the test, is not in the tree."""
    called = []
    before = signal.signal(signal.SIGTERM, lambda *_: called.append(1))
    house.started("--tree", house.script(FAMILY), **by)
    family(house)
    house.stop(**by).is_(0)
    signal.signal(signal.SIGTERM, before)
    assert not called
