"""A start with the package daemonctx. Arguments: how, a folder for the pid file and the log."""

import sys

from daemonctx import DaemonContext, PidFile
from daemonctx import _late  # noqa: F401  What open() would import first: that is Python's, not the start.
from mark import start_begins, start_ends_and_daemon_lives

how, folder = sys.argv[1:]
context = DaemonContext(
    pidfile=PidFile(folder + "/daemon.pid"),
    uid="daemon",
    stdout=folder + "/daemon.log",
    stderr=folder + "/daemon.log",
    detach_process=True,
    manual_ready=how == "manual",
)
start_begins()
context.open()
if how == "manual":
    context.ready()
start_ends_and_daemon_lives()
