"""A house: namespaces in which foreign daemons live, and what tests look at them with.

Mount, network, PID, UTS and IPC namespaces of its own, made by house_init.py. The test stays outside and looks in by
/proc/PID-OF-INIT/root; it enters for each program it runs. All PIDs here are those of the house.
"""

from __future__ import annotations

import os
import pathlib
import re
import select
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from typing import Any, Callable, Iterator

import house_init

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
DEBIAN = REPOSITORY / "target" / "debian"
PACKAGES = DEBIAN / "root"
LIBRARY_FOLDER = pathlib.Path(os.environ.get("LIBDAEMON_DIR") or REPOSITORY / "target" / "lib").resolve()
LIBRARY = LIBRARY_FOLDER / "libdaemon.so.0"

LIMIT = 20.0  # seconds that anything may take
STEP = 0.01  # between two looks at what cannot be waited for: a foreign daemon's /proc, its files

# Libraries of the packages first, where Debian keeps them, and before all of them the one under test.
MULTIARCH = f"{os.uname().machine}-linux-gnu"
LIBRARY_PATH = ":".join([house_init.LIBRARY] + [
    f"{house_init.PACKAGES}/{folder}/{MULTIARCH}" for folder in ("usr/lib", "lib")
] + [f"{house_init.PACKAGES}/usr/lib/{MULTIARCH}/pulseaudio"])


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """What `condition` gives as soon as it is true. For what tells nobody when it changes."""
    deadline = time.monotonic() + limit
    while True:
        late = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if late:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(STEP)


def identity(path: pathlib.Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class Syslog:
    """/dev/log of a house. A thread empties it at once: ten datagrams fit in, then the daemon would wait."""

    LINE = re.compile(r"<\d+>\w+ +\d+ [\d:]+ (?P<ident>[^\s\[\]:]+)\[(?P<pid>\d+)\]: (?P<text>.*)", re.S)

    def __init__(self, path: pathlib.Path) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)  # as syslogd does: the daemon may be another user by now
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            ready = select.select([self._socket.fileno(), self._stop], [], [])[0]
            if self._socket.fileno() not in ready:
                return  # told to stop, and nothing is left to read
            line = self._socket.recv(65536).decode(errors="backslashreplace").rstrip("\0\n")
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    def close(self) -> None:
        os.close(self._stopped)
        self._thread.join()
        os.close(self._stop)
        self._socket.close()

    def find(self, pattern: str, start: int = 0) -> re.Match[str] | None:
        return next((found for line in self.lines[start:] if (found := re.search(pattern, line))), None)

    def wait(self, pattern: str, start: int = 0, limit: float = LIMIT) -> re.Match[str]:
        """The first line from number `start` on that fits, as soon as it is there."""
        with self._news:
            found = self._news.wait_for(lambda: self.find(pattern, start), limit)
        assert found, f"not logged within {limit} s: {pattern!r}; logged:\n{self.tail(start)}"
        return found

    def tail(self, start: int = 0) -> str:
        """What there is to show of it when a test has failed."""
        return "\n".join(self.lines[start:][-40:])

    def mark(self) -> int:
        return len(self.lines)

    def texts(self, ident: str, pid: int, start: int = 0) -> list[str]:
        """What one process has logged under one name."""
        parsed = filter(None, map(self.LINE.fullmatch, self.lines[start:]))
        return [line["text"] for line in parsed if (line["ident"], line["pid"]) == (ident, str(pid))]


def program(name: str) -> str:
    """Where it is in a house, if it is one of the packages'; else PATH tells."""
    for folder in ("usr/sbin", "usr/bin"):
        if "/" not in name and (PACKAGES / folder / name).exists():
            return f"{house_init.PACKAGES}/{folder}/{name}"
    return name


