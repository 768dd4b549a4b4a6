"""The packages take the originals' place, give it back, and avahi-daemon lives through all of it."""

from __future__ import annotations

import os
import pathlib

import pytest
from conftest import Debian

LIBRARY = f"/usr/lib/{os.uname().machine}-linux-gnu/libdaemon.so.0"
PID_FILE = "/run/avahi-daemon/pid"


class Avahi:
    """avahi-daemon as Debian runs it: with the bus, in a chroot, as a user of its own."""

    def __init__(self, debian: Debian) -> None:
        self.debian = debian

    def start(self) -> None:
        self.debian.must("avahi-daemon", "-D")
        self.answers()

    def pid(self) -> int:
        return int(self.debian.path(PID_FILE).read_text())

    def answers(self) -> None:
        """-c sees it, -r reaches it, and it goes on."""
        before = self.pid()
        self.debian.must("avahi-daemon", "-c")
        self.debian.must("avahi-daemon", "-r")
        self.debian.must("avahi-daemon", "-c")
        assert self.pid() == before
        assert self.debian.run("avahi-daemon", "-D").returncode != 0, "a second one is refused"

    def runs_with(self, library: tuple[int, int]) -> bool:
        """Whether it has this file mapped, by device and inode: names may change meanwhile."""
        # By the machine's own /proc, whose PIDs are those in the file.
        folder = self.debian.path(f"/proc/{self.pid()}/map_files")
        found = set()
        for entry in folder.iterdir():
            try:
                status = entry.stat()
            except OSError:
                continue
            found.add((status.st_dev, status.st_ino))
        return library in found

    def stop(self) -> None:
        process = self.debian.path(f"/proc/{self.pid()}")
        assert process.exists()
        self.debian.must("avahi-daemon", "-k")
        assert not self.debian.path(PID_FILE).exists()
        assert self.debian.run("avahi-daemon", "-c").returncode != 0


def identity(path: pathlib.Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def bus(debian: Debian) -> None:
    debian.path("/run/dbus").mkdir(exist_ok=True)
    debian.must("dbus-daemon", "--system", "--fork")


def test_avahi_through_all_of_it(debian: Debian) -> None:
    bus(debian)
    avahi = Avahi(debian)
    original = identity(debian.path(LIBRARY))
    avahi.start()
    assert avahi.runs_with(original)

    # Installed over it while it runs: it goes on with the original, and ours reaches it.
    debian.install("libdaemon0-daemonctx")
    assert debian.installed("libdaemon0-daemonctx") and debian.installed("avahi-daemon") and not debian.installed("libdaemon0")
    ours = identity(debian.path(LIBRARY))
    assert ours != original and avahi.runs_with(original)
    avahi.answers()
    avahi.stop()

    avahi.start()
    assert avahi.runs_with(ours) and not avahi.runs_with(original)

    # And back, while it runs with ours.
    debian.install("libdaemon0")
    assert debian.installed("libdaemon0") and debian.installed("avahi-daemon") and not debian.installed("libdaemon0-daemonctx")
    assert avahi.runs_with(ours)
    avahi.answers()
    avahi.stop()
    again = identity(debian.path(LIBRARY))
    assert again != ours
    avahi.start()
    assert avahi.runs_with(again)
    avahi.stop()


def test_removed_as_any_package(debian: Debian) -> None:
    """Ours is what avahi-daemon needs, so apt removes both; and nothing of ours is left."""
    debian.install("libdaemon0-daemonctx")
    debian.must("apt-get", "purge", "-q", "-y", "libdaemon0-daemonctx")
    assert not debian.installed("avahi-daemon")
    assert not debian.path(LIBRARY).exists() and not debian.path("/usr/share/doc/libdaemon0-daemonctx").exists()


def test_programs_that_need_a_version_of_the_original(debian: Debian) -> None:
    """`libdaemon0 (>= 0.14)` is met; what wants another release of the original is not, and apt says so."""
    debian.install("libdaemon0-daemonctx")
    assert "libdaemon0 (= 0.14)" in debian.must("dpkg-query", "--show", "--showformat=${Provides}", "libdaemon0-daemonctx")
    # The original's own -dev is for one release of the original only: apt takes ours away for it.
    refused = debian.run("apt-get", "install", "-q", "-y", "--no-remove", "/mnt/debs/" + found(debian, "libdaemon-dev"))
    assert refused.returncode != 0
    assert debian.installed("libdaemon0-daemonctx")


def found(debian: Debian, package: str) -> str:
    (deb,) = debian.path("/mnt/debs").glob(f"{package}_*.deb")
    return deb.name


def test_development_files(debian: Debian) -> None:
    debian.install("libdaemon0", "libdaemon-dev")
    debian.install("libdaemon0-daemonctx", "libdaemon-dev-daemonctx")
    assert debian.installed("libdaemon-dev-daemonctx") and not debian.installed("libdaemon-dev")
    owner = debian.must("dpkg", "--search", "/usr/include/libdaemon/daemon.h")
    assert owner in (f"libdaemon-dev-daemonctx:{arch}: /usr/include/libdaemon/daemon.h\n" for arch in architectures(debian))
    debian.must("dpkg", "--verify", "libdaemon0-daemonctx", "libdaemon-dev-daemonctx")
    debian.install("libdaemon0", "libdaemon-dev")
    assert debian.installed("libdaemon-dev") and not debian.installed("libdaemon-dev-daemonctx")
    debian.must("dpkg", "--verify", "libdaemon0", "libdaemon-dev")


@pytest.mark.parametrize("libdaemon", [("libdaemon0", "libdaemon-dev"), ("libdaemon0-daemonctx", "libdaemon-dev-daemonctx")])
def test_the_new_interface_beside_either_libdaemon(debian: Debian, libdaemon: tuple[str, str]) -> None:
    debian.install(*libdaemon)
    debian.install("libdaemonctx0", "libdaemonctx-dev")
    assert all(map(debian.installed, (*libdaemon, "libdaemonctx0", "libdaemonctx-dev", "avahi-daemon")))
    owner = debian.must("dpkg", "--search", "/usr/include/daemonctx.h")
    assert owner in (f"libdaemonctx-dev:{arch}: /usr/include/daemonctx.h\n" for arch in architectures(debian))
    debian.must("dpkg", "--verify", *libdaemon, "libdaemonctx0", "libdaemonctx-dev")


def architectures(debian: Debian) -> list[str]:
    return debian.must("dpkg", "--print-architecture").split()


def test_command(debian: Debian) -> None:
    """Beside the original as well: it needs neither library."""
    debian.install("daemonctx")
    assert debian.installed("libdaemon0")
    debian.must("daemonctx", "start", "--name", "sleeper", "--", "sleep", "1000")
    pid = int(debian.path("/run/sleeper.pid").read_text())
    assert f"PID {pid}" in debian.must("daemonctx", "start", "--name", "sleeper", "--", "sleep", "1000")
    debian.must("daemonctx", "status", "sleeper")
    debian.must("daemonctx", "stop", "sleeper")
    assert debian.run("daemonctx", "status", "sleeper").returncode == 3
