"""python-daemon: closes all, a pid file with lockfile's lock. The starter does not wait."""

import sys

import bench_ready
from daemon import DaemonContext
from daemon.pidfile import TimeoutPIDLockFile

DaemonContext(pidfile=TimeoutPIDLockFile(sys.argv[1]), detach_process=True).open()
bench_ready.say_and_stay()
