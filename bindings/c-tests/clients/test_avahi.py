"""avahi-daemon: drops root, goes into a chroot, logs from there, and is asked and ended through its pid file."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from house import LIBRARY, LIBRARY_PATH, MULTIARCH, PACKAGES, House, Process, identity, program, until
from house_init import PACKAGES as PACKAGES_INSIDE
from house_init import USERS

PID_FILE, SOCKET = "/run/avahi-daemon/pid", "/run/avahi-daemon/socket"
RUNTIME = "/run/avahi-daemon"
SETTINGS = """[server]
host-name=house
use-ipv6=no
enable-dbus=no
[wide-area]
enable-wide-area=no
"""
SERVICE = """<?xml version="1.0" standalone="no"?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group><name>Parcels</name><service><type>_parcel._tcp</type><port>4711</port></service></service-group>
"""
both = pytest.mark.parametrize("options", [(), ("--no-chroot",)], ids=["chroot", "no-chroot"])


@pytest.fixture(autouse=True)
def settings(house: House) -> None:
    house.write("/etc/avahi/avahi-daemon.conf", SETTINGS)


def start(house: House, *options: str) -> Process:
    result = house.must("avahi-daemon", "-D", *options)
    assert (result.stdout, result.stderr) == ("", "")
    return house.daemon(PID_FILE)


def stop(house: House, daemon: Process) -> None:
    """After `-k` it is gone, not about to go."""
    house.must("avahi-daemon", "-k")
    assert not daemon.alive()
    assert not house.exists(PID_FILE)
    assert not house.exists(SOCKET)


def left_nothing(house: House) -> None:
    house.empty()
    assert not house.exists(PID_FILE)
    assert house.run("avahi-daemon", "-c").returncode != 0


@both
def test_start_and_kill(house: House, options: tuple[str, ...]) -> None:
    daemon = start(house, *options)
    assert house.exists(SOCKET), "the starter has left before the daemon listened"
    assert house.path(PID_FILE).stat().st_mode & 0o7777 == 0o644
    daemon.is_daemon()
    assert daemon.root() == ("/" if options else "/etc/avahi")
    stop(house, daemon)
    assert house.log.wait("Got SIGTERM")


@both
def test_logs_under_its_name_and_pid(house: House, options: tuple[str, ...]) -> None:
    daemon = start(house, *options)
    house.log.wait(rf"avahi-daemon\[{daemon.pid}\]: avahi-daemon 0\.8 starting up")
    # From here on it is inside: /dev/log does not exist there, what it has is the open connection.
    mark = house.log.mark()
    house.must("avahi-daemon", "-r")
    house.log.wait(rf"<30>.* avahi-daemon\[{daemon.pid}\]: Got SIGHUP", mark)
    stop(house, daemon)
    house.log.wait(rf"avahi-daemon\[{daemon.pid}\]: avahi-daemon 0\.8 exiting", mark)


def test_drops_root(house: House) -> None:
    daemon = start(house)
    number = str(USERS["avahi"])
    assert daemon.status("Uid").split() == [number] * 4
    assert daemon.status("Gid").split() == [number] * 4
    assert daemon.status("Groups") == number
    assert [int(daemon.status(field), 16) for field in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == [0] * 4
    stop(house, daemon)


def test_starts_well_from_bad_surroundings(house: House) -> None:
    result = house.run_badly("avahi-daemon", "-D")
    assert result.returncode == 0, result
    daemon = house.daemon(PID_FILE)
    daemon.is_daemon()
    assert daemon.status("Umask") == "0077"
    assert daemon.directory() == "/etc/avahi"
    assert not daemon.inherited()
    assert not daemon.signals("SigBlk")
    assert not {signal.SIGHUP, signal.SIGTERM} & daemon.signals("SigIgn")
    # Its terminal has been hung up; it has not heard of that.
    assert not house.log.find("SIGHUP")
    stop(house, daemon)


def test_changes_directory(house: House) -> None:
    result = house.run_badly("avahi-daemon", "-D", "--no-chroot")
    assert result.returncode == 0, result
    daemon = house.daemon(PID_FILE)
    assert daemon.directory() == "/"
    stop(house, daemon)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"], ids=["0", "1", "2", "all"])
def test_starts_with_closed_streams(house: House, closed: str) -> None:
    house.must("sh", "-c", f'exec "$@" {closed}', "sh", program("avahi-daemon"), "-D")
    daemon = house.daemon(PID_FILE)
    daemon.is_daemon()
    stop(house, daemon)


def test_starts_where_sigchld_is_ignored(house: House) -> None:
    house.must("env", "--ignore-signal=CHLD", program("avahi-daemon"), "-D")
    stop(house, house.daemon(PID_FILE))


def test_slow_session_leader(house: House) -> None:
    """The processes in between may be slower than the daemon itself: all that they have to do comes late."""
    late = "inject=clone,?clone3,?vfork:delay_exit=200000"
    result = house.must("strace", "-D", "-f", "-o", "/dev/null", "-e", late, program("avahi-daemon"), "-D")
    assert result.stderr == ""
    stop(house, house.daemon(PID_FILE))


def test_check(house: House) -> None:
    assert house.run("avahi-daemon", "-c").returncode != 0
    daemon = start(house)
    house.must("avahi-daemon", "-c")
    assert daemon.alive()
    stop(house, daemon)
    assert house.run("avahi-daemon", "-c").returncode != 0


def test_kill_without_daemon(house: House) -> None:
    result = house.run("avahi-daemon", "-k")
    assert result.returncode != 0
    assert os.strerror(2) in result.stderr  # ENOENT: no pid file


def test_second_start_is_refused(house: House) -> None:
    first = start(house)
    started, file = first.started, identity(house.path(PID_FILE))
    result = house.run("avahi-daemon", "-D")
    assert result.returncode != 0
    assert f"already running on PID {first.pid}" in result.stderr
    assert house.daemon(PID_FILE).pid == first.pid
    assert (first.started, identity(house.path(PID_FILE))) == (started, file)
    assert house.exists(SOCKET)
    stop(house, first)


def test_ten_starts_at_once(house: House) -> None:
    """One wins and stays; whoever loses does not take its files away."""
    starters = [house.start("avahi-daemon", "-D", stderr=subprocess.DEVNULL) for _ in range(10)]
    statuses = [starter.wait(30) for starter in starters]
    assert statuses.count(0) == 1, statuses
    daemon = house.daemon(PID_FILE)
    # The daemon and its helper in the chroot.
    until(lambda: len(house.of_program("avahi-daemon")) == 2, "the losers have gone")
    house.must("avahi-daemon", "-c")
    stop(house, daemon)


def test_reload(house: House) -> None:
    daemon = start(house)
    mark = house.log.mark()
    house.write("/etc/avahi/services/parcels.service", SERVICE)
    house.must("avahi-daemon", "-r")
    house.log.wait(rf"avahi-daemon\[{daemon.pid}\]: Loading service file /services/parcels\.service", mark)
    stop(house, daemon)


def test_reload_without_daemon(house: House) -> None:
    assert house.run("avahi-daemon", "-r").returncode != 0


def test_wrong_setting(house: House) -> None:
    house.write("/etc/avahi/avahi-daemon.conf", SETTINGS + "[server]\nno-such-setting=1\n")
    result = house.run("avahi-daemon", "-D")
    assert result.returncode != 0
    assert "no-such-setting" in result.stderr
    left_nothing(house)


def test_failure_after_the_fork(house: House) -> None:
    """No bus to connect to: the daemon finds out, the starter tells."""
    house.write("/etc/avahi/avahi-daemon.conf", SETTINGS.replace("enable-dbus=no", "enable-dbus=yes"))
    result = house.run("avahi-daemon", "-D")
    assert result.returncode != 0
    house.log.wait("Failed to contact D-Bus daemon")
    left_nothing(house)


def test_failure_to_write_the_pid_file(house: House) -> None:
    house.path(PID_FILE).mkdir(parents=True)  # where the file should be
    os.chown(house.path(RUNTIME), USERS["avahi"], USERS["avahi"])
    house.path(RUNTIME).chmod(0o755)
    result = house.run("avahi-daemon", "-D")
    assert result.returncode != 0
    house.empty()
    assert not house.exists(SOCKET)


@pytest.mark.ours_only  # the original's starter waits for its 20 s: it holds the pipe's other end itself
def test_daemon_that_ends_before_it_reports(house: House) -> None:
    # Descriptors enough to fork and write the pid file, none for the chroot's helper: it leaves without a report.
    house.write("/etc/avahi/avahi-daemon.conf", SETTINGS + "[rlimits]\nrlimit-nofile=2\n")
    result = house.run("avahi-daemon", "-D")
    assert result.returncode != 0
    assert result.seconds < 5, result
    house.log.wait("Too many open files")
    left_nothing(house)


def test_stale_pid_file(house: House) -> None:
    dead = house.dead_pid()
    house.write(PID_FILE, f"{dead}\n")
    os.chown(house.path(RUNTIME), USERS["avahi"], USERS["avahi"])
    os.chown(house.path(PID_FILE), USERS["avahi"], USERS["avahi"])
    assert house.run("avahi-daemon", "-c").returncode != 0
    daemon = start(house)
    assert daemon.pid != dead
    stop(house, daemon)


@pytest.mark.ours_only  # the original signals all of them
@pytest.mark.parametrize("content", ["", "0\n", "-1\n", "parcels\n"], ids=["empty", "0", "-1", "word"])
def test_pid_file_without_pid(house: House, content: str) -> None:
    """None of these is a running daemon, and `-k` signals nobody: 0 and -1 would be many."""
    house.write(PID_FILE, content)
    os.chown(house.path(RUNTIME), USERS["avahi"], USERS["avahi"])
    os.chown(house.path(PID_FILE), USERS["avahi"], USERS["avahi"])
    assert house.run("avahi-daemon", "-k").returncode != 0
    assert house.run("avahi-daemon", "-c").returncode != 0


def test_starts_again_after_a_violent_death(house: House) -> None:
    first = start(house)
    helper = [process for process in house.of_program("avahi-daemon") if process.pid != first.pid]
    house.signal(first, signal.SIGKILL)
    for process in (first, *helper):
        process.gone()
    assert house.exists(PID_FILE)
    assert house.run("avahi-daemon", "-c").returncode != 0
    second = start(house)
    assert second.pid != first.pid
    stop(house, second)


@pytest.mark.parametrize("first", ["original", "under-test"])
def test_upgrade_while_it_runs(house: House, first: str) -> None:
    """Started with one library, asked and ended with the other: pid file and lock mean the same to both."""
    folder = f"usr/lib/{MULTIARCH}"
    original = {"LD_LIBRARY_PATH": f"{PACKAGES_INSIDE}/{folder}:{LIBRARY_PATH}"}
    starting, asking = (original, None) if first == "original" else (None, original)
    house.must("avahi-daemon", "-D", environment=starting)
    daemon = house.daemon(PID_FILE, PACKAGES / folder / LIBRARY.name if starting else LIBRARY)
    house.must("avahi-daemon", "-c", environment=asking)
    result = house.run("avahi-daemon", "-D", environment=asking)
    assert f"already running on PID {daemon.pid}" in result.stderr, result
    house.must("avahi-daemon", "-k", environment=asking)
    assert not daemon.alive()