class Process:
    """A process in a house, as /proc shows it."""

    def __init__(self, house: House, pid: int) -> None:
        self.house, self.pid, self.folder = house, pid, house.path(f"/proc/{pid}")

    def __repr__(self) -> str:
        return f"<process {self.pid}>"

    def alive(self) -> bool:
        """A zombie is dead."""
        try:
            return self._stat()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def _stat(self) -> list[str]:
        return (self.folder / "stat").read_text().rpartition(")")[2].split()

    # Fields of stat, as proc(5) counts them, begin at 3.
    parent = property(lambda self: int(self._stat()[4 - 3]))
    group = property(lambda self: int(self._stat()[5 - 3]))
    session = property(lambda self: int(self._stat()[6 - 3]))
    terminal = property(lambda self: int(self._stat()[7 - 3]))
    started = property(lambda self: int(self._stat()[22 - 3]))

    def status(self, field: str) -> str:
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith(field + ":"):
                return " ".join(line.partition(":")[2].split())
        raise KeyError(field)

    def signals(self, field: str) -> set[int]:
        mask = int(self.status(field), 16)
        return {number for number in range(1, 65) if mask >> (number - 1) & 1}

    def words(self) -> list[str]:
        return (self.folder / "cmdline").read_bytes().decode().rstrip("\0").split("\0")

    def inherited(self) -> set[str]:
        """Which of the descriptors that run_badly() has open it has, too."""
        targets = set()
        for entry in (self.folder / "fd").iterdir():
            try:
                targets.add(re.sub("^/dev/pts/.*", "terminal", os.readlink(entry)))
            except FileNotFoundError:
                pass  # closed meanwhile
        return targets & {"/etc/hostname", "/tmp/somewhere/leaked", "terminal"}

    def directory(self) -> str:
        return os.readlink(self.folder / "cwd")

    def root(self) -> str:
        return os.readlink(self.folder / "root")

    def libraries(self) -> set[tuple[int, int]]:
        """Device and inode of each libdaemon that is mapped: a name may lie, they do not."""
        result = set()
        for line in (self.folder / "maps").read_text().splitlines():
            words = line.split(maxsplit=5)
            if len(words) == 6 and os.path.basename(words[5]).startswith("libdaemon"):
                # maps shows leading zeros, the name in map_files has none.
                start, end = (int(address, 16) for address in words[0].split("-"))
                result.add(identity(self.folder / "map_files" / f"{start:x}-{end:x}"))
        return result

    def is_daemon(self) -> None:
        """Fails unless it has cut all ties with the one who started it."""
        facts = {
            "parent": self.parent,
            "terminal": self.terminal,
            "leads its session": self.session == self.pid,
            "session leader alive": Process(self.house, self.session).alive(),
            "streams": [os.readlink(self.folder / "fd" / str(number)) for number in range(3)],
        }
        assert facts == {"parent": 1, "terminal": 0, "leads its session": False, "session leader alive": False,
                         "streams": ["/dev/null"] * 3}, f"{self.words()}: {facts}"

    def gone(self, limit: float = LIMIT) -> None:
        until(lambda: not self.alive(), f"{self.pid} is gone", limit)


class Finished(subprocess.CompletedProcess[str]):
    """A program that has run: status, and what it has written."""

    def __init__(self, words: list[str], status: int, out: str, err: str, seconds: float) -> None:
        super().__init__(words, status, out, err)
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"{shlex.join(self.args)}: status {self.returncode}\n{self.stdout}{self.stderr}"


