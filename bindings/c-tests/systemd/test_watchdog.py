"""Type=notify with WatchdogSec=: who stops saying that it lives is taken for dead."""

from __future__ import annotations

import signal

from conftest import Door, Units
from machine import WATCHDOG_KILLED


def test_one_that_pings_lives(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "watchdog", "serve"), Type="notify", WatchdogSec=1)
    process = unit.start()
    unit.satisfies_watchdog(process)
    unit.stop(process)


def test_one_that_falls_silent_is_killed(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "watchdog", "serve", "USR2:", "silent"), Type="notify", WatchdogSec=1, LimitCORE=0)
    process = unit.start()
    process.kill(signal.SIGUSR2)
    unit.fails(process, "watchdog", *WATCHDOG_KILLED, ExecMainCode=2, ExecMainStatus=signal.SIGABRT)


def test_one_that_falls_silent_is_started_again(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "watchdog", "serve", "USR2:", "silent"), Type="notify", WatchdogSec=1, LimitCORE=0,
                         Restart="on-watchdog", RestartSec=0)
    process = unit.start()
    unit.stop(unit.is_started_again(process, signal.SIGUSR2))


def test_one_that_calls_it_itself(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "serve", "USR2:", "tell=WATCHDOG=trigger", "hang"), Type="notify", WatchdogSec=20,
                         LimitCORE=0)
    process = unit.start()
    process.kill(signal.SIGUSR2)
    unit.fails(process, "watchdog", r"Watchdog (request|timeout).*", *WATCHDOG_KILLED[1:], ExecMainStatus=signal.SIGABRT)


def test_one_that_wants_another_time(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "tell=WATCHDOG_USEC=1000000", "serve"), Type="notify", WatchdogSec=20, LimitCORE=0)
    unit.must("start")
    process = unit.processes()[0]
    unit.fails(process, "watchdog", *WATCHDOG_KILLED, ExecMainStatus=signal.SIGABRT)
