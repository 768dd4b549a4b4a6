"""The command ``daemonctx``: starts any program as a daemon, stops it for sure, shows it. ``daemonctx help`` explains it."""

import os
import sys

# The interpreter's own part of `signal` is enough here, and imported already.
import _signal

from . import _native


def main():
    """Do what the command line says; returns the exit status."""
    # The interpreter catches the one and ignores the other, which is not for programs that the command starts.
    for name in ("SIGINT", "SIGPIPE"):
        _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    monitor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "daemonctx-monitor")
    return _native.command(["daemonctx", *sys.argv[1:]], monitor)


if __name__ == "__main__":
    sys.exit(main())
