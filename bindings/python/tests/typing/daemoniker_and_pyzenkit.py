"""How programs of daemoniker and pyzenkit.daemonizer use the stand-ins, for mypy --strict: never run."""

import logging
import signal
from types import FrameType
from typing import Optional

from daemonctx.compat import daemoniker, install
from daemonctx.compat.daemoniker import IGNORE_SIGNAL, SIGTERM, Daemonizer, SignalHandler1, send
from daemonctx.compat.daemoniker.exceptions import DaemonikerSignal
from daemonctx.compat.pyzenkit import daemonizer


def main() -> None:
    install("daemoniker")
    with Daemonizer() as (is_setup, start):
        if is_setup:
            is_parent, word = start("/tmp/x.pid", "word", chdir="/", stdout_goto="/tmp/log", shielded_fds=[3, open("/tmp/log")])
    handler = SignalHandler1("/tmp/x.pid", sigint=IGNORE_SIGNAL, sigabrt=lambda number: print(number + 1))
    handler.sigterm = None
    del handler.sigint
    handler.sigterm(15)
    handler.start()
    try:
        for what in (SIGTERM, SIGTERM(), 15, signal.SIGTERM):
            send("/tmp/x.pid", what)
    except DaemonikerSignal as error:
        print(int(error), int(SIGTERM), error.SIGNUM)
    handler.stop()
    daemoniker.daemonize("/tmp/x.pid", 1, "two", umask=0o022, success_timeout=None)


def reload(signum: int, frame: Optional[FrameType]) -> None:
    print("reload")


def zen() -> None:
    install("pyzenkit.daemonizer")
    files = daemonizer.get_logger_files(logging.getLogger())
    pid, path = daemonizer.daemonize(
        work_dir="/", umask=0o022, uid=1, pid_file="/tmp/x.pid", files_preserve=[3, *files], signals={signal.SIGHUP: reload}
    )
    daemonizer.daemonize_lite(None, "/", 0o022, signals={signal.SIGINT: signal.SIG_IGN})
    daemonizer.write_pid("/tmp/y.pid", pid)
    print(daemonizer.read_pid("/tmp/y.pid") + 1)
