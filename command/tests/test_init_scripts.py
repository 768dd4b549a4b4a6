"""Real programs of Debian's init scripts, started as docs/recipes/init-scripts.md does: by default, waiting for their own pid file, and in
the foreground. The daemon is what status, the pid file and stop mean."""

from __future__ import annotations

import os
import pathlib
import socket
from typing import Callable, NamedTuple

import pytest
from daemons import House, Said, house, is_gone, is_root, proc
from fetched import debian, libraries

__all__ = ["house"]
pytestmark = is_root  # users are changed


class Script(NamedTuple):
    """A program: its packages, how it is configured, and its words in the background and in the foreground."""

    program: str
    packages: tuple[str, ...]
    configure: Callable[[pathlib.Path, int], None]
    background: list[str]
    foreground: list[str]
    taken: int  # its status in the foreground on a taken port


def no_file(folder: pathlib.Path, port: int) -> None:
    """All of it is in the command line."""


def tinyproxy(folder: pathlib.Path, port: int) -> None:
    text = f'User nobody\nGroup nogroup\nListen 127.0.0.1\nPort {port}\nTimeout 600\nPidFile "{folder}/own/pid"\nLogFile "{folder}/own/log"\n'
    (folder / "conf").write_text(text)


def rinetd(folder: pathlib.Path, port: int) -> None:
    (folder / "conf").write_text(f"127.0.0.1 {port} 127.0.0.1 9\npidlogfile {folder}/own/pid\nlogfile {folder}/own/log\n")


MEMCACHED = ["-m", "64", "-p", "PORT", "-l", "127.0.0.1", "-u", "nobody"]
SCRIPTS = {
    "tinyproxy": Script("usr/bin/tinyproxy", ("tinyproxy-bin",), tinyproxy, ["-c", "FOLDER/conf"], ["-d", "-c", "FOLDER/conf"], 71),
    "memcached": Script("usr/bin/memcached", ("memcached", "libevent-2.1-7"), no_file, ["-d", *MEMCACHED, "-P", "FOLDER/own/pid"],
                        MEMCACHED, 71),
    "rinetd": Script("usr/sbin/rinetd", ("rinetd",), rinetd, ["-c", "FOLDER/conf"], ["-f", "-c", "FOLDER/conf"], 1),
}


class Service:
    """One of them in the test's folder, on a port of its own."""

    def __init__(self, house: House, script: Script) -> None:
        self.house, self.script = house, script
        self.program = debian(script.program, *script.packages)
        self.own_pid_file = house.folder / "own/pid"
        self.own_pid_file.parent.mkdir()
        os.chown(self.own_pid_file.parent, 65534, 65534)  # memcached writes its file as its own user

    def start(self, words: list[str], port: int, *options: object) -> Said:
        self.script.configure(self.house.folder, port)
        words = [word.replace("FOLDER", str(self.house.folder)).replace("PORT", str(port)) for word in words]
        return self.house.start(*options, "--", self.program, *words, env=libraries())

    def status(self) -> Said:
        return self.house.command("status", "--pidfile", self.house.pid_path, "--json")

    def is_the_daemon(self, pid: int) -> None:
        """The pid file's process is the program, it runs, and a second start finds it."""
        assert os.path.samefile(f"/proc/{pid}/exe", self.program)
        found = self.status().is_(0).json
        assert (found["result"], found["pid"]) == ("running", pid)

    def ends(self, pid: int) -> None:
        # tinyproxy misses a signal that comes between its look at "quit" and poll(): 2 of 400 times by a plain kill.
        self.house.stop("--retry", "TERM/3/TERM/3/TERM/9").is_(0, f"stopped, PID {pid}")
        assert is_gone(pid) and self.status().returncode == 3
        assert not [entry for entry in os.listdir("/proc") if entry.isdigit() and self.program.encode() in command_line(entry)]
        self.own_pid_file.unlink(missing_ok=True)  # rinetd leaves it


def command_line(pid: str) -> bytes:
    """Of a process, without those that only name the program as an argument."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return b""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(params=SCRIPTS)
def service(request: pytest.FixtureRequest, house: House) -> Service:
    return Service(house, SCRIPTS[request.param])


def test_without_background_the_daemon_is_followed(service: Service) -> None:
    port = free_port()
    words = service.script.background
    service.start(words, port).is_(0, "started")
    pid = service.house.pid()
    service.is_the_daemon(pid)
    service.start(words, port).is_(0, f"runs already, PID {pid}")
    socket.create_connection(("127.0.0.1", port), 5).close()
    service.ends(pid)


def test_forking_waits_for_the_programs_own_pid_file(service: Service) -> None:
    service.start(service.script.background, free_port(), "--notify", f"forking:{service.own_pid_file}").is_(0, "started")
    pid = service.house.pid()
    assert int(service.own_pid_file.read_text()) == pid
    service.is_the_daemon(pid)
    service.ends(pid)


def test_with_background_it_stays_in_the_foreground(service: Service) -> None:
    port = free_port()
    service.start(service.script.foreground, port, "--notify", f"listen:127.0.0.1:{port}").is_(0, "started")
    pid = service.house.pid()
    service.is_the_daemon(pid)
    assert proc(pid, "comm").strip() == pathlib.Path(service.program).name
    service.ends(pid)


@pytest.mark.parametrize("how", ["background", "foreground"])
def test_a_taken_port_leaves_nothing(service: Service, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = service.start(getattr(service.script, how), taken.getsockname()[1])
    assert said.returncode == (service.script.taken if how == "foreground" else said.returncode) != 0
    said.is_(said.returncode, "", "before it was ready")
    assert service.status().returncode == 3
    service.own_pid_file.unlink(missing_ok=True)
