"""For those that look for the file. Importing it gives `daemonctx.compat.python_daemon.daemon`: the package sees to that."""

from daemonctx.compat.python_daemon.daemon import *  # noqa: F403
