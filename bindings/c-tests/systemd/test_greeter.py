"""The example service in each language, with the unit that is beside it (examples/service)."""

from __future__ import annotations

import signal
import time
from typing import Iterator

import pytest

from conftest import GREETER, INTERPRETER, Units
from machine import INSIDE, LIMIT, Machine, Process, Unit

PROGRAM = "/usr/local/sbin/greeter"
CONFIG = "/etc/greeter.conf"
LOG = "/var/log/greeter.log"
UNIT = (GREETER / "greeter.service").read_text()
GET = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1/').read().decode(), end='')"


class Greeter:
    """A greeter where its unit wants it, and its unit."""

    def __init__(self, units: Units, language: str) -> None:
        self.units, self.machine = units, units.machine
        # The unit's ProtectHome= hides an interpreter that is in somebody's home.
        self.changed = {"ProtectHome": "read-only"} if language == "python" and INTERPRETER.startswith(("/root/", "/home/")) else {}
        words = {"c": f"{INSIDE}/greeter-c", "rust": f"{INSIDE}/greeter-rust",
                 "python": f"env PYTHONPATH={INSIDE}/python {INTERPRETER} -s {INSIDE}/python/greeter.py"}[language]
        self.machine.path(PROGRAM).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        self.machine.path(PROGRAM).chmod(0o755)
        self.greet("Hello.")
        self.machine.path(LOG).unlink(missing_ok=True)

    def greet(self, greeting: str) -> None:
        self.machine.path(CONFIG).write_text(f"{greeting}\n")

    def unit(self, **changed: str) -> Unit:
        """The unit as it is, but for the lines that a test cannot wait for."""
        changed = {**self.changed, **changed}
        lines = [next((f"{key}={value}" for key, value in changed.items() if line.startswith(f"{key}=")), line)
                 for line in UNIT.splitlines()]
        assert sum(new != old for new, old in zip(lines, UNIT.splitlines())) == len(changed)
        return self.units.written(f"{self.units.name()}.service", "\n".join(lines) + "\n")

    def says(self) -> str:
        return self.machine.must(INTERPRETER, "-I", "-c", GET).strip()

    def comes_to_say(self, greeting: str) -> None:
        """systemctl reload does not wait for it."""
        deadline = time.monotonic() + LIMIT
        while self.says() != greeting:
            assert time.monotonic() < deadline, f"it still says {self.says()}"


@pytest.fixture(params=["c", "rust", "python"])
def greeter(request: pytest.FixtureRequest, units: Units) -> Iterator[Greeter]:
    yield Greeter(units, request.param)
    for file in (PROGRAM, CONFIG):
        units.machine.path(file).unlink()


def is_nobody(process: Process) -> None:
    assert process.status("Uid").split() == process.status("Gid").split() == ["65534"] * 4
    assert {int(process.status(name), 16) for name in ("CapEff", "CapPrm", "CapInh")} == {0}
    assert process.status("NoNewPrivs") == "1"


def test_it_is_active_when_it_answers(greeter: Greeter) -> None:
    unit = greeter.unit()
    process = unit.start()
    assert greeter.says() == "Hello."
    is_nobody(process)
    assert greeter.machine.path("/run/greeter.pid").read_text() == f"{process.pid}\n"
    unit.stop(process)
    # Stale: it may neither remove root's file nor write to it.
    assert greeter.machine.path("/run/greeter.pid").read_text() == f"{process.pid}\n"


def test_it_is_reloaded(greeter: Greeter) -> None:
    unit = greeter.unit()
    process = unit.start()
    greeter.greet("Good evening.")
    unit.must("reload")
    greeter.comes_to_say("Good evening.")
    assert unit.runs().pid == process.pid
    unit.stop(process)


def test_the_watchdog_hears_of_it(greeter: Greeter) -> None:
    unit = greeter.unit(WatchdogSec="1")
    process = unit.start()
    unit.satisfies_watchdog(process)
    unit.stop(process)


def test_one_that_hangs_is_started_again(greeter: Greeter) -> None:
    unit = greeter.unit(WatchdogSec="1")
    process = unit.start()
    again = unit.is_started_again(process, signal.SIGSTOP)
    assert greeter.says() == "Hello."
    unit.stop(again)


def test_a_port_that_is_taken(greeter: Greeter) -> None:
    """The service fails with the reason in its journal, and is tried again, as its unit wants."""
    first = greeter.unit()
    process = first.start()
    second = greeter.unit(Restart="no")
    second.start_fails("the control process exited with error code", "exit-code", "Main process exited, code=exited, status=1/FAILURE",
                       ExecMainStatus=1)
    second.says(r".*Address already in use.*")
    assert first.runs().pid == process.pid
    first.stop(process)
