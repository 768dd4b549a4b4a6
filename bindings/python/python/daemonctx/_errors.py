"""What can be raised, and what can be warned of."""


class DaemonError(OSError):
    """A step of a start, or of what is done with a pid file, failed.

    ``str()`` is one line that names the step, what it was about and why it failed. ``errno`` and ``strerror`` are those of
    the system call or the option that is to blame, or None.
    """

    step = None
    """The step that failed, in words: ``"working directory"``, ``"pid file"``, ``"setresuid"`` …"""
    value = None
    """What the step was about, as text: a path, a name, a number."""

    def __init__(self, message="", errno=None, step=None, value=None):
        from os import strerror

        if errno is None:
            super().__init__(message)
        else:
            super().__init__(errno, strerror(errno))
        # What pickle and copy make it again from.
        self.args = (message, errno, step, value)
        self.step = step
        self.value = value

    def __str__(self):
        return str(self.args[0])


class UsageError(DaemonError):
    """The interface was used wrongly: not opened, opened a second time, inside a running asyncio loop."""


class OptionError(DaemonError, ValueError):
    """An option cannot be what it was set to."""


class StartError(DaemonError):
    """A system call on the way failed."""


class PrivilegeError(DaemonError):
    """Privileges could not be dropped, or were still there afterwards."""


class PidFileError(DaemonError):
    """The pid file cannot be used or read, or the process it names cannot be reached."""


class AlreadyRunningError(PidFileError):
    """Another process holds the pid file."""

    pid = None
    """That process's PID; None while it is only starting."""


class DaemonWarning(UserWarning):
    """Something works, but perhaps not as was thought."""


for _class in (*DaemonError.__subclasses__(), AlreadyRunningError, DaemonError, DaemonWarning):
    _class.__module__ = "daemonctx"  # where they are public; tracebacks and pickles name it
del _class


def running_loop():
    """Why a start is refused inside of `asyncio.run`."""
    message = (
        "open failed: asyncio loop is running: its descriptors would be closed; "
        "open the context before asyncio.run, and await ready_async() in it"
    )
    return UsageError(message, step="open", value="asyncio")


def other_interpreters():
    """Why a start is refused in a process with subinterpreters."""
    message = "open failed: other interpreters exist: a fork would crash; close them before open(), or create them after it"
    return UsageError(message, step="open", value="interpreters")


# --- the end of a daemon that is not ready -------------------------------------------------------------------------------

# What fits in a record of the start.
_LONGEST = 496


def tell_starter(context, error):
    """The starter's line for an exception in the daemon, and its status. The traceback goes to the starter's stderr."""
    status = 1
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) and 1 <= error.code <= 255 else 1
    elif isinstance(error, KeyboardInterrupt):
        status = 128 + 2  # SIGINT: as the interpreter ends.
    try:
        context.fail(status, _reason(error))
    except OSError:
        pass  # It is gone itself, or the daemon is ready.


def explain_end(context, error):
    """Give an exception that ends a daemon before it is ready as the reason. The status of `sys.exit` says enough by itself."""
    is_status = isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int))
    if not is_status and not isinstance(error, GeneratorExit) and not context.is_ready:
        tell_starter(context, error)


def _reason(error):
    if isinstance(error, SystemExit) and isinstance(error.code, str):
        return one_line(error.code) or "SystemExit"
    try:
        text = str(error)
    except Exception:
        text = ""
    name = type(error).__name__
    return one_line(f"{name}: {text}" if text else name)


def one_line(message):
    """Text that fits in the starter's line: what is not printable is escaped."""
    text = str(message)
    if not text.isprintable():
        # Not by a codec, which may be out of reach by now.
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text.encode()[:_LONGEST].decode(errors="ignore")


def complain(error):
    """Write an error to standard error without its buffer: something else may be in the middle of writing."""
    from os import write

    try:
        write(2, f"{error}\n".encode(errors="backslashreplace"))
    except OSError:
        pass
