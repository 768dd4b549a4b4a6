"""A terminal of a test's own, with a size, and a program in it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import termios
import time
import unicodedata
from typing import Mapping

from daemons import LIMIT

ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """Runs a program in it. Size before program: it never sees another one."""

    def __init__(self, argv: list[str], columns: int = 80, environment: Mapping[str, str] = ENVIRONMENT, cwd: str = "/") -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.text = ""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.master)
                os.login_tty(slave) if hasattr(os, "login_tty") else login_tty(slave)
                os.chdir(cwd)
                os.execvpe(argv[0], argv, dict(environment))
            finally:
                os._exit(127)
        os.close(slave)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self) -> bool:
        """Takes what is printed next; false when nothing can be printed any more."""
        assert select.select([self.master], [], [], LIMIT)[0], f"nothing more after {self.text!r}"
        try:
            piece = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += piece.decode(errors="replace")
        return bool(piece)

    def read_until(self, pattern: str) -> re.Match[str]:
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < end and self.read(), f"no {pattern!r} in {self.text!r}"
        return found

    def wait(self) -> int:
        """The program's exit status, when it has said all."""
        while self.read():
            pass
        return self.end()

    def end(self, signum: int = 0) -> int:
        if signum:
            os.kill(self.pid, signum)
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.master)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        self.end(signal.SIGKILL)


def login_tty(slave: int) -> None:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for standard in range(3):
        os.dup2(slave, standard)
    if slave > 2:
        os.close(slave)


def shown(*argv: str, columns: int = 80, **variables: str) -> tuple[int, str]:
    """What a program prints on a terminal so wide, and its exit status."""
    terminal = Terminal(list(argv), columns, {**ENVIRONMENT, **variables})
    status = terminal.wait()
    return status, terminal.text.replace("\r\n", "\n")


def plain(text: str) -> str:
    """Without colours; there must be no other control characters."""
    text = SEQUENCE.sub("", text)
    assert not [letter for letter in text if unicodedata.category(letter) == "Cc" and letter != "\n"], repr(text)
    return text


def width(line: str) -> int:
    """How many columns a line takes."""
    return sum(0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)
