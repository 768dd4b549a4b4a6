"""`--respawn`: again when it fails, not when it has done its work, and never after a stop."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time

import pytest
from daemons import COMMAND, House, house, is_gone, kill, stat, wait_gone, wait_until

__all__ = ["house"]
RESPAWN = ["--respawn", "--respawn-delay"]


def monitor_of(pid: int) -> int:
    return int(stat(pid)[1])


def next_pid(house: House) -> int:
    """The program's own word for who it is, by which time the file says the same."""
    word, pid = house.hear().split()
    assert word == "here" and house.pid() == int(pid)
    return int(pid)


def test_again_when_it_fails(house: House) -> None:
    first = house.started(*RESPAWN, "0", *house.shell("say here $$; exec sleep 1000"))
    assert next_pid(house) == first
    monitor = monitor_of(first)
    kill(first)
    second = next_pid(house)
    assert second != first and monitor_of(second) == monitor
    # It counts as running once it is ready.
    wait_until(lambda: house.command("status", "-p", house.pid_path).returncode == 0)
    house.start(*house.shell("say here $$; exec sleep 1000")).is_(0, f"runs already, PID {second}")
    house.stop().is_(0, f"stopped, PID {second}")
    assert is_gone(second) and is_gone(monitor) and house.is_silent() and not house.pid_path.exists()


def test_not_when_it_is_done(house: House) -> None:
    pid = house.started(*RESPAWN, "0", "--notify", "exec", *house.shell("read line </proc/self/fd/0; say here $$; sleep 0.2; exit 0"))
    monitor = monitor_of(pid)
    assert next_pid(house) == pid
    wait_gone(monitor)
    assert house.is_silent() and not house.pid_path.exists()


def test_delay(house: House) -> None:
    house.started(*RESPAWN, "0.5", *house.shell("say here $$; exec sleep 1000"))
    first = next_pid(house)
    before = time.monotonic()
    kill(first)
    next_pid(house)
    assert 0.5 <= time.monotonic() - before < 5
    house.stop().is_(0)


def test_limit(house: House) -> None:
    pid = house.started(*RESPAWN, "0", "--respawn-limit", "3", "--notify", "exec", *house.shell("sleep 0.5; say here $$; exit 7"))
    monitor = monitor_of(pid)
    pids = {int(house.hear().split()[1]) for _ in range(4)}
    assert len(pids) == 4
    wait_gone(monitor)
    assert house.is_silent() and not house.pid_path.exists()


def test_no_limit(house: House) -> None:
    house.started(*RESPAWN, "0", "--respawn-limit", "0", "--notify", "exec", *house.shell("sleep 0.2; say here $$; exit 7"))
    assert len({house.hear() for _ in range(8)}) == 8
    house.stop().is_(0)


@pytest.mark.parametrize("schedule", ["KILL/5", "TERM/5/KILL/5", "INT/5"])
def test_not_after_a_stop(house: House, schedule: str) -> None:
    """Also when what ends it looks like a failure."""
    for _ in range(3):
        pid = house.started(*RESPAWN, "0", *house.shell("say here $$; exec sleep 1000"))
        monitor = monitor_of(pid)
        assert next_pid(house) == pid
        house.stop("--retry", schedule).is_(0)
        assert is_gone(pid) and is_gone(monitor) and house.is_silent() and not house.pid_path.exists()


@pytest.mark.parametrize("words", [[], ["--retry", "KILL/5"]])
def test_stopped_during_the_delay(house: House, words: list[str]) -> None:
    pid = house.started(*RESPAWN, "60", *house.shell("say here $$; exec sleep 1000"))
    monitor = monitor_of(pid)
    next_pid(house)
    kill(pid)
    house.start(*house.shell("say here $$; exec sleep 1000")).is_(1, "", f"it has failed and is about to be started again, by PID {monitor}")
    before = time.monotonic()
    house.stop(*words).is_(0, "test: stopped before it was started again")
    assert time.monotonic() - before < 5
    assert is_gone(monitor) and house.is_silent() and not house.pid_path.exists()


def test_a_stop_claims_no_program_that_was_dead(house: House) -> None:
    """The state file can be late: its monitor is stopped here, or has no space to write."""
    pid = house.started(*RESPAWN, "60", *house.shell("say here $$; exec sleep 1000"))
    monitor = monitor_of(pid)
    next_pid(house)
    os.kill(monitor, signal.SIGSTOP)
    kill(pid)
    said = house.stop().is_(0, "test: stopped; its program had ended")
    assert str(pid) not in said.stdout and is_gone(monitor) and not house.pid_path.exists()


def test_stopped_while_it_fails(house: House) -> None:
    """A program that fails all the time is stopped at whatever moment."""
    for step in range(10):
        # The first life is long enough to look at, whatever else the machine does.
        body = f"[ -e {house.folder}/{step} ] || {{ : >{house.folder}/{step}; sleep 1; }}; sleep 0.02; say here $$; exit 1"
        pid = house.started(*RESPAWN, "0", "--respawn-limit", "0", *house.shell(body))
        monitor = monitor_of(pid)
        while house.hear() == f"here {pid}":
            pass
        time.sleep(step / 500)
        house.stop("--retry", "TERM/5/KILL/5").is_(0)
        assert is_gone(monitor) and not house.pid_path.exists()
        while not house.is_silent():
            house.hear()


