"""A machine with systemd for PID 1: what tests start in it, and look at it with.

Made by keeper.py. The test stays outside: it looks in by /proc/PID-OF-INIT/root and enters for each program it runs. Nothing
is waited for by time: systemctl waits for its jobs, the journal is followed, the end of a process shows on a pidfd.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from typing import Any, Callable, Iterator

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
LIBRARY_FOLDER = pathlib.Path(os.environ.get("LIBDAEMON_DIR") or REPOSITORY / "target" / "lib").resolve()
LIBRARIES = [LIBRARY_FOLDER / name for name in ("libdaemonctx.so.0", "libdaemon.so.0")]
PYTHON_PACKAGE = REPOSITORY / "bindings" / "python" / "python" / "daemonctx"
NATIVE = "_native.abi3.so"

LIMIT = 12.0  # seconds that anything may take

# Where all that is tested lies in the machine.
INSIDE = "/usr/local/daemonctx"

# What the manager and its journal say about any service; all else it says about one is a complaint, unless the test expects it.
ORDINARY = re.compile("|".join((
    r"(Starting|Started|Stopping|Stopped|Reloading|Reloaded|Listening on|Closed) \S+.*",
    r"\S+: Deactivated successfully\.",
    r"\S+: Consumed .* CPU time.*",
    r"\S+: Changed .* -> .*",
)))

# And about one that its watchdog, of a second, has taken for dead; and that is started again then.
WATCHDOG_KILLED = (r"Watchdog timeout \(limit 1s\)!", r"Killing process \d+ \(\S+\) with signal SIGABRT\.",
                   "Main process exited, code=killed, status=6/ABRT")
STARTED_AGAIN = (r"Failed with result 'watchdog'\.", r"Scheduled restart job, restart counter is at 1\.")


class Impossible(Exception):
    """There can be no such machine here, and why."""


class Journal:
    """What is logged in the machine, as it comes."""

    def __init__(self, machine: Machine) -> None:
        self.entries: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._follower = machine.popen("journalctl", "--follow", "--no-tail", "--output=json", stdout=subprocess.PIPE)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        assert self._follower.stdout is not None
        for line in self._follower.stdout:
            entry = json.loads(line)
            with self._news:
                self.entries.append(entry)
                self._news.notify_all()

    def close(self) -> None:
        """When the machine has ended: the follower with it."""
        self._follower.wait(LIMIT)
        self._thread.join(LIMIT)
        assert self._follower.stdout is not None
        self._follower.stdout.close()

    def wait(self, fits: Callable[[dict[str, Any]], bool], what: str, start: int, times: int) -> None:
        """Until as many entries from number `start` on fit."""
        with self._news:
            found = self._news.wait_for(lambda: sum(map(fits, self.entries[start:])) >= times, LIMIT)
        assert found, f"not logged within {LIMIT} s: {what}\n" + self.tail(start)

    def tail(self, start: int = 0) -> str:
        return "\n".join(shown(entry) for entry in self.entries[start:][-60:])


def shown(entry: dict[str, Any]) -> str:
    return f"<{entry.get('PRIORITY')}> {entry.get('SYSLOG_IDENTIFIER')}[{entry.get('_PID')}]: {entry.get('MESSAGE')}"


class Process:
    """A process of the machine, by its PID there and by its PID here."""

    def __init__(self, outside: int, root: pathlib.Path) -> None:
        self.outside, self.root = outside, root
        self._pidfd = os.pidfd_open(outside)
        self.folder = pathlib.Path("/proc", str(outside))
        self.pid = int(self.status("NSpid").split()[-1])

    def __del__(self) -> None:
        os.close(self._pidfd)

    def __repr__(self) -> str:
        return f"<process {self.pid}>"

    def status(self, field: str) -> str:
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith(field + ":"):
                return line.partition(":")[2].strip()
        raise KeyError(field)

    @property
    def parent(self) -> int:
        """Its parent's PID, out here."""
        return int(self.status("PPid"))

    @property
    def leads_session(self) -> bool:
        return self.status("NSsid").split()[-1] == str(self.pid)

    def maps(self, inside: str) -> bool:
        """Whether it has a file of the machine mapped: device and inode are compared."""
        wanted = os.stat(self.root / inside.lstrip("/"))
        for entry in (self.folder / "map_files").iterdir():
            try:
                found = entry.stat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
        return False

    def kill(self, number: int) -> None:
        signal.pidfd_send_signal(self._pidfd, number)

    def ended(self, limit: float = 0.0) -> bool:
        return bool(select.select([self._pidfd], [], [], limit)[0])


