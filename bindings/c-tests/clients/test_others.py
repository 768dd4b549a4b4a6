"""avahi-dnsconfd, avahi-autoipd, infinoted, mpdcron, shairport-sync, teamd: each starts, is asked and is ended."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess

import pytest

from house import LIMIT, House, Process, identity, until
from house_init import USERS
from test_avahi import SETTINGS

# --- avahi-dnsconfd: the one that runs its script by daemon_exec -----------------------------------------------------

DNSCONFD_PID_FILE = "/run/avahi-dnsconfd.pid"
DNSCONFD_SCRIPT = "/etc/avahi/avahi-dnsconfd.action"


@pytest.fixture
def avahi(house: House) -> House:
    """A house with avahi-daemon, which knows of a name server."""
    house.write("/etc/avahi/avahi-daemon.conf", SETTINGS + "[publish]\npublish-dns-servers=192.0.2.53\n")
    house.must("avahi-daemon", "-D")
    return house


def start_dnsconfd(house: House, body: str) -> Process:
    """`body` is run with `+ ADDRESS …` when the name server is found, and with `- ADDRESS …` at the end."""
    house.script(DNSCONFD_SCRIPT, f'[ "$1" = + ] || exit 0\n{body}')
    house.must("avahi-dnsconfd", "-D")
    return house.daemon(DNSCONFD_PID_FILE)


def said(house: House, daemon: Process) -> list[str]:
    texts = house.log.texts("avahi-dnsconfd", daemon.pid)
    return [text.removeprefix("client: ") for text in texts if text.startswith("client: ")]


def stop_dnsconfd(house: House, daemon: Process) -> None:
    house.must("avahi-dnsconfd", "-k")
    assert not daemon.alive()
    assert not house.exists(DNSCONFD_PID_FILE)
    house.must("avahi-daemon", "-k")


def test_dnsconfd(avahi: House) -> None:
    assert avahi.run("avahi-dnsconfd", "-c").returncode != 0
    daemon = start_dnsconfd(avahi, "")
    daemon.is_daemon()
    avahi.log.wait(rf"<30>.* avahi-dnsconfd\[{daemon.pid}\]: Successfully connected to Avahi daemon")
    avahi.must("avahi-dnsconfd", "-c")
    result = avahi.run("avahi-dnsconfd", "-D")
    assert result.returncode != 0
    assert f"already running on PID {daemon.pid}" in result.stderr
    # It looks at signals only if its socket has a higher number than the signal pipe: no gaps may be left below.
    stop_dnsconfd(avahi, daemon)
    avahi.log.wait(rf"avahi-dnsconfd\[{daemon.pid}\]: Got SIGTERM")


def test_dnsconfd_refreshes(avahi: House) -> None:
    daemon = start_dnsconfd(avahi, "")
    connected = rf"avahi-dnsconfd\[{daemon.pid}\]: Successfully connected"
    avahi.log.wait(connected)
    mark = avahi.log.mark()
    avahi.must("avahi-dnsconfd", "-r")
    avahi.log.wait("Refreshing DNS Server list", mark)
    avahi.log.wait(connected, mark)
    # With the original library it is deaf from here on: the new socket's number is lower than the signal pipe's.
    avahi.signal(daemon, signal.SIGKILL)
    daemon.gone()
    avahi.must("avahi-daemon", "-k")


def test_dnsconfd_without_avahi(house: House) -> None:
    result = house.run("avahi-dnsconfd", "-D")
    assert result.returncode != 0
    house.empty()
    assert not house.exists(DNSCONFD_PID_FILE)


def test_dnsconfd_script(avahi: House) -> None:
    daemon = start_dnsconfd(avahi, """
        echo "arguments $*"
        echo "server $AVAHI_DNS_SERVERS"
        echo "umask $(umask)"
        echo "directory $(pwd)"
        echo "parent $PPID"
        # As grep and ls have inherited it: the shell changes its own for moments, while it forks.
        grep -E "^Sig(Blk|Ign)" /proc/self/status
        ls -l /proc/self/fd
        echo "this is stderr" >&2
        printf "last, without an end"
        exit 3
    """)
    avahi.log.wait("Script returned with non-zero exit code 3")
    lines = said(avahi, daemon)
    # Without the directory that ls itself has open.
    descriptors = [found.groups() for line in lines if (found := re.search(r"(\d+) -> (?!/proc)(.*)", line))]
    assert [(number, re.sub(r":.*", "", target)) for number, target in descriptors] == [
        ("0", "/dev/null"), ("1", "pipe"), ("2", "pipe")]
    others = [line.replace("\t", " ") for line in lines if " -> " not in line and not line.startswith("total ")]
    # What make and others start by posix_spawn(3) has the C library's own two signals ignored; nobody may change that.
    others = [re.sub(r"(?<=SigIgn: )\w+", lambda ignored: f"{int(ignored[0], 16) & ~(3 << 31):016x}", line) for line in others]
    assert others[0].startswith("arguments + 192.0.2.53 ")
    assert others[1:] == ["server 192.0.2.53", "umask 0022", "directory /", f"parent {daemon.pid}",
                          "SigBlk: " + "0" * 16, "SigIgn: " + "0" * 16, "this is stderr", "last, without an end"]
    stop_dnsconfd(avahi, daemon)


def test_dnsconfd_script_that_talks_much(avahi: House) -> None:
    count = 5000
    daemon = start_dnsconfd(avahi, f'seq -f "line %.0f {"." * 60}" {count}; exit 3')
    avahi.log.wait("Script returned with non-zero exit code 3")
    assert said(avahi, daemon) == [f"line {number} {'.' * 60}" for number in range(1, count + 1)]
    stop_dnsconfd(avahi, daemon)


@pytest.mark.ours_only  # the original ends the script, and the signal is lost
def test_dnsconfd_hears_of_a_signal_after_its_script(avahi: House) -> None:
    os.mkfifo(avahi.path("/tmp/gate"))
    daemon = start_dnsconfd(avahi, """
        [ -p /tmp/gate ] || exit 0
        echo waiting; read line </tmp/gate; rm /tmp/gate; echo done
    """)
    avahi.log.wait("client: waiting")
    mark = avahi.log.mark()
    avahi.signal(daemon, signal.SIGHUP)
    avahi.must("sh", "-c", "echo >/tmp/gate")
    avahi.log.wait("client: done", mark)
    avahi.log.wait("Refreshing DNS Server list", mark)
    avahi.signal(daemon, signal.SIGKILL)  # deaf, as above
    daemon.gone()
    avahi.must("avahi-daemon", "-k")


def test_dnsconfd_ends_although_its_script_hangs(avahi: House) -> None:
    """Asked to end once it may go on, as long as the script does; asked again it has to end."""
    daemon = start_dnsconfd(avahi, "echo waiting $$; exec sleep 600")
    script = Process(avahi, int(avahi.log.wait(r"client: waiting (\d+)")[1]))
    for _ in range(2):
        avahi.signal(daemon, signal.SIGTERM)
        # Of a signal that is pending already the kernel takes no second.
        until(lambda: not daemon.alive() or signal.SIGTERM not in daemon.signals("ShdPnd"), "it is delivered", 10)
    script.gone()
    daemon.gone()
    avahi.must("avahi-daemon", "-k")


# --- avahi-autoipd ---------------------------------------------------------------------------------------------------

AUTOIPD_PID_FILE = "/run/avahi-autoipd.eth7.pid"


@pytest.fixture
def link(house: House) -> House:
    """A house with a link that has no address, and where autoipd keeps its last."""
    house.cable("eth7", "plug7")
    house.plug("eth7", "up")
    house.plug("plug7", "up")
    folder = house.path("/var/lib/avahi-autoipd")
    folder.mkdir()
    os.chown(folder, USERS["avahi-autoipd"], USERS["avahi-autoipd"])
    return house


def test_autoipd(link: House) -> None:
    link.must("avahi-autoipd", "-D", "eth7")
    daemon = link.daemon(AUTOIPD_PID_FILE)
    daemon.is_daemon()
    assert daemon.root() == "/var/lib/avahi-autoipd"
    assert daemon.status("Uid").split() == [str(USERS["avahi-autoipd"])] * 4
    link.log.wait(rf"<30>.* avahi-autoipd\(eth7\)\[{daemon.pid}\]: Successfully called chroot")
    link.must("avahi-autoipd", "-c", "eth7")
    result = link.run("avahi-autoipd", "-D", "eth7")
    assert result.returncode != 0
    assert f"already running on PID {daemon.pid}" in result.stderr
    link.must("avahi-autoipd", "-k", "eth7")
    assert not daemon.alive()
    # By its helper: the daemon itself may not any more.
    until(lambda: not link.exists(AUTOIPD_PID_FILE), "the pid file is removed")
    assert link.run("avahi-autoipd", "-c", "eth7").returncode != 0


def test_autoipd_without_its_user(link: House) -> None:
    passwd = link.path("/etc/passwd")
    passwd.write_text("".join(line for line in passwd.read_text().splitlines(True) if "autoipd" not in line))
    result = link.run("avahi-autoipd", "-D", "eth7")
    assert result.returncode != 0
    link.log.wait("Failed to find user 'avahi-autoipd'")
    link.empty()
    assert not link.exists(AUTOIPD_PID_FILE)


# --- infinoted -------------------------------------------------------------------------------------------------------

INFINOTED = ("infinoted-0.7", "--security-policy=no-tls", "--root-directory=/tmp/documents", "--plugins=")
INFINOTED_PID_FILE = "/tmp/.infinoted/infinoted-0.7.pid"  # its own choice: /run/infinoted-0.7 does not exist


def test_infinoted(house: House) -> None:
    house.must(*INFINOTED, "-d")
    daemon = house.daemon(INFINOTED_PID_FILE)
    daemon.is_daemon()
    house.log.wait(rf"infinoted-0\.7\[{daemon.pid}\]: .*Server running on port 6523")
    result = house.run(*INFINOTED, "-d", "--port=6524")
    assert result.returncode != 0, result
    assert house.daemon(INFINOTED_PID_FILE).pid == daemon.pid
    house.must("infinoted-0.7", "-D")
    assert not daemon.alive()
    assert not house.exists(INFINOTED_PID_FILE)
    assert os.strerror(errno.ENOENT) in house.run("infinoted-0.7", "-D").stderr


# --- mpdcron ---------------------------------------------------------------------------------------------------------

MPDCRON_PID_FILE = "/tmp/.mpdcron/mpdcron.pid"


def test_mpdcron(house: House) -> None:
    house.path("/tmp/.mpdcron").mkdir()
    result = house.run_badly("mpdcron")
    assert result.returncode == 0, result
    daemon = house.daemon(MPDCRON_PID_FILE)
    daemon.is_daemon()
    assert not daemon.inherited()
    house.log.wait(rf"mpdcron\[{daemon.pid}\]: ")
    result = house.run("mpdcron")
    assert result.returncode != 0
    assert f"already running on PID {daemon.pid}" in result.stderr
    house.must("mpdcron", "-k")
    assert not daemon.alive()
    assert not house.exists(MPDCRON_PID_FILE)
    assert os.strerror(errno.ENOENT) in house.run("mpdcron", "-k").stderr


def test_mpdcron_without_its_folder(house: House) -> None:
    """No place for the pid file: the daemon reports 2, which is the starter's exit status."""
    result = house.run("mpdcron")
    assert result.returncode == 2, result
    house.log.wait("Failed to create PID file: " + os.strerror(errno.ENOENT))
    house.empty()


