"""A start with python-daemon, as its documentation has it. Arguments: how, a folder for the pid file and the log."""

import os
import signal
import sys
import time

import daemon
from daemon.pidfile import TimeoutPIDLockFile

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
os.kill(os.getpid(), signal.SIGURG)  # The start begins, for the injector.
context.open()
try:
    os.close(0x53574545)  # It has come to its end.
except OSError:
    pass
while True:
    time.sleep(0.02)  # pause() would miss a signal that came just before it
