"""Cases from the field: public bug reports about starting, following, restarting and stopping, as small shell scripts of their kind."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import time

import pytest
from daemons import LIMIT, House, descendants, house, is_gone, kill, proc

__all__ = ["house"]

# Puts itself into the background as daemon(3) does, then closes what it has inherited.
FORKS = """
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words)
{
    if (count < 2 || daemon(0, 0))
        return 1;
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    execlp("sleep", "sleep", words[1], (char *)NULL);
    return 1;
}
"""


@pytest.fixture
def forking(house: House) -> str:
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    source = house.folder / "forks.c"
    source.write_text(FORKS)
    subprocess.run(["cc", "-o", house.folder / "forks", source], check=True)
    return str(house.folder / "forks")


def sleepers(seconds: str) -> list[int]:
    return [pid for pid in descendants() if proc(pid, "cmdline") == f"sleep\0{seconds}\0"]


@pytest.mark.parametrize("words", [[], ["--notify", "running:0.1"], ["--notify", "forking"]])
def test_a_program_that_forks_itself_is_followed_each_time(house: House, forking: str, words: list[str]) -> None:
    for _ in range(10):
        pid = house.started(*words, forking, "4711")
        assert sleepers("4711") == [pid]
        house.command("status", "-p", house.pid_path, "-q").is_(0)
        house.stop().is_(0, f"stopped, PID {pid}")
        assert is_gone(pid) and not sleepers("4711")


def test_nothing_is_left_of_a_start_that_fails(house: House, forking: str) -> None:
    """Its daemon is alive, and never says that it is ready."""
    for _ in range(5):
        house.start("--notify", "fd", "-t", "300ms", forking, "4712")
        assert not sleepers("4712") and not house.pid_path.exists()


def test_workers_of_a_killed_master_are_stopped(house: House) -> None:
    script = house.script("""
        for _ in range(2): subprocess.Popen(["sleep", "4713"])
        report("here")
        forever()
    """)
    pid = house.started(script)
    house.hear()
    kill(pid)
    assert house.command("status", "-p", house.pid_path).returncode == 2
    house.start(script).is_(1, "", "its program has ended")
    house.stop().is_(0, "stopped what it left")
    assert not sleepers("4713")


def test_respawn_with_a_relative_log(house: House) -> None:
    words = ["--notify", "exec", "--respawn", "--respawn-delay", "0.1", "--respawn-limit", "3", "-o", "relative.log"]
    house.start(*words, "sh", "-c", "echo up; sleep 0.1; exit 3", cwd=house.folder).is_(0)
    log: pathlib.Path = house.folder / "relative.log"
    until = time.monotonic() + LIMIT
    while house.command("status", "-p", house.pid_path).returncode != 1 and time.monotonic() < until:
        pass
    assert log.read_text() == "up\n" * 4
    house.stop().is_(0)


def test_respawn_of_a_program_that_removes_its_pid_file(house: House) -> None:
    body = f"sleep 0.3; rm -f {house.pid_path}; exit 1"
    words = ["--notify", "exec", "--respawn", "--respawn-delay", "50ms", "--respawn-limit", "0"]
    house.start(*words, "sh", "-c", body).is_(0)
    until = time.monotonic() + LIMIT
    while (house.command("status", "-p", house.pid_path, "--json").json["restarts"] or 0) < 2:
        assert time.monotonic() < until
    house.stop().is_(0)
    assert not [pid for pid in descendants() if proc(pid, "cmdline").startswith("daemonctx")] and not house.pid_path.exists()


def test_a_taken_port_is_reported_by_default(house: House) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        said = house.start("python3", "-m", "http.server", "--bind", "127.0.0.1", port, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert said.returncode == 1 and said.stderr.startswith("http.server: ")
