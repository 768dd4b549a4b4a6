"""Log files, opened again, and syslog."""

from __future__ import annotations

import ctypes
import os
import pathlib
import signal
import socket
import syslog
from typing import Iterator

import pytest
from conftest import LIMIT, House, children

import daemonctx

CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_BIND = 0x20000, 16384, 1 << 18, 4096
need_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# Does what it gets a signal for; SIGUSR1 writes a line on both streams, and leaves one in Python's buffer.
WRITER = """
    def written(signum, frame):
        global count
        count += 1
        print("out", count, flush=True)
        print("err", count, file=sys.stderr)
        print("buffered", count)
        report("written")
    count = 0
    class Context(DaemonContext):
        def reopen_streams(self, *arguments):
            super().reopen_streams(*arguments)
            report("reopened")
    signals = {signal.SIGUSR1: written, signal.SIGHUP: "reopen_streams"}
    with Context(files_preserve=[REPORT], signal_map=signals, %s):
        report(os.getpid())
        while True:
            signal.pause()
"""


def tell(house: House, pid: int, signum: int, answer: str) -> None:
    os.kill(pid, signum)
    assert house.hear() == answer


def test_moved_away_and_opened_again_on_sighup(house: House) -> None:
    log, old = house.folder / "log", house.folder / "log.1"
    streams = f"stdout=LogFile({str(log)!r}, mode=0o664), stderr=LogFile({str(log)!r})"
    done = house.run(WRITER % streams, umask=0o077)
    assert (done.returncode, done.stderr) == (0, "")
    pid = int(house.hear())
    tell(house, pid, signal.SIGUSR1, "written")
    log.rename(old)
    tell(house, pid, signal.SIGHUP, "reopened")
    tell(house, pid, signal.SIGUSR1, "written")
    assert old.read_text() == "out 1\nerr 1\nbuffered 1\n", "what Python had buffered belongs to the old one"
    assert log.read_text() == "out 2\nerr 2\n"
    assert log.stat().st_mode & 0o777 == 0o664
    house.end(pid, signal.SIGKILL)


def test_what_cannot_be_opened_again_is_said_by_a_handler_and_raised_by_a_call(house: House) -> None:
    folder = house.folder / "folder"
    folder.mkdir()
    house.run(WRITER % f"stdout={str(folder / 'log')!r}, stderr={str(house.folder / 'err')!r}")
    pid = int(house.hear())
    folder.rename(house.folder / "moved")
    tell(house, pid, signal.SIGHUP, "reopened")
    tell(house, pid, signal.SIGUSR1, "written")
    expected = f"stdout failed: {folder / 'log'}: No such file or directory (2 ENOENT)\nerr 1\n"
    assert (house.folder / "err").read_text() == expected
    assert (house.folder / "moved" / "log").read_text() == "out 1\n"
    house.end(pid, signal.SIGKILL)

    os.mkdir(folder)
    house.run(
        f"""
        context = DaemonContext(files_preserve=[REPORT], stdout={str(folder / "log")!r})
        try:
            context.reopen_streams()
        except UsageError as error:
            report(error)
        context.open()
        os.rename({str(folder)!r}, {str(folder)!r} + "2")
        try:
            context.reopen_streams()
        except OptionError as error:
            report(error.step, error.errno, error.value, os.getpid())
        """
    )
    assert house.hear() == "handle failed: not opened"
    *words, pid_text = house.hear().split()
    assert words == ["stdout", "2", str(folder / "log")]
    house.reap(int(pid_text))


@need_root
def test_mode_owner_and_append(house: House) -> None:
    made, kept = house.folder / "made", house.folder / "kept"
    kept.write_text("before\n")
    kept.chmod(0o604)
    streams = (
        f"stdout=LogFile({str(made)!r}, mode=0o600, user='nobody', group=4242), "
        f"stderr=LogFile({str(kept)!r}, append=False, user=65534)"
    )
    house.run(WRITER % streams)
    pid = int(house.hear())
    status = made.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o600, 65534, 4242)
    assert (kept.read_text(), kept.stat().st_mode & 0o777, kept.stat().st_uid) == ("", 0o604, 0)
    house.end(pid, signal.SIGKILL)


