"""Type=notify: the process that systemd has started stays, and says itself how it is."""

from __future__ import annotations

import errno
import re
import signal
import time

import pytest

from conftest import Door, Units


def test_life(units: Units, door: Door) -> None:
    meet = f"/run/{units.name()}.meet"
    unit = units.service(
        door.command("manual", "open", "tell=STATUS=begins", f"meet={meet}", "ready", "tell=STATUS=serves", f"meet={meet}", "serve",
                     "HUP:", "reloading", "tell=STATUS=reads again", f"meet={meet}", "tell=READY=1\nSTATUS=serves again",
                     f"meet={meet}", "TERM:", "tell=STOPPING=1\nSTATUS=ends", f"meet={meet}", "exit=0"),
        Type="notify", ExecReload="/bin/kill -HUP $MAINPID")
    unit.fifo()

    assert unit.control("start", "--no-block").returncode == 0
    with unit.meet(meet):
        unit.is_(ActiveState="activating", SubState="start", StatusText="begins", Result="success")
        pid = unit.get("MainPID")
    with unit.meet(meet):
        process = unit.runs()
        assert str(process.pid) == pid
        assert process.parent == unit.machine.init and process.leads_session
        assert process.maps(door.library)
        unit.is_(StatusText="serves")
        assert re.search(r'^ *Status: "serves"$', unit.control("status").stdout, re.M)

    reload = unit.machine.popen("systemctl", "reload", unit.name)
    with unit.meet(meet):
        # Whether systemctl still waits depends on who came first, RELOADING=1 or the end of kill(1): notify-reload is for that.
        unit.is_(ActiveState="reloading", StatusText="reads again", MainPID=pid)
    with unit.meet(meet):
        assert reload.wait(10) == 0
        assert unit.runs().pid == process.pid
        unit.is_(StatusText="serves again")

    assert unit.control("stop", "--no-block").returncode == 0
    with unit.meet(meet):
        unit.is_(ActiveState="deactivating", StatusText="ends", MainPID=pid)
    assert process.ended(10)
    unit.must("stop")
    unit.is_dead("success")


def test_it_is_ready_when_open_is_done(units: Units, door: Door) -> None:
    unit = units.service(door.command(f"pidfile=/run/{units.name()}.pid", "open", "serve"), Type="notify")
    process = unit.start()
    assert unit.machine.path(f"/run/{unit.stem}.pid").read_text() == f"{process.pid}\n"
    unit.stop(process)
    assert not unit.machine.path(f"/run/{unit.stem}.pid").exists()


@pytest.mark.parametrize("kind", ["simple", "exec"])
def test_without_anybody_to_tell_it_stays_too(units: Units, door: Door, kind: str) -> None:
    meet = f"/run/{units.name()}.meet"
    unit = units.service(door.command("open", "serve", "USR1:", f"meet={meet}"), Type=kind)
    unit.fifo()
    unit.must("start")
    # Such a start says nothing about the program: whether it has come as far as to handle signals, /proc tells.
    deadline = time.monotonic() + 10
    while not int(unit.processes()[0].status("SigCgt"), 16) >> signal.SIGUSR1 - 1 & 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process = unit.runs()
    process.kill(signal.SIGUSR1)
    with unit.meet(meet):
        assert unit.runs().pid == process.pid
    unit.stop(process)


def test_what_default_termination_is(units: Units, c: Door) -> None:
    """Without a handler of its own the library's removes the pid file, and the process dies by the signal."""
    unit = units.service(c.command(f"pidfile=/run/{units.name()}.pid", "open", "serve"), Type="notify")
    process = unit.start()
    unit.stop(process)
    assert not unit.machine.path(f"/run/{unit.stem}.pid").exists()


def test_what_default_termination_is_in_python(units: Units) -> None:
    """`DaemonContext.terminate` raises SystemExit with the status 0: a text there would make it 1, a failure."""
    door = Door("python")
    unit = units.service(door.command("open", "serve", "TERM:").replace(' "TERM:"', ""), Type="notify")
    process = unit.start()
    unit.stop(process)


def test_failing_before_it_is_ready(units: Units, door: Door) -> None:
    unit = units.service(door.command("manual", "open", "tell=STATUS=about to bind", "fail=cannot bind to port 80"), Type="notify")
    status = 1 if door.name == "python" else 3
    unit.start_fails("the control process exited with error code", "exit-code",
                     rf"Main process exited, code=exited, status={status}/\S+", ExecMainCode=1, ExecMainStatus=status)
    unit.says({"service": "service: start failed: cannot bind to port 80", "python": "RuntimeError: cannot bind to port 80"}[door.name])


def test_a_step_that_fails(units: Units, door: Door) -> None:
    unit = units.service(door.command("pidfile=/run/no/such/folder.pid", "open", "serve"), Type="notify")
    unit.start_fails("the control process exited with error code", "exit-code", "Main process exited, code=exited, status=1/FAILURE",
                     ExecMainCode=1, ExecMainStatus=1)
    unit.says(r".*pid file failed: /run/no/such/folder\.pid: No such file or directory \(2 ENOENT\)")


