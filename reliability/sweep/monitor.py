"""The sweep over the monitor: each call of starter, guard, monitor and the program's child fails, is late, or its process is killed or
stopped there.

    python reliability/sweep/monitor.py BINARY [--every] [--only RUN]

BINARY is the core's unit tests (`cargo test -p daemonctx --lib --no-run`), which are a starter and a monitor as well. Needs no root.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import house
import trace
from disturbances import Disturbance, disturbances

HERE = pathlib.Path(__file__).parent
ROLES = {"0": "starter", "0.0": "guard", "0.0.0": "monitor", "0.0.0.0": "program", "0.0.0.1": "second program"}
# The guard makes the logger first.
LOGGED = {"0": "starter", "0.0": "guard", "0.0.0": "logger", "0.0.1": "monitor", "0.0.1.0": "program", "0.0.1.1": "second program"}
BACKGROUND = "(exec sleep 1000) & exit 0"
# What is run, when it is ready, and whether the start is to succeed.
RUNS = {
    "executed": ("executed", "exec sleep 1000", True),
    "running": ("running", "exec sleep 1000", True),
    "background": ("running", BACKGROUND, True),
    "followed": ("followed", BACKGROUND, True),
    "newline": ("newline", "echo >&3; exec sleep 1000", True),
    # Longer than any pause.
    "ends": ("running:400", "setsid sleep 1000 & exit 3", False),
    # Fails once, later than the start is confirmed, and is started again.
    "again": ("executed", "[ -e $D/second ] && exec sleep 1000; : > $D/second; sleep 0.3; exit 3", True),
    # Standard output to syslog, standard error to a file that is opened again; fails once.
    "logged": ("executed", "trap '' PIPE; echo life; echo error >&2; [ -e $D/second ] && exec sleep 1000; : > $D/second; sleep 0.3; exit 3", True),
    # A message to a socket in the file system, from this binary; with a directory of the daemon's own.
    "message": ("notify", "", True),
    "silent": ("newline", "trap '' TERM; (setsid sleep 1000 &) ; sleep 1000 & wait", False),
}
# The starter is none that anybody uses: it leaves signals alone.
KINDS = ("error", "kill", "stop", "delay")
# What a killed or failing step may take to be noticed; `silent` waits for its timeout.
GRACE = 2.0
# A logger waits for a syslogd that is away.
LOGGERS_GRACE = 8.0
# How long a starter is watched that has not ended in time.
LONGEST = 30.0
# What a program may leave.
KEPT = {"second", "log"}


class Trial:
    def __init__(self, binary: str, injector: str, run: str, folder: pathlib.Path) -> None:
        self.binary, self.injector, self.run_name, self.folder = binary, injector, run, folder
        self.ready, self.script, self.succeeds = RUNS[run]
        self.roles = LOGGED if run == "logged" else ROLES
        self.grace = LOGGERS_GRACE if run == "logged" else GRACE
        self.syslog: socket.socket | None = None

    def start(self, options: list[str]) -> tuple[trace.Trace, str]:
        self.folder.mkdir()
        calls = self.folder.with_suffix(".calls")
        surroundings = {"PATH": os.environ["PATH"], "SWEEP_FOLDER": str(self.folder), "SWEEP_READY": self.ready, "SWEEP_SCRIPT": self.script}
        # Beside it, a pause and a busy machine are short.
        surroundings["SWEEP_TIMEOUT"] = "1000" if self.run_name == "silent" else "4000"
        if self.run_name in ("again", "logged"):
            surroundings["SWEEP_RESPAWN"] = "4"
        quiet = "450" if "SWEEP_RESPAWN" in surroundings else "60"
        if self.run_name == "logged":
            self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.syslog.bind(str(self.folder.with_suffix(".syslog")))
            surroundings["SWEEP_SYSLOG"] = str(self.folder.with_suffix(".syslog"))
        err = self.folder.with_suffix(".err")
        with open(err, "wb") as output:
            subprocess.run([self.injector, "-t", "6000", "-q", quiet, *options, str(calls), self.binary], env=surroundings, stdin=subprocess.DEVNULL,
                           stdout=output, stderr=output, check=False)
        return trace.read(calls, str(self.folder)), err.read_text(errors="replace").strip()

    def finish(self) -> None:
        house.end_all()
        if self.syslog is not None:
            self.syslog.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def judge(self, found: trace.Trace, is_killed: bool, role: str, what: str, said: str) -> list[str]:
        status = found.ends.get("0", (None, 0))[0]
        if status is None:
            return [f"the starter does not end: {self._whereabouts(found)}"]
        if status == -signal.SIGKILL and self._is_committed(found) and not what.startswith("sendto") and not said:
            # It had confirmed; what it does then is to wait for the guard.
            status = 0
        if status == 0:
            return self._judge_daemon(found, is_killed, role, what)
        # Of a killed starter the monitor hears by the end of the line.
        if not house.wait_until(lambda: not house.living(), self.grace):
            return [f"{status}: left {[describe(pid) for pid in house.living()]}"]
        if not self.folder.exists():
            return [f"{status}: the folder is gone"]
        problems = [f"{status}: left the file {name}" for name in os.listdir(self.folder) if not self._may_stay(name, role, what)]
        return problems + ([f"{status}: left a lock"] if self._is_locked() else [])

    @staticmethod
    def _is_committed(found: trace.Trace) -> bool:
        """Its first message is the launch, its second the confirmation."""
        return sum(call.role == "0" and call.what.startswith("sendto") for call in found.calls) >= 2

    def judge_disturbed(self, found: trace.Trace, at: Disturbance, said: str) -> list[str]:
        call, is_killed = at.call, at.kind == "kill"
        if is_killed:
            # The injector may have ended before what it has killed.
            house.wait_until(lambda: house.state(found.pids[call.role]) in ("Z", "X", ""), GRACE)
        problems = self.judge(found, is_killed, self.roles[call.role], call.what, said)
        status = found.ends.get("0", (None, 0))[0]
        if at.kind in ("stop", "delay") and status is not None and (status == 0) != self.succeeds:
            problems.append(f"{status}, and nothing but time was lost")
        return problems

    def _whereabouts(self, found: trace.Trace) -> str:
        """What tells a hang from a machine that was busy: where each process is, and whether the starter ends when nobody traces it."""
        last = {call.role: call.what for call in found.calls}
        living = [(role, pid) for role, pid in found.pids.items() if house.state(pid) not in ("Z", "X", "")]
        places = [f"{self.roles.get(role, role)} {house.state(pid)} {house.waits_in(pid)} after {last.get(role)}" for role, pid in living]
        begun = time.monotonic()
        ends = house.wait_until(lambda: house.state(found.pids["0"]) in ("Z", "X", ""), LONGEST)
        places.append(f"{'ends' if ends else 'still there'} {time.monotonic() - begun:.1f} s later")
        return "; ".join(places)

    @staticmethod
    def _may_stay(name: str, role: str, what: str) -> bool:
        """A starter that was killed before there is a monitor, and a file that could not be removed, which names nobody who lives."""
        return name in KEPT or name in ("pid", "own") and role == "starter" or what == f"unlink({name})"

    def _judge_daemon(self, found: trace.Trace, is_killed: bool, role: str, what: str) -> list[str]:
        if self.run_name in ("again", "logged"):
            house.wait_until(lambda: self._runs_again() or self._is_over(), GRACE)
        elif not is_killed:
            # One that puts itself into the background is followed.
            house.wait_until(self._runs, GRACE)
        state = self._state()
        program = int(state.get("program", "0 0").split()[0])
        monitor = int(state.get("monitor", "0 0").split()[0])
        if house.state(monitor) in ("Z", "X", "") and is_killed and role == "monitor":
            return self._judge_orphans()
        if house.state(program) in ("Z", "X", ""):
            # What is killed after it was ready has been ready.
            return [] if is_killed and "program" in role else ["0: no program"]
        problems = []
        if (self.folder / "pid").read_text() != f"{program}\n":
            problems.append("0: wrong pid file")
        if not self._is_locked():
            problems.append("0: not locked")
        if house.state(monitor) in ("Z", "X", ""):
            return problems + ["0: no monitor"]
        if state.get("state") != "running":
            problems.append(f"0: {state}")
        if self.run_name == "logged" and role != "logger":
            problems += self._judge_log(found, is_killed)
        os.kill(monitor, signal.SIGTERM)
        if not house.wait_until(lambda: not house.living(), self.grace):
            problems.append(f"stop: left {[describe(pid) for pid in house.living()]}")
        return problems + [f"stop: left the file {name}" for name in os.listdir(self.folder) if not self._may_stay(name, "monitor", what)]

    def _judge_orphans(self) -> list[str]:
        """Of a monitor that is killed after the start the program goes on, and is written down; a child that was held at its gate ends."""
        program = int(self._state().get("program", "0").split()[0])
        loggers = {pid for pid in house.living() if house.name(pid) == "daemonctx-log"}
        if not house.wait_until(lambda: set(house.living()) <= {program} | loggers, GRACE):
            return [f"killed: left {[describe(pid) for pid in house.living()]}, not {program}"]
        return []

    def _judge_log(self, found: trace.Trace, is_killed: bool) -> list[str]:
        """Two lives, two lines, each with its PID; a life that was killed may not have written any."""
        assert self.syslog is not None
        self.syslog.settimeout(GRACE)
        program = int(self._state()["program"].split()[0])
        lines: list[str] = []
        try:
            while not lines or not lines[-1].startswith(f"<30>sweep[{program}]"):
                lines.append(self.syslog.recv(1000).decode())
        except TimeoutError:
            pass
        if is_killed or len(lines) > 1 and all(line.endswith("]: life") for line in lines) and len(set(lines)) == len(lines):
            return []
        return [f"0: logged {lines}"]

    def _runs(self) -> bool:
        state = self._state()
        program = int(state.get("program", "0").split()[0])
        return state.get("state") == "running" and house.state(program) not in ("Z", "X", "")

    def _runs_again(self) -> bool:
        return self._runs() and self._state().get("restarts") != "0"

    def _is_over(self) -> bool:
        """The monitor was killed."""
        monitor = int(self._state().get("monitor", "0").split()[0])
        return house.state(monitor) in ("Z", "X", "")

    def _state(self) -> dict[str, str]:
        try:
            text = (self.folder / "state").read_text()
        except OSError:
            return {}
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def _is_locked(self) -> bool:
        try:
            with open(self.folder / "pid", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def describe(pid: int) -> str:
    try:
        return f"{pid} " + pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return str(pid)


def own_children() -> None:
    ctypes.CDLL(None).prctl(house.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def work(binary: str, injector: str, run: str, every: bool, worker: int, workers: int) -> tuple[int, list[str]]:
    own_children()
    home = pathlib.Path(tempfile.mkdtemp(prefix="monitor-sweep-"))
    trial = Trial(binary, injector, run, home / "0")
    found, said = trial.start([])
    status = found.ends.get("0", (None, 0))[0]
    if (status == 0) != trial.succeeds:
        raise SystemExit(f"{run}: {status}: {said}")
    problems = trial.judge(found, False, "", "", said)
    trial.finish()
    done, wrong = 0, [f"{run}: {problem}" for problem in problems]
    for number, at in enumerate(disturbances(found, trial.roles, every, KINDS)):
        if number % workers != worker:
            continue
        trial = Trial(binary, injector, run, home / str(number + 1))
        found, said = trial.start(at.options())
        for problem in trial.judge_disturbed(found, at, said) if found.hit else []:
            wrong.append(f"{run}: {trial.roles[at.call.role]} {at.call.what}#{at.call.nth}={at.what}: {problem} | {said}")
        done += 1
        trial.finish()
    shutil.rmtree(home)
    return done, wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--every", action="store_true", help="every errno, and both pauses, at every call")
    parser.add_argument("--only", choices=sorted(RUNS))
    parser.add_argument("--workers", type=int, default=2 * len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        injector = os.path.join(folder, "injector")
        subprocess.run(["cc", "-O1", "-o", injector, str(HERE / "injector.c")], check=True)
        done, wrong = 0, []
        with concurrent.futures.ProcessPoolExecutor(arguments.workers) as pool:
            runs = [arguments.only] if arguments.only else list(RUNS)
            jobs = [
                pool.submit(work, arguments.binary, injector, run, arguments.every, worker, arguments.workers)
                for run in runs for worker in range(arguments.workers)
            ]
            for job in jobs:
                count, problems = job.result()
                done += count
                wrong += problems
                print("\n".join(problems), end="\n" if problems else "", flush=True)
    print(f"{done} runs, {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
