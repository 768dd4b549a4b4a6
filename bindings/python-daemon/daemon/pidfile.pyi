from daemonctx.compat.python_daemon.pidfile import *
