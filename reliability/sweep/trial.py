"""One start with one fault, and what came of it."""

from __future__ import annotations

import dataclasses
import errno as errnos_of_python
import fcntl
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import subprocess

import errnos
import house
import trace
from subjects import BUILD, Subject

KILL = "KILL"
LIMIT = 1.0  # seconds that a starter may take whose start fails
GRACE = 0.1  # seconds in which the kernel takes away what has been killed
PID_FILE, LOG = "daemon.pid", "daemon.log"

LATE = "the starter takes longer than a second"

# What a start came to.
STARTED = "started"  # the starter said 0, and the daemon is there
TOLD = "told"  # the starter said something else, and why
GONE = "gone"  # the starter was killed, and the daemon did not stay
STAYS = "stays"  # the starter was killed, and the daemon is ready


@dataclasses.dataclass(frozen=True)
class Fault:
    call: trace.Call
    what: str  # the name of an errno, or KILL

    def options(self) -> list[str]:
        where = ["-r", self.call.role, "-n", str(self.call.number), "-k", str(self.call.nth)]
        return where + (["-K"] if self.what == KILL else ["-e", str(errnos.number(self.what))])


@dataclasses.dataclass
class Result:
    subject: str
    role: str
    call: str
    nth: int
    fault: str
    hit: bool = False
    reported: bool = False  # the daemon has said that it is ready
    outcome: str = ""
    status: int | None = None
    milliseconds: float = 0.0
    line: str = ""
    output: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)
    rule: str = ""

    @property
    def where(self) -> str:
        """What the contract's entries are matched with."""
        return f"{self.role} {self.call}={self.fault}" + (" after the report" if self.reported else "")


