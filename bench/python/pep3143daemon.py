"""pep3143daemon: closes all by the limit, a pid file with a lock. The starter does not wait."""

import sys

import bench_ready
from pep3143daemon import DaemonContext, PidFile

DaemonContext(pidfile=PidFile(sys.argv[1]), detach_process=True).open()
bench_ready.say_and_stay()
