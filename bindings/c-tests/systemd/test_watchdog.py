"""Type=notify with WatchdogSec=: who stops saying that it lives is taken for dead."""

from __future__ import annotations

import signal
import time

from conftest import Door, Units

KILLED = (r"Watchdog timeout \(limit 1s\)!", r"Killing process \d+ \(\S+\) with signal SIGABRT\.",
          "Main process exited, code=killed, status=6/ABRT")


def test_one_that_pings_lives(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "watchdog", "serve"), Type="notify", WatchdogSec=1)
    process = unit.start()
    first = int(unit.get("WatchdogTimestampMonotonic"))
    time.sleep(2.2)  # more than two of its times
    assert unit.runs().pid == process.pid
    assert int(unit.get("WatchdogTimestampMonotonic")) > first + 1_000_000
    unit.stop(process)


def test_one_that_falls_silent_is_killed(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "watchdog", "serve", "USR2:", "silent"), Type="notify", WatchdogSec=1, LimitCORE=0)
    process = unit.start()
    process.kill(signal.SIGUSR2)
    unit.fails(process, "watchdog", *KILLED, ExecMainCode=2, ExecMainStatus=signal.SIGABRT)


def test_one_that_falls_silent_is_started_again(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "watchdog", "serve", "USR2:", "silent"), Type="notify", WatchdogSec=1, LimitCORE=0,
                         Restart="on-watchdog", RestartSec=0)
    process = unit.start()
    unit.expects(*KILLED, r"Failed with result 'watchdog'\.", r"Scheduled restart job, restart counter is at 1\.")
    process.kill(signal.SIGUSR2)
    unit.wait("^Started ", times=2)
    again = unit.runs(restarts=1)
    assert again.pid != process.pid
    unit.stop(again)


def test_one_that_calls_it_itself(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "serve", "USR2:", "tell=WATCHDOG=trigger", "hang"), Type="notify", WatchdogSec=20,
                         LimitCORE=0)
    process = unit.start()
    process.kill(signal.SIGUSR2)
    unit.fails(process, "watchdog", r"Watchdog (request|timeout).*", *KILLED[1:], ExecMainStatus=signal.SIGABRT)


def test_one_that_wants_another_time(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "tell=WATCHDOG_USEC=1000000", "serve"), Type="notify", WatchdogSec=20, LimitCORE=0)
    unit.must("start")
    process = unit.processes()[0]
    unit.fails(process, "watchdog", *KILLED, ExecMainStatus=signal.SIGABRT)
