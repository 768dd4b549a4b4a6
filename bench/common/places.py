"""Where things are."""

from __future__ import annotations

import atexit
import pathlib
import shutil
import tempfile

BENCH = pathlib.Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
TARGET = ROOT / "target"
BUILD = TARGET / "bench"
PROGRAMS = BUILD / "c"
RUST = BUILD / "rust" / "release"
OURS = BUILD / "lib"  # the C libraries as they are installed: stripped
LIBRARIES = ("libdaemonctx.so.0", "libdaemon.so.0")
FIFO = BUILD / "ready"
DEBIAN = TARGET / "debian" / "root"
LAUNCHERS = BUILD / "debian" / "root"
COMMAND = TARGET / "release" / "daemonctx"
PLOTS = ROOT / "docs" / "plots"
PAGE = ROOT / "docs" / "performance.md"


# Where pid files are kept is a file system in memory (/run); on a disk its journal would be measured.
VOLATILE = pathlib.Path(tempfile.mkdtemp(prefix="daemonctx-bench-", dir="/dev/shm"))
atexit.register(shutil.rmtree, VOLATILE, ignore_errors=True)


def original() -> pathlib.Path:
    """The folder of the original libdaemon."""
    return next((DEBIAN / "usr" / "lib").rglob("libdaemon.so.0")).parent
