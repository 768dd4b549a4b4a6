"""A start with python-daemon, as its documentation has it. Arguments: how, a folder for the pid file and the log."""

import sys

import daemon
from daemon.pidfile import TimeoutPIDLockFile
from mark import start_begins, start_ends_and_daemon_lives

how, folder = sys.argv[1:]
log = open(folder + "/daemon.log", "a")
context = daemon.DaemonContext(
    pidfile=TimeoutPIDLockFile(folder + "/daemon.pid", acquire_timeout=-1),
    uid=1,
    gid=1,
    stdout=log,
    stderr=log,
    detach_process=True,
)
start_begins()
context.open()
start_ends_and_daemon_lives()