class House:
    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self.failed = False  # the test in it, says conftest.py
        self._programs: list[subprocess.Popen[Any]] = []
        command = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                   sys.executable, "-I", "-S", str(HERE / "house_init.py"), str(LIBRARY_FOLDER), str(PACKAGES)]
        with tempfile.TemporaryFile("w+") as errors:
            # unshare is deaf to SIGTERM and SIGINT; a Ctrl-C is for the tests.
            self._unshare = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                             env={"DAEMONCTX_HOUSE": self.token}, text=True, start_new_session=True)
            assert self._unshare.stdin is not None and self._unshare.stdout is not None
            line = self._unshare.stdout.readline()
            if not line:
                self._unshare.wait()
                errors.seek(0)
                raise RuntimeError(f"no house could be made: {errors.read()}")
        self.init = int(line)
        self.log = Syslog(self.path("/dev/log"))

    # --- files -------------------------------------------------------------------------------------------------------

    def path(self, inside: str) -> pathlib.Path:
        """Where a file of the house is found from outside."""
        return pathlib.Path(f"/proc/{self.init}/root{inside}")

    def write(self, inside: str, content: str, mode: int = 0o644) -> str:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return inside

    def script(self, inside: str, body: str) -> str:
        return self.write(inside, "#!/bin/sh\n" + body, 0o755)

    def read(self, inside: str) -> str:
        return self.path(inside).read_text()

    def exists(self, inside: str) -> bool:
        return os.path.lexists(self.path(inside))

    # --- programs ----------------------------------------------------------------------------------------------------

    def start(self, *words: str, environment: dict[str, str] | None = None, **kwargs: Any) -> subprocess.Popen[Any]:
        """Starts a program of the packages or of the machine in the house."""
        # LD_LIBRARY_PATH is for the program, not for what leads to it.
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "DAEMONCTX_HOUSE": self.token,
                     "LD_LIBRARY_PATH": LIBRARY_PATH, **(environment or {})}
        enter = ["nsenter", f"--target={self.init}", "--mount", "--net", "--pid", "--uts", "--ipc", "--wdns=/",
                 "env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("umask", 0o022)
        # A process group of its own: a client that signals "process 0" must not hit the tests.
        kwargs.setdefault("start_new_session", True)
        popen = subprocess.Popen([*enter, program(words[0]), *words[1:]], **kwargs)
        self._programs.append(popen)
        return popen

    def run(self, *words: str, limit: float = LIMIT, **kwargs: Any) -> Finished:
        """Runs a program until it has left, whatever daemon it leaves behind."""
        # Files, not pipes: a daemon that keeps one would be waited for.
        with tempfile.TemporaryFile("w+", errors="backslashreplace") as out, \
                tempfile.TemporaryFile("w+", errors="backslashreplace") as err:
            begin = time.monotonic()
            program = self.start(*words, **{"stdout": out, "stderr": err, **kwargs})
            try:
                status = program.wait(limit)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{shlex.join(words)} takes more than {limit} s") from None
            seconds = time.monotonic() - begin
            out.seek(0)
            err.seek(0)
            return Finished(list(words), status, out.read(), err.read(), seconds)

    def run_badly(self, *words: str, **kwargs: Any) -> Finished:
        """Runs a program as the head of a terminal's session, with descriptors, umask, directory and signals that no
        daemon should have, and hangs up when it has left."""
        self.path("/tmp/somewhere").mkdir(exist_ok=True)
        surroundings = ("cd /tmp/somewhere; umask 0; exec 7</etc/hostname 8>/tmp/somewhere/leaked 9<&0;"
                        'exec setsid --ctty env --ignore-signal=HUP --ignore-signal=TERM --block-signal=ALRM "$@"')
        master, slave = os.openpty()
        try:
            result = self.run("sh", "-c", surroundings, "sh", program(words[0]), *words[1:], stdin=slave, **kwargs)
        finally:
            os.close(slave)
            os.close(master)
        return result

    def must(self, *words: str, **kwargs: Any) -> Finished:
        result = self.run(*words, **kwargs)
        assert result.returncode == 0, result
        return result

    # --- processes ---------------------------------------------------------------------------------------------------

    def processes(self) -> list[Process]:
        """All that live here, init apart."""
        pids = sorted(int(entry) for entry in os.listdir(self.path("/proc")) if entry.isdecimal() and entry != "1")
        return [process for process in (Process(self, pid) for pid in pids) if process.alive()]

    def of_program(self, name: str) -> list[Process]:
        result = []
        for process in self.processes():
            try:
                program = os.readlink(process.folder / "exe")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if os.path.basename(program) == name:
                result.append(process)
        return result

    def daemon(self, pid_file: str, library: pathlib.Path = LIBRARY) -> Process:
        """The process that a pid file names, which runs with the library under test and no other."""
        content = self.read(pid_file)
        assert re.fullmatch(r"[1-9][0-9]*\n", content), f"{pid_file}: {content!r}"
        process = Process(self, int(content))
        assert process.alive(), f"{pid_file} names {process.pid}, which does not run"
        assert process.libraries() == {identity(library)}, f"{process.words()} does not run with {library}"
        return process

    def signal(self, process: Process, number: int) -> None:
        self.must("sh", "-c", f"kill -{int(number)} {process.pid}")

    def dead_pid(self) -> int:
        """A PID that was a process's and is no more."""
        return int(self.must("sh", "-c", "echo $$").stdout)

    def cable(self, interface: str = "eth7", peer: str = "plug7") -> None:
        """A network interface, and the other end of its cable; not plugged in yet."""
        self.must("ip", "link", "add", interface, "type", "veth", "peer", "name", peer)

    def plug(self, peer: str, state: str) -> None:
        self.must("ip", "link", "set", peer, state)

    # --- the end -----------------------------------------------------------------------------------------------------

    def empty(self, limit: float = LIMIT) -> None:
        """Fails unless all that was started here has ended."""
        until(lambda: not self.processes(), f"the house is empty: {[p.words() for p in self.processes()]}", limit)

    def close(self) -> None:
        assert self._unshare.stdin is not None and self._unshare.stdout is not None
        self._unshare.stdin.close()
        # unshare is told of the end of PID 1, and that comes after the end of all others.
        self._unshare.wait(LIMIT)
        for program in self._programs:
            program.wait(LIMIT)
        self._unshare.stdout.close()
        self.log.close()


def processes_of(token: str) -> Iterator[str]:
    """Processes of a house that are still there, wherever they are."""
    wanted = f"DAEMONCTX_HOUSE={token}".encode()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                if wanted in pathlib.Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                    yield entry
            except OSError:
                pass  # gone meanwhile
