"""The programs of docs/python.md."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import sys
import time

import pytest
from conftest import LIMIT, House

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples"


def example(house: House, name: str, *words: object, **environment: str) -> str:
    """Starts one, and gives what it says."""
    command = [sys.executable, str(EXAMPLES / name), str(house.pid_path), *map(str, words)]
    done = house.start(command, env={**os.environ, **environment})
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def until(path: pathlib.Path) -> None:
    deadline = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.005)


@pytest.mark.parametrize("managed", [False, True])
def test_asyncio_echo(house: House, managed: bool) -> None:
    path = str(house.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(LIMIT)
        # SYSTEMD_EXEC_PID is somebody else's: it is to detach.
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "SYSTEMD_EXEC_PID": "1"} if managed else {}
        port = int(example(house, "asyncio_echo.py", 0, **environment).split()[-1])
        daemon = house.pid()
        with socket.create_connection(("127.0.0.1", port), LIMIT) as client, client.makefile("rw") as stream:
            stream.write("hello\n")
            stream.flush()
            assert stream.readline() == "hello\n"
        os.kill(daemon, signal.SIGHUP)
        if managed:
            messages = [manager.recv(200).decode() for _ in range(4)]
            assert sorted(messages[:2]) == [f"READY=1\nMAINPID={daemon}", "WATCHDOG=1"]
            assert messages[2].startswith("RELOADING=1\n") and messages[3] == f"READY=1\nSTATUS=port {port}"
        assert house.end(daemon) == 0
        if managed:
            assert manager.recv(200) == b"STOPPING=1"
    assert not house.pid_path.exists()


def test_rotated_log(house: House) -> None:
    log, old = house.folder / "log", house.folder / "log.1"
    assert example(house, "rotated_log.py", log) == ""
    daemon = house.pid()
    log.rename(old)
    os.kill(daemon, signal.SIGHUP)
    until(log)
    assert house.end(daemon) == 0
    numbers = [line.rpartition(" the ")[2].split("th")[0] for path in (old, log) for line in path.read_text().splitlines()]
    assert numbers == [str(number) for number in range(len(numbers))]


def test_threaded_worker(house: House) -> None:
    path = str(house.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(LIMIT)
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "SYSTEMD_EXEC_PID": "1"}
        assert example(house, "threaded_worker.py", house.folder, **environment) == ""
        daemon = house.pid()
        assert manager.recv(200) == f"READY=1\nMAINPID={daemon}".encode()
        assert manager.recv(200) == b"WATCHDOG=1"
        (house.folder / "one.in").touch()
        until(house.folder / "one.out")
        os.kill(daemon, signal.SIGUSR1)
        assert manager.recv(200).startswith(b"STATUS=last round 0.")
    assert house.end(daemon) == 0
    assert not house.pid_path.exists()
