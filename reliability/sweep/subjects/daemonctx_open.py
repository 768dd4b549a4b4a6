"""A start with the package daemonctx. Arguments: how, a folder for the pid file and the log."""

import os
import signal
import sys
import time

from daemonctx import DaemonContext, PidFile
from daemonctx import _errors, _supervisor, _watchdog  # noqa: F401  What open() would import first: that is Python's, not the start.

how, folder = sys.argv[1:]
context = DaemonContext(
    pidfile=PidFile(folder + "/daemon.pid"),
    uid="daemon",
    stdout=folder + "/daemon.log",
    stderr=folder + "/daemon.log",
    detach_process=True,
    manual_ready=how == "manual",
)
os.kill(os.getpid(), signal.SIGURG)  # The start begins, for the injector.
context.open()
if how == "manual":
    context.ready()
try:
    os.close(0x53574545)  # It has come to its end.
except OSError:
    pass
while True:
    time.sleep(0.02)  # pause() would miss a signal that came just before it
