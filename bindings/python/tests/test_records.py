"""A daemon without privileges that forges records on every pipe it can write to: nobody but itself is signalled."""

from __future__ import annotations

import os
import pathlib

import pytest
from conftest import House

RECORD, HEADER = 512, 16
FORKED, ENDED, VALUE, LOGGER = 0, 4, 8, 9

FORGE = """
    import fcntl, struct
    victim = os.fork()
    if victim == 0:
        signal.pause()
    report(victim)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    DaemonContext(pidfile=PidFile(PID_FILE), uid=65534, gid=65534, manual_ready=True, files_preserve=[REPORT]).open()

    def is_line(fd):
        return os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:") and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY

    def record(kind):
        return struct.pack("=BBHi", kind, 0, 0, victim).ljust(SIZE, b"\\0")

    named = sorted(map(int, os.listdir("/proc/self/fd")), reverse=True)
    lines = [fd for fd in named if fd > 2 and fd != REPORT and os.path.lexists(f"/proc/self/fd/{fd}") and is_line(fd)]
    report("lines", len(lines))
    for fd in lines:
        os.write(fd, record(FORKED) + record(KIND))
    signal.pause()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to drop privileges")
@pytest.mark.parametrize("size", [RECORD, HEADER])
@pytest.mark.parametrize("kind", [FORKED, ENDED, VALUE, LOGGER])
def test_a_forged_pid_is_not_signalled(house: House, kind: int, size: int) -> None:
    done = house.run(FORGE, head=f"KIND, SIZE, FORKED = {kind}, {size}, {FORKED}\n")
    victim, found = int(house.hear()), house.hear()
    assert found != "lines 0"
    assert pathlib.Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    house.end(victim)
    assert done.returncode == 1 and "report failed: invalid record from the daemon" in done.stderr, done
    assert done.stderr.count("\n") == 1
    assert not house.pid_path.exists()