class Machine:
    def __init__(self, packages: pathlib.Path, files: dict[pathlib.Path, str]) -> None:
        self.token = uuid.uuid4().hex
        pairs = [str(word) for pair in files.items() for word in pair]
        command = ["unshare", "--mount", "--propagation=private", "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                   sys.executable, "-I", "-S", str(HERE / "keeper.py"), str(packages), sys.base_prefix, self.token, *pairs]
        self._programs: list[subprocess.Popen[Any]] = []
        with tempfile.TemporaryFile("w+") as errors:
            self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            start_new_session=True)
            assert self._keeper.stdin is not None and self._keeper.stdout is not None
            # It has a limit of its own.
            line = self._keeper.stdout.readline()
            if not line:
                status = self._keeper.wait()
                errors.seek(0)
                if status == 77:
                    raise Impossible(errors.read().strip())
                raise RuntimeError(f"no machine could be made: {status}: {errors.read()}")
        self.init = int(line)
        self.version = 0
        self.namespace = os.readlink(f"/proc/{self.init}/ns/pid")
        self.root = pathlib.Path(f"/proc/{self.init}/root")
        self.journal = Journal(self)

    def close(self) -> None:
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        self._keeper.stdin.close()
        status = self._keeper.wait(LIMIT)
        self.journal.close()
        self._keeper.stdout.close()
        for program in self._programs:
            program.wait(LIMIT)
        assert status == 0, f"the keeper has left with {status}"

    def path(self, inside: str) -> pathlib.Path:
        return self.root / inside.lstrip("/")

    def popen(self, *words: str, **kwargs: Any) -> subprocess.Popen[Any]:
        """Starts a program in the machine, not as one of its services."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wdns=/",
                 "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0",
                 "SYSTEMD_URLIFY=0"]
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        popen = subprocess.Popen([*enter, *words], start_new_session=True, **kwargs)
        self._programs.append(popen)
        return popen

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            program = self.popen(*words, stdout=out, stderr=err)
            try:
                status = program.wait(LIMIT)
            except subprocess.TimeoutExpired:
                program.kill()
                raise AssertionError(f"{words} takes more than {LIMIT} s") from None
            finally:
                self._programs.remove(program)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, status, out.read(), err.read())

    def must(self, *words: str) -> str:
        result = self.run(*words)
        assert result.returncode == 0, f"{words}: status {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout

    def group(self, name: str) -> pathlib.Path:
        """The folder of a control group, in a hierarchy that this systemd has for processes."""
        hierarchies = self.path("/sys/fs/cgroup")
        for hierarchy in ("unified", "systemd", ""):
            if (hierarchies / hierarchy / "cgroup.procs").exists():
                return hierarchies / hierarchy / name.lstrip("/")
        raise AssertionError("no control groups in the machine")


class Unit:
    """A service, or another unit, and what systemd says about it."""

    def __init__(self, machine: Machine, name: str, text: str) -> None:
        self.machine, self.name = machine, name
        self.stem = name.rpartition(".")[0]
        self.mark = len(machine.journal.entries)
        self.expected: list[str] = []
        self.file = machine.path(f"/etc/systemd/system/{name}")
        self.file.write_text(text)

    # --- doing ---------------------------------------------------------------------------------------------------------

    def control(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run("systemctl", verb, *options, self.name)

    def must(self, verb: str) -> None:
        result = self.control(verb)
        assert result.returncode == 0, f"{verb} {self.name}: {result.stderr}\n{self.log()}"
        assert result.stderr == "", result.stderr

    def start(self) -> Process:
        self.must("start")
        return self.runs()

    def start_fails(self, because: str, result: str, *said: str, **more: Any) -> None:
        """systemctl says because of what, and systemd has said so much and no more about it; nothing is left."""
        self.expects(*said, f"Failed with result '{result}'\\.", rf"Failed to start {re.escape(self.name)}.*")
        job = self.control("start")
        assert job.returncode == 1, f"started: {self.log()}"
        assert job.stderr.startswith(f"Job for {self.name} failed because {because}.\n"), job.stderr
        self.is_dead(result, **more)

    def fails(self, process: Process, result: str, *said: str, **more: Any) -> None:
        """It runs, and now it ends so."""
        self.expects(*said, f"Failed with result '{result}'\\.")
        assert process.ended(LIMIT), self.log()
        self.wait(f"Failed with result '{result}'")
        self.is_dead(result, **more)

    def stop(self, process: Process) -> None:
        """It ends by SIGTERM, in order and at once."""
        self.must("stop")
        assert process.ended(LIMIT)
        self.is_dead("success")

    def satisfies_watchdog(self, process: Process) -> None:
        """It runs, and goes on, with a WatchdogSec= of 1."""
        first = int(self.get("WatchdogTimestampMonotonic"))
        time.sleep(2.2)  # more than two of its times
        assert self.runs().pid == process.pid
        assert int(self.get("WatchdogTimestampMonotonic")) > first + 1_000_000

    def is_started_again(self, process: Process, number: int) -> Process:
        """By its watchdog, after this signal; the process that it is then."""
        self.expects(*WATCHDOG_KILLED, *STARTED_AGAIN)
        process.kill(number)
        self.wait("^Started ", times=2)
        again = self.runs(restarts=1)
        assert again.pid != process.pid
        return again

    # --- looking -------------------------------------------------------------------------------------------------------

    def show(self, *names: str) -> dict[str, str]:
        text = self.machine.must("systemctl", "show", "--property=" + ",".join(names), self.name)
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def get(self, name: str) -> str:
        return self.show(name)[name]

    def is_(self, **wanted: Any) -> None:
        wanted = {name: str(value) for name, value in wanted.items()}
        found = self.show(*wanted)
        assert found == wanted, f"{self.name} is {found}, and should be {wanted}\n{self.log()}"

    def processes(self) -> list[Process]:
        """All that live in its control group, in the order of their PIDs."""
        group = self.machine.group(f"/system.slice/{self.name}")
        found = []
        for line in (group / "cgroup.procs").read_text().split() if group.exists() else []:
            try:
                found.append(Process(int(line), self.machine.root))
            except (FileNotFoundError, ProcessLookupError):
                pass  # gone meanwhile
        return sorted(found, key=lambda process: process.pid)

    def runs(self, substate: str = "running", restarts: int = 0, beside: int = 0) -> Process:
        """What systemd takes for it: the one process that there is of it, but for so many others."""
        found = self.show("ActiveState", "SubState", "Result", "MainPID", "NRestarts", "ExecMainCode")
        pid = int(found.pop("MainPID"))
        assert found == {"ActiveState": "active", "SubState": substate, "Result": "success", "NRestarts": str(restarts),
                         "ExecMainCode": "0"}, f"{found}\n{self.log()}"
        processes = self.processes()
        main = [process for process in processes if process.pid == pid]
        assert len(main) == 1 and len(processes) == 1 + beside, f"main PID {pid}, there are {processes}\n{self.log()}"
        assert f"Main PID: {pid} (" in self.control("status").stdout
        return main[0]

    def is_dead(self, result: str, state: str | None = None, **more: Any) -> None:
        """It has ended, so; and nothing is left of it."""
        state = state or ("inactive" if result == "success" else "failed")
        pid_file = self.get("PIDFile")
        self.is_(ActiveState=state, Result=result, MainPID=0, **more)
        assert self.processes() == []
        assert not pid_file or not self.machine.path(pid_file).exists(), f"{pid_file} is left"

    # --- what is said ----------------------------------------------------------------------------------------------------

    def concerns(self, entry: dict[str, Any]) -> bool:
        return self.name in (entry.get("UNIT"), entry.get("_SYSTEMD_UNIT"))

    def entries(self) -> list[dict[str, Any]]:
        """All that has been said about it, and by it, so far."""
        text = self.machine.must("sh", "-c", f"journalctl --sync && journalctl --output=json --unit={self.name}")
        return [json.loads(line) for line in text.splitlines()]

    def log(self) -> str:
        return "\n".join(map(shown, self.entries()))

    def wait(self, pattern: str, times: int = 1) -> None:
        """Waits until something fitting has been said about it, or by it, so many times."""
        def fits(entry: dict[str, Any]) -> bool:
            return self.concerns(entry) and re.search(pattern, str(entry.get("MESSAGE"))) is not None

        self.machine.journal.wait(fits, f"{self.name}: {pattern}", self.mark, times)

    def says(self, pattern: str) -> None:
        """By itself, and not about it."""
        texts = [str(entry["MESSAGE"]) for entry in self.entries() if entry.get("_PID") != "1"]
        assert any(re.fullmatch(pattern, text) for text in texts), f"{pattern!r} is not among {texts}"

    def expects(self, *patterns: str) -> None:
        """Of what is said about it, this is no complaint."""
        self.expected += patterns

    def complaints(self) -> Iterator[str]:
        seen = set()
        for entry in self.entries():
            text = str(entry.get("MESSAGE"))
            if entry.get("_PID") != "1":
                continue
            expected = [pattern for pattern in self.expected if re.fullmatch(rf"(?:{re.escape(self.name)}: )?{pattern}", text)]
            seen.update(expected)
            if not expected and not ORDINARY.fullmatch(text):
                yield f"complaint: {text}"
        for pattern in self.expected:
            if pattern not in seen:
                yield f"not said: {pattern}"

    # --- meeting -------------------------------------------------------------------------------------------------------

    def fifo(self, name: str = "meet") -> str:
        """Where the service and the test wait for each other; see Meeting."""
        inside = f"/run/{self.stem}.{name}"
        os.mkfifo(self.machine.path(inside))
        self.machine.path(inside).chmod(0o666)
        return inside

    def meet(self, inside: str) -> Meeting:
        return Meeting(self.machine.path(inside))


class Meeting:
    """The service has come to its word "meet" when this has been entered, and goes on when it is left."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        # Both wait in open(). A service that never comes is not waited for any longer than all else.
        missed = []

        def give_up() -> None:
            missed.append(True)
            os.close(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK))

        late = threading.Timer(LIMIT, give_up)
        late.start()
        try:
            self._end = os.open(self._path, os.O_WRONLY)
        finally:
            late.cancel()
            late.join()
        if missed:
            os.close(self._end)
            raise AssertionError(f"the service has not come to {self._path.name} within {LIMIT} s")

    def __exit__(self, *error: object) -> None:
        # The next one is at a new FIFO: at this the service may still be reading.
        os.unlink(self._path)
        os.mkfifo(self._path)
        self._path.chmod(0o666)
        os.close(self._end)
