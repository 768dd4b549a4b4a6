import time
from daemonctx import DaemonContext, PidFile

with DaemonContext(pidfile=PidFile("/tmp/hello.pid"), umask=0o022):
    while True:  # only the daemon gets here
        time.sleep(1)
