"""The classic of PEP 3143: a daemon with a pid file that writes to syslog. Argument: the pid file.

Written for pep3143daemon it would differ in one line, the import.
"""

import signal
import sys
import syslog

from daemonctx import DaemonContext, PidFile

daemon = DaemonContext(pidfile=PidFile(sys.argv[1]), umask=0o022)
print(f"starting with pid file {daemon.pidfile.path}")
daemon.open()

syslog.openlog("syslog_daemon", syslog.LOG_PID, syslog.LOG_DAEMON)
syslog.syslog("started")
try:
    while True:
        signal.pause()  # SIGTERM raises SystemExit here
finally:
    syslog.syslog("stopped")
