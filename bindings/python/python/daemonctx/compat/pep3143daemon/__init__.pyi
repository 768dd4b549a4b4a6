from .daemon import DaemonContext, DaemonError
from .pidfile import PidFile

__all__ = ["DaemonContext", "DaemonError", "PidFile"]
