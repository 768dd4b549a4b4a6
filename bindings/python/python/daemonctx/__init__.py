"""Turn a process into a well-behaved Unix daemon, and tell the truth about whether it started.

    from daemonctx import DaemonContext, PidFile

    with DaemonContext(pidfile=PidFile("/run/hello.pid")):
        main()  # only the daemon gets here

The starter, the program that was run, exits 0 only when the daemon is ready. Otherwise it prints one line that names the
step, the value and the error, exits with a status that says what happened, and nothing stays behind.
"""

# At once: the library looks, when it is loaded, which signals whoever started this process has had ignored.
from ._native import VERSION as __version__

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


# Where each name is. A part is imported when the first name of it is used (PEP 562), so a start does not pay for what it does not use.
_PLACES = {
    "DaemonContext": "_context",
    "LogFile": "_streams",
    "PidFile": "_pidfile",
    "ReopeningFileHandler": "_logging",
    "SignalStream": "_signals",
    "Syslog": "_streams",
    "Watchdog": "_watchdog",
    "listen_descriptors": "_supervisor",
    "listen_sockets": "_supervisor",
    "notify": "_supervisor",
    "notify_barrier": "_supervisor",
    "notify_reloading": "_supervisor",
    "signals": "_signals",
    "watchdog_interval": "_supervisor",
}
# All else that is public can be raised, or warned of.
_EXCEPTIONS = "_errors"


def __getattr__(name):
    if name in __all__:
        module = __import__(f"{__name__}.{_PLACES.get(name, _EXCEPTIONS)}", fromlist=(name,))
        value = globals()[name] = getattr(module, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
