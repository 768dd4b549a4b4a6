"""Type=forking with PIDFile=: systemd waits for the starter, and takes the daemon's PID from the file."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from conftest import Door, Units
from machine import INSIDE, Unit


def forking(units: Units, door: Door, before: list[str] = [], after: list[str] = [], options: list[str] = [], pid_file: str = "",
            **lines: Any) -> Unit:
    """`before` is what it does until it is ready, `after` what it does then."""
    name = units.name()
    pid_file = pid_file or f"/run/{name}.pid"
    manual = [] if door.name == "classic" else ["detach=yes", "manual"]
    words = [f"pidfile={pid_file}", *manual, *options, "open", *before, "ready", *(after or ["serve"])]
    lines = {"Type": "forking", "PIDFile": pid_file, "ExecReload": "/bin/kill -HUP $MAINPID", **lines}
    return units.service(door.command(*words), name, **lines)


def control_status(unit: Unit) -> str:
    """How the program of ExecStart= has ended: its starter."""
    found = re.search(r"code=(\w+) ; status=([^ ]*)", unit.get("ExecStart"))
    assert found
    return f"{found[1]} {found[2]}"


def exited(status: int) -> str:
    return rf"Control process exited, code=exited,? status={status}(/\S+)?"


def is_daemon(unit: Unit, door: Door, restarts: int = 0) -> Any:
    process = unit.runs(restarts=restarts)
    assert process.parent == unit.machine.init
    assert not process.leads_session
    assert process.maps(door.library)
    pid_file = unit.get("PIDFile")
    if pid_file:
        assert unit.machine.path(pid_file).read_text() == f"{process.pid}\n"
    assert control_status(unit) == "exited 0"
    return process


def test_life(units: Units, any_door: Door) -> None:
    name = units.name()
    unit = forking(units, any_door, after=["serve", "HUP:", f"meet=/run/{name}.meet"])
    reloaded = unit.fifo()
    unit.must("start")
    process = is_daemon(unit, any_door)
    unit.must("reload")
    with unit.meet(reloaded):
        assert is_daemon(unit, any_door).pid == process.pid
    unit.stop(process)


def test_ready_when_open_is_done(units: Units, door: Door) -> None:
    name = units.name()
    unit = units.service(door.command(f"pidfile=/run/{name}.pid", "detach=yes", "open", "serve"), Type="forking",
                         PIDFile=f"/run/{name}.pid")
    unit.must("start")
    unit.stop(is_daemon(unit, door))


def test_it_is_starting_until_it_is_ready(units: Units, any_door: Door) -> None:
    name = units.name()
    unit = forking(units, any_door, before=[f"meet=/run/{name}.meet"])
    half = unit.fifo()
    assert unit.control("start", "--no-block").returncode == 0
    with unit.meet(half):
        unit.is_(ActiveState="activating", SubState="start", MainPID=0)
        starter = int(unit.get("ControlPID"))
        assert len([process for process in unit.processes() if process.pid == starter]) == 1
    unit.wait("^Started ")
    unit.stop(is_daemon(unit, any_door))


def test_without_a_pid_file_systemd_guesses_right(units: Units, door: Door) -> None:
    unit = units.service(door.command("detach=yes", "open", "serve"), Type="forking")
    unit.must("start")
    unit.stop(is_daemon(unit, door))


def test_many_restarts(units: Units, any_door: Door) -> None:
    unit = forking(units, any_door)
    unit.must("start")
    seen = {is_daemon(unit, any_door).pid}
    for _ in range(3):
        unit.must("restart")
        seen.add(is_daemon(unit, any_door).pid)
    assert len(seen) == 4
    unit.stop(is_daemon(unit, any_door))


def test_failing_before_it_is_ready(units: Units, any_door: Door) -> None:
    unit = forking(units, any_door, before=["fail=cannot bind to port 80"])
    unit.start_fails("the control process exited with error code", "exit-code",
                     exited(1 if any_door.name == "python" else 3), ExecMainStatus=0)
    if any_door.name == "classic":
        # By syslog: when the journal looks who that was, it may be gone. So not every such line is known to be the unit's.
        unit.machine.journal.wait(lambda entry: entry.get("MESSAGE") == "cannot bind to port 80" and
                                  entry.get("SYSLOG_IDENTIFIER") == "classic", "the message", unit.mark, 1)
    else:
        unit.says("service: start failed: cannot bind to port 80" if any_door.name == "service"
                  else "RuntimeError: cannot bind to port 80")


def test_a_step_that_fails(units: Units, door: Door) -> None:
    unit = forking(units, door, pid_file="/run/no/such/folder.pid")
    unit.start_fails("the control process exited with error code", "exit-code", exited(1))
    unit.says(rf"(.*: )?pid file failed: /run/no/such/folder\.pid: No such file or directory \(2 ENOENT\)")


@pytest.mark.parametrize("end, status, classic_status, line", [
    ("exit=7", 7, 255, r"start failed: .*7.*"),
    ("exit=0", 1, 255, r"start failed: .*"),
    ("kill=11", 128 + 11, 255, r"start failed: .*SIGSEGV.*"),
    ("kill=9", 128 + 9, 255, r"start failed: .*SIGKILL.*"),
])
def test_ending_before_it_is_ready(units: Units, any_door: Door, end: str, status: int, classic_status: int, line: str) -> None:
    classic = any_door.name == "classic"
    status = classic_status if classic else status
    unit = forking(units, any_door, before=[end])
    unit.start_fails("the control process exited with error code", "exit-code", exited(status))
    assert control_status(unit).split("/")[0] == f"exited {status}"
    unit.says("Could not receive return value from daemon process: .*" if classic else re.escape(any_door.says) + ": " + line)


def test_its_own_time_for_a_start_is_over(units: Units, any_door: Door) -> None:
    classic = any_door.name == "classic"
    unit = forking(units, any_door, before=["hang"], options=["timeout=1" if classic else "timeout=300"])
    unit.start_fails("the control process exited with error code", "exit-code", exited(255 if classic else 124))
    unit.says("Could not receive return value from daemon process: .*" if classic
              else re.escape(any_door.says) + r": ready failed: 0\.300 s: Connection timed out \(110 ETIMEDOUT\)")


def test_the_managers_time_for_a_start_is_over(units: Units, any_door: Door) -> None:
    unit = forking(units, any_door, before=["hang"], TimeoutStartSec=1)
    unit.start_fails("a timeout was exceeded", "timeout", r"start operation timed out\. Terminating\.")
    if any_door.name != "classic":
        unit.says(re.escape(any_door.says) + r": start failed: signal 15 \(SIGTERM\): Interrupted system call \(4 EINTR\)")


def test_a_start_that_is_called_off(units: Units, any_door: Door) -> None:
    name = units.name()
    unit = forking(units, any_door, before=[f"meet=/run/{name}.meet", "hang"])
    half = unit.fifo()
    unit.control("start", "--no-block")
    with unit.meet(half):
        pass
    unit.must("stop")
    unit.is_dead("success")


@pytest.mark.parametrize("end, result, status, said", [
    ("kill=9", "signal", 9, "Main process exited, code=killed, status=9/KILL"),
    ("kill=11", "signal", 11, "Main process exited, code=killed, status=11/SEGV"),
    ("exit=7", "exit-code", 7, "Main process exited, code=exited, status=7/NOTRUNNING"),
])
def test_a_crash_after_it_was_ready(units: Units, any_door: Door, end: str, result: str, status: int, said: str) -> None:
    unit = forking(units, any_door, after=["serve", "USR1:", end], LimitCORE=0)
    unit.must("start")
    process = is_daemon(unit, any_door)
    process.kill(signal.SIGUSR1)
    code = {"signal": 2, "exit-code": 1}[result]
    unit.fails(process, result, said, ExecMainStatus=status, ExecMainCode=code, ExecMainPID=process.pid)


def test_it_is_started_again_after_a_crash(units: Units, any_door: Door) -> None:
    unit = forking(units, any_door, Restart="on-failure", RestartSec=0)
    unit.must("start")
    process = is_daemon(unit, any_door)
    unit.expects("Main process exited, code=killed, status=9/KILL", r"Failed with result 'signal'\.",
                 r"Scheduled restart job, restart counter is at 1\.")
    process.kill(signal.SIGKILL)
    unit.wait("^Started ", times=2)
    again = is_daemon(unit, any_door, restarts=1)
    assert again.pid != process.pid
    unit.stop(again)


def test_a_second_start_by_hand(units: Units, any_door: Door) -> None:
    name = units.name()
    unit = forking(units, any_door)
    unit.must("start")
    process = is_daemon(unit, any_door)
    manual = [] if any_door.name == "classic" else ["detach=yes"]
    second = unit.machine.run(*any_door.program, f"pidfile=/run/{name}.pid", *manual, "open", "serve")
    assert second.returncode == 1
    assert f"already running on PID file {process.pid}" in second.stderr.lower().replace("pid", "PID") \
        or f"already running as PID {process.pid}" in second.stderr, second.stderr
    assert is_daemon(unit, any_door).pid == process.pid
    unit.stop(process)


def test_a_daemon_that_gives_up_root(units: Units, door: Door) -> None:
    unit = forking(units, door, options=["user=tester"])
    unit.must("start")
    process = is_daemon(unit, door)
    assert process.status("Uid").split() == ["4711"] * 4
    unit.stop(process)


def test_a_service_of_another_user(units: Units, any_door: Door) -> None:
    name = units.name()
    unit = forking(units, any_door, pid_file=f"/run/{name}/its.pid", User="tester", RuntimeDirectory=name)
    unit.must("start")
    process = is_daemon(unit, any_door)
    assert process.status("Uid").split() == ["4711"] * 4
    unit.stop(process)


@pytest.mark.parametrize("left", ["", "1\n", "999999\n"])
def test_a_pid_file_that_was_left_behind(units: Units, any_door: Door, left: str) -> None:
    unit = forking(units, any_door)
    unit.machine.path(f"/run/{unit.stem}.pid").write_text(left)
    unit.must("start")
    unit.stop(is_daemon(unit, any_door))


def test_a_file_that_is_no_pid_file(units: Units, door: Door) -> None:
    unit = forking(units, door)
    unit.machine.path(f"/run/{unit.stem}.pid").write_text("words\n")
    unit.start_fails("the control process exited with error code", "exit-code", r"Control process exited, code=exited,? status=1(/\S+)?")
    unit.wait("not a pid file")


def test_libdaemon_replaces_a_corrupt_pid_file(units: Units) -> None:
    unit = forking(units, Door("classic"))
    unit.machine.path(f"/run/{unit.stem}.pid").write_text("words\n")
    unit.must("start")
    unit.stop(is_daemon(unit, Door("classic")))


def test_what_its_programs_say_is_its_own(units: Units) -> None:
    door = Door("classic")
    unit = forking(units, door, after=["run=echo one; echo two >&2; exit 5", "serve"])
    unit.must("start")
    process = is_daemon(unit, door)
    unit.wait("it has left with 5")
    for line in ("client: one", "client: two", "it has left with 5"):
        unit.says(line)
    unit.stop(process)


def test_testd(units: Units) -> None:
    """The example of libdaemon, as it is."""
    program = f"{INSIDE}/testd"
    unit = units.service(program, Type="forking", PIDFile="/run/testd.pid", ExecReload="/bin/kill -HUP $MAINPID",
                         ExecStop=f"{program} -k")
    unit.must("start")
    process = is_daemon(unit, Door("classic"))
    unit.says(r"Daemon returned 0 as return value\.")
    unit.wait("Sucessfully started")
    unit.must("reload")
    unit.wait("Got a HUP")
    unit.wait("client: usr")
    second = unit.machine.run(program)
    assert (second.returncode, second.stderr) == (1, f"Daemon already running on PID file {process.pid}\n")
    unit.stop(process)
    for text in ("Got SIGINT, SIGQUIT or SIGTERM.", "Exiting..."):
        unit.machine.journal.wait(lambda entry: entry.get("MESSAGE") == text and entry.get("_PID") == str(process.pid), text,
                                  unit.mark, 1)
