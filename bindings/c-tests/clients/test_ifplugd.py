"""ifplugd: watches a cable, calls a script, passes what that prints to syslog; asked and ended through its pid file."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from house import House, Process, identity, program

PID_FILE = "/run/ifplugd.eth7.pid"
SCRIPT = "/tmp/action"
CALLS = "/tmp/calls"  # a line for each call of the script
EXECUTED = "Program executed successfully"

# No beep, no delays, a look at the cable each 20 ms, down called at the start too where it is not plugged in.
OPTIONS = ("-i", "eth7", "-b", "-d", "0", "-t", "0", "-T", "20000", "-l", "-r", SCRIPT)


@pytest.fixture(autouse=True)
def cable(house: House) -> None:
    house.cable("eth7", "plug7")
    script(house)


def script(house: House, body: str = "") -> None:
    house.script(SCRIPT, f'echo "$@" >>{CALLS}\n{body}')


def calls(house: House) -> list[str]:
    return house.read(CALLS).splitlines() if house.exists(CALLS) else []


def start(house: House, *options: str) -> Process:
    """Back as soon as the daemon has called its script for the first time and watches the cable."""
    mark = house.log.mark()
    # -w: 2 and 3 are no errors but tell whether it is plugged in.
    result = house.run("ifplugd", "-w", *OPTIONS, *options)
    assert result.returncode in (2, 3), result
    # That a stale pid file is put right may be told, nothing else.
    assert not [line for line in result.stderr.splitlines() if "pid file" not in line.lower()], result
    daemon = house.daemon(PID_FILE)
    house.log.wait(EXECUTED, mark)
    return daemon


def stop(house: House, daemon: Process) -> None:
    house.must("ifplugd", "-k", "-W", "-i", "eth7")
    assert not daemon.alive()
    assert not house.exists(PID_FILE)


def test_start_and_kill(house: House) -> None:
    daemon = start(house)
    daemon.is_daemon()
    stop(house, daemon)
    house.log.wait(rf"ifplugd\(eth7\)\[{daemon.pid}\]: Exiting")


def test_start_without_waiting(house: House) -> None:
    house.must("ifplugd", *OPTIONS)
    # The name in syslog is one that the program puts together itself, after it has started.
    pid = house.log.wait(r"<30>.* ifplugd\(eth7\)\[(\d+)\]: ifplugd 0\.28 initializing")[1]
    house.log.wait(EXECUTED)
    daemon = house.daemon(PID_FILE)
    assert str(daemon.pid) == pid
    stop(house, daemon)


def test_tells_whether_it_is_plugged_in(house: House) -> None:
    """The number that the daemon reports is the starter's exit status."""
    result = house.run("ifplugd", "-w", *OPTIONS)
    assert result.returncode == 3, result
    stop(house, house.daemon(PID_FILE))
    house.plug("eth7", "up")
    house.plug("plug7", "up")
    result = house.run("ifplugd", "-w", *OPTIONS)
    assert result.returncode == 2, result
    stop(house, house.daemon(PID_FILE))


def test_starter_waits_for_the_report(house: House) -> None:
    """It comes after the first call of the script."""
    script(house, "sleep 0.5")
    result = house.run("ifplugd", "-w", *OPTIONS)
    assert result.returncode == 3, result
    assert result.seconds >= 0.5
    stop(house, house.daemon(PID_FILE))


def test_starts_well_from_bad_surroundings(house: House) -> None:
    result = house.run_badly("ifplugd", "-w", *OPTIONS)
    assert result.returncode == 3, result
    daemon = house.daemon(PID_FILE)
    daemon.is_daemon()
    assert daemon.directory() == "/"
    assert daemon.status("Umask") == "0077"
    # ifplugd asks for no descriptors to be closed and no signals to be unblocked, so these stay.
    assert daemon.inherited() == {"/etc/hostname", "/tmp/somewhere/leaked", "terminal"}
    assert daemon.signals("SigBlk") == {signal.SIGALRM}
    stop(house, daemon)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"], ids=["0", "1", "2", "all"])
def test_starts_with_closed_streams(house: House, closed: str) -> None:
    result = house.run("sh", "-c", f'exec "$@" {closed}', "sh", program("ifplugd"), "-w", *OPTIONS)
    assert result.returncode == 3, result
    daemon = house.daemon(PID_FILE)
    daemon.is_daemon()
    stop(house, daemon)


def test_check(house: House) -> None:
    assert house.run("ifplugd", "-c", "-i", "eth7").returncode == 255
    daemon = start(house)
    assert f"running as pid {daemon.pid}" in house.must("ifplugd", "-c", "-i", "eth7").stdout
    assert house.run("ifplugd", "-c", "-i", "eth8").returncode == 255
    stop(house, daemon)
    assert house.run("ifplugd", "-c", "-i", "eth7").returncode == 255