# In a program of its own, which would become a daemon where nothing is refused.
REFUSED = """
    def refused(**options):
        try:
            DaemonContext(files_preserve=[REPORT], **options).open()
            report("not refused:", options)
        except OptionError as error:
            report(error.step, error.value, error.errno)
    log = os.path.join(FOLDER, "log")
    refused(stdin=LogFile(log))
    refused(stdin=Syslog())
    refused(stdout=LogFile(log, mode=0o1777))
    refused(stdout=LogFile(3))
    refused(stderr=LogFile(log, user="nobody-at-all"))
    refused(stderr=Syslog("x" * 129))
"""


def test_what_cannot_be(house: House) -> None:
    assert house.run(REFUSED).returncode == 0
    log = house.folder / "log"
    assert [house.hear() for _ in range(6)] == [
        f"stdin {log} 22",
        "stdin syslog 22",
        "stdout 01777 22",
        "stdout LogFile(3, append=True, mode=0o640, user=None, group=None) 22",
        "stderr nobody-at-all 2",
        f"stderr {'x' * 129} 36",
    ]
    assert not log.exists()


def test_what_syslog_has() -> None:
    for bad in ({"facility": "demon"}, {"facility": 3}, {"facility": 192}, {"priority": "error?"}, {"priority": 8}):
        with pytest.raises(daemonctx.OptionError):
            daemonctx.Syslog(**bad)  # type: ignore[arg-type]
    numbers = daemonctx.Syslog(facility=syslog.LOG_LOCAL3, priority=syslog.LOG_NOTICE)
    assert repr(numbers) == f"Syslog(None, {syslog.LOG_LOCAL3}, {syslog.LOG_NOTICE})"


class Dev:
    """A /dev for the programs, in a mount namespace of theirs, with a syslogd that this process is."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.libc = ctypes.CDLL(None, use_errno=True)
        folder.mkdir()
        (folder / "null").touch()
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log.bind(str(folder / "log"))
        self.log.settimeout(LIMIT)

    def enter(self) -> None:
        """Runs in the program before exec."""
        mount = self.libc.mount
        folder, null = str(self.folder).encode(), str(self.folder / "null").encode()
        assert self.libc.unshare(CLONE_NEWNS) == 0
        assert mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        assert mount(b"/dev/null", null, None, MS_BIND, None) == 0
        assert mount(folder, b"/dev", None, MS_BIND | MS_REC, None) == 0

    def hear(self) -> str:
        return self.log.recv(10_000).decode()


@pytest.fixture
def dev(house: House) -> Iterator[Dev]:
    dev = Dev(house.folder / "dev")
    yield dev
    dev.log.close()


@need_root
def test_syslog(house: House, dev: Dev) -> None:
    before = children()
    streams = "stdout=Syslog('me', 'local0', 'notice'), stderr=Syslog()"
    done = house.run(WRITER % streams, preexec_fn=dev.enter)
    assert (done.returncode, done.stderr) == (0, "")
    pid = int(house.hear())
    tell(house, pid, signal.SIGUSR1, "written")
    messages = {dev.hear(), dev.hear()}
    assert messages == {f"<133>me[{pid}]: out 1", f"<27>script.py[{pid}]: err 1"}
    tell(house, pid, signal.SIGHUP, "reopened")
    assert dev.hear() == f"<133>me[{pid}]: buffered 1"
    (logger,) = children() - before - {pid}
    house.end(pid, signal.SIGTERM)
    assert house.reap(logger) == 0


@need_root
def test_a_traceback_after_ready_is_in_the_log(house: House, dev: Dev) -> None:
    before = children()
    body = """
        with DaemonContext(files_preserve=[REPORT], stderr=Syslog("me")):
            report(os.getpid())
            raise RuntimeError("why it died")
    """
    assert house.run(body, preexec_fn=dev.enter).returncode == 0
    pid = int(house.hear())
    heard = [dev.hear()]
    while "RuntimeError:" not in heard[-1]:
        heard.append(dev.hear())
    assert heard[0] == f"<27>me[{pid}]: Traceback (most recent call last):"
    assert heard[-1] == f"<27>me[{pid}]: RuntimeError: why it died"
    for left in children() - before:
        house.reap(left)


@need_root
def test_no_syslogd_is_an_error_before_anything_happens(house: House, dev: Dev) -> None:
    (dev.folder / "log").unlink()
    done = house.run(WRITER % "stdout=Syslog()", preexec_fn=dev.enter)
    assert done.returncode == 1
    assert "stdout failed: /dev/log: No such file or directory (2 ENOENT)" in done.stderr
    assert house.silent()
