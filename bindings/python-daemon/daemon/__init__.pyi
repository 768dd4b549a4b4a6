from . import daemon as daemon
from . import pidfile as pidfile
from .daemon import DaemonContext

__all__ = ["DaemonContext"]
