"""For those that look for the file. Importing it gives `daemonctx.compat.python_daemon.pidfile`: the package sees to that."""

from daemonctx.compat.python_daemon.pidfile import *  # noqa: F403
