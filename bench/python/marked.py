"""daemonctx, marked for reliability/sweep/injector.c: where the start begins, and where the daemon goes on."""

import os
import signal
import sys
import time

from daemonctx import DaemonContext, PidFile

os.kill(os.getpid(), signal.SIGURG)
DaemonContext(pidfile=PidFile(sys.argv[1]), detach_process=True).open()
try:
    os.close(0x53574545)
except OSError:
    pass
while True:
    time.sleep(1000)
