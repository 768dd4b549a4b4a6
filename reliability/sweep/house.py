"""Where a worker of the sweep tries starts: a mount namespace with a /dev of its own, and every orphan is its child."""

from __future__ import annotations

import ctypes
import os
import pathlib
import signal
import socket
import tempfile
import time

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x00020000, 4096, 16384, 1 << 18
PR_SET_CHILD_SUBREAPER = 36
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
NOTIFY = "/dev/notify"

_libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    _must(_libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None), f"mount {target}")


class House:
    """Entered once for each worker process."""

    def __init__(self, worker: int) -> None:
        # Tracer and tracee wait for each other at every call: on one processor they need not wake another.
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[worker % len(cpus)]})
        _must(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sweep-"))
        # The daemons are other users.
        self.folder.chmod(0o711)
        _must(_libc.unshare(CLONE_NEWNS), "unshare")
        _mount("none", "/", None, MS_REC | MS_PRIVATE)
        self._furnish_dev()
        self._furnish_names()
        self.log = self._listen("/dev/log")
        self.manager = self._listen(NOTIFY)

    @staticmethod
    def _furnish_dev() -> None:
        kept = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
        _mount("none", "/dev", "tmpfs", 0)
        os.chmod("/dev", 0o755)
        for name, fd in kept.items():
            pathlib.Path("/dev", name).touch()
            _mount(f"/proc/self/fd/{fd}", f"/dev/{name}", None, MS_BIND)
            os.close(fd)

    def _furnish_names(self) -> None:
        """Users and groups come from files: other sources' modules make hundreds of calls, on each machine others."""
        names = self.folder / "nsswitch.conf"
        names.write_text("passwd: files\ngroup: files\n")
        names.chmod(0o644)
        if os.path.exists("/etc/nsswitch.conf"):
            _mount(str(names), "/etc/nsswitch.conf", None, MS_BIND)

    @staticmethod
    def _listen(path: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.setblocking(False)
        return listener


def mount_run() -> None:
    """An empty /run, in the mount namespace of a worker."""
    _mount("none", "/run", "tmpfs", 0)
    os.chmod("/run", 0o755)


def heard(listener: socket.socket) -> list[str]:
    """What has been sent since the last time."""
    messages = []
    while True:
        try:
            messages.append(listener.recv(65536).decode(errors="replace"))
        except BlockingIOError:
            return messages


def children(pid: int | str = "self") -> list[int]:
    found: list[int] = []
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        pass  # It has ended meanwhile.
    return found


def living() -> list[int]:
    """Every process below this one that runs; those that have ended are waited for."""
    found, to_look = [], children()
    while to_look:
        pid = to_look.pop()
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                continue
        except ChildProcessError:
            pass  # Not a child but a grandchild: its parent's to wait for.
        if state(pid) not in ("Z", "X", ""):
            found.append(pid)
        to_look += children(pid)
    return found


def state(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def waits_in(pid: int) -> str:
    """The kernel's function that a process sleeps in."""
    try:
        return pathlib.Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""


def name(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def wait_until(condition, limit: float) -> bool:
    deadline = time.monotonic() + limit
    pause = 0.0005
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.01)
    return True


def end_all() -> None:
    """Whatever a start has left, so that the next is not disturbed."""
    while left := living():
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.002)
