"""Pid files: which process is the daemon, proved by a lock."""

from os import fsdecode

from . import _native


def _unexpected(*args):
    from ._options import unexpected

    return unexpected(*args)


def _seconds(value):
    """A timeout as the core takes it: None, and infinity, for any time."""
    if value is None or value == float("inf"):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise _unexpected("timeout", value)
    return value


class PidFile:
    """A pid file, by its path: to take, or to ask about the daemon that holds it.

    Given to `DaemonContext` as ``pidfile`` it is locked and judged in the starter, so a daemon that runs already is an
    error before anything happens; the daemon writes its PID and holds the lock for its life. It can be taken by itself
    too, by `acquire` or in a ``with`` statement.

    It is for daemons that hold the lock of their file. A program that writes its PID and locks nothing is not seen to run.

    Making one does nothing to the file system. A relative path is made absolute at once.
    """

    def __init__(self, pidfile):
        try:
            self._native = _native.PidFile(fsdecode(pidfile))
        except (TypeError, ValueError) as error:
            if isinstance(error, OSError):
                raise
            raise _unexpected("pidfile", pidfile, "a path") from None

    def __repr__(self):
        return f"{type(self).__name__}({self.path!r})"

    @property
    def path(self):
        """The file's absolute path."""
        return self._native.path

    def acquire(self):
        """Take the file for this process and write its PID. The end of the process releases it.

        Raises `AlreadyRunningError` when another process holds it.
        """
        self._native.acquire()

    def release(self):
        """Remove the file and give up its lock. Does nothing if this process does not hold it."""
        self._native.release()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.release()

    def read_pid(self):
        """The PID in the file, which may be another process's by now; None when there is no file, or no PID in it.

        Raises `PidFileError` for a file that is not a pid file: it holds something other than one number, has other
        names, or is not a regular file. So do the other methods, and leave the file as it is.
        """
        return self._native.read_pid()

    def status(self):
        """What the file says about its daemon.

        ``"running"``, ``"starting"`` (no PID written yet), ``"stale"`` (the daemon died without removing it),
        ``"not running"`` (no file) or ``"unknown"`` (not for this user to read, or nothing proves it).
        """
        return self._native.status()[0]

    def is_running(self):
        """Whether the daemon runs."""
        return self._native.is_running()

    def signal(self, signum):
        """Send a signal, by number or name, to the daemon, and never to another process.

        Raises `PidFileError` with ``errno.ESRCH`` when the daemon does not run.
        """
        if type(signum) is not int:
            from ._options import signal_number

            signum = signal_number("signal", signum)
        try:
            self._native.signal(signum)
        except OverflowError:
            raise _unexpected("signal", signum) from None

    def stop(self, timeout=10.0):
        """Stop the daemon: SIGTERM, then SIGKILL if it still runs after *timeout* seconds; None for no SIGKILL.

        Returns when the process is gone, and its file with it: ``"terminated"``, ``"killed"`` or ``"not running"``.
        A process that has not ended 10 seconds after SIGKILL, as one that waits for a dead file system, is an error (ETIMEDOUT).
        """
        return self._native.stop(_seconds(timeout))

    def wait(self, timeout=None):
        """Wait until the daemon has ended; False when *timeout* seconds have passed first. Nothing is sent."""
        return self._native.wait(_seconds(timeout))
