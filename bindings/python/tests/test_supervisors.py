"""What service managers are told, and what they pass on."""

from __future__ import annotations

import array
import os
import socket

import pytest
from conftest import LIMIT, House



def manager(path: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    server.settimeout(LIMIT)
    return server


def receive(server: socket.socket) -> tuple[str, list[int]]:
    """The next message, and the descriptors with it."""
    text, control, _, _ = server.recvmsg(4096, socket.CMSG_SPACE(8 * 4))
    fds = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return text.decode(), list(fds)


@pytest.fixture
def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "PYTHONUNBUFFERED")}
    return {name: value for name, value in kept.items() if not name.startswith(("LISTEN_", "WATCHDOG_"))}


def test_messages_descriptors_and_a_barrier(house: House, environment: dict[str, str]) -> None:
    path = str(house.folder / "notify")
    with manager(path) as server:
        done = house.run(
            """
            context = DaemonContext(files_preserve=[REPORT], detach_process=True)
            context.open()
            report(os.getpid())
            with open(os.devnull) as null:
                report(notify("FDSTORE=1\\nFDNAME=null", fds=[null, 0]))
            report(notify_reloading(), notify("READY=1"))
            report(notify_barrier(timeout=10))
            try:
                notify("FDSTORE=1", fds=[99])
            except DaemonError as error:
                report(error.errno, error.step)
            try:
                notify_barrier(0.05)
            except DaemonError as error:
                report(error)
            signal.pause()
            """,
            env={**environment, "NOTIFY_SOCKET": path},
        )
        assert (done.returncode, done.stderr) == (0, "")
        daemon = int(house.hear())
        assert receive(server) == (f"READY=1\nMAINPID={daemon}", [])
        text, stored = receive(server)
        assert text == "FDSTORE=1\nFDNAME=null" and len(stored) == 2
        assert os.readlink(f"/proc/self/fd/{stored[0]}") == "/dev/null"
        text, _ = receive(server)
        assert text.startswith("RELOADING=1\nMONOTONIC_USEC=") and int(text.rpartition("=")[2]) > 0
        assert receive(server) == ("READY=1", [])
        text, held = receive(server)
        assert text == "BARRIER=1" and len(held) == 1
        for fd in stored + held:
            os.close(fd)
        assert [house.hear() for _ in range(4)] == ["True", "True True", "True", "9 notify"]
        assert house.hear() == "notify failed: BARRIER=1: Connection timed out (110 ETIMEDOUT)"
        house.end(daemon)


def test_without_a_manager(house: House, environment: dict[str, str]) -> None:
    done = house.run(
        "print(notify('STATUS=x'), notify_reloading(), notify_barrier(), watchdog_interval(), listen_sockets())",
        env=environment,
    )
    assert (done.stdout, done.stderr) == ("False False False None []\n", "")


# What a manager does: its own PID for the program that it is going to be, and numbers from 3 on.
HAND_OVER = """
import os, socket
if "SCRIPT_RUNS" not in os.environ:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    copies = [os.dup(server.fileno()) for server in servers]
    high = [__import__("fcntl").fcntl(fd, __import__("fcntl").F_DUPFD, 50) for fd in copies]
    for number, fd in enumerate(high, 3):
        os.dup2(fd, number)
    os.environ.update(SCRIPT_RUNS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="web:",
                      WATCHDOG_PID=str(os.getpid()), WATCHDOG_USEC="3500000")
    import sys
    os.execv(sys.executable, [sys.executable, *sys.argv])
"""


def test_sockets_and_the_watchdog_through_two_forks(house: House, environment: dict[str, str]) -> None:
    done = house.run(
        """
        context = DaemonContext(files_preserve=[REPORT], detach_process=True)
        context.open()
        report(os.getpid(), os.environ["LISTEN_PID"], os.environ["WATCHDOG_PID"], watchdog_interval())
        sockets = listen_sockets()
        report([name for name, _ in sockets], [sock.getsockopt(1, 30) for _, sock in sockets])
        report([sock.get_inheritable() for _, sock in sockets], sorted(name for name in os.environ if "LISTEN" in name))
        report(listen_descriptors())
        import subprocess
        report(subprocess.run(["/bin/sh", "-c", "echo $LISTEN_FDS$LISTEN_PID"], stdout=subprocess.PIPE).stdout)
        signal.pause()
        """,
        head=HAND_OVER,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    daemon, listen_pid, watchdog_pid, interval = house.hear().split()
    assert daemon == listen_pid == watchdog_pid and interval == "3.5"
    assert house.hear() == "['web', 'unknown'] [1, 1]"
    assert house.hear() == "[False, False] []"
    assert house.hear() == "[]"
    assert house.hear() == "b'\\n'"
    house.end(int(daemon))


def test_a_newline_for_s6(house: House) -> None:
    os.mkfifo(house.folder / "ready")
    read = os.open(house.folder / "ready", os.O_RDONLY | os.O_NONBLOCK)
    house.run(
        """
        context = DaemonContext(files_preserve=[REPORT], manual_ready=True, detach_process=True)
        context.ready_fd = fd = os.open(FOLDER + "/ready", os.O_WRONLY)
        context.open()
        report(os.getpid())
        context.ready()
        report(os.path.exists(f"/proc/self/fd/{fd}"))
        signal.pause()
        """
    )
    daemon = int(house.hear())
    assert house.hear() == "False"
    assert (os.read(read, 10), os.read(read, 10)) == (b"\n", b"")
    os.close(read)
    house.end(daemon)
    refused = house.run("context = DaemonContext()\ncontext.ready_fd = 77\ncontext.open()")
    assert refused.returncode == 1
    assert "ready descriptor failed: 77: Bad file descriptor (9 EBADF)" in refused.stderr
