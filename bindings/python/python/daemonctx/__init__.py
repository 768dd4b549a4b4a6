"""Turn a process into a well-behaved Unix daemon, and tell the truth about whether it started.

    from daemonctx import DaemonContext, PidFile

    with DaemonContext(pidfile=PidFile("/run/hello.pid")):
        main()  # only the daemon gets here

The starter, the program that was run, exits 0 only when the daemon is ready. Otherwise it prints one line that names the
step, the value and the error, exits with a status that says what happened, and nothing stays behind.
"""

from ._native import VERSION as __version__
from ._supervisor import listen_descriptors, listen_sockets, notify, notify_barrier, notify_reloading, watchdog_interval
from ._context import DaemonContext
from ._pidfile import PidFile

__all__ = [
    "AlreadyRunningError",
    "DaemonContext",
    "DaemonError",
    "DaemonWarning",
    "OptionError",
    "PidFile",
    "PidFileError",
    "PrivilegeError",
    "StartError",
    "UsageError",
    "__version__",
    "listen_descriptors",
    "listen_sockets",
    "notify",
    "notify_barrier",
    "notify_reloading",
    "watchdog_interval",
]


def __getattr__(name):
    # The exceptions are needed only by those who name them, and when something fails.
    if name in __all__:
        from . import _errors

        value = globals()[name] = getattr(_errors, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
