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
    "LogFile",
    "OptionError",
    "PidFile",
    "PidFileError",
    "PrivilegeError",
    "ReopeningFileHandler",
    "SignalStream",
    "StartError",
    "Syslog",
    "UsageError",
    "Watchdog",
    "__version__",
    "listen_descriptors",
    "listen_sockets",
    "notify",
    "notify_barrier",
    "notify_reloading",
    "signals",
    "watchdog_interval",
]


# Where what is not imported with the package is: parts that only those need who name them. All else is an exception.
_LATER = {
    "ReopeningFileHandler": "_logging",
    "SignalStream": "_signals",
    "Watchdog": "_watchdog",
    "signals": "_signals",
    "LogFile": "_streams",
    "Syslog": "_streams",
}


def __getattr__(name):
    if name in __all__:
        module = __import__(f"{__name__}.{_LATER.get(name, '_errors')}", fromlist=(name,))
        value = globals()[name] = getattr(module, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
