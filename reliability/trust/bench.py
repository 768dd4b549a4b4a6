"""What the attacks share: a place for each, the programs of root and of others, and the questions to every door."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust

INSIDE = "TRUST_INSIDE"  # "pids": in a PID namespace of its own; "mounts": only in a mount namespace
NOBODY, DAEMON = 65534, 1
CANARIES = (0, DAEMON)  # users of innocent processes
LIMIT = 30.0  # seconds that anything may take
GRACE = 2  # seconds between a door's SIGTERM and its SIGKILL
PROMPT = 5.0  # seconds that a start or a query may take, whatever others do
SYSTEM_PYTHON = "/usr/bin/python3"
# How and which lock another user takes: attacker.c.
HOWS, KINDS = ("hold", "orphan", "flight"), ("ex", "sh")
PROGRAMS = ("attacker", "service", "hang", "epoll", "canary", "door-new", "door-old", "door-command", "libforge.so")


class Skipped(Exception):
    """The system lacks what an attack takes; says what."""


class Door:
    """One interface, by its program, and the user who uses it."""

    def __init__(self, bench: "Bench", name: str, command: list[str], user: int = 0) -> None:
        self.bench, self.name, self.command, self.user = bench, name, command, user

    def __call__(self, word: str, path: pathlib.Path, *rest: object, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
        identity = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        return self.bench.run.call([*self.command, word, str(path), *map(str, rest)], limit, **identity)

    def pid(self, path: pathlib.Path) -> int:
        """Who runs; 0 for nobody, -1 for an answer that is none."""
        return int(self("status", path).stdout.split()[-1])

    def start(self, path: pathlib.Path, within: float = PROMPT) -> int:
        """Starts, which must succeed within that many seconds, and gives the daemon's PID."""
        began = time.monotonic()
        done = self("start", path)
        took = time.monotonic() - began
        if done.returncode != trust.STARTED:
            self.wrong(f"a start fails with {done.returncode}: {done.stderr.strip()}")
            return 0
        if took > within:
            self.wrong(f"a start takes {took:.1f} s")
        return int(path.read_text())

    def stop(self, path: pathlib.Path) -> None:
        done = self("stop", path)
        if done.returncode != 0:
            self.wrong(f"stop fails with {done.returncode}: {done.stderr.strip()}")

    def wrong(self, text: str) -> None:
        self.bench.wrong(f"{self.name}: {text}")


