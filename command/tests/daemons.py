"""What the tests of starting and stopping have: the command, a folder, what a daemon says of itself, and nothing left behind.

A fixture is had by importing it: `from daemons import house`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from typing import Any, Callable, Iterator

import inherited  # noqa: F401: it has done its work by being imported
import pytest

COMMAND = os.environ.get("DAEMONCTX", "daemonctx")
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
LIMIT = 20  # seconds that anything may take
NOBODY, NOGROUP = 65534, 65534
PR_SET_CHILD_SUBREAPER = 36

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOGROUP}", "--clear-groups", "--"]


class Said(subprocess.CompletedProcess):  # type: ignore[type-arg]
    """What a command has said, and with which status."""

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def is_(self, status: int, out: str | None = None, err: str | None = None) -> "Said":
        assert self.returncode == status, (self.returncode, self.stdout, self.stderr)
        assert out is None or out in self.stdout, (self.stdout, self.stderr)
        assert err is None or err in self.stderr, (self.stdout, self.stderr)
        # Who succeeds has nothing to complain of; who fails says it in one line.
        assert self.stderr.count("\n") == (0 if self.returncode == 0 else 1), self.stderr
        return self


class House:
    """A folder, a daemon in it, and a line on which programs under test report."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.pid_path = folder / "test.pid"
        self.ear, self.mouth = os.pipe()
        os.set_inheritable(self.mouth, True)

    # What is done.

    def command(self, *words: object, nobody: bool = False, wrap: list[str] | None = None, **kwargs: Any) -> Said:
        """Runs the command until it has left."""
        argv = [*(wrap or []), *(AS_NOBODY if nobody else []), COMMAND, *map(str, words)]
        # Files, not pipes: a daemon that keeps one would keep communicate() waiting.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            kwargs.setdefault("stdin", subprocess.DEVNULL)
            kwargs.setdefault("pass_fds", [self.mouth])
            kwargs.setdefault("stdout", out)
            kwargs.setdefault("stderr", err)
            status = subprocess.Popen(argv, **kwargs).wait(LIMIT)
            out.seek(0)
            err.seek(0)
            return Said(argv, status, out.read(), err.read())

    def start(self, *words: object, verb: str = "start", **kwargs: Any) -> Said:
        """Starts with the house's pid file and the line to report on."""
        return self.command(verb, "--pidfile", self.pid_path, "--keep-fd", self.mouth, *words, **kwargs)

    def started(self, *words: object, **kwargs: Any) -> int:
        """The same, and it succeeds: the daemon's PID."""
        said = self.start(*words, **kwargs).is_(0)
        assert f"PID {self.pid()}" in said.stdout
        return self.pid()

    def stop(self, *words: object, **kwargs: Any) -> Said:
        return self.command("stop", "--pidfile", self.pid_path, *words, **kwargs)

    # What is started.

    def script(self, body: str, name: str = "script") -> str:
        """A Python program; `report(...)` in it tells this process something."""
        path = self.folder / f"{name}.py"
        head = f"""
            import os, select, signal, socket, subprocess, sys, time
            COMMAND, PID_FILE, FOLDER = {COMMAND!r}, {str(self.pid_path)!r}, {str(self.folder)!r}
            def report(*words): os.write({self.mouth}, (" ".join(map(str, words)) + "\\n").encode())
            # A handler is not missed for longer than this, however close before the wait the signal came: signal.pause() would.
            def forever():
                while True: select.select([], [], [], 0.2)
        """
        # One that everybody may execute.
        path.write_text(f"#!{PYTHON}\n" + textwrap.dedent(head) + textwrap.dedent(body))
        path.chmod(0o755)
        return str(path)

    def deaf(self, *deaf_to: str, ends_by: str = "") -> str:
        """One that ignores signals but for one, which it reports before it ends. It reports first that it is there."""
        return self.script(f"""
            def end(signum, _): report("ended"); sys.exit()
            for name in {list(deaf_to)!r}: signal.signal(signal.Signals["SIG" + name], signal.SIG_IGN)
            for name in {ends_by.split()!r}: signal.signal(signal.Signals["SIG" + name], end)
            report("here")
            forever()
        """, "deaf")

    def shell(self, body: str) -> list[str]:
        """A shell's command line. `say` in it tells this process something."""
        return ["sh", "-c", f"say() {{ echo \"$@\" >/proc/self/fd/{self.mouth}; }}\n{body}"]

    # What is seen.

    def pid(self) -> int:
        return int(self.pid_path.read_text())

    def hear(self) -> str:
        """The next line that a program reports."""
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.ear], [], [], LIMIT)[0], f"nothing reported after {line!r}"
            line += os.read(self.ear, 1)
        return line.decode().rstrip("\n")

    def is_silent(self) -> bool:
        return not select.select([self.ear], [], [], 0)[0]


