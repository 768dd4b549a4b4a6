"""Sockets that systemd opens for a service, and descriptors that it keeps for it."""

from __future__ import annotations

import signal
import socket

import pytest

from conftest import INTERPRETER, Door, Units
from machine import Machine, Unit

@pytest.fixture(params=[
    pytest.param(["listen", "open"], id="taken-before-the-start"),
    pytest.param(["open", "listen"], id="taken-after-the-start"),
])
def order(request: pytest.FixtureRequest) -> list[str]:
    return request.param


def ask(machine: Machine, inside: str) -> str:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(5)
        asking.connect(str(machine.path(inside)))
        return asking.recv(1000).decode()


# Who is answered needs a name that the service can reach.
ASK_BY_DATAGRAM = """
import socket, sys
asking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
asking.settimeout(5)
asking.bind("")
asking.sendto(b"?", sys.argv[1])
print(asking.recv(1000).decode(), end="")
"""


def of_sockets(units: Units, command: str, sockets: dict[str, str], **lines: object) -> tuple[Unit, Unit]:
    """A service, and the sockets that it is started by: what to listen for, and at which name."""
    name = units.name()
    unit = units.add(f"{name}.socket", {"Socket": {**sockets, "FileDescriptorName": "door"}})
    return unit, units.service(command, name, **lines)


@pytest.mark.parametrize("detach", [[], ["detach=yes"]], ids=["stays", "detaches"])
def test_a_service_is_started_by_its_socket(request: pytest.FixtureRequest, units: Units, c: Door, order: list[str],
                                            detach: list[str]) -> None:
    path = f"/run/{units.name()}.socket"
    listening, unit = of_sockets(units, c.command(*detach, *order, "serve"), {"ListenStream": path}, Type="notify", NotifyAccess="all")
    listening.must("start")
    unit.is_(ActiveState="inactive")
    first = ask(unit.machine, path)
    unit.wait("^Started ")
    process = unit.runs()
    assert process.leads_session == (not detach)
    wanted = f"{process.pid} door of 1, close-on-exec 1, variables 0\n"
    assert first == wanted
    assert ask(unit.machine, path) == wanted
    listening.is_(ActiveState="active", SubState="running")
    # The socket outlives it.
    unit.must("restart")
    again = unit.runs()
    assert ask(unit.machine, path) == wanted.replace(str(process.pid), str(again.pid), 1)
    listening.must("stop")
    unit.stop(again)


def test_forking_with_a_socket(units: Units, c: Door, order: list[str]) -> None:
    name = units.name()
    path = f"/run/{name}.socket"
    listening, unit = of_sockets(units, c.command(f"pidfile=/run/{name}.pid", "detach=yes", *order, "serve"), {"ListenStream": path},
                                 Type="forking", PIDFile=f"/run/{name}.pid")
    listening.must("start")
    first = ask(unit.machine, path)
    unit.wait("^Started ")
    process = unit.runs()
    assert first == f"{process.pid} door of 1, close-on-exec 1, variables 0\n"
    listening.must("stop")
    unit.stop(process)


def test_sockets_by_their_names(units: Units, c: Door, order: list[str]) -> None:
    name = units.name()
    service = f"{name}.service"
    paths = {each: f"/run/{name}.{each}" for each in ("web", "admin", "log")}
    sockets = [units.add(f"{name}-{each}.socket", {"Socket": {
        "ListenDatagram" if each == "log" else "ListenStream": path, "Service": service, "FileDescriptorName": each,
    }}) for each, path in paths.items()]
    unit = units.service(c.command(*order, "serve"), name, unit={"Wants": " ".join(each.name for each in sockets)}, Type="notify",
                         Sockets=" ".join(each.name for each in sockets))
    for each in sockets:
        each.must("start")
    process = unit.start()
    for each, path in paths.items():
        said = unit.machine.must(INTERPRETER, "-I", "-c", ASK_BY_DATAGRAM, path) if each == "log" else ask(unit.machine, path)
        assert said == f"{process.pid} {each} of 3, close-on-exec 1, variables 0\n"
    for each in sockets:
        each.must("stop")
    unit.stop(process)


def test_a_socket_of_the_network(units: Units, c: Door) -> None:
    listening, unit = of_sockets(units, c.command("open", "listen", "serve"), {"ListenStream": "127.0.0.1:7000"}, Type="notify")
    listening.must("start")
    said = unit.machine.must("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7000; cat <&3")
    unit.wait("^Started ")
    process = unit.runs()
    assert said == f"{process.pid} door of 1, close-on-exec 1, variables 0\n"
    listening.must("stop")
    unit.stop(process)


def test_a_service_that_is_the_connection(units: Units, door: Door) -> None:
    """Accept=yes with StandardInput=socket: inetd's way."""
    name = units.name()
    path = f"/run/{name}.socket"
    listening = units.add(f"{name}.socket", {"Socket": {"ListenStream": path, "Accept": "yes"}})
    template = units.service(door.command("open", "say=hello", "exit=0"), f"{name}@", StandardInput="socket", StandardError="inherit")
    listening.must("start")
    for _ in range(2):
        assert ask(template.machine, path) == "hello\n"
    listening.must("stop")


def test_descriptors_are_kept_over_a_restart(units: Units, c: Door, order: list[str]) -> None:
    meet = f"/run/{units.name()}.meet"
    unit = units.service(c.command(*order, "restore", f"meet={meet}", "serve", "USR1:", "store=hello", f"meet={meet}",
                                   "USR2:", "tell=FDSTOREREMOVE=1\nFDNAME=pipe-write", f"meet={meet}"),
                         Type="notify", FileDescriptorStoreMax=4)
    unit.fifo()
    unit.must("start")
    with unit.meet(meet):
        unit.is_(StatusText="none", NFileDescriptorStore=0)
    process = unit.runs()
    process.kill(signal.SIGUSR1)
    with unit.meet(meet):
        unit.is_(NFileDescriptorStore=2)
    assert unit.control("restart", "--no-block").returncode == 0
    with unit.meet(meet):
        unit.is_(StatusText="found hello", NFileDescriptorStore=2)
    unit.wait("^Started ", times=2)
    again = unit.runs()
    assert again.pid != process.pid
    again.kill(signal.SIGUSR2)
    with unit.meet(meet):
        unit.is_(NFileDescriptorStore=1)
    unit.stop(again)
    unit.is_(NFileDescriptorStore=0)
