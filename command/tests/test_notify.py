"""Readiness by messages: who is believed, and what strangers cannot do to a start."""

from __future__ import annotations

import array
import contextlib
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from typing import Iterator

import pytest
from daemons import AS_NOBODY, COMMAND, LIMIT, House, house, is_root, proc, stat  # noqa: F401

LINGER = 600  # seconds: far longer than a test may take


def receiver_of(monitor: int) -> int:
    """The process that receives messages for a monitor."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if proc(pid, "comm") == "daemonctx-recv\n" and os.getsid(int(pid)) == monitor:
                    return int(pid)
    raise AssertionError("no process receives messages")


class Start:
    """A start under way, whose daemon waits for SIGUSR1 before it sends READY=1."""

    def __init__(self, house: House, *words: object) -> None:
        script = house.script("""
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            report(os.environ["NOTIFY_SOCKET"])
            report(os.getpid())
            signal.sigwait([signal.SIGUSR1])
            report("now")
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            name = os.environ["NOTIFY_SOCKET"]
            s.sendto(b"READY=1", "\\0" + name[1:] if name[0] == "@" else name)
            forever()
        """)
        argv = [COMMAND, "start", "--pidfile", house.pid_path, "--keep-fd", house.mouth, "--notify", "systemd", *words, script]
        self.begun = time.monotonic()
        self.starter = subprocess.Popen(list(map(str, argv)), pass_fds=[house.mouth], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        name = house.hear()
        self.address = "\0" + name[1:] if name[0] == "@" else name
        self.daemon = int(house.hear())
        self.receiver = receiver_of(int(stat(self.daemon)[1]))

    def send(self, state: bytes, descriptors: list[int] = []) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            sender.sendmsg([state], rights, 0, self.address)

    def barrier(self) -> None:
        """Waits until all that was sent has been read."""
        ours, theirs = os.pipe()
        self.send(b"BARRIER=1", [theirs])
        os.close(theirs)
        with open(ours, "rb") as end:
            assert end.read() == b""

    def is_under_way(self) -> bool:
        """Once all that was sent has been read. That nothing comes of it takes a moment to see."""
        self.barrier()
        with open(os.pidfd_open(self.starter.pid)) as end:
            return not select.select([end], [], [], 0.3)[0]

    def ends(self) -> int:
        status = self.starter.wait(LIMIT)
        assert self.starter.stderr
        self.starter.stderr.close()
        return status


@contextlib.contextmanager
def lingering(count: int) -> Iterator[list[socket.socket]]:
    """Connections whose close takes minutes: nobody reads what was written to them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []
        for _ in range(count):
            connection = socket.create_connection(server.getsockname())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    connection.send(bytes(65536))
            connections.append(connection)
        yield connections


def test_another_process_of_the_daemons_user_is_not_believed(house: House) -> None:
    start = Start(house)
    start.send(b"READY=1")
    assert start.is_under_way()
    os.kill(start.daemon, signal.SIGUSR1)
    assert house.hear() == "now"
    assert start.ends() == 0
    house.stop().is_(0)


@is_root
def test_a_stranger_is_not_believed(house: House) -> None:
    start = Start(house)
    program = "import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', sys.argv[1])"
    subprocess.run([*AS_NOBODY, "/usr/bin/python3", "-c", program, start.address], stderr=subprocess.DEVNULL)
    assert start.is_under_way()
    os.kill(start.daemon, signal.SIGUSR1)
    assert start.ends() == 0
    house.stop().is_(0)


@pytest.mark.parametrize("messages", [1, 5])
def test_a_socket_that_lingers_does_not_prolong_the_timeout(house: House, messages: int) -> None:
    start = Start(house, "-t", "1")
    # The receiver stands still until only the messages have the sockets.
    os.kill(start.receiver, signal.SIGSTOP)
    with lingering(messages * 2) as connections:
        for two in zip(connections[::2], connections[1::2]):
            start.send(b"STATUS=lingers", [connection.fileno() for connection in two])
        for connection in connections:
            connection.close()
        os.kill(start.receiver, signal.SIGCONT)
        assert start.ends() == 124
        assert time.monotonic() - start.begun < 5


def test_a_flood_does_not_prolong_the_timeout(house: House) -> None:
    start = Start(house, "-t", "1")

    def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                start.send(b"READY=1\nEXTEND_TIMEOUT_USEC=1000000000")

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert start.ends() == 124
    assert time.monotonic() - start.begun < 5
    for thread in threads:
        thread.join()


@pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="no systemd-notify")
@pytest.mark.parametrize("_", range(5))
def test_systemd_notify_succeeds_with_its_barrier(house: House, _: int) -> None:
    house.started("--notify", "systemd", *house.shell("systemd-notify --ready; say status $?; exec sleep 1000"))
    assert house.hear() == "status 0"
    house.stop().is_(0)


@pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="no systemd-notify")
def test_systemd_notify_in_a_session_of_its_own_is_believed(house: House) -> None:
    as_another = "setpriv --reuid=65534" if os.geteuid() == 0 else ""
    house.started("--notify", "systemd", *house.shell(f"setsid {as_another} systemd-notify --ready; say status $?; exec sleep 1000"))
    assert house.hear() == "status 0"
    house.stop().is_(0)


def test_messages_are_received_behind_the_sign(house: House) -> None:
    """Those of a barrier come when the start may be over already."""
    script = house.script("""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        line.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
        line.send(b"READY=1")
        signal.sigwait([signal.SIGUSR1])
        try: report("sent", line.send(b"STATUS=x"))
        except OSError as error: report(error)
        forever()
    """)
    os.kill(house.started("--notify", "systemd", script), signal.SIGUSR1)
    assert house.hear() == "sent 8"
    house.stop().is_(0)


CHANGES = {
    "chmod": lambda old, path: old.chmod(0o600),
    "another link to it": lambda old, path: os.link(old, path.with_name("link")),
    "an old file that is moved there": lambda old, path: old.rename(path),
    "a link to an old file": lambda old, path: os.link(old, path),
}


@pytest.mark.parametrize("date", [1, 4e9], ids=["past", "future"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_is_new_when_it_was_written(house: House, change: str, date: float) -> None:
    """What changes without being written is not, whatever its date; a write is, also to a file with such a date."""
    path = house.folder / "ready"
    old = path if change in ("chmod", "another link to it") else house.folder / "old"
    old.write_text("old")
    os.utime(old, (date, date))
    script = house.script("report('here'); forever()")
    argv = [COMMAND, "start", "-p", house.pid_path, "--keep-fd", house.mouth, "--notify", f"file:{path}", script]
    with subprocess.Popen(list(map(str, argv)), pass_fds=[house.mouth], stdout=subprocess.DEVNULL) as starter:
        assert house.hear() == "here"
        CHANGES[change](old, path)
        with open(os.pidfd_open(starter.pid)) as end:
            assert not select.select([end], [], [], 0.3)[0]
        path.write_text("new")
        assert starter.wait(LIMIT) == 0
    house.stop().is_(0)


def test_a_file_with_a_near_date_does_not_become_new_by_waiting(house: House) -> None:
    path = house.folder / "ready"
    path.write_text("old")
    date = time.time() + 0.5
    os.utime(path, (date, date))
    argv = ["--notify", f"file:{path}", "-t", "1.5s", "sh", "-c", 'chmod 600 "$0"; exec sleep 1000', path]
    house.start(*argv).is_(124, "", "the file did not appear")


@pytest.mark.parametrize(
    "how, awaited",
    [
        ("fd", "no newline came on its descriptor"),
        ("systemd", "no READY=1 came"),
        ("listen:1", "nothing listens there"),
        ("file:/nonexistent", "the file did not appear"),
        ("forking", "it did not put itself into the background"),
        ("forking:/nonexistent", "its pid file is missing, or names no daemon"),
    ],
)
def test_a_timeout_says_what_was_awaited(house: House, how: str, awaited: str) -> None:
    said = house.start("--notify", how, "-t", "200ms", "--", "sleep", "1000")
    said.is_(124, "", f"sleep: ready failed: 0.200 s: {awaited}\n")


def test_a_thread_is_no_daemon(house: House) -> None:
    """Its number is another process's when it has ended, and would be signalled."""
    named = house.folder / "own"
    script = house.script(f"""
        import threading
        if os.fork(): os._exit(0)
        thread = threading.Thread(target=forever)
        thread.start()
        with open({str(named)!r} + ".new", "w") as file: file.write(str(thread.native_id))
        os.rename({str(named)!r} + ".new", {str(named)!r})
        forever()
    """)
    said = house.start("--notify", f"forking:{named}", "-t", "1s", script)
    assert named.exists() and said.returncode == 124 and "names no daemon" in said.stderr, said
    assert not house.pid_path.exists()
