"""The command daemonctx in a unit: it starts programs that know nothing of systemd, or becomes one that does."""

from __future__ import annotations

import signal
import time

import pytest

from conftest import INTERPRETER, Units, quoted
from machine import INSIDE, Process, Unit

COMMAND = f"{INSIDE}/daemonctx"
SLEEP = ["sleep", "1000"]


def program_of(unit: Unit, monitor: Process) -> Process:
    assert monitor.parent == unit.machine.init and monitor.status("Name").startswith("daemonctx: ")
    return next(process for process in unit.processes() if process.parent == monitor.outside)


def test_start_is_a_forking_service(units: Units) -> None:
    """systemd takes the monitor, its only child, for the main process."""
    pid_file = f"/run/{units.name()}.pid"
    unit = units.service(quoted([COMMAND, "start", "--pidfile", pid_file, "--notify", "running:0.1", "--", *SLEEP]),
                         Type="forking", ExecStop=quoted([COMMAND, "stop", "--pidfile", pid_file]))
    unit.must("start")
    monitor = unit.runs(beside=1)
    process = program_of(unit, monitor)
    assert unit.machine.path(pid_file).read_text() == f"{process.pid}\n"
    assert unit.machine.run(COMMAND, "status", "--pidfile", pid_file).returncode == 0
    unit.must("stop")
    assert process.ended(10)
    unit.is_dead("success")
    assert unit.machine.run(COMMAND, "status", "--pidfile", pid_file).returncode == 3
    assert not unit.machine.path(pid_file).exists()


@pytest.mark.parametrize("number, status", [(signal.SIGKILL, 137), (signal.SIGTERM, 143)])
def test_systemd_sees_how_the_program_ended(units: Units, number: int, status: int) -> None:
    pid_file = f"/run/{units.name()}.pid"
    unit = units.service(quoted([COMMAND, "start", "--pidfile", pid_file, "--notify", "exec", "--", *SLEEP]), Type="forking")
    unit.must("start")
    monitor = unit.runs(beside=1)
    program_of(unit, monitor).kill(number)
    unit.fails(monitor, "exit-code", rf"Main process exited, code=exited,? status={status}(/\S+)?", ExecMainStatus=status)


def test_start_that_fails(units: Units) -> None:
    pid_file = f"/run/{units.name()}.pid"
    unit = units.service(quoted([COMMAND, "start", "--pidfile", pid_file, "--notify", "running:20", "--", "sh", "-c", "exit 7"]),
                         Type="forking", PIDFile=pid_file)
    unit.start_fails("the control process exited with error code", "exit-code", r"Control process exited, code=exited,? status=7(/\S+)?")
    unit.says(r"sh: start failed: PID \d+: exited with status 7 before it was ready; add --stderr FILE to see why")
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


TALKS = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("for information", flush=True)
print("an error", file=sys.stderr, flush=True)
while signal.sigwait({signal.SIGUSR1}):
    print("again", flush=True)
"""


def test_syslog_is_the_journal(units: Units) -> None:
    """Its lines have the daemon's PID and name, whoever has passed them on; and a journal that has begun anew goes on with them."""
    pid_file = f"/run/{units.name()}.pid"
    options = ["--pidfile", pid_file, "--notify", "running:0.1", "--syslog", "--syslog-identity", "talker", "--syslog-facility", "local3"]
    unit = units.service(quoted([COMMAND, "start", *options, "--", INTERPRETER, "-c", TALKS]), Type="forking")
    unit.must("start")
    # Monitor and logger are systemd's children both, so it takes neither for the main process.
    processes = unit.processes()
    process = next(process for process in processes if process.status("Name").startswith("python"))
    main = process.pid
    assert len(processes) == 3 and unit.get("MainPID") == "0"
    is_logged(unit, main, "for information", priority=6)
    is_logged(unit, main, "an error", priority=3)
    unit.machine.must("systemctl", "restart", "systemd-journald")
    process.kill(signal.SIGUSR1)
    is_logged(unit, main, "again", priority=6)
    unit.stop(process)


def is_logged(unit: Unit, pid: int, text: str, priority: int) -> None:
    LOCAL3 = 19
    expected = {"MESSAGE": text, "PRIORITY": str(priority), "SYSLOG_FACILITY": str(LOCAL3), "SYSLOG_IDENTIFIER": "talker",
                "SYSLOG_PID": str(pid)}
    unit.machine.journal.wait(lambda entry: expected.items() <= entry.items(), f"{expected}", unit.mark, 1)