def test_second_start_is_refused(house: House) -> None:
    first = start(house)
    started, file, made = first.started, identity(house.path(PID_FILE)), calls(house)
    result = house.run("ifplugd", *OPTIONS)
    assert result.returncode == 4, result
    assert "already an instance of ifplugd for eth7" in result.stderr
    assert house.daemon(PID_FILE).pid == first.pid
    assert (first.started, identity(house.path(PID_FILE)), calls(house)) == (started, file, made)
    stop(house, first)


def test_two_interfaces(house: House) -> None:
    """The name of the pid file comes from a function of the program's own; each daemon has its own file."""
    house.cable("eth8", "plug8")
    daemon = start(house)
    result = house.run("ifplugd", "-w", *OPTIONS, "-i", "eth8")
    assert result.returncode == 3, result
    other = house.daemon("/run/ifplugd.eth8.pid")
    stop(house, daemon)
    assert other.alive()
    house.must("ifplugd", "-k", "-W", "-i", "eth8")
    assert not other.alive()


def test_link_up_and_down(house: House) -> None:
    script(house, 'echo "this is $2"; echo "this too" >&2')
    daemon = start(house)
    for state in ("up", "down", "up"):
        mark = house.log.mark()
        house.plug("plug7", state)
        house.log.wait(EXECUTED, mark)
        texts = house.log.texts("ifplugd(eth7)", daemon.pid, mark)
        assert texts[-4:] == [f"Executing '{SCRIPT} eth7 {state}'.", f"client: this is {state}", "client: this too",
                              EXECUTED + "."]
    assert calls(house) == ["eth7 down", "eth7 up", "eth7 down", "eth7 up"]
    mark = house.log.mark()
    stop(house, daemon)
    # It goes down when its watchman leaves.
    assert calls(house)[4:] == ["eth7 down"]
    assert "client: this is down" in house.log.texts("ifplugd(eth7)", daemon.pid, mark)


@pytest.mark.parametrize("ask", ["option", "signal"])
def test_status(house: House, ask: str) -> None:
    daemon = start(house)
    for state, word in (("up", "yes"), ("down", "no")):
        mark = house.log.mark()
        house.plug("plug7", state)
        house.log.wait(EXECUTED, mark)
        if ask == "option":
            house.must("ifplugd", "-z", "-i", "eth7")
        else:
            house.signal(daemon, signal.SIGHUP)
        house.log.wait(rf"ifplugd\(eth7\)\[{daemon.pid}\]: SIGHUP: Running, link detected on eth7: {word}", mark)
    stop(house, daemon)


def test_every_signal_is_heard(house: House) -> None:
    """Suspending counts: none of the signals may be lost on its way through the pipe."""
    daemon = start(house)
    for number in range(1, 21):
        house.must("ifplugd", "-S", "-i", "eth7")
        house.log.wait(rf"Daemon suspended \(#{number}\)")
    stop(house, daemon)


def test_suspend_and_resume(house: House) -> None:
    daemon = start(house)
    house.must("ifplugd", "-S", "-i", "eth7")
    house.log.wait("SIGUSR1: Daemon suspended")
    made = calls(house)
    house.plug("plug7", "up")
    # Ten times as long as it would take to notice, and it does answer meanwhile.
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        mark = house.log.mark()
        house.must("ifplugd", "-z", "-i", "eth7")
        house.log.wait("SIGHUP: ", mark)
    assert calls(house) == made
    mark = house.log.mark()
    house.must("ifplugd", "-R", "-i", "eth7")
    house.log.wait("SIGUSR2: Daemon resumed", mark)
    house.log.wait(EXECUTED, mark)
    assert calls(house) == [*made, "eth7 up"]
    stop(house, daemon)


@pytest.mark.parametrize("option", ["-k", "-S", "-R", "-z"])
def test_nobody_to_signal(house: House, option: str) -> None:
    result = house.run("ifplugd", option, "-i", "eth7")
    assert result.returncode == 6, result
    assert os.strerror(errno.ENOENT) in result.stderr


@pytest.mark.parametrize("option", ["-k", "-S", "-z"])
def test_nobody_to_signal_any_more(house: House, option: str) -> None:
    house.write(PID_FILE, f"{house.dead_pid()}\n")
    result = house.run("ifplugd", option, "-i", "eth7")
    assert result.returncode == 6, result
    # Found stale, the file is removed; so the error is either of the two.
    assert os.strerror(errno.ESRCH) in result.stderr or os.strerror(errno.ENOENT) in result.stderr


def test_stale_pid_file(house: House) -> None:
    house.write(PID_FILE, f"{house.dead_pid()}\n")
    assert house.run("ifplugd", "-c", "-i", "eth7").returncode == 255
    stop(house, start(house))


def test_starts_again_after_a_violent_death(house: House) -> None:
    first = start(house)
    house.signal(first, signal.SIGKILL)
    first.gone()
    assert house.exists(PID_FILE)
    second = start(house)
    assert second.pid != first.pid
    stop(house, second)