@pytest.mark.parametrize("end, because, result, said, code, status", [
    ("exit=7", "the control process exited with error code", "exit-code", "Main process exited, code=exited, status=7/NOTRUNNING", 1, 7),
    ("exit=0", "the service did not take the steps required by its unit configuration", "protocol", "", 1, 0),
    ("kill=11", "a fatal signal was delivered to the control process", "signal", "Main process exited, code=killed, status=11/SEGV", 2, 11),
    ("kill=9", "a fatal signal was delivered to the control process", "signal", "Main process exited, code=killed, status=9/KILL", 2, 9),
])
def test_ending_before_it_is_ready(units: Units, door: Door, end: str, because: str, result: str, said: str, code: int,
                                   status: int) -> None:
    unit = units.service(door.command("manual", "open", "tell=STATUS=begins", end), Type="notify", LimitCORE=0)
    unit.start_fails(because, result, *[said] if said else [], ExecMainCode=code, ExecMainStatus=status)


def test_the_managers_time_for_a_start_is_over(units: Units, door: Door) -> None:
    unit = units.service(door.command("manual", "open", "tell=STATUS=begins", "hang"), Type="notify", TimeoutStartSec=1)
    unit.start_fails("a timeout was exceeded", "timeout", r"start operation timed out\. Terminating\.")

def test_more_time_for_a_start(units: Units, door: Door) -> None:
    meet = f"/run/{units.name()}.meet"
    unit = units.service(door.command("manual", "open", "tell=EXTEND_TIMEOUT_USEC=20000000\nSTATUS=takes longer", f"meet={meet}",
                                      "ready", "serve"), Type="notify", TimeoutStartSec=1)
    unit.fifo()
    assert unit.control("start", "--no-block").returncode == 0
    with unit.meet(meet):
        time.sleep(1.5)  # more than it had
        unit.is_(ActiveState="activating", StatusText="takes longer")
    unit.wait("^Started ")
    unit.stop(unit.runs())


def test_even_more_time_is_over(units: Units, door: Door) -> None:
    unit = units.service(door.command("manual", "open", "tell=EXTEND_TIMEOUT_USEC=300000", "hang"), Type="notify", TimeoutStartSec=1)
    unit.start_fails("a timeout was exceeded", "timeout", r"start operation timed out\. Terminating\.")


@pytest.mark.parametrize("end, result, said, code, status", [
    ("exit=7", "exit-code", "Main process exited, code=exited, status=7/NOTRUNNING", 1, 7),
    ("kill=11", "signal", "Main process exited, code=killed, status=11/SEGV", 2, 11),
    ("kill=9", "signal", "Main process exited, code=killed, status=9/KILL", 2, 9),
])
def test_a_crash_after_it_was_ready(units: Units, door: Door, end: str, result: str, said: str, code: int, status: int) -> None:
    unit = units.service(door.command("open", "serve", "USR1:", "tell=STATUS=crashes", end), Type="notify", LimitCORE=0)
    process = unit.start()
    process.kill(signal.SIGUSR1)
    unit.fails(process, result, said, ExecMainCode=code, ExecMainStatus=status, ExecMainPID=process.pid)


def test_the_error_that_it_tells(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "serve", "USR1:", f"tell=ERRNO={errno.EACCES}\nSTATUS=cannot go on", "exit=5"),
                         Type="notify")
    process = unit.start()
    process.kill(signal.SIGUSR1)
    unit.fails(process, "exit-code", r"Main process exited, code=exited, status=5/\S+", ExecMainStatus=5, StatusErrno=errno.EACCES,
               StatusText="cannot go on")
    status = unit.control("status").stdout
    assert re.search(r"^ *Error: 13 \(Permission denied", status, re.M), status


def test_it_is_started_again_after_a_crash(units: Units, door: Door) -> None:
    name = units.name()
    unit = units.service(door.command(f"pidfile=/run/{name}.pid", "open", "serve"), Type="notify", Restart="on-failure", RestartSec=0)
    process = unit.start()
    unit.expects("Main process exited, code=killed, status=9/KILL", r"Failed with result 'signal'\.",
                 r"Scheduled restart job, restart counter is at 1\.")
    process.kill(signal.SIGKILL)
    unit.wait("^Started ", times=2)
    again = unit.runs(restarts=1)
    assert unit.machine.path(f"/run/{name}.pid").read_text() == f"{again.pid}\n"
    unit.stop(again)


def test_a_second_start_by_hand(units: Units, door: Door) -> None:
    name = units.name()
    unit = units.service(door.command(f"pidfile=/run/{name}.pid", "open", "serve"), Type="notify")
    process = unit.start()
    second = unit.machine.run(*door.program, f"pidfile=/run/{name}.pid", "open", "serve")
    assert second.returncode == 1
    assert f"already running as PID {process.pid}" in second.stderr
    unit.stop(unit.runs())


def test_a_daemon_that_gives_up_root(units: Units, door: Door) -> None:
    unit = units.service(door.command("user=tester", "open", "tell=STATUS=is not root", "serve"), Type="notify")
    process = unit.start()
    assert process.status("Uid").split() == ["4711"] * 4
    unit.stop(process)


def test_a_service_of_another_user(units: Units, door: Door) -> None:
    unit = units.service(door.command("manual", "open", "tell=STATUS=is not root", "ready", "serve"), Type="notify", User="tester")
    process = unit.start()
    assert process.status("Uid").split() == ["4711"] * 4
    unit.is_(StatusText="is not root")
    unit.stop(process)
