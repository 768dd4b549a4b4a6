from daemonctx.compat.python_daemon.daemon import *
