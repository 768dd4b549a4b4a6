"""Real programs of Debian's init scripts, started as docs/recipes/init-scripts.md does: by default, waiting for their own pid file, and in
the foreground. The daemon is what status, the pid file and stop mean."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import time
from typing import Callable, NamedTuple

import pytest
from daemons import LIMIT, NOBODY, NOGROUP, House, Said, house, is_gone, is_root, kill, proc, wait_gone
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

    def start(self, words: list[str], port: int, *options: object, verb: str = "start") -> Said:
        self.script.configure(self.house.folder, port)
        self.share_pid_file()
        words = [word.replace("FOLDER", str(self.house.folder)).replace("PORT", str(port)) for word in words]
        return self.house.start(*options, "--", self.program, *words, verb=verb, env=libraries())

    def share_pid_file(self) -> None:
        """Where its own file is the daemon's."""
        conf = self.house.folder / "conf"
        if self.own_pid_file == self.house.pid_path and conf.exists():
            conf.write_text(conf.read_text().replace("/own/pid", f"/{self.own_pid_file.name}"))

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


@pytest.mark.parametrize("service", ["tinyproxy", "rinetd"], indirect=True)  # memcached writes its file as another user
@pytest.mark.parametrize("readiness", ["default", "listen"])
def test_its_own_pid_file_may_be_the_daemons(service: Service, readiness: str) -> None:
    """Both write one file: it names the daemon all the time, and is gone afterwards."""
    service.own_pid_file = service.house.pid_path
    port = free_port()
    options = [] if readiness == "default" else ["--notify", f"listen:127.0.0.1:{port}"]
    words = service.script.background
    service.start(words, port, *options).is_(0, "started")
    first = service.house.pid()
    service.is_the_daemon(first)
    service.start(words, port, *options).is_(0, f"runs already, PID {first}")
    service.start(words, port, *options, "--retry", "TERM/3/TERM/3/TERM/9", verb="restart").is_(0, "restarted")
    assert is_gone(first)
    service.is_the_daemon(service.house.pid())
    service.ends(service.house.pid())
    assert not service.house.pid_path.exists()


@pytest.mark.parametrize("service", ["rinetd"], indirect=True)
def test_a_file_that_is_the_programs_alone_is_left_behind(service: Service) -> None:
    """Where it has the usual path of the name, status finds it: the daemon is dead, and its pid file exists."""
    house, name = service.house, "rinetd"
    os.chown(house.folder, NOBODY, NOGROUP)
    own = house.folder / f"{name}.pid"
    (house.folder / "conf").write_text(f"127.0.0.1 {free_port()} 127.0.0.1 9\npidlogfile {own}\n")
    environment = {**libraries(), "XDG_RUNTIME_DIR": str(house.folder)}
    words = ["--name", name, "--no-pidfile", "--notify", f"forking:{own}", "--", service.program, "-c", house.folder / "conf"]
    house.command("start", *words, nobody=True, env=environment).is_(0, "started")
    house.command("stop", name, nobody=True, env=environment).is_(0, "stopped")
    dead = house.command("status", name, nobody=True, env=environment)
    assert dead.returncode == 1 and "is dead, and has left its pid file behind" in dead.stdout
    own.unlink()
    assert house.command("status", name, nobody=True, env=environment).returncode == 3


HAPROXY = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "libpcre2-8-0")
HAPROXY_CONF = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend f
    bind 127.0.0.1:PORT
    http-request return status 200
"""


class Haproxy:
    def __init__(self, house: House) -> None:
        self.house = house
        self.program = debian("usr/sbin/haproxy", *HAPROXY)
        self.port = free_port()
        self.conf = house.folder / "haproxy.cfg"
        self.conf.write_text(HAPROXY_CONF.replace("PORT", str(self.port)))

    def start(self, *words: object, verb: str = "start") -> Said:
        return self.house.start(*words, "-f", self.conf, verb=verb, env=libraries())

    def workers(self) -> set[int]:
        return {int(pid) for pid in proc(self.house.pid(), f"task/{self.house.pid()}/children").split()}

    def serves(self) -> None:
        socket.create_connection(("127.0.0.1", self.port), 5).close()


@pytest.mark.parametrize("how", ["notify", "background"])
def test_haproxys_master_replaces_its_workers(house: House, how: str) -> None:
    haproxy = Haproxy(house)
    if how == "notify":
        haproxy.start("--notify", "systemd", "--", haproxy.program, "-Ws").is_(0, "started")
    else:
        haproxy.start("--", haproxy.program, "-W", "-D", "-p", house.pid_path).is_(0, "started")
    master, before = house.pid(), haproxy.workers()
    house.command("reload", "--signal", "USR2", "--pidfile", house.pid_path).is_(0, f"sent USR2 to PID {master}")
    until = time.monotonic() + LIMIT
    while not (haproxy.workers() - before) or any(not is_gone(worker) for worker in before):
        assert time.monotonic() < until, "no new worker"
        time.sleep(0.05)
    haproxy.serves()
    assert house.pid() == master and house.command("status", "--pidfile", house.pid_path, "--json").is_(0).json["pid"] == master
    house.stop().is_(0, f"stopped, PID {master} and 1 descendant")


def test_a_reload_that_starts_a_new_process_takes_it_away_from_its_monitor(house: House) -> None:
    """Why the page says not to keep haproxy's: the new one is nobody's daemon."""
    haproxy = Haproxy(house)
    own = house.folder / "haproxy.own"
    haproxy.start("--notify", f"forking:{own}", "--", haproxy.program, "-D", "-p", own).is_(0, "started")
    old = house.pid()
    line = [haproxy.program, "-f", str(haproxy.conf), "-p", str(own), "-sf", str(old), "-D"]
    subprocess.run(line, check=True, env=libraries(), timeout=LIMIT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    new = int(own.read_text())
    wait_gone(old)
    house.stop().is_(0, "does not run")
    assert new != old and not is_gone(new)
    kill(new)
    own.unlink()


@pytest.mark.parametrize("how", ["background", "foreground"])
def test_a_taken_port_leaves_nothing(service: Service, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = service.start(getattr(service.script, how), taken.getsockname()[1])
    assert said.returncode == (service.script.taken if how == "foreground" else said.returncode) != 0
    said.is_(said.returncode, "", "before it was ready")
    assert service.status().returncode == 3
    service.own_pid_file.unlink(missing_ok=True)
