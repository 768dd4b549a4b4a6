"""Turn a process into a well-behaved Unix daemon, and report reliably whether it started.

    from daemonctx import DaemonContext, PidFile

    with DaemonContext(pidfile=PidFile("/run/hello.pid")):
        main()  # only the daemon gets here

The starter, the program that was run, exits 0 only when the daemon is ready. Otherwise it prints one line that names the
step, the value and the error, exits with a status that says what happened, and nothing stays behind.
"""

# First of all: the library notes, when it is loaded, which signals this process has inherited as ignored.
try:
    from ._native import VERSION as __version__
except ImportError as error:
    if type(__spec__.loader).__module__ != "zipimport":
        raise
    raise ImportError(f"{error}: a native module cannot be imported from a zip file; unpack it first, as shiv and pex do") from None

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
        value = globals()[name] = getattr(_part(_PLACES.get(name, _EXCEPTIONS)), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _part(place):
    # Statements, which PyInstaller, cx_Freeze and Nuitka find; in a string they would not.
    if place == "_context":
        from . import _context as part
    elif place == "_errors":
        from . import _errors as part
    elif place == "_logging":
        from . import _logging as part
    elif place == "_pidfile":
        from . import _pidfile as part
    elif place == "_signals":
        from . import _signals as part
    elif place == "_streams":
        from . import _streams as part
    elif place == "_supervisor":
        from . import _supervisor as part
    else:
        from . import _watchdog as part
    return part


def __dir__():
    return __all__
