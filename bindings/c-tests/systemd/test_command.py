"""The command daemonctx in a unit: it starts programs that know nothing of systemd, or becomes one that does."""

from __future__ import annotations

import time

import pytest

from conftest import Units, quoted
from machine import INSIDE

COMMAND = f"{INSIDE}/daemonctx"
SLEEP = ["sleep", "1000"]


def test_start_is_a_forking_service(units: Units) -> None:
    pid_file = f"/run/{units.name()}.pid"
    unit = units.service(quoted([COMMAND, "start", "--pidfile", pid_file, "--notify", "running:0.1", "--", *SLEEP]),
                         Type="forking", PIDFile=pid_file, ExecStop=quoted([COMMAND, "stop", "--pidfile", pid_file]))
    unit.must("start")
    process = unit.runs()
    assert process.parent == unit.machine.init and not process.leads_session
    assert unit.machine.path(pid_file).read_text() == f"{process.pid}\n"
    assert unit.machine.run(COMMAND, "status", "--pidfile", pid_file).returncode == 0
    unit.must("stop")
    assert process.ended(10)
    unit.is_dead("success")
    assert unit.machine.run(COMMAND, "status", "--pidfile", pid_file).returncode == 3


def test_start_that_fails(units: Units) -> None:
    pid_file = f"/run/{units.name()}.pid"
    unit = units.service(quoted([COMMAND, "start", "--pidfile", pid_file, "--notify", "running:20", "--", "sh", "-c", "exit 7"]),
                         Type="forking", PIDFile=pid_file)
    unit.start_fails("the control process exited with error code", "exit-code", r"Control process exited, code=exited,? status=7(/\S+)?")
    unit.says(r"sh: start failed: PID \d+: exited with status 7 before it was ready")
    assert not unit.machine.path(pid_file).exists()


@pytest.mark.parametrize("kind", ["simple", "exec"])
def test_run_becomes_the_program(units: Units, kind: str) -> None:
    pid_file = f"/run/{units.name()}.pid"
    unit = units.service(quoted([COMMAND, "run", "--pidfile", pid_file, "--user", "nobody", "--", *SLEEP]), Type=kind)
    unit.must("start")
    process = unit.runs()
    while process.status("Name") != "sleep":  # nobody tells when execve(2) is done; the limit is the test's
        time.sleep(0.01)
    assert process.status("Uid").split()[0] != "0"
    assert unit.machine.path(pid_file).read_text() == f"{process.pid}\n"
    unit.stop(process)


def test_run_passes_the_notify_socket_on(units: Units) -> None:
    program = ["sh", "-c", "systemd-notify --ready --status=serves; exec sleep 1000"]
    unit = units.service(quoted([COMMAND, "run", "--no-pidfile", "--", *program]), Type="notify", NotifyAccess="all")
    unit.must("start")
    process = unit.runs()
    unit.is_(StatusText="serves", ActiveState="active")
    unit.stop(process)
