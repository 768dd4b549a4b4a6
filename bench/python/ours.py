"""daemonctx."""

import sys

import bench_ready
from daemonctx import DaemonContext, PidFile

DaemonContext(pidfile=PidFile(sys.argv[1]), detach_process=True).open()
bench_ready.say_and_stay()
