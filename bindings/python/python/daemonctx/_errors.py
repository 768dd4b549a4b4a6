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
