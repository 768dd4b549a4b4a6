"""What every test has: a folder of its own, scripts that become daemons, and nothing left behind."""

from __future__ import annotations

import ctypes
import os
import pathlib
import select
import signal
import subprocess
import sys
import textwrap
from typing import Iterator

import pytest

PR_SET_CHILD_SUBREAPER = 36
LIMIT = 20  # seconds that anything may take


class House:
    """A folder of a test's own, the scripts in it, and the daemons that they become."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.pid_path = folder / "test.pid"
        self.report_read, self.report_write = os.pipe()

    def run(
        self, body: str, *, head: str = "", use: str = "from daemonctx import *", python: str = sys.executable, **kwargs: object
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script until its starter has left. `report(text)` in it tells this process something."""
        script = self.folder / "script.py"
        script.write_text(
            "import os, sys, signal, atexit, threading\n"
            f"FOLDER = {str(self.folder)!r}\nPID_FILE = {str(self.pid_path)!r}\nREPORT = {self.report_write}\n"
            "def report(*words): os.write(REPORT, (' '.join(map(str, words)) + '\\n').encode())\n"
            + head
            + f"{use}\n"
            + textwrap.dedent(body)
        )
        return self.start([python, str(script)], pass_fds=[self.report_write], **kwargs)

    def start(self, command: list[str], **kwargs: object) -> subprocess.CompletedProcess[str]:
        """Runs a program until it has left, with what it has written; what it has left behind as a daemon goes on."""
        # Files, not pipes: a daemon that keeps one would keep communicate() waiting.
        with open(self.folder / "out", "w+") as out, open(self.folder / "err", "w+") as err:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
            # What is buffered is part of what is tested.
            kwargs.setdefault("env", {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"})
            starter = subprocess.Popen(command, stdout=out, stderr=err, **kwargs)  # type: ignore[call-overload]
            status = starter.wait(LIMIT)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(starter.args, status, out.read(), err.read())

    def hear(self) -> str:
        """The next thing that a script reports, a line."""
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.report_read], [], [], LIMIT)[0], f"nothing reported after {line!r}"
            line += os.read(self.report_read, 1)
        return line.decode().rstrip("\n")

    def silent(self) -> bool:
        return not select.select([self.report_read], [], [], 0)[0]

    def pid(self) -> int:
        return int(self.pid_path.read_text())

    def end(self, pid: int, signum: int = signal.SIGTERM) -> int:
        """Ends a daemon and gives its wait status: this process is the subreaper, so it is a child."""
        os.kill(pid, signum)
        return self.reap(pid)

    def reap(self, pid: int) -> int:
        fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        if fd >= 0:
            assert select.select([fd], [], [], LIMIT)[0], f"{pid} does not end"
            os.close(fd)
        return os.waitpid(pid, 0)[1]


def children() -> set[int]:
    found: set[int] = set()
    for task in pathlib.Path("/proc/self/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except FileNotFoundError:
            pass  # A thread that has ended meanwhile; its children are another's now.
    return found


def has_ended(pid: int) -> bool:
    """Reaps a child that has ended, as init does with orphans: a session leader whose starter was killed, say."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


@pytest.fixture
def house(tmp_path: pathlib.Path) -> Iterator[House]:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = children()
    house = House(tmp_path)
    yield house
    left = {pid for pid in children() - before if not has_ended(pid)}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(house.report_read)
    os.close(house.report_write)
    assert not left, f"left behind: {left}"


# The script that most tests start.
OPEN = """
    context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT])
    context.open()
    report("open")
    signal.pause()
"""