class Bench:
    def __init__(self, run: trust.Run, seed: int) -> None:
        self.run, self.dice, self.scenario, self.places = run, random.Random(seed), "", 0
        self.bin = run.folder / "bin"
        self.bin.mkdir()
        for name in PROGRAMS:
            shutil.copy(trust.BUILT / name, self.bin)
        # Others may not be able to reach the tree.
        self.commandline = str(shutil.copy(trust.TOP / "target/release/daemonctx", self.bin))
        for library in (trust.TOP / "target/lib").glob("lib*.so.*"):
            shutil.copy(library, self.bin)
        shutil.copytree(trust.TOP / "bindings/python/python/daemonctx", self.bin / "python/daemonctx")
        shutil.copy(trust.HERE / "doors/door.py", self.bin)
        run.environment.update(
            LD_LIBRARY_PATH=str(self.bin), TRUST_GRACE=str(GRACE), TRUST_COMMAND=self.commandline, TRUST_FORGE=str(self.bin / "libforge.so")
        )
        os.mkfifo(run.folder / "forged")
        (run.folder / "forged").chmod(0o666)
        self.forged = open(os.open(run.folder / "forged", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self.chooses_pids = os.environ.get(INSIDE) == "pids" and os.path.exists("/proc/sys/kernel/ns_last_pid")
        # Numbers below 300 do not come again.
        self.choose_next_pid(1000)
        self.canaries = [self.canary(user) for user in CANARIES]

    def choose_next_pid(self, pid: int) -> None:
        """Where the kernel lets it be chosen, in a namespace that is this run's own."""
        if self.chooses_pids:
            with contextlib.suppress(OSError):
                pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))

    def canary(self, user: int) -> subprocess.Popen[str]:
        """An innocent process: a signal to it is a violation."""
        return self.child("canary", user=user)

    def doors(self, words: list[str], user: int = 0) -> list[Door]:
        found = []
        for name, command in trust.doors(words).items():
            if name == "Python":
                # Others cannot reach the interpreter of a virtual environment in somebody's home.
                command = [sys.executable if user == 0 else SYSTEM_PYTHON, str(self.bin / "door.py")]
            else:
                command = [str(self.bin / pathlib.Path(command[0]).name)]
            if pathlib.Path(command[0]).exists():
                found.append(Door(self, name, command, user))
        self.run.environment["PYTHONPATH"] = str(self.bin / "python")
        return found

    def wrong(self, text: str) -> None:
        self.run.violation(f"{self.scenario}: {' '.join(text.split())}")

    def child(
        self, program: str, *words: object, user: int = 0, wrap: list[str] | None = None, inherits: tuple[int, ...] = ()
    ) -> subprocess.Popen[str]:
        """A process of root's or of another user's, once it has said that it is ready."""
        identity = {"user": user, "group": user, "extra_groups": []} if user else {}
        child = subprocess.Popen(
            [*(wrap or []), str(self.bin / program), *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
            env=self.run.environment,
            start_new_session=True,
            pass_fds=inherits,
            **identity,  # type: ignore[call-overload]
        )
        self.await_word(child)
        return child

    def await_word(self, child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        if not select.select([child.stdout], [], [], LIMIT)[0]:
            self.end(child)
            raise Skipped(f"{child.args} says nothing")
        word = child.stdout.readline().strip()
        if not word:
            raise Skipped(f"{child.args} ends with {child.wait()}")
        return word

    @contextlib.contextmanager
    def attacked(self, *words: object, user: int = NOBODY, inherits: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
        """While another user does what attacker.c says."""
        attacker = self.child("attacker", *words, user=user, inherits=inherits)
        try:
            yield attacker
        finally:
            self.end(attacker)

    def end(self, child: subprocess.Popen[str]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()

    def await_forger(self) -> int:
        """The PID of a hostile daemon that has finished its attack."""
        if not select.select([self.forged], [], [], LIMIT)[0]:
            raise Skipped("a hostile daemon says nothing")
        return int(self.forged.readline())

    @contextlib.contextmanager
    def called(self, variant: str) -> Iterator[None]:
        """What goes wrong meanwhile is said of this variant."""
        scenario, self.scenario = self.scenario, f"{self.scenario}, {variant}"
        yield
        self.scenario = scenario

    def place(self, owner: int = 0, mode: int = 0o755) -> pathlib.Path:
        """A directory of its own for an attack."""
        self.places += 1
        folder = self.run.folder / f"place-{self.places}"
        folder.mkdir()
        os.chown(folder, owner, owner)
        folder.chmod(mode)
        return folder

    def stale(self, door: Door, path: pathlib.Path) -> int:
        """What a killed daemon leaves: its PID."""
        pid = door.start(path)
        if pid:
            kill_daemon(pid)
        return pid

    def nobody_was_hit(self) -> None:
        for place, user in enumerate(CANARIES):
            if self.canaries[place].poll() is not None:
                self.wrong(f"an innocent process was ended: {self.canaries[place].returncode}")
                self.canaries[place] = self.canary(user)

    def settle(self) -> None:
        """After an attack: nothing of it is left."""
        self.nobody_was_hit()
        self.run.clear({canary.pid for canary in self.canaries})


def write(path: pathlib.Path, content: str | bytes, owner: int = 0, mode: int = 0o644) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.chown(path, owner, owner)
    path.chmod(mode)


def seen(path: pathlib.Path) -> tuple[object, ...]:
    try:
        status = path.lstat()
        return path.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_mode, status.st_uid, status.st_nlink
    except FileNotFoundError:
        return ("gone",)


def fields(pid: int) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def has_ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    with contextlib.suppress(OSError):
        return fields(pid)[0] in "ZX"
    return True


def await_end(pid: int) -> None:
    """Of this process's child, or of a monitor's."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
        return
    with contextlib.suppress(ProcessLookupError), open(os.pidfd_open(pid)) as process:
        select.select([process], [], [], LIMIT)


def kill_daemon(pid: int) -> None:
    """SIGKILL to it, and before that to its monitor, which would remove its file."""
    parent = int(fields(pid)[1])
    if parent > 1 and pathlib.Path(f"/proc/{parent}/comm").read_text(errors="replace").startswith("daemonctx: "):
        os.kill(parent, signal.SIGKILL)
        await_end(parent)
    os.kill(pid, signal.SIGKILL)
    await_end(pid)