def test_wrong_option(house: House) -> None:
    result = house.run("ifplugd", "-X", *OPTIONS)
    assert result.returncode == 1, result
    house.empty()
    assert not house.exists(PID_FILE)


def test_no_such_interface(house: House) -> None:
    """The daemon finds out; 255 is what it reports and what the starter's exit status is."""
    result = house.run("ifplugd", "-w", *OPTIONS, "-i", "eth9")
    assert result.returncode == 255, result
    assert "error condition #255" in result.stderr
    house.log.wait("Failed to detect plug status of eth9")
    house.empty()
    assert not house.exists("/run/ifplugd.eth9.pid")


def test_script_fails(house: House) -> None:
    script(house, "exit 3")
    result = house.run("ifplugd", "-w", *OPTIONS)
    assert result.returncode == 255, result
    house.log.wait("Program execution failed, return value is 3")
    house.empty()
    assert not house.exists(PID_FILE)


def test_script_fails_and_that_does_not_matter(house: House) -> None:
    script(house, "exit 3")
    result = house.run("ifplugd", "-w", "-I", *OPTIONS)
    assert result.returncode == 3, result
    daemon = house.daemon(PID_FILE)
    stop(house, daemon)
    assert calls(house) == ["eth7 down"]


def test_script_is_missing(house: House) -> None:
    house.path(SCRIPT).unlink()
    result = house.run("ifplugd", "-w", *OPTIONS)
    assert result.returncode == 255, result
    house.log.wait("Program execution failed, return value is")
    house.empty()


def test_last_line_without_end(house: House) -> None:
    script(house, 'echo first; printf "last, without an end"')
    daemon = start(house)
    assert [text for text in house.log.texts("ifplugd(eth7)", daemon.pid) if text.startswith("client: ")] == [
        "client: first", "client: last, without an end"]
    stop(house, daemon)


def test_script_that_talks_much(house: House) -> None:
    """All that it says arrives, in its order, though a SIGHUP comes amid it."""
    count = 5000
    daemon = start(house, "-q")
    mark = house.log.mark()
    # A signal makes ifplugd end its script; this one does not care.
    script(house, f'trap "" TERM; seq -f "line %.0f {"." * 60}" {count}')
    house.plug("plug7", "up")
    house.log.wait("client: line 50 ", mark)
    house.signal(daemon, signal.SIGHUP)
    house.log.wait("Program exec", mark)
    lines = [text for text in house.log.texts("ifplugd(eth7)", daemon.pid, mark) if text.startswith("client: line")]
    assert lines == [f"client: line {number} {'.' * 60}" for number in range(1, count + 1)]
    house.log.wait("Killing child", mark)
    mark = house.log.mark()
    house.signal(daemon, signal.SIGHUP)
    house.log.wait("SIGHUP: Running, link detected on eth7: yes", mark)
    stop(house, daemon)


def test_signal_ends_a_script_that_hangs(house: House) -> None:
    daemon = start(house, "-q", "-I")
    os.mkfifo(house.path("/tmp/gate"))
    mark = house.log.mark()
    script(house, "echo waiting; read line </tmp/gate")
    house.plug("plug7", "up")
    house.log.wait("client: waiting", mark)
    house.signal(daemon, signal.SIGHUP)
    house.log.wait("Program execution failed", mark)
    script(house)
    mark = house.log.mark()
    house.plug("plug7", "down")
    house.log.wait(EXECUTED, mark)
    stop(house, daemon)


def test_kill_waits_for_the_last_script(house: House) -> None:
    house.plug("plug7", "up")
    daemon = start(house)
    script(house, "sleep 0.5; echo done")
    result = house.must("ifplugd", "-k", "-W", "-i", "eth7")
    assert not daemon.alive()
    assert result.seconds >= 0.5
    assert "client: done" in house.log.texts("ifplugd(eth7)", daemon.pid)


def test_kill_does_not_wait_for_ever(house: House) -> None:
    house.plug("plug7", "up")
    daemon = start(house)
    os.mkfifo(house.path("/tmp/gate"))
    script(house, "read line </tmp/gate")
    result = house.run("ifplugd", "-k", "-W", "-i", "eth7")
    assert result.returncode == 6, result
    assert os.strerror(errno.ETIME) in result.stderr
    assert daemon.alive() and house.exists(PID_FILE)
    house.must("sh", "-c", "echo >/tmp/gate")
    daemon.gone()
    assert not house.exists(PID_FILE)


@pytest.mark.ours_only  # the original looks for the end each 100 ms
def test_kill_ends_with_the_daemon(house: House) -> None:
    seconds = []
    for _ in range(5):  # the quickest of them: the machine may be busy
        daemon = start(house, "-q")
        seconds.append(house.must("ifplugd", "-k", "-W", "-i", "eth7").seconds)
        assert not daemon.alive()
    assert min(seconds) < 0.08, seconds