# --- shairport-sync --------------------------------------------------------------------------------------------------

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
SHAIRPORT_PID_FILE = "/run/shairport-sync/shairport-sync.pid"


@pytest.fixture
def bus(house: House) -> House:
    """A house with a D-Bus of its own, and avahi-daemon on it."""
    house.path("/run/dbus").mkdir()
    house.write("/tmp/bus.conf", BUS)
    house.start("dbus-daemon", "--config-file=/tmp/bus.conf", "--nofork", "--nopidfile", stderr=subprocess.DEVNULL)
    until(lambda: house.exists("/run/dbus/system_bus_socket"), "the bus is there")
    house.write("/etc/avahi/avahi-daemon.conf", SETTINGS.replace("enable-dbus=no", "enable-dbus=yes"))
    house.must("avahi-daemon", "-D")
    return house


def test_shairport(bus: House) -> None:
    result = bus.run_badly("shairport-sync", "-d", "-o", "dummy")
    assert result.returncode == 0, result
    daemon = bus.daemon(SHAIRPORT_PID_FILE)
    daemon.is_daemon()
    assert not daemon.inherited()
    started, file = daemon.started, identity(bus.path(SHAIRPORT_PID_FILE))
    result = bus.run("shairport-sync", "-d", "-o", "dummy")
    assert result.returncode != 0
    assert f"already running as PID {daemon.pid}" in result.stderr
    assert (daemon.started, identity(bus.path(SHAIRPORT_PID_FILE))) == (started, file)
    bus.must("shairport-sync", "-k")
    assert not daemon.alive()
    assert bus.run("shairport-sync", "-k").returncode != 0
    bus.must("avahi-daemon", "-k")
    for process in bus.of_program("dbus-daemon"):
        bus.signal(process, signal.SIGTERM)


