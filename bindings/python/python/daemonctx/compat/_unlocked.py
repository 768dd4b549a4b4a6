"""Pid files that a program with the original, which does not lock them, may have written."""


def refuse_living(path):
    """Do nothing if a start may take the pid file at *path*.

    A file that nobody has locked still means a daemon if the process that it names has been running since before the file was
    written.

    :raises daemonctx.AlreadyRunningError: there is such a daemon.
    :raises daemonctx.PidFileError: the file cannot be used as one.
    """
    from .._native import PidFile

    state, pid = PidFile(path, "either").status()
    if state != "running":
        return
    from errno import EAGAIN
    from os import strerror

    from .._errors import AlreadyRunningError

    message = f"pid file failed: {path} (already running as PID {pid}): {strerror(EAGAIN)} ({EAGAIN} EAGAIN)"
    error = AlreadyRunningError(message, EAGAIN, "pid file", str(path))
    error.pid = pid
    raise error
