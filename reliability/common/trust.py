"""What the drivers share: the doors, a folder for each run, processes with a limit, and the count of what went wrong."""

from __future__ import annotations

import ctypes
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
TOP = HERE.parent
BUILT = pathlib.Path(os.environ.get("TRUST_BUILD", TOP / "target/reliability"))
PR_SET_CHILD_SUBREAPER = 36

DOORS: dict[str, list[str]] = {
    "daemonctx.h": [str(BUILT / "door-new")],
    "libdaemon": [str(BUILT / "door-old")],
    "Python": [sys.executable, str(HERE / "doors/door.py")],
    "command": [str(BUILT / "door-command")],
}
STARTED, FAILED, ALREADY = 0, 1, 75


class Run:
    """A folder of its own, where violations are written down; nothing is left of it but what it says."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"trust-{part}-"))
        self.folder.chmod(0o755)
        # What other users do wrong has to be written down as well.
        for name in ("violations", "witness"):
            (self.folder / name).touch()
            (self.folder / name).chmod(0o666)
        self.environment = {**os.environ, "TRUST_DIR": str(self.folder)}
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def violation(self, text: str) -> None:
        with open(self.folder / "violations", "a") as file:
            file.write(f"{self.part}: {text}\n")

    def violations(self) -> list[str]:
        return (self.folder / "violations").read_text().splitlines()

    def call(self, command: list[str], limit: float = 60, bury: bool = False, **kwargs: object) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end. One that does not come to it in time is a violation, and killed.

        With `bury` the daemons that have ended meanwhile, which this process adopts, are no zombies for long: thousands of them make
        every look at /proc slow.
        """
        kwargs.setdefault("env", self.environment)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **kwargs)  # type: ignore[call-overload]
            try:
                status = wait_and_bury(process, limit) if bury else process.wait(limit)
            except subprocess.TimeoutExpired:
                self.violation(f"hangs after {limit} s: {' '.join(command)}")
                process.kill()
                status = process.wait()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, status, out.read(), err.read())

    def clear(self, keep: set[int] = frozenset()) -> int:  # type: ignore[assignment]
        """Ends all children that are not to be kept, the daemons among them: this process adopts orphans. How many were alive."""
        ended = 0
        while left := children() - keep:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
                # One that had ended already was a zombie with the status that it has ended with.
                ended += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        return ended

    def finish(self) -> int:
        """What the run comes to, as an exit status."""
        self.clear()
        wrong = self.violations()
        for line in wrong[:40]:
            print("VIOLATION", line)
        print(f"== {self.part}: {len(wrong)} violations", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return int(bool(wrong))


def wait_and_bury(process: subprocess.Popen[str], limit: float) -> int:
    until = time.monotonic() + limit
    pidfd = os.pidfd_open(process.pid)
    try:
        while time.monotonic() < until:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                select.select([pidfd], [], [], 0.1)
            elif ended.si_pid == process.pid:
                return process.wait()
            else:
                os.waitpid(ended.si_pid, 0)
        raise subprocess.TimeoutExpired(process.args, limit)
    finally:
        os.close(pidfd)


def children() -> set[int]:
    found: set[int] = set()
    for task in pathlib.Path("/proc/self/task").iterdir():
        found.update(map(int, (task / "children").read_text().split()))
    return found


def seed_of(argument: int | None) -> int:
    """The seed of a run, said first: with it the run can be had again."""
    seed = int(time.time()) if argument is None else argument
    print(f"seed {seed}", flush=True)
    return seed


def doors(words: list[str]) -> dict[str, list[str]]:
    return {name: command for name, command in DOORS.items() if not words or any(word in name for word in words)}
