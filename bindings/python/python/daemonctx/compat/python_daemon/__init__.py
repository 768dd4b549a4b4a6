"""A stand-in for python-daemon 3.1: the package ``daemon``, with the modules `daemon` and `pidfile`.

What is the same, and what is better, is in ``docs/python-daemon.md``.
"""

from . import daemon, pidfile
from .daemon import DaemonContext

__all__ = ["DaemonContext"]
