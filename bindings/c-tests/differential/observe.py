"""Runs one program and looks at it from outside: /proc, files, exit statuses, text, syslog.

Each run has PID and mount namespaces of its own, with its own /run, /dev and syslog: nothing of the system can be changed or signalled.
"""

from __future__ import annotations

import ctypes
import dataclasses
import fcntl
import json
import mmap
import os
import pathlib
import platform
import pty
import re
import resource
import select
import shutil
import signal
import socket
import stat
import struct
import termios
import threading
import time
import traceback
from typing import Any, Iterator

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
FUTEX_WAIT, FUTEX_WAKE = 0, 1
SYS_FUTEX = {"x86_64": 202, "aarch64": 98, "i686": 240, "i386": 240}[platform.machine()]
SO_TIMESTAMPNS = 35
LIMIT = 10.0  # seconds without a step of the program
FIRST_PID = 20000  # numbers that nothing else has
NOBODY = 65534
DEVICES = ["null", "zero", "full", "random", "urandom", "tty"]

TOOLS = pathlib.Path("/run/differential")
BOX = pathlib.Path("/run/box")

Spec = dict[str, Any]
Observation = dict[str, Any]

libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """Namespaces cannot be had here."""


@dataclasses.dataclass
class Built:
    """The program, and the folders with the libraries."""

    program: pathlib.Path
    libraries: dict[str, pathlib.Path]


