from . import exceptions as exceptions, utils as utils
from ._daemonize_unix import Daemonizer, daemonize
from ._signals_common import IGNORE_SIGNAL, send
from ._signals_unix import SignalHandler1
from .exceptions import SIGABRT, SIGINT, SIGTERM
from .utils import platform_specificker as platform_specificker

__all__ = [
    "Daemonizer",
    "daemonize",
    "SignalHandler1",
    "IGNORE_SIGNAL",
    "send",
    "SIGINT",
    "SIGTERM",
    "SIGABRT",
]

platform_switch: str
