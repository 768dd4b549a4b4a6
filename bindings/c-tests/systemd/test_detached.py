"""Type=notify with a daemon that forks twice all the same: it tells systemd that it is the main process now."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

import pytest

from conftest import Door, Units
from machine import Process, Unit

def adopted(unit: Unit, door: Door) -> Process:
    process = unit.runs()
    assert not process.leads_session, "this is the starter"
    assert process.parent == unit.machine.init
    assert process.maps(door.library)
    return process


@pytest.mark.parametrize("manual", [False, True])
def test_life(units: Units, door: Door, manual: bool) -> None:
    words = ["manual", "open", "ready"] if manual else ["open"]
    unit = units.service(door.command("detach=yes", *words, "tell=STATUS=serves", "serve"), Type="notify", NotifyAccess="all",
                         ExecReload="/bin/kill -HUP $MAINPID")
    unit.must("start")
    process = adopted(unit, door)
    unit.stop(process)


def test_twenty_starts(units: Units, door: Door) -> None:
    """Whether the starter has left before systemd knows of the daemon is a matter of luck otherwise."""
    unit = units.service(door.command("detach=yes", "open", "serve"), Type="notify", NotifyAccess="all", unit={"StartLimitIntervalSec": 0})
    for _ in range(20):
        unit.must("start")
        unit.stop(adopted(unit, door))


def test_while_the_starter_waits(units: Units, door: Door) -> None:
    meet = f"/run/{units.name()}.meet"
    unit = units.service(door.command("detach=yes", "manual", "open", "tell=STATUS=begins", f"meet={meet}", "ready", "serve"),
                         Type="notify", NotifyAccess="all")
    unit.fifo()
    assert unit.control("start", "--no-block").returncode == 0
    with unit.meet(meet):
        unit.is_(ActiveState="activating", SubState="start")
        starter = int(unit.get("MainPID"))
    unit.wait("^Started ")
    process = adopted(unit, door)
    assert process.pid != starter
    unit.stop(process)


@pytest.mark.parametrize("end, status, line", [
    ("exit=7", 7, "start failed: .*"),
    ("kill=11", 139, "start failed: .*SIGSEGV.*"),
])
def test_ending_before_it_is_ready(units: Units, door: Door, end: str, status: int, line: str) -> None:
    unit = units.service(door.command("detach=yes", "manual", "open", end), Type="notify", NotifyAccess="all")
    unit.start_fails("the control process exited with error code", "exit-code",
                     rf"Main process exited, code=exited,? status={status}(/\S+)?", ExecMainCode=1, ExecMainStatus=status)
    unit.says(re.escape(door.says) + ": " + line)


def test_its_own_time_for_a_start_is_over(units: Units, door: Door) -> None:
    unit = units.service(door.command("detach=yes", "manual", "timeout=300", "open", "hang"), Type="notify", NotifyAccess="all")
    unit.start_fails("the control process exited with error code", "exit-code", r"Main process exited, code=exited,? status=124(/\S+)?",
                     ExecMainStatus=124)


def test_the_managers_time_for_a_start_is_over(units: Units, door: Door) -> None:
    unit = units.service(door.command("detach=yes", "manual", "open", "hang"), Type="notify", NotifyAccess="all", TimeoutStartSec=1)
    unit.start_fails("a timeout was exceeded", "timeout", r"start operation timed out\. Terminating\.")


def test_a_crash_after_it_was_ready(units: Units, door: Door) -> None:
    unit = units.service(door.command("detach=yes", "open", "serve", "USR1:", "kill=11"), Type="notify", NotifyAccess="all", LimitCORE=0)
    unit.must("start")
    process = adopted(unit, door)
    process.kill(signal.SIGUSR1)
    unit.fails(process, "signal", "Main process exited, code=killed, status=11/SEGV", ExecMainPID=process.pid, ExecMainStatus=11)


def test_the_watchdog_is_for_the_daemon(units: Units, door: Door) -> None:
    """WATCHDOG_PID named the starter; the service asks whether it is meant."""
    unit = units.service(door.command("detach=yes", "open", "watchdog", "serve", "USR2:", "silent"), Type="notify", NotifyAccess="all",
                         WatchdogSec=1, LimitCORE=0)
    unit.must("start")
    process = adopted(unit, door)
    time.sleep(1.5)
    assert adopted(unit, door).pid == process.pid
    process.kill(signal.SIGUSR2)
    unit.fails(process, "watchdog", r"Watchdog timeout \(limit 1s\)!", r"Killing process \d+ \(\S+\) with signal SIGABRT\.",
               "Main process exited, code=killed, status=6/ABRT", ExecMainStatus=6)
