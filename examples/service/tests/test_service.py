"""What README.md says of the greeter, in each language."""

from __future__ import annotations

import fcntl
import os
import pathlib
import signal
import socket
import subprocess

import pytest
from conftest import LIMIT, NOBODY, Greeter, get, until


def field(pid: int, name: str) -> list[str]:
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in status if line.startswith(f"{name}:")).split()[1:]


def test_it_answers_when_the_starter_has_left(greeter: Greeter) -> None:
    starter = greeter.start()
    assert (starter.returncode, starter.stdout) == (0, "")
    assert get() == "Hello.\n"
    assert greeter.end(greeter.pid()) == 0


def test_it_is_nobody(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    pid = greeter.pid()
    assert field(pid, "Uid") == [str(NOBODY.pw_uid)] * 4
    assert field(pid, "Gid") == [str(NOBODY.pw_gid)] * 4
    assert {int(field(pid, name)[0], 16) for name in ("CapEff", "CapPrm", "CapInh")} == {0}
    assert greeter.end(pid) == 0


def test_it_ends_and_its_pid_file_is_stale(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    pid = greeter.pid()
    assert greeter.end(pid) == 0
    # nobody cannot remove a file from root's directory, nor write it.
    assert greeter.pid_file.read_text() == f"{pid}\n"
    with greeter.pid_file.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert greeter.start().returncode == 0
    assert greeter.end(greeter.pid()) == 0


def test_a_port_that_is_taken(greeter: Greeter) -> None:
    with socket.create_server(("127.0.0.1", 80)):
        starter = greeter.start()
    assert starter.returncode == 1
    assert starter.stdout.count("\n") == 1 and "Address already in use" in starter.stdout
    assert not greeter.pid_file.exists()


@pytest.mark.parametrize("word", ["", "0", "65536", "80x", "-1", "99999999999999999999999"])
def test_no_port(greeter: Greeter, word: str) -> None:
    starter = greeter.start("-p", word)
    assert starter.returncode in (1, 2)
    assert f"{word}: not a number from 1 to 65535" in starter.stdout
    assert not greeter.pid_file.exists()


def test_without_a_greeting(greeter: Greeter) -> None:
    greeter.config.unlink()
    starter = greeter.start()
    assert starter.returncode == 1
    assert starter.stdout.count("\n") == 1 and str(greeter.config) in starter.stdout
    assert not greeter.pid_file.exists()


def test_a_second_one(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    second = greeter.start("-p", "81")
    assert second.returncode == 1
    assert f"already running as PID {greeter.pid()}" in second.stdout
    assert greeter.end(greeter.pid()) == 0


def test_a_client_that_says_nothing_keeps_nobody_waiting_for_long(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    with socket.create_connection(("127.0.0.1", 80)):
        assert get() == "Hello.\n"
    assert greeter.end(greeter.pid()) == 0


def test_the_log_is_opened_anew(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    pid = greeter.pid()
    old = greeter.log.rename(greeter.log.with_suffix(".1"))
    os.kill(pid, signal.SIGUSR1)
    until(greeter.log.exists, "a new log")
    os.kill(pid, signal.SIGHUP)
    until(lambda: "greets with: Hello." in greeter.log.read_text(), "a line in it")
    assert old.read_text() == ""
    assert greeter.log.stat().st_uid == NOBODY.pw_uid and greeter.log.stat().st_mode & 0o777 == 0o640
    assert greeter.end(pid) == 0


def test_below_a_service_manager(greeter: Greeter) -> None:
    pid = greeter.supervised()
    assert greeter.told() == "READY=1"
    assert greeter.pid() == pid  # it has not forked
    assert get() == "Hello.\n"
    greeter.config.write_text("Good evening.\n")
    os.kill(pid, signal.SIGHUP)
    assert [greeter.told(), greeter.told()] == ["RELOADING=1", "READY=1"]
    assert get() == "Good evening.\n"
    os.kill(pid, signal.SIGTERM)
    assert greeter.told() == "STOPPING=1"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_reload_that_cannot_be_keeps_the_greeting(greeter: Greeter) -> None:
    pid = greeter.supervised()
    assert greeter.told() == "READY=1"
    greeter.config.unlink()
    os.kill(pid, signal.SIGHUP)
    assert [greeter.told(), greeter.told()] == ["RELOADING=1", "READY=1"]
    assert get() == "Hello.\n"
    assert str(greeter.config) in greeter.log.read_text()
    assert greeter.end(pid) == 0


def test_the_watchdog_hears_of_it(greeter: Greeter) -> None:
    pid = greeter.supervised(WATCHDOG_USEC="100000")
    assert greeter.told() == "READY=1"
    assert [greeter.told() for _ in range(4)] == ["WATCHDOG=1"] * 4
    assert get() == "Hello.\n"
    os.kill(pid, signal.SIGSTOP)
    greeter.manager.settimeout(0.3)
    try:
        while True:  # what was sent before
            greeter.told()
    except TimeoutError:
        pass
    finally:
        os.kill(pid, signal.SIGCONT)
    greeter.manager.settimeout(LIMIT)
    assert greeter.told() == "WATCHDOG=1"
    assert greeter.end(pid) == 0


def test_the_unit(greeter: Greeter) -> None:
    """systemd takes every line of it."""
    unit = pathlib.Path(__file__).resolve().parents[1] / "greeter.service"
    program = greeter.folder / "greeter"
    program.symlink_to(greeter.command[0])
    here = greeter.folder / "greeter.service"
    here.write_text(unit.read_text().replace("/usr/local/sbin/greeter", str(program)))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, timeout=LIMIT)
    assert [line for line in said.stderr.splitlines() if "greeter" in line] == []