# --- teamd -----------------------------------------------------------------------------------------------------------

TEAMD_PID_FILE = "/run/team7.pid"
TEAMD = ("teamd", "-t", "team7", "-p", TEAMD_PID_FILE, "-c", '{"runner": {"name": "no-such-runner"}}')


def test_teamd_fails_to_start(house: House) -> None:
    """Needs no kernel that can team: the daemon tells its starter that there is no such runner, or no such device."""
    result = house.run(*TEAMD, "-d")
    assert result.returncode != 0
    assert "Daemon process failed" in result.stderr
    house.log.wait(r"<27>.* teamd_team7\[\d+\]: teamd_init\(\) failed")
    house.empty()
    assert not house.exists(TEAMD_PID_FILE)


@pytest.mark.parametrize("option", ["-e", "-k"])
def test_teamd_is_not_running(house: House, option: str) -> None:
    assert house.run(*TEAMD, option).returncode != 0
    house.write(TEAMD_PID_FILE, f"{house.dead_pid()}\n")
    assert house.run(*TEAMD, option).returncode != 0


def test_teamd_that_another_library_has_started(house: House) -> None:
    """A pid file that nobody has locked, as the original leaves it, names a daemon all the same."""
    other = house.start("sleep", "600")
    process = until(lambda: house.of_program("sleep"), "it runs")[0]
    house.write(TEAMD_PID_FILE, f"{process.pid}\n")
    house.must(*TEAMD, "-e")
    house.must(*TEAMD, "-k")
    assert not process.alive()
    assert other.wait(LIMIT) != 0
