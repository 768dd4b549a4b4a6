"""What pep3143daemon's ``pidfile`` module has."""

import atexit
import errno
import os

__all__ = ["PidFile"]


class PidFile:
    """A pid file: locked while its process lives, and removed at its end.

    :param pidfile: the file's path.
    """

    def __init__(self, pidfile):
        self._pidfile = pidfile
        self._holder = None
        self._comes_along = False

    @property
    def pidfile(self):
        """The file, opened for reading, while it is held; None when it is not, or is out of reach by now.

        Opened each time: what was opened before a start would be closed by it.
        """
        if self._holder is None:
            return None
        try:
            return open(self._pidfile, encoding="utf-8")
        except OSError:
            return None

    def _file(self):
        from ..._native import PidFile

        # Made anew each time: a relative path counts from wherever the process is by then.
        return PidFile(os.fsdecode(self._pidfile))

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.release()
        return exc_type is None

    def acquire(self):
        """Take the file and write this process's PID.

        :raises SystemExit: another process has it, or it cannot be had.
        """
        with self._refusing():
            if not self._comes_along:
                self._file().acquire_for_good()
        self._comes_along = False
        self._hold()

    def release(self):
        """Remove the file and give up its lock. Does nothing without `acquire`, and the second time."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        file = self._file()
        # A child inherits what atexit has to call, and must not do it. But the lock may have gone along with a start.
        if os.getpid() != holder and file.status() != ("running", os.getpid()):
            return
        try:
            file.remove()
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _is_held(self):
        """Whether this process has acquired it and not released it."""
        return self._holder == os.getpid()

    def _bring_along(self):
        """Have the next `acquire` take over the lock, which goes along with a start."""
        self._comes_along = True

    def _hold(self):
        self._holder = os.getpid()
        atexit.register(self.release)

    def _refusing(self):
        return _Refusing(self._pidfile)


class _Refusing:
    """Turns the errors of taking the file at *path* into the exception that ends the program."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        from ..._errors import AlreadyRunningError, PidFileError

        if isinstance(exc_value, AlreadyRunningError):
            raise SystemExit(f"Already running according to {self._path}") from exc_value
        if isinstance(exc_value, PidFileError):
            raise SystemExit(exc_value) from exc_value
