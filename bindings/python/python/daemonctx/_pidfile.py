"""Pid files: which process is the daemon, proved by a lock."""

from . import _native


class PidFile:
    """A pid file, by its path: to take, or to ask about the daemon that holds it.

    Given to `DaemonContext` as ``pidfile`` it is locked and judged in the starter, so a daemon that runs already is an
    error before anything happens; the daemon writes its PID and holds the lock for its life. It can be taken by itself
    too, by `acquire` or in a ``with`` statement.

    It is for daemons that hold the lock of their file. A program that writes its PID and locks nothing is not seen to run.

    Making one does nothing to the file system. A relative path is made absolute at once.
    """

    def __init__(self, pidfile):
        self._native = _native.PidFile(pidfile)

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
        """Send a signal to the daemon, and never to another process.

        Raises `PidFileError` with ``errno.ESRCH`` when the daemon does not run.
        """
        self._native.signal(signum)

    def stop(self, timeout=10.0):
        """End the daemon: SIGTERM, *timeout* seconds to follow it, then SIGKILL.

        Returns when the process is gone, and its file with it: ``"terminated"``, ``"killed"`` or ``"not running"``.
        A process that has not ended 10 seconds after SIGKILL, as one that waits for a dead file system, is an error (ETIMEDOUT).
        """
        return self._native.stop(timeout)

    def wait(self, timeout=None):
        """Wait until the daemon has ended; False when *timeout* seconds have passed first. Nothing is sent."""
        return self._native.wait(timeout)
