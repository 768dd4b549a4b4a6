"""pyzenkit.daemonizer: closes all, a pid file without a lock. The starter does not wait."""

import sys

import bench_ready
from pyzenkit.daemonizer import daemonize

daemonize(work_dir="/", pid_file=sys.argv[1], umask=0)
bench_ready.say_and_stay()
