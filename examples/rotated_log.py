"""A daemon whose log is rotated: SIGHUP has the file opened anew. Arguments: the pid file, the log file."""

import logging
import signal
import sys
import time

import daemonctx

logging.basicConfig(
    level=logging.INFO,
    format="%(asctime)s %(levelname)s %(message)s",
    handlers=[daemonctx.ReopeningFileHandler(sys.argv[2], signal=signal.SIGHUP)],
)

with daemonctx.DaemonContext(pidfile=sys.argv[1], umask=0o022):
    number = 0
    while True:
        logging.info("still here, for the %dth time", number)
        number += 1
        time.sleep(0.01)