def test_what_it_leaves_behind(house: House) -> None:
    """Processes of a life before are ended before the next one begins."""
    pid = house.started(*RESPAWN, "0", *house.shell("setsid sleep 1000 & say here $$; exec sleep 1000"))
    next_pid(house)
    kill(pid)
    second = next_pid(house)
    said = house.stop("--json").is_(0).json
    assert said["pid"] == second and len(said["others"]) == 1


def test_fails_before_it_is_ready(house: House) -> None:
    """A start that fails is not tried again: whoever typed it is there to see why."""
    house.start(*RESPAWN, "0", "--notify", "running:1", *house.shell("say once; exit 5")).is_(5)
    assert house.hear() == "once" and house.is_silent()


def test_the_pid_file_always_has_a_pid(house: House) -> None:
    """Between two lives it names the one before."""
    house.start("--notify", "exec", *RESPAWN, "0", "--respawn-limit", "50", "sh", "-c", "sleep 0.02; exit 3").is_(0)
    seen = set()
    while house.pid_path.exists():
        try:
            seen.add(house.pid_path.read_text())
        except FileNotFoundError:
            break
    assert len(seen) > 1 and all(text.strip().isdigit() for text in seen)
    house.stop()


def test_with_a_tree(house: House) -> None:
    pid = house.started(*RESPAWN, "0", *house.shell("setsid sleep 1000 & say here $$; exec sleep 1000"))
    next_pid(house)
    kill(pid)
    next_pid(house)
    assert len(house.stop("--json").is_(0).json["others"]) == 1


def test_readiness(house: House) -> None:
    """Waited for in each life."""
    body = house.shell("echo >&3; say here $$; exec sleep 1000")
    pid = house.started(*RESPAWN, "0", "--notify", "fd:3", *body)
    assert next_pid(house) == pid
    kill(pid)
    next_pid(house)
    house.stop().is_(0)


def state_file(house: House) -> pathlib.Path:
    """Of the house's daemon, which its pid file names."""
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/daemonctx-{os.geteuid()}"
    folder = pathlib.Path("/run" if os.geteuid() == 0 else own) / "daemonctx"
    return next(path for path in folder.glob("*.state") if f"pidfile={house.pid_path}\n" in path.read_text())


@pytest.mark.parametrize("words", [[], ["--retry", "KILL/5"]])
def test_stopped_without_its_state_file(house: House, words: list[str]) -> None:
    """A cleaner of /tmp, or a logout, may have removed it."""
    pid = house.started(*RESPAWN, "0", *house.shell("say here $$; exec sleep 1000"))
    monitor = monitor_of(pid)
    assert next_pid(house) == pid
    state_file(house).unlink()
    house.stop(*words).is_(0, f"PID {pid}")
    assert is_gone(pid) and is_gone(monitor) and house.is_silent() and not house.pid_path.exists()


def test_a_start_again_is_not_running_before_it_is_ready(house: House) -> None:
    program = house.shell("say here $$; [ -e $D/again ] || echo >&3; exec sleep 1000")
    words = [*RESPAWN, "0", "--notify", "fd:3", "--ready-timeout", "20", "--", *program]
    first = house.started(*words, env={**os.environ, "D": str(house.folder)})
    assert next_pid(house) == first
    (house.folder / "again").touch()
    kill(first)
    next_pid(house)
    said = house.command("status", "-p", house.pid_path, "--json")
    assert (said.returncode, said.json["result"]) == (4, "starting")
    house.start("-t", "0.2", *words[:-len(program) - 3], "--", *program, env={**os.environ, "D": str(house.folder)}).is_(124, "", "a restart")
    house.stop().is_(0)


@pytest.mark.parametrize("how", ["too late", "interrupted"])
def test_a_stop_that_came_to_nothing_changes_nothing(house: House, how: str) -> None:
    deaf = house.shell("trap '' TERM; say here $$; exec sleep 1000")
    first = house.started(*RESPAWN, "0", "--", *deaf)
    assert next_pid(house) == first
    if how == "too late":
        house.stop("--retry", "TERM/100ms").is_(1, "", f"PID {first}: still there after TERM")
    else:
        stop = subprocess.Popen([COMMAND, "stop", "-p", house.pid_path, "--retry", "TERM/20"])
        wait_until(lambda: "state=stopping\n" in state_file(house).read_text())
        stop.send_signal(signal.SIGINT)
        stop.wait()
    wait_until(lambda: "state=running\n" in state_file(house).read_text())
    house.start("--", *deaf).is_(0, f"runs already, PID {first}")
    kill(first)
    assert next_pid(house) != first
    house.stop("--retry", "KILL/5").is_(0)