class Trial:
    def __init__(self, subject: Subject, home: house.House, number: int) -> None:
        self.subject, self.home = subject, home
        self.folder = home.folder / str(number)
        self.folder.mkdir()
        self._give_folder()

    def _give_folder(self) -> None:
        """The daemon, another user by then, is to remove its pid file at the end."""
        daemon = pwd.getpwnam("daemon")
        os.chown(self.folder, daemon.pw_uid, daemon.pw_gid)

    def trace(self) -> trace.Trace:
        """A good start, and its end."""
        found = self._inject([])
        status = found.ends.get("0", (None, 0))[0]
        if status != 0:
            raise SystemExit(f"sweep: {self.subject.name} does not start: {status}: {self._output()}")
        self._finish()
        return found

    def run(self, fault: Fault) -> Result:
        """Tries it; where all that is wrong is that it took long, the machine may have had other things to do."""
        result = self._run_once(fault)
        if result.problems == [LATE]:
            self.folder.mkdir()
            self._give_folder()
            result = self._run_once(fault)
        return result

    def _run_once(self, fault: Fault) -> Result:
        call = fault.call
        result = Result(self.subject.name, self.subject.role(call.role), call.what, call.nth, fault.what)
        found = self._inject(fault.options())
        result.hit = found.hit
        daemon = self.subject.place("daemon") or ""
        result.reported = self.subject.role(call.role) in ("starter", "helper", "daemon") and fault.what == KILL and found.words[daemon] >= self.subject.words
        self._judge(result, found)
        self._try_again(result)
        self._finish()
        return result

    def _inject(self, options: list[str]) -> trace.Trace:
        place = self.subject.place("logger")
        # Of others' starts many hang for good.
        options = options + (["-p", place] if place else []) + ([] if self.subject.ours else ["-t", "3000"])
        calls = self.folder.with_suffix(".calls")
        self._launch([str(BUILD / "injector"), *options, str(calls), *self.subject.command(str(self.folder))], 20)
        return trace.read(calls, str(self.folder))

    def _launch(self, command: list[str], limit: float) -> int | None:
        with open(self.folder.with_suffix(".err"), "wb") as err:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=err, stderr=err, env=self.subject.surroundings(), cwd="/"
            )
            # Popen.wait with a limit looks again and again, with pauses longer than most starts.
            pidfd = os.pidfd_open(process.pid)
            ended = select.select([pidfd], [], [], limit)[0]
            os.close(pidfd)
            if not ended:
                process.kill()
            status = process.wait()
            return status if ended else None

    def _output(self) -> str:
        return self.folder.with_suffix(".err").read_text(errors="replace")

    def _finish(self) -> None:
        house.end_all()
        house.heard(self.home.log)
        house.heard(self.home.manager)
        shutil.rmtree(self.folder)
        for suffix in (".err", ".calls"):
            self.folder.with_suffix(suffix).unlink()

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _judge(self, result: Result, found: trace.Trace) -> None:
        result.status, result.milliseconds = found.ends.get("0", (None, 0.0))
        result.output = self._output()
        result.line = (result.output.strip().splitlines() or [""])[-1]
        if result.status is None:
            result.problems.append("the starter does not end")
        elif result.milliseconds > LIMIT * 1000:
            result.problems.append(LATE)
        messages = house.heard(self.home.manager)
        is_up = self._is_up(found)
        starter_killed = result.role == "starter" and result.fault == KILL and result.status == -signal.SIGKILL
        if result.status == 0 or (starter_killed and is_up):
            result.outcome = STARTED if result.status == 0 else STAYS
            self._judge_daemon(result, found, is_up)
        else:
            result.outcome = GONE if starter_killed else TOLD
            self._judge_remains(result, found, starter_killed)
            if any("READY=1" in message for message in messages):
                result.problems.append("the service manager was told that it is ready")

    def _daemon(self, found: trace.Trace) -> int:
        return found.pids.get(self.subject.place("daemon") or "", 0)

    def _is_up(self, found: trace.Trace) -> bool:
        daemon = self._daemon(found)
        return self.subject.place("daemon") in found.free and house.state(daemon) not in ("Z", "X", "")

    def _judge_daemon(self, result: Result, found: trace.Trace, is_up: bool) -> None:
        if not is_up:
            result.problems.append("the starter says 0, and there is no daemon")
            return
        daemon = self._daemon(found)
        if self._content() != str(daemon):
            result.problems.append("the pid file does not have the daemon's PID")
        elif self.subject.ours and not self._is_locked():
            result.problems.append("the pid file is not locked")
        expected = {daemon, found.pids.get(self.subject.place("logger") or "", 0)}
        if not house.wait_until(lambda: set(house.living()) <= expected, GRACE):
            result.problems.append(f"left beside the daemon: {self._roles(found, set(house.living()) - expected)}")
        os.kill(daemon, signal.SIGTERM)
        if not house.wait_until(lambda: daemon not in house.living(), LIMIT):
            result.problems.append("the daemon does not end on SIGTERM")
        elif not self._content() == "":
            result.problems.append("the daemon has left its pid file")

    def _judge_remains(self, result: Result, found: trace.Trace, starter_killed: bool) -> None:
        # Where nobody is left who could end the daemon, it finds out when it reports.
        finds_out = result.fault == KILL and result.role in ("starter", "helper")
        if not house.wait_until(lambda: not house.living(), LIMIT if finds_out else GRACE):
            result.problems.append(f"left: {self._roles(found, set(house.living()))}")
        allowed = {LOG, PID_FILE} if starter_killed else {LOG}
        for name in sorted(set(os.listdir(self.folder)) - allowed):
            result.problems.append(f"left: the file {re.sub('[0-9]+', 'N', name)}")
        if (self.folder / PID_FILE).exists() and self._is_locked():
            result.problems.append("left: a lock")

    def _roles(self, found: trace.Trace, pids: set[int]) -> str:
        names = {pid: self.subject.role(place) for place, pid in found.pids.items()}
        return ", ".join(sorted(names.get(pid, "a process") for pid in pids))

    def _content(self) -> str:
        try:
            return (self.folder / PID_FILE).read_text().strip()
        except OSError:
            return ""

    def _is_locked(self) -> bool:
        try:
            with open(self.folder / PID_FILE) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            return error.errno != errnos_of_python.ENOENT
        return False

    def _try_again(self, result: Result) -> None:
        """The next start, in what the last one has left."""
        had_problems = bool(result.problems)
        if had_problems:
            house.end_all()
        status = self._launch(self.subject.command(str(self.folder)), 5)
        up = house.wait_until(lambda: self._content().isdigit() and int(self._content()) in house.living(), LIMIT if status == 0 else 0)
        if not up:
            said = (self._output().strip().splitlines() or [""])[-1]
            result.problems.append(f"the next start fails: {status}: {said.replace(str(self.folder) + '/', '')}")
