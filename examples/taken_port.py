"""A service that cannot start: it says it is ready only when it has its port, and the port is taken. Arguments: the pid file,
the port."""

import socket
import sys

from daemonctx import DaemonContext, PidFile

with DaemonContext(pidfile=PidFile(sys.argv[1]), umask=0o022, manual_ready=True) as daemon:
    with socket.create_server(("127.0.0.1", int(sys.argv[2]))) as server:
        daemon.ready()
        server.accept()
