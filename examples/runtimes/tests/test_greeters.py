"""What docs/start/runtimes.md says of each program."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import struct

import pytest
from conftest import FOLDER, GREETING, LANGUAGES, LOG, PID_FILE, PORT, Greeter, ask, ended, field, run, until


def parent(pid: int) -> int:
    return int(field(pid, "PPid"))


def test_it_is_a_daemon_that_answers_when_the_starter_has_left(greeter: Greeter) -> None:
    starter = greeter.start()
    assert (starter.returncode, starter.stdout) == (0, "")
    assert ask() == "Hello.\n"
    pid = greeter.pid()
    assert os.getsid(pid) not in (os.getsid(0), pid)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1)] == ["/dev/null"] * 2
    assert pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[4] == "0"  # no terminal
    if greeter.language.launches:
        assert field(parent(pid), "Name") == "daemonctx: greeter"[:15]
        assert parent(parent(pid)) == os.getpid()
    else:
        assert parent(pid) == os.getpid()
    greeter.stop()
    assert not PID_FILE.exists()


def test_sigterm_ends_it_and_its_pid_file(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    pid = greeter.pid()
    child = parent(pid) if greeter.language.launches else pid
    os.kill(pid, signal.SIGTERM)
    assert ended(child) == greeter.language.end
    assert not PID_FILE.exists()


def test_sighup(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    GREETING.write_text("Good evening.\n")
    if greeter.language.reloads:
        assert ask() == "Hello.\n"
        assert run("daemonctx", "reload", "--pidfile", str(PID_FILE)).returncode == 0
    until(lambda: ask() == "Good evening.\n", "the new greeting")
    greeter.stop()


def test_a_second_start_is_refused(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    second = greeter.start()
    assert second.returncode == 1
    assert second.stdout.count("\n") == 1 and f"already running as PID {greeter.pid()}" in second.stdout
    greeter.stop()


def test_a_taken_port_fails_with_one_line_and_leaves_nothing(greeter: Greeter) -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        starter = greeter.start()
    assert starter.returncode == 1
    assert starter.stdout.count("\n") == 1 and starter.stdout.startswith("greeter: start failed: ")
    # A program that is launched has a log for that.
    reason = LOG.read_text() if greeter.language.launches else starter.stdout
    assert "ddress already in use" in reason
    assert not PID_FILE.exists()


def test_clients_that_leave_at_once_do_no_harm(greeter: Greeter) -> None:
    assert greeter.start().returncode == 0
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", PORT)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask() == "Hello.\n"
    greeter.stop()


@pytest.mark.parametrize("greeter", [name for name, language in LANGUAGES.items() if language.launches], indirect=True)
def test_the_command_starts_it_as_well(greeter: Greeter) -> None:
    options = ["--name", "greeter", "--pidfile", str(PID_FILE), "--notify", "fd", "--chdir", str(FOLDER)]
    starter = run("daemonctx", "start", *options, "--", *greeter.language.words, "serve")
    assert (starter.returncode, starter.stdout) == (0, f"greeter: started, PID {greeter.pid()}\n")
    assert ask() == "Hello.\n"
    greeter.stop()