# Processes.


def proc(pid: int | str, name: str) -> str:
    # The kernel cuts names, also in the middle of a character.
    return pathlib.Path(f"/proc/{pid}/{name}").read_text(errors="replace")


def status(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    lines = (line.partition(":") for line in proc(pid, "status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on."""
    return proc(pid, "stat").rpartition(")")[2].split()


def environment(pid: int) -> dict[str, str]:
    pairs = proc(pid, "environ").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def open_files(pid: int) -> dict[int, str]:
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile, as the one that this very list is read by
            found[int(entry.name)] = os.readlink(entry)
    return found


def descriptors(pid: int) -> dict[int, str]:
    """Those of a program that has begun: libraries and locales are open for a moment before that."""
    until = time.monotonic() + LIMIT
    while True:
        found = open_files(pid)
        if not any(path.startswith(("/usr/lib", "/lib", "/etc/ld.so")) for path in found.values()) or time.monotonic() > until:
            return found


def is_gone(pid: int) -> bool:
    try:
        return stat(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(holds: Callable[[], bool]) -> None:
    """For what no descriptor tells."""
    limit = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < limit, "too late"
        time.sleep(0.01)


def wait_gone(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with contextlib.closing(os.fdopen(fd)):
        assert select.select([fd], [], [], LIMIT)[0], f"{pid} does not end"


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Ends a process and waits until it is gone."""
    os.kill(pid, signum)
    wait_gone(pid)


def descendants() -> set[int]:
    """Everybody alive below this process."""
    found: set[int] = set()
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if stat(int(entry))[0] not in "ZX":
                    parents[int(entry)] = int(stat(int(entry))[1])
    while True:
        more = {pid for pid, parent in parents.items() if parent in found | {os.getpid()}} - found
        if not more:
            return found
        found |= more


def name_of(pid: int) -> str:
    try:
        return proc(pid, "cmdline").replace("\0", " ") or proc(pid, "comm")
    except OSError:
        return "gone meanwhile"


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def forget(folder: pathlib.Path) -> None:
    """Removes what is recorded of daemons that ended by themselves, or whose monitor was killed."""
    user = os.environ.get("XDG_RUNTIME_DIR", f"/tmp/daemonctx-{os.getuid()}")
    for directory in [user, "/run", f"/tmp/daemonctx-{NOBODY}"]:
        for record in pathlib.Path(directory, "daemonctx").glob(f"-tmp-{folder.name}-*".replace("daemonctx-test-", r"daemonctx\x2dtest\x2d")):
            record.unlink()


@pytest.fixture
def house() -> Iterator[House]:
    """Orphans become this process's children, so that none is missed."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="daemonctx-test-", dir="/tmp"))
    folder.chmod(0o755)
    before = descendants()
    house = House(folder)
    yield house
    left = {pid: name_of(pid) for pid in descendants() - before}
    while descendants() - before:
        for pid in descendants() - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap()
    reap()
    os.close(house.ear)
    os.close(house.mouth)
    pid_files = [path.name for path in folder.rglob("*.pid")]
    shutil.rmtree(folder)
    forget(folder)
    assert not left, f"processes left behind: {left}"
    assert not pid_files, f"pid files left behind: {pid_files}"
    assert not [name for name in os.listdir("/run") if name == f"daemonctx-test-{os.getpid()}.pid"]
