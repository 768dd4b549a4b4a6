"""daemoniker: closes all by the limit, a pid file. The starter does not wait."""

import sys

import bench_ready
from daemoniker import Daemonizer

with Daemonizer() as (is_setup, daemonizer):
    is_starter, *_ = daemonizer(sys.argv[1], chdir="/")
bench_ready.say_and_stay()
