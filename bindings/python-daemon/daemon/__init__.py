"""python-daemon's package, as daemonctx has it: whoever imports it gets `daemonctx.compat.python_daemon` itself."""

import sys

from daemonctx.compat import install

# The import system hands out what it finds here when this file has run, so there is one module under two names: what a program
# replaces in `daemon.daemon` is replaced where it is looked up.
del sys.modules[__name__]
install(__name__)
