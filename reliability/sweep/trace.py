"""What the injector has written down: the calls of a start, each with its process's role and what it is about."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import re
import signal

HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
PRCTL = {1: "PR_SET_PDEATHSIG", 15: "PR_SET_NAME", 23: "PR_CAPBSET_READ", 24: "PR_CAPBSET_DROP", 36: "PR_SET_CHILD_SUBREAPER",
         37: "PR_GET_CHILD_SUBREAPER", 38: "PR_SET_NO_NEW_PRIVS", 47: "PR_CAP_AMBIENT"}
FCNTL = {0: "F_DUPFD", 1: "F_GETFD", 2: "F_SETFD", 3: "F_GETFL", 4: "F_SETFL", 6: "F_SETLK", 7: "F_SETLKW", 1030: "F_DUPFD_CLOEXEC"}
MASK = {0: "SIG_BLOCK", 1: "SIG_UNBLOCK", 2: "SIG_SETMASK"}
# The first argument is an open descriptor.
ON_DESCRIPTOR = {
    "read", "write", "close", "fstat", "newfstatat", "lseek", "flock", "fchmod", "fchown", "ftruncate", "pread64", "pwrite64", "dup",
    "dup2", "dup3", "ioctl", "getdents64", "connect", "sendto", "sendmsg", "recvmsg", "getsockopt", "setsockopt", "getsockname", "fsync",
}


@functools.cache
def names() -> dict[int, str]:
    header = next(pathlib.Path(path) for path in HEADERS if pathlib.Path(path).exists())
    return {int(number): name for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text())}


@dataclasses.dataclass(frozen=True)
class Call:
    role: str  # the process's place in the tree
    number: int
    nth: int  # of this number in this process
    what: str  # its name, and in parentheses what it is about

    @property
    def name(self) -> str:
        return names()[self.number]


@dataclasses.dataclass
class Trace:
    calls: list[Call] = dataclasses.field(default_factory=list)
    ends: dict[str, tuple[int, float]] = dataclasses.field(default_factory=dict)  # status (-signal), milliseconds
    pids: dict[str, int] = dataclasses.field(default_factory=dict)
    free: set[str] = dataclasses.field(default_factory=set)  # came to the end of the start, and live on
    hit: bool = False
    late: bool = False
    words: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)  # what each has said on pipes


class _Descriptors:
    """What each process's descriptors are open on, as far as the trace tells."""

    def __init__(self) -> None:
        self.of: dict[str, dict[int, str]] = {"0": {0: "stdin", 1: "stdout", 2: "stderr"}}

    def fork(self, role: str) -> None:
        if "." in role:
            self.of[role] = dict(self.of[role.rpartition(".")[0]])

    def see(self, role: str, name: str, first: int, second: int, text: str, result: int) -> None:
        table = self.of[role]
        if result < 0:
            return
        if name in ("openat", "open"):
            table[result] = text
        elif name in ("socket", "signalfd4", "pidfd_open"):
            table[result] = {"signalfd4": "signalfd", "pidfd_open": "pidfd"}.get(name, name)
        elif name in ("dup", "dup2", "dup3"):
            table[result if name == "dup" else second] = table.get(first, "?")
        elif name == "fcntl" and second in (0, 1030):
            table[result] = table.get(first, "?")
        elif name == "pipe2":
            for end in text.split(","):
                table[int(end)] = "pipe"
        elif name == "close":
            table.pop(first, None)


def read(path: pathlib.Path, folder: str) -> Trace:
    """The trace in a file; `folder`, which is another each time, is left out of what calls are about."""
    trace, open_files = Trace(), _Descriptors()
    for line in path.read_text(errors="replace").splitlines():
        kind, *words = line.split(" ")
        if kind == "process":
            trace.pids[words[0]] = int(words[1])
            open_files.fork(words[0])
        elif kind == "call":
            role, number, nth, *arguments, text, result = words
            name = names()[int(number)]
            first, second, _ = (_signed(int(it, 16)) for it in arguments)
            text = "" if text == "-" else text.replace(folder + "/", "")
            what = f"{name}({_about(name, first, second, text, open_files.of[role])})"
            trace.calls.append(Call(role, int(number), int(nth), what))
            trace.words[role] += what == "write(pipe)" and result.isdigit()
            if result.lstrip("-").isdigit():
                open_files.see(role, name, first, second, text, int(result))
        elif kind == "end":
            trace.ends[words[0]] = int(words[1]), float(words[2])
        elif kind == "free":
            trace.free.add(words[0])
        elif kind == "hit":
            trace.hit = True
        elif kind == "late":
            trace.late = True
    return trace


def _signed(word: int) -> int:
    low = word & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _about(name: str, first: int, second: int, text: str, table: dict[int, str]) -> str:
    if name == "pipe2":
        return ""
    if text:
        return text
    if name == "prctl":
        return PRCTL.get(first, str(first))
    if name == "fcntl":
        return f"{table.get(first, '?')}, {FCNTL.get(second, second)}"
    if name == "rt_sigprocmask":
        return MASK.get(first, str(first))
    if name == "rt_sigaction":
        return signal.Signals(first).name if first in set(signal.Signals) else f"signal {first}"
    if name in ON_DESCRIPTOR:
        return table.get(first, "?")
    return ""