def observe(spec: Spec, library: str, built: Built) -> Observation:
    """What became of the program, as names and values. Nothing of it is left afterwards."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            checked(libc.unshare(CLONE_NEWNS | CLONE_NEWPID))
            init = os.fork()
            if init == 0:
                signal.alarm(int(6 * LIMIT))
                observation = Run(spec, library, built).observe()
                with open(write, "w") as file:
                    json.dump(observation, file)
            else:
                os.waitpid(init, 0)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    with open(read) as file:
        text = file.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError(f"the observer failed: {spec}")
    return json.loads(text)  # type: ignore[no-any-return]


def check_namespaces() -> None:
    """Fails where a run could not have its own."""
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.unshare(CLONE_NEWNS | CLONE_NEWPID) == 0 else 1)
    if os.waitpid(child, 0)[1] != 0:
        raise Unavailable("PID and mount namespaces need root")


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source: str, target: str | pathlib.Path, kind: str, flags: int = 0, data: str = "") -> None:
    checked(libc.mount(source.encode(), str(target).encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


class Report:
    """The memory that is shared with program.c, which has the same layout."""

    SLOTS, NAME, ROOM, MILESTONES = 16, 32, 1 << 19, 4
    RUNNING, AT_END, AWAITING = 1, 2, 3
    USED, EVENTS, REACHED, VICTIM, DEAD, SLOT = 0, 4, 12, 28, 32, 36
    SLOT_SIZE = 20 + NAME
    TEXT = SLOT + SLOTS * SLOT_SIZE

    def __init__(self, path: pathlib.Path) -> None:
        path.write_bytes(b"\0" * (self.TEXT + self.ROOM))
        path.chmod(0o666)
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

    def get(self, offset: int) -> int:
        return int(struct.unpack_from("i", self.memory, offset)[0])

    def set(self, offset: int, value: int) -> None:
        struct.pack_into("i", self.memory, offset, value)

    def futex(self, offset: int, operation: int, value: int, seconds: float = 0.0) -> None:
        timeout = struct.pack("ll", int(seconds), int(seconds % 1 * 1e9)) if operation == FUTEX_WAIT else None
        libc.syscall(SYS_FUTEX, ctypes.c_void_p(self.address + offset), operation, value, timeout, None, 0)

    def wake(self, offset: int) -> None:
        self.set(offset, 1)
        self.futex(offset, FUTEX_WAKE, 2**31 - 1)

    def slots(self) -> Iterator[Slot]:
        for offset in range(self.SLOT, self.TEXT, self.SLOT_SIZE):
            pid, state, line, _ = struct.unpack_from("4i", self.memory, offset)
            if pid:
                name = self.memory[offset + 20 : offset + self.SLOT_SIZE].partition(b"\0")[0].decode()
                yield Slot(offset, pid, state, line, name)

    def records(self) -> list[list[str]]:
        text = self.memory[self.TEXT : self.TEXT + min(self.get(self.USED), self.ROOM)].decode(errors="replace")
        return [line.split("\t", 9) for line in text.splitlines() if line.count("\t") >= 9]


@dataclasses.dataclass
class Slot:
    """A process of the program that reports."""

    offset: int
    pid: int
    state: int
    line: int
    role: str

    @property
    def go(self) -> int:
        return self.offset + 12


class Run:
    def __init__(self, spec: Spec, library: str, built: Built) -> None:
        self.spec = spec
        self.library = library
        self.built = built
        self.found: Observation = {}
        self.statuses: dict[int, int] = {}
        self.roles: dict[int, str] = {}
        self.messages: list[tuple[int, int, str]] = []
        self.user = NOBODY if spec["surroundings"]["user"] == "nobody" else 0

    def observe(self) -> Observation:
        self.make_system()
        self.make_tools()
        self.victim = self.process_that_waits()
        dead = os.fork()
        if dead == 0:
            os._exit(0)
        os.waitpid(dead, 0)
        self.report = Report(TOOLS / "report")
        self.report.set(Report.VICTIM, self.victim)
        self.report.set(Report.DEAD, dead)
        self.roles = {self.victim: "victim", dead: "dead", 1: "init"}
        self.make_box()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.start()
        listener = threading.Thread(target=self.listen, daemon=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        listener.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        if self.follow():
            self.look_at_all("")
            self.end()
        self.kill_all()
        self.collect()
        return self.found

    # --- before it is executed ----------------------------------------------------------------------------------------

    def make_root(self) -> None:
        """A daemon's relative paths are below the root: a run finds nothing of another there, and leaves nothing."""
        root = pathlib.Path("/proc")  # a folder that is not needed until it is there again
        mount("root", root, "tmpfs", 0, "mode=0755")
        for entry in os.scandir("/"):
            if entry.is_symlink():
                (root / entry.name).symlink_to(os.readlink(entry.path))
            elif entry.is_dir():
                (root / entry.name).mkdir()
                if entry.name not in ("proc", "run"):
                    mount(entry.path, root / entry.name, "none", MS_BIND | MS_REC)
        os.chroot(root)
        os.chdir("/")
        mount("proc", "/proc", "proc")
        mount("run", "/run", "tmpfs", 0, "mode=0755")

    def make_system(self) -> None:
        mount("none", "/", "none", MS_REC | MS_PRIVATE)
        self.make_root()
        pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(FIRST_PID))
        if os.path.realpath("/var/run") != "/run":
            mount("run", "/var/run", "none", MS_BIND)
        TOOLS.mkdir(0o755)
        dev = TOOLS / "dev"
        dev.mkdir()
        mount("dev", dev, "tmpfs", 0, "mode=0755")
        for name in DEVICES:
            (dev / name).touch()
            mount(f"/dev/{name}", dev / name, "none", MS_BIND)
        (dev / "pts").mkdir()
        mount("devpts", dev / "pts", "devpts", 0, "newinstance,ptmxmode=0666")
        (dev / "ptmx").symlink_to("pts/ptmx")
        (dev / "fd").symlink_to("/proc/self/fd")
        mount(str(dev), "/dev", "none", MS_BIND | MS_REC)
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.log.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.log.bind("/dev/log")
        os.chmod("/dev/log", 0o666)

    def make_tools(self) -> None:
        shutil.copy(self.built.program, TOOLS / "program")
        shutil.copy(self.built.libraries[self.library] / "libdaemon.so.0", TOOLS / "libdaemon.so.0")
        (TOOLS / "script").write_text(script(self.spec["script"]))
        for name in ("out", "err"):
            (TOOLS / name).touch()

    def process_that_waits(self) -> int:
        """One that a pid file may name, and that any signal ends."""
        child = os.fork()
        if child == 0:
            os.setsid()
            for number in range(3, 64):
                try:
                    os.close(number)
                except OSError:
                    pass
            if self.spec["surroundings"].get("victim") == "nobody":
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            while True:
                signal.pause()
        return child

    def make_box(self) -> None:
        os.umask(0o022)
        for folder in (BOX, BOX / "sub", BOX / "open", BOX / "locked"):
            folder.mkdir()
            os.chmod(folder, {"open": 0o777, "locked": 0o700}.get(folder.name, 0o755))
            os.chown(folder, 0 if folder.name in ("open", "locked") else self.user, 0 if folder.name in ("open", "locked") else self.user)
        for name, kind, *more in self.spec.get("files", []):
            path = BOX / name
            if kind == "link":
                path.symlink_to(more[0])
            elif kind == "fifo":
                os.mkfifo(path)
            elif kind == "directory":
                path.mkdir()
            elif kind == "hard link":
                (BOX / more[0]).touch()
                os.link(BOX / more[0], path)
            else:
                text, mode, user = more
                path.write_text(text.replace("VICTIM", str(self.victim)).replace("DEAD", str(self.report.get(Report.DEAD))))
                os.chmod(path, mode)
            owner = more[2] if kind == "file" else "program"
            os.chown(path, *[{"program": self.user, "root": 0, "nobody": NOBODY, "other": 4711}[owner]] * 2, follow_symlinks=False)

    def start(self) -> None:
        surroundings = self.spec["surroundings"]
        prepared = self.prepare_stdin(surroundings["stdin"])
        main = os.fork()
        if main == 0:
            try:
                self.surround(surroundings, prepared)
                program = str(TOOLS / "program")
                environment = {"LD_LIBRARY_PATH": str(TOOLS), "PATH": "/usr/bin:/bin"}
                if surroundings["notify"]:
                    environment["NOTIFY_SOCKET"] = "/run/differential/notify"
                if surroundings["listen"]:
                    environment.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(surroundings["listen"]))
                arguments = [str(TOOLS / name) for name in ("script", "report", "out", "err")]
                os.execve(program, [program, *arguments], environment)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(125)
        self.main = main
        os.close(prepared[0])

    def prepare_stdin(self, kind: str) -> list[int]:
        if kind == "pipe":
            return list(os.pipe())
        if kind == "terminal":
            return list(reversed(pty.openpty()))
        if kind == "pair":
            return [end.detach() for end in socket.socketpair()]
        return [os.open(TOOLS / "script" if kind == "file" else "/dev/null", os.O_RDONLY)]

    def surround(self, surroundings: Spec, prepared: list[int]) -> None:
        os.setsid()
        os.chdir(BOX)
        os.dup2(prepared[0], 0)
        if surroundings["stdin"] == "terminal":
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(TOOLS / name, os.O_RDWR | os.O_APPEND), number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        for number in range(max(surroundings["inherited"], surroundings["listen"])):
            os.set_inheritable(os.open("/dev/zero", os.O_RDONLY), True)
        for number in surroundings["closed"]:
            os.close(number)
        os.umask(surroundings["umask"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (surroundings["nofile"], 4096))
        for number in range(1, 65):
            if number not in (9, 19, 32, 33):
                signal.signal(number, signal.SIG_IGN if number in surroundings["ignored"] else signal.SIG_DFL)
        if surroundings["gone"]:
            os.mkdir("gone")
            os.chdir("gone")
            os.rmdir("../gone")
        if self.user:
            os.setgroups([self.user])
            os.setgid(self.user)
            os.setuid(self.user)
        signal.pthread_sigmask(signal.SIG_SETMASK, surroundings["blocked"])

    # --- while it runs ------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        while True:
            data, ancillary, _, _ = self.log.recvmsg(1 << 18, 256)
            found = {kind: value for _, kind, value in ancillary}
            seconds, nanoseconds = struct.unpack("ll", found[SO_TIMESTAMPNS])
            if data == b"end":
                return
            pid = struct.unpack("3i", found[socket.SCM_CREDENTIALS])[0]
            self.messages.append((pid, seconds * 10**9 + nanoseconds, data.decode(errors="replace")))

    def follow(self) -> bool:
        """Waits until every process of the program is at its end; false where one hangs."""
        last = time.monotonic()
        seen = -1
        while True:
            events = self.report.get(Report.EVENTS)
            if events != seen:
                seen, last = events, time.monotonic()
            self.reap()
            slots = {slot.pid: slot for slot in self.report.slots()}
            living = self.living()
            awaiting = [slot for pid, slot in slots.items() if pid in living and slot.state >= Report.AWAITING]
            at_end = [pid for pid, slot in slots.items() if pid in living and slot.state == Report.AT_END]
            if len(living) == len(awaiting) + len(at_end) and self.report.get(Report.EVENTS) == events and (slots or self.main in self.statuses):
                words = [Report.REACHED + 4 * (slot.state - Report.AWAITING) for slot in awaiting]
                if not words:
                    return True
                if not any(self.report.get(word) for word in words):
                    # Nobody is left to reach it.
                    for word in words:
                        self.report.wake(word)
                    continue
            if time.monotonic() - last > LIMIT:
                for pid in living:
                    slot = slots.get(pid)
                    if slot is None or slot.state == Report.RUNNING:
                        self.found[f"{slot.role if slot else 'another'} hangs"] = slot.line if slot else True
                self.collect_victim()
                # All at once: the end of one would let another go on.
                self.roles.update({slot.pid: slot.role for slot in slots.values()})
                os.kill(-1, signal.SIGKILL)
                return False
            self.report.futex(Report.EVENTS, FUTEX_WAIT, events, 0.02)

    def living(self) -> list[int]:
        return [pid for name in os.listdir("/proc") if name.isdigit() and (pid := int(name)) not in (1, self.victim) and not has_ended(pid)]

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.statuses[pid] = status

    def end(self) -> None:
        """Lets one after the other go to its end."""
        for slot in self.report.slots():
            if slot.pid not in self.living():
                continue
            fd = os.pidfd_open(slot.pid)
            self.report.wake(slot.go)
            if not select.select([fd], [], [], LIMIT)[0]:
                self.found[f"{slot.role} does not end"] = True
            os.close(fd)
            self.reap()
            self.look_at_all(f" after {slot.role}")

    def kill_all(self) -> None:
        while living := self.living():
            for pid in living:
                try:
                    fd = os.pidfd_open(pid)
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    select.select([fd], [], [], 5)
                    os.close(fd)
                except ProcessLookupError:
                    pass
            self.reap()

    # --- what is seen -------------------------------------------------------------------------------------------------

    def collect(self) -> None:
        self.reap()
        for slot in self.report.slots():
            self.roles[slot.pid] = slot.role
            if slot.state == Report.RUNNING and slot.line < 1000:
                self.found[f"{slot.role} dies"] = slot.line
            # Its parent may have waited for it.
            self.found[f"{slot.role} status"] = shown_status(self.statuses[slot.pid]) if slot.pid in self.statuses else "unknown"
        if self.main not in self.roles:
            self.found["main status"] = shown_status(self.statuses.get(self.main, -1))
        self.collect_victim()
        self.collect_calls()
        self.collect_log()
        self.found.update({f"left {name}": value for name, value in self.files().items()})

    def collect_victim(self) -> None:
        self.reap()
        self.found.setdefault("victim", shown_status(self.statuses[self.victim]) if self.victim in self.statuses else "lives")

    def collect_calls(self) -> None:
        texts = {"stdout": (TOOLS / "out").read_bytes(), "stderr": (TOOLS / "err").read_bytes()}
        places = {name: 0 for name in texts}
        self.times: list[tuple[int, int, str, str]] = []
        for role, line, call, returned, error, out, err, began, ended, detail in self.report.records():
            name = f"{role} {int(line):02} {call}"
            if call == "handler":
                self.found.setdefault(f"{role} {int(line):02} handlers", []).append(returned)
                continue
            self.times.append((int(began), int(ended), role, name))
            self.found[f"{name} returns"] = self.named(returned)
            self.found[f"{name} errno"] = error
            if detail:
                self.found[f"{name} detail"] = self.named(detail)
            for stream, size in (("stdout", int(out)), ("stderr", int(err))):
                written = texts[stream][places[stream] : size].decode(errors="replace")
                places[stream] = max(size, places[stream])
                if written:
                    self.found[f"{name} {stream}"] = self.lines(written)
        for stream, place in places.items():
            if texts[stream][place:]:
                self.found[f"end {stream}"] = self.lines(texts[stream][place:].decode(errors="replace"))

    def collect_log(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", "/dev/log")
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(LIMIT)
        for pid, time_of_message, message in self.messages:
            found = re.match(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d (.*?)\[(\d+)\]: (.*)", message, re.S)
            if found is None:
                shown = f"unknown format: {message}"
            else:
                sender = "own" if pid in self.roles and int(found[3]) == pid else self.named(found[3])
                shown = f"<{found[1]}>{found[2]}[{sender}]: {self.line(found[4])}"
            role = self.roles.get(pid)
            if role is not None:
                calls = [name for began, ended, of, name in self.times if began <= time_of_message <= ended and role == of]
            else:
                # One that daemon_exec() has made; it may be later than the call.
                calls = [name for _, name in sorted((began, name) for began, _, _, name in self.times if began <= time_of_message and "daemon_exec" in name)]
            # A call in which the process died is not reported.
            where = calls[-1] if calls else f"{role} dies" if f"{role} dies" in self.found else "end"
            self.found.setdefault(f"{where} syslog", []).append(shown)

    def lines(self, text: str) -> list[str]:
        lines = text.split("\n")
        return [self.line(line) for line in lines[:-1]] + ([f"{self.line(lines[-1])} (unterminated)"] if lines[-1] else [])

    def line(self, text: str) -> str:
        """The line, or that it is one of the library's own, whose words differ."""
        text = self.named(text)
        if len(text) > 300:
            text = f"{text[:30]}... {len(text)} bytes"
        is_own = text.startswith(("client: execv(", "client: Failed to change"))
        return text if text.startswith(("MARK", "client: ")) and not is_own or text == "" else "(message)"

    def named(self, text: str) -> str:
        if not self.roles.keys() >= {slot.pid for slot in self.report.slots()}:
            self.roles.update({slot.pid: slot.role for slot in self.report.slots()})
        return re.sub(r"\b2\d{4}\b", lambda found: self.roles.get(int(found[0]), "another").upper(), text)

    def settle(self) -> None:
        """Waits for the end of what a signal is about to end."""
        for pid in self.living():
            while not has_ended(pid) and is_dying(pid):
                self.report.futex(Report.EVENTS, FUTEX_WAIT, self.report.get(Report.EVENTS), 0.005)
        self.reap()

    def look_at_all(self, when: str) -> None:
        self.settle()
        living = set(self.living())
        for slot in self.report.slots():
            self.roles[slot.pid] = slot.role
        for slot in self.report.slots():
            if slot.pid in living:
                for name, value in self.look(slot.pid).items():
                    if not when:
                        self.found[f"{slot.role} {name}"] = value
                    elif value != self.found.get(f"{slot.role} {name}"):
                        self.found[f"{slot.role} {name}{when}"] = value
        others = living - self.roles.keys()
        if others:
            self.found[f"other processes{when}"] = len(others)
        for name, value in self.files().items():
            if not when or self.found.get(f"file {name}") != value:
                self.found[f"file {name}{when}"] = value

    def look(self, pid: int) -> Observation:
        found: Observation = {}
        proc = pathlib.Path(f"/proc/{pid}")
        fields = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        for name in ("Uid", "Gid", "Groups", "Umask", "NoNewPrivs", "Threads", "Name"):
            found[name] = " ".join(fields.get(name, "").split())
        for name in ("SigBlk", "SigIgn", "SigCgt", "ShdPnd", "SigPnd"):
            number = int(fields[name], 16)
            found[name] = [bit + 1 for bit in range(64) if number >> bit & 1 and bit + 1 not in (32, 33)]
        values = (proc / "stat").read_text().rpartition(")")[2].split()
        found["parent"] = self.roles.get(int(values[1]), "another")
        found["group"] = "own" if int(values[2]) == pid else self.roles.get(int(values[2]), "another")
        found["session"] = "own" if int(values[3]) == pid else self.roles.get(int(values[3]), "another")
        found["terminal"] = values[4] != "0"
        found["nice"] = values[16]
        found["oom"] = (proc / "oom_score_adj").read_text().strip()
        for name in ("cwd", "root"):
            found[name] = os.readlink(proc / name)
        for name, shown in (("Max open files", "limit of files"), ("Max core file size", "limit of core")):
            found[shown] = " ".join(re.findall(rf"{name} +(\S+) +(\S+)", (proc / "limits").read_text())[0])
        for fd in os.listdir(proc / "fd"):
            found[f"descriptor {int(fd):02}"] = self.descriptor(proc, fd)
        zombies = [child for child in (proc / f"task/{pid}/children").read_text().split() if has_ended(int(child))]
        found["zombies"] = sorted(self.roles.get(int(child), "another") for child in zombies)
        return found

    def descriptor(self, proc: pathlib.Path, fd: str) -> str:
        info = (proc / "fdinfo" / fd).read_text()
        flags = int(re.findall(r"flags:\t(\d+)", info)[0], 8)
        words = [("reads", "writes", "reads and writes")[flags & os.O_ACCMODE]]
        for flag, word in ((os.O_APPEND, "appends"), (os.O_NONBLOCK, "nonblocking"), (os.O_CLOEXEC, "cloexec"), (os.O_NOATIME, "noatime")):
            words += [word] if flags & flag else []
        words += ["locked"] if "lock:" in info else []
        target = re.sub(r":\[\d+\]|(?<=/dev/pts/)\d+", "", os.readlink(proc / "fd" / fd))
        return f"{target}: {' '.join(words)}"

    def files(self) -> dict[str, str]:
        found = {}
        for folder, folders, names in os.walk("/run"):
            if folder == str(TOOLS):
                folders.clear()
                continue
            for name in [*folders, *names]:
                path = pathlib.Path(folder, name)
                status = path.lstat()
                if path == TOOLS:
                    continue
                value = f"{stat.filemode(status.st_mode)} {status.st_uid} {status.st_gid}"
                if stat.S_ISREG(status.st_mode):
                    value += f" {self.named(path.read_text(errors='replace'))!r}"
                if stat.S_ISLNK(status.st_mode):
                    value += f" to {os.readlink(path)}"
                found[str(path.relative_to("/run"))] = value
        return found


def has_ended(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def is_dying(pid: int) -> bool:
    """Whether a signal is pending that nothing keeps from the process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    pending, shared, blocked, ignored = (int(re.findall(rf"{name}:\t(\w+)", text)[0], 16) for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn"))
    return bool((pending | shared) & ~blocked & ~ignored)


def shown_status(status: int) -> str:
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def script(lines: list[Any]) -> str:
    """The text that program.c reads: a line for each call, what a child does in braces."""
    text = ""
    for name, *words in lines:
        if name in ("daemon_fork", "fork"):
            text += f"{name}\n{script(words[0])}}}\n"
        else:
            text += "\t".join(escaped(str(word)) for word in (name, *words)) + "\n"
    return text


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
