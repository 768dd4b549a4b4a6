"""A stand-in for daemoniker 0.2.3 on Unix, with its modules `exceptions` and `utils`.

    with Daemonizer() as (is_setup, daemonizer):
        is_parent, word = daemonizer("/run/hello.pid", "hello")
        if is_parent:
            print("the daemon is ready")

    main(word)  # only the daemon gets here
"""

from . import exceptions, utils
from .exceptions import SIGABRT, SIGINT, SIGTERM
from .utils import platform_specificker

platform_switch = platform_specificker(
    linux_choice="unix", win_choice="windows", cygwin_choice=None, osx_choice="unix", other_choice="unix"
)
if platform_switch == "windows":
    raise ImportError("daemonctx.compat.daemoniker is daemoniker for Unix; on Windows use daemoniker itself", name=__name__)
if platform_switch is None:
    raise RuntimeError("daemonctx.compat.daemoniker is daemoniker for Unix, and not for Cygwin")

from ._daemonize_unix import Daemonizer, daemonize
from ._signals_common import IGNORE_SIGNAL, send
from ._signals_unix import SignalHandler1

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
