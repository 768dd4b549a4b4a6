"""daemonocle: closes all, a pid file without a lock. The starter sleeps a while and looks whether there is a daemon."""

import sys

import daemonocle
import bench_ready

daemonocle.Daemon(worker=bench_ready.say_and_stay, pid_file=sys.argv[1], work_dir="/", close_open_files=True).do_action("start")
