"""A network of the tests' own, in which port 80 is free, and the greeter in each language."""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import os
import pathlib
import pwd
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from typing import Callable, Iterator

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BUILT = REPOSITORY / "target" / "examples"
GREETERS = {
    "c": [str(BUILT / "greeter-c")],
    "rust": [str(BUILT / "release" / "greeter")],
    "python": [sys.executable, "-B", str(REPOSITORY / "examples" / "service" / "greeter.py")],
}
NOBODY = pwd.getpwnam("nobody")
LIMIT = 10.0  # seconds that anything may take
PR_SET_CHILD_SUBREAPER, CLONE_NEWNET = 36, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def until(condition: Callable[[], object], what: str) -> None:
    """For what tells nobody when it changes: another process's files."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)


class Greeter:
    """A greeter with a folder of its own; `manager` is what a service manager hears of it."""

    def __init__(self, language: str, folder: pathlib.Path) -> None:
        self.command = GREETERS[language]
        self.folder = folder
        self.config = folder / "greeter.conf"
        self.pid_file = folder / "greeter.pid"
        self.log = folder / "log" / "greeter.log"
        self.config.write_text("Hello.\n")
        self.log.parent.mkdir()
        os.chown(self.log.parent, NOBODY.pw_uid, NOBODY.pw_gid)  # so that it can make a new log
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "manager"))
        os.chmod(folder / "manager", 0o666)
        self.manager.settimeout(LIMIT)

    def words(self, *more: str) -> list[str]:
        return [*self.command, "-c", str(self.config), "-l", str(self.log), "-i", str(self.pid_file), *more]

    def start(self, *more: str) -> subprocess.CompletedProcess[str]:
        """As a shell does, until the starter has left."""
        said = self.folder / "said"
        with open(said, "w+") as file:
            done = subprocess.run(self.words(*more), stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=LIMIT)
        return subprocess.CompletedProcess(done.args, done.returncode, said.read_text())

    def supervised(self, **environment: str) -> int:
        """As systemd does; it stays the process that was started."""
        told = {"NOTIFY_SOCKET": str(self.folder / "manager"), **environment}
        return os.posix_spawn(self.command[0], self.words(), os.environ | told)

    def told(self, *skipped: str) -> str:
        """The first line of the next message to the manager."""
        while True:
            line = self.manager.recv(4096).decode().splitlines()[0]
            if line not in skipped:
                return line

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def end(self, pid: int) -> int:
        """Its status, after SIGTERM. A daemon's too: the tests' process is the one that adopts."""
        os.kill(pid, signal.SIGTERM)
        ended = os.pidfd_open(pid)
        assert select.select([ended], [], [], LIMIT)[0], f"{pid} does not end"
        os.close(ended)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def get(port: int = 80) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/plain")
    body = answer.read().decode()
    connection.close()
    return body


def children() -> set[int]:
    tasks = pathlib.Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture(scope="session", autouse=True)
def network() -> None:
    """The loopback device is all that is in it."""
    if os.geteuid() != 0:
        pytest.skip("for root: a port below 1024, and a network of its own")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


@pytest.fixture(params=GREETERS)
def greeter(request: pytest.FixtureRequest) -> Iterator[Greeter]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="greeter-"))
    folder.chmod(0o755)
    greeter = Greeter(request.param, folder)
    yield greeter
    greeter.manager.close()
    left = children()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    shutil.rmtree(folder)
    assert not left, f"left behind: {left}"
