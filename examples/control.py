"""Asks about a daemon by its pid file, or stops it. Arguments: status or stop, the pid file."""

import sys

from daemonctx import PidFile

command, path = sys.argv[1:]
file = PidFile(path)
if command == "stop":
    print(f"{path}: {file.stop(timeout=10)}")
else:
    print(f"{path}: {file.status()}, PID {file.read_pid()}")
