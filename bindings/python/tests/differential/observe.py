"""Runs one program and looks at it from outside: /proc, files, exit statuses, text, messages to the service manager."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import pty
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import tempfile
import time
import traceback
from typing import Any, Iterator

PROGRAM = pathlib.Path(__file__).with_name("program.py")
PR_SET_CHILD_SUBREAPER = 36
LIMIT = 20.0  # seconds that a program may take
HANDLING = 3.0  # seconds that a handler of a signal may take to end it
USERS = {"root": 0, "nobody": 65534}

Spec = dict[str, Any]
Observation = dict[str, Any]


def observe(spec: Spec, original: bool, paths: list[str]) -> Observation:
    """What became of the program, as names and values. Nothing of it is left afterwards."""
    box = pathlib.Path(tempfile.mkdtemp(prefix="differential-"))
    read, write = os.pipe()
    # A process of its own adopts what the program leaves behind, and ends it.
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            signal.alarm(int(2 * LIMIT))
            observation = Run(spec, original, paths, box).observe()
            with open(write, "w") as file:
                json.dump(observation, file)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    try:
        with open(read) as file:
            text = file.read()
        os.waitpid(child, 0)
        return json.loads(text)  # type: ignore[no-any-return]
    finally:
        shutil.rmtree(box, ignore_errors=True)


class Run:
    def __init__(self, spec: Spec, original: bool, paths: list[str], box: pathlib.Path) -> None:
        self.spec = {**spec, "original": original, "box": str(box)}
        self.paths = paths
        self.box = box
        self.found: Observation = {}
        self.reported: dict[int, tuple[socket.socket, dict[str, Any]]] = {}
        self.statuses: dict[int, int] = {}
        self.starter = 0
        self.deadline = time.monotonic() + LIMIT

    def observe(self) -> Observation:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        name = f"differential-{os.getpid()}"
        self.reports = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.reports.bind(f"\0{name}")
        self.reports.listen(8)
        self.messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.messages.bind(f"\0{name}-notify")
        self.make_box()
        # Files, not pipes: a daemon that keeps one would keep the reader waiting.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile("w") as program:
            json.dump(self.spec, program)
            program.flush()
            os.chmod(program.name, 0o644)
            self.streams = {1: out.fileno(), 2: err.fileno()}
            self.start([self.spec["interpreter"], "-I", "-S", str(PROGRAM), program.name, name, *self.paths], name)
            try:
                self.follow()
                self.end()
            finally:
                self.kill_all()
            self.found["status of the starter"] = self.status(self.starter)
            self.found["status of the daemon"] = [self.status(pid) for pid in self.reported if pid != self.starter]
            for stream, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                self.found.update(self.text(stream, file.read().decode(errors="replace")))
        self.found["messages"] = list(self.received())
        self.found.update({f"left {path}": what for path, what in self.files().items()})
        return self.found

    def make_box(self) -> None:
        os.chmod(self.box, 0o777)
        for folder in ("sub", "root", "root/sub", "root/dev"):
            (self.box / folder).mkdir()
            os.chmod(self.box / folder, 0o777)
        try:
            os.mknod(self.box / "root/dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.chmod(self.box / "root/dev/null", 0o666)
        except OSError:
            pass  # Only the programs that root starts change their root.
        (self.box / "input").write_text("input\n")
        os.chmod(self.box / "input", 0o666)

    # --- before it is executed ----------------------------------------------------------------------------------------

    def start(self, command: list[str], name: str) -> None:
        surroundings = self.spec["surroundings"]
        prepared = self.prepare_stdin(surroundings["stdin"])
        self.starter = os.fork()
        if self.starter == 0:
            try:
                self.surround(surroundings, prepared, name)
                os.execve(command[0], command, self.environment(surroundings, name))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(125)
        # The other end stays open: at the end of a terminal its processes get SIGHUP.
        os.close(prepared[0])

    def prepare_stdin(self, kind: str) -> list[int]:
        """Opens both ends: that of the program first, unless it has none."""
        if kind == "pipe":
            return list(os.pipe())
        if kind == "terminal":
            return list(reversed(pty.openpty()))
        if kind == "pair":
            return [end.detach() for end in socket.socketpair()]
        if kind == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as server:
                client = socket.create_connection(server.getsockname())
                return [server.accept()[0].detach(), client.detach()]
        if kind == "file":
            return [os.open(self.box / "input", os.O_RDONLY)]
        return [os.open("/dev/null", os.O_RDONLY)]

    def surround(self, surroundings: Spec, prepared: list[int], name: str) -> None:
        os.setsid()
        os.chdir(self.box)
        os.dup2(prepared[0], 0)
        for stream, fd in self.streams.items():
            os.dup2(fd, stream)
        if surroundings["stdin"] == "terminal":
            import fcntl
            import termios

            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        count = int(surroundings.get("listen", [0])[0])
        for number in range(count):
            if surroundings["listen"][1] == "open":
                server = socket.create_server(("127.0.0.1", 0))
                os.set_inheritable(server.detach(), True)
        for number in range(surroundings["inherited"]):
            os.set_inheritable(os.open(self.box / "input", os.O_RDWR), True)
        for stream in surroundings["closed"]:
            os.close(stream)
        os.umask(surroundings["umask"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (surroundings["nofile"],) * 2)
        for ignored in surroundings["ignored"]:
            signal.signal(getattr(signal, ignored), signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        user = USERS[surroundings["user"]]
        if user and os.getuid() == 0:
            os.setgroups([user])
            os.setgid(user)
            os.setuid(user)
        signal.pthread_sigmask(signal.SIG_SETMASK, [getattr(signal, blocked) for blocked in surroundings["blocked"]])

    def environment(self, surroundings: Spec, name: str) -> dict[str, str]:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": "/"}
        if surroundings["notify"]:
            environment["NOTIFY_SOCKET"] = f"@{name}-notify"
        if "listen" in surroundings:
            environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(surroundings["listen"][0]))
        return environment

    # --- while it runs ------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Until every process of the program has reported or ended."""
        while True:
            self.reap()
            # More than once: what changes its parent just then may be missed.
            living = {pid for _ in range(3) for pid in self.descendants()}
            if living <= set(self.reported) and (living or not self.has_children()):
                break
            if not living:
                continue  # It has just ended, and is reaped in a moment.
            watched = {fd: pid for pid in living - set(self.reported) if (fd := _pidfd(pid)) is not None}
            try:
                readable, _, _ = select.select([self.reports, *watched], [], [], max(0, self.deadline - time.monotonic()))
            finally:
                for fd in watched:
                    os.close(fd)
            if not readable:
                self.found["hangs"] = True
                return
            if self.reports in readable:
                connection, _ = self.reports.accept()
                pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                with connection.makefile() as lines:
                    line = lines.readline()
                if line:
                    self.reported[pid] = (connection, json.loads(line))
        for pid in self.reported:
            self.look(pid)

    def end(self) -> None:
        """Ends it in the way that the program says, and waits for that."""
        for pid, (connection, _) in self.reported.items():
            how = self.spec["end"]
            held_back = how.startswith("SIG") and self.holds_back(pid, how)
            if how.startswith("SIG"):
                try:
                    os.kill(pid, getattr(signal, how))
                except ProcessLookupError:
                    pass
            # Where the signal does not end it, it goes on to its end.
            ended = _pidfd(pid)
            if how.startswith("SIG") and ended is not None:
                if not select.select([ended], [], [], 0 if held_back else HANDLING)[0]:
                    self.found["outlives its signal"] = True
            try:
                connection.sendall(b"go\n")
            except OSError:
                pass
            if ended is not None:
                if not select.select([ended], [], [], max(0, self.deadline - time.monotonic()))[0]:
                    self.found["does not end"] = True
                os.close(ended)
        self.reap()

    def holds_back(self, pid: int, name: str) -> bool:
        """Whether a process ignores or blocks a signal."""
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
        masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigIgn:", "SigBlk:"))]
        return any(mask >> getattr(signal, name) - 1 & 1 for mask in masks)

    def has_children(self) -> bool:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.statuses[pid] = status

    def kill_all(self) -> None:
        while True:
            self.reap()
            left = list(self.descendants())
            if not left:
                return
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for pid in left:
                fd = _pidfd(pid)
                if fd is not None:
                    select.select([fd], [], [], 5)
                    os.close(fd)

    def descendants(self, of: int = 0) -> Iterator[int]:
        for task in pathlib.Path(f"/proc/{of or os.getpid()}/task").glob("*/children"):
            try:
                children = task.read_text().split()
            except OSError:
                continue
            for child in map(int, children):
                try:
                    state = pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if state != "Z":
                    yield child
                    yield from self.descendants(child)

    # --- what is seen -------------------------------------------------------------------------------------------------

    def role(self, pid: int) -> str:
        if pid == os.getpid():
            return "init"
        return "starter" if pid == self.starter else "daemon" if pid in self.reported else "other" if pid else "none"

    def look(self, pid: int) -> None:
        report = self.reported[pid][1]
        prefix = "starter: " if pid == self.starter else "daemon: "
        if not report["started"]:
            if self.spec.get("function") == "ask":
                self.found["asked"] = [event for event in self.events(report) if event[0] != "construct"]
            # It has caught an exception: nothing but that is promised.
            self.found.update({f"{prefix}failed {number}": event for number, event in enumerate(self.events(report)) if event[1] == "raised"})
            return
        # From here on it is the one that has started, whichever it is.
        found: Observation = {"process": prefix[:-2]}
        proc = pathlib.Path(f"/proc/{pid}")
        fields = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        for name in ("Uid", "Gid", "Umask", "NoNewPrivs"):
            found[name] = fields[name].split()
        found["Groups"] = sorted(fields["Groups"].split())
        for name in ("SigBlk", "SigIgn", "SigCgt"):
            found[name] = sorted(_signals(fields[name]))
        values = (proc / "stat").read_text().rpartition(")")[2].split()
        session = int(values[3])
        found["session"] = "own" if session == pid else "the starter's" if session == self.starter else "another"
        found["group"] = "own" if int(values[2]) == pid else "the session's" if int(values[2]) == session else "another"
        found["terminal"] = int(values[4]) != 0
        found["parent"] = self.role(int(values[1]))
        found["parent changes"] = report["parent_at_return"] not in (None, int(values[1]))
        for name in ("cwd", "root"):
            found[name] = self.shown(os.readlink(proc / name))
        limits = (proc / "limits").read_text()
        for name in ("Max open files", "Max core file size"):
            found[name] = re.findall(rf"{name} +(\S+) +(\S+)", limits)[0]
        for fd in os.listdir(proc / "fd"):
            if int(fd) != report["descriptor"]:
                found[f"descriptor {int(fd):02}"] = self.descriptor(proc, fd)
        for name in ("signals", "streams"):
            found[name] = report[name]
        found["environment"] = {name: self.named(value) for name, value in report["environment"].items()}
        found.update({f"event {number:02}": event for number, event in enumerate(self.events(report))})
        found.update({f"file {path}": what for path, what in self.files().items()})
        self.found.update(found)

    def events(self, report: Spec) -> list[Any]:
        events = json.loads(self.named(json.dumps(report["events"])))
        return [event if isinstance(event, list) else [event, ""] for event in events]

    def descriptor(self, proc: pathlib.Path, fd: str) -> str:
        info = dict(line.split(":\t", 1) for line in (proc / "fdinfo" / fd).read_text().splitlines() if ":\t" in line)
        flags = int(info["flags"], 8)
        words = [("reads", "writes", "reads and writes")[flags & os.O_ACCMODE]]
        words += ["appends"] if flags & os.O_APPEND else []
        words += ["is closed on exec"] if flags & os.O_CLOEXEC else []
        return f"{self.shown(os.readlink(proc / 'fd' / fd))}: {' and '.join(words)}"

    def shown(self, path: str) -> str:
        if path.startswith("/dev/pts/"):
            return "terminal"
        if path.endswith(" (deleted)"):
            # One of the files that take what is written.
            return "captured"
        return re.sub(r"\[\d+\]", "", self.named(path))

    def named(self, text: str) -> str:
        text = text.replace(str(self.box), "BOX")
        text = re.sub(r"differential-\d+", "OBSERVER", text)
        for pid in [self.starter, *self.reported]:
            text = re.sub(rf"\b{pid}\b", self.role(pid).upper(), text)
        return text

    def files(self) -> dict[str, str]:
        found = {}
        for path in sorted(self.box.rglob("*")):
            status = path.lstat()
            name = str(path.relative_to(self.box))
            found[name] = f"{stat.filemode(status.st_mode)} {status.st_uid} {status.st_gid}"
            if stat.S_ISREG(status.st_mode):
                found[name] += f" {self.contents(path.read_text(errors='replace'))!r}"
        return found

    def contents(self, text: str) -> str:
        """The content of a file: where it can be a log, without what differs from run to run."""
        if "Traceback" in text:
            marks = [line for line in text.splitlines() if line.startswith("MARK")]
            return "\n".join([*marks, f"traceback {_last_exception(text)}"])
        return self.named(text)

    def text(self, stream: str, text: str) -> Observation:
        marks = [line for line in text.splitlines() if line.startswith("MARK")]
        warnings = sorted(set(re.findall(r"\b(\w+Warning): (\w+)", text)))
        lines = [line for line in text.splitlines() if line.startswith("program: ")]
        found: Observation = {f"{stream} marks": marks}
        found[f"{stream} traceback"] = _last_exception(text) if "Traceback" in text else None
        if stream == "stderr":
            found["warnings"] = warnings
            found["line of the starter"] = [self.named(line) for line in lines]
            others = [line for line in text.splitlines() if line and not line.startswith(("program: ", "MARK", " ", "Traceback"))]
            found["stderr has other text"] = bool(others) and found[f"{stream} traceback"] is None and not warnings
        return found

    def received(self) -> Iterator[str]:
        self.messages.setblocking(False)
        while True:
            try:
                yield from self.named(self.messages.recv(4096).decode()).splitlines()
            except BlockingIOError:
                return

    def status(self, pid: int) -> str:
        status = self.statuses.get(pid)
        if status is None:
            return "killed by the observer"
        return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def _pidfd(pid: int) -> int | None:
    """A descriptor that is readable when the process has ended; None where it has been reaped."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _signals(mask: str) -> list[str]:
    number = int(mask, 16)
    return [_signal_name(bit + 1) for bit in range(64) if number >> bit & 1 and bit + 1 not in (32, 33)]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _last_exception(text: str) -> str:
    found = re.findall(r"^([\w.]+(?:Error|Exception|Exit|Interrupt|Operation|Locked|Failed|Timeout))\b", text, re.M)
    return found[-1].rpartition(".")[2] if found else "unknown"
