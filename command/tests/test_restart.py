"""`daemonctx restart` and `try-restart`: nothing is stopped when it is known that nothing could be started."""

from __future__ import annotations

import os
import subprocess

import pytest
from daemons import COMMAND, LIMIT, NOBODY, NOGROUP, House, descendants, house, is_gone, is_root, kill, proc, status

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]
VERBS = pytest.mark.parametrize("verb", ["restart", "try-restart"])


@VERBS
def test_another_process_afterwards(house: House, verb: str) -> None:
    first = house.started(*SLEEP)
    said = house.start("--umask", "027", *SLEEP, verb=verb).is_(0, "sleep: restarted, PID ")
    assert house.pid() != first and is_gone(first)
    assert status(house.pid())["Umask"] == "0027" and str(house.pid()) in said.stdout
    said = house.start("--json", *SLEEP, verb=verb).is_(0).json
    assert (said["result"], said["pid"]) == ("restarted", house.pid())
    house.stop().is_(0)


def test_one_that_does_not_run(house: House) -> None:
    house.start("-n", "x", *SLEEP, verb="try-restart").is_(0, "x: does not run, so it is not started")
    said = house.start("-n", "x", "--json", *SLEEP, verb="try-restart").is_(0).json
    assert said == {"result": "not_running", "name": "x"} and not house.pid_path.exists()
    house.start(*SLEEP, verb="restart").is_(0, "sleep: started, PID ")
    kill(house.pid())
    house.start(*SLEEP, verb="try-restart").is_(0, "does not run")
    house.start(*SLEEP, verb="restart").is_(0, "sleep: started, PID ")
    house.stop().is_(0)


WRONG = [
    (["/nonexistent/program"], 5),
    (["/etc/passwd"], 4),
    (["--user", "nonesuch", *SLEEP], 6),
    (["--group", "nonesuch", *SLEEP], 6),
    (["--chdir", "/nonexistent", *SLEEP], 6),
    (["--keep-fd", "98", *SLEEP], 6),
    (["--umask", "8", *SLEEP], 2),
    (["--stdout", "/nonexistent/log", *SLEEP], 6),
    (["--retry", "NONE", *SLEEP], 2),
    (["--notify", "whistle", *SLEEP], 2),
]


@VERBS
@pytest.mark.parametrize("words, code", WRONG)
def test_nothing_is_stopped(house: House, verb: str, words: list[str], code: int) -> None:
    pid = house.started(*SLEEP)
    house.start(*words, verb=verb).is_(code)
    assert not is_gone(pid) and house.pid() == pid
    house.stop().is_(0)


@is_root
def test_nothing_is_stopped_by_who_may_not(house: House) -> None:
    os.chown(house.folder, NOBODY, NOGROUP)
    pid = house.started(*SLEEP, nobody=True)
    house.start("--nice", "-1", *SLEEP, nobody=True, verb="restart").is_(4, "", "nice failed: -1")
    assert not is_gone(pid)
    house.stop(nobody=True).is_(0)
    pid = house.started(*SLEEP)
    house.start(*SLEEP, nobody=True, verb="restart").is_(4)
    assert not is_gone(pid)
    house.stop().is_(0)


def test_one_that_does_not_end(house: House) -> None:
    pid = house.started(house.deaf("TERM"))
    assert house.hear() == "here"
    house.start("--retry", "TERM/0.2", *SLEEP, verb="restart").is_(1, "", f"PID {pid}: still there after TERM")
    assert house.pid() == pid and not is_gone(pid)
    house.start("--retry", "TERM/0.1/KILL/5", *SLEEP, verb="restart").is_(0, "restarted")
    house.stop().is_(0)


def test_one_that_fails_then(house: House) -> None:
    """What can only be seen by trying is said, and nothing runs."""
    house.started(*SLEEP)
    house.start("--notify", "running:1", "sh", "-c", "exit 9", verb="restart").is_(9)
    house.stop().is_(0, "does not run")


@VERBS
def test_dry_run(house: House, verb: str) -> None:
    pid = house.started(*SLEEP)
    house.start("--dry-run", *SLEEP, verb=verb).is_(0, "sleep: would stop, then start sleep 1000")
    assert house.pid() == pid
    house.stop().is_(0)


def test_twenty_at_once(house: House) -> None:
    """However they come in each other's way, one daemon is there in the end."""
    words = [COMMAND, "restart", "-p", str(house.pid_path), "sleep", "1000"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    restarts = [subprocess.Popen(words, **streams) for _ in range(20)]  # type: ignore[call-overload]
    codes = [restart.wait(LIMIT) for restart in restarts]
    assert 0 in codes
    sleeping = [pid for pid in descendants() if not is_gone(pid) and proc(pid, "comm") == "sleep\n"]
    assert sleeping == [house.pid()]
    house.stop().is_(0)
