"""A stand-in for pep3143daemon 0.1, with its modules `daemon` and `pidfile`."""

from .daemon import DaemonContext, DaemonError
from .pidfile import PidFile

__all__ = ["DaemonContext", "DaemonError", "PidFile"]
