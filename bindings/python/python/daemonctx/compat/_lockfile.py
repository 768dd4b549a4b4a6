"""The interface of lockfile 0.12, as far as python-daemon's users see it.

Where lockfile is installed its own classes are used: programs catch ``lockfile.AlreadyLocked``, and ask whether something is
a ``lockfile.LockBase``.
"""

try:
    from lockfile import (
        AlreadyLocked,
        Error,
        LockBase,
        LockError,
        LockFailed,
        LockTimeout,
        NotLocked,
        NotMyLock,
        UnlockError,
    )
    from lockfile.pidlockfile import PIDLockFile as _Base
except ImportError:

    class Error(Exception):
        """What all the others are."""

    class LockError(Error):
        """The lock could not be acquired."""

    class LockTimeout(LockError):
        """It could not be acquired in time."""

    class AlreadyLocked(LockError):
        """Somebody else has it."""

    class LockFailed(LockError):
        """It could not be acquired for another reason."""

    class UnlockError(Error):
        """The lock could not be released."""

    class NotLocked(UnlockError):
        """Nobody has it."""

    class NotMyLock(UnlockError):
        """Somebody else has it."""

    class LockBase:
        """A lock by a file."""

        def __init__(self, path, threaded=True, timeout=None):
            import os
            import socket

            self.path = path
            self.timeout = timeout
            self.lock_file = os.path.abspath(path) + ".lock"
            self.hostname = socket.gethostname()
            self.pid = os.getpid()
            self.tname = ""
            self.unique_name = path

        def __enter__(self):
            self.acquire()
            return self

        def __exit__(self, *_exc):
            self.release()

        def __repr__(self):
            return f"<{type(self).__name__}: {self.unique_name!r} -- {self.path!r}>"

    class _Base(LockBase):
        def __init__(self, path, threaded=False, timeout=None):
            super().__init__(path, False, timeout)


class PIDLockFile(_Base):
    """A lock that is a pid file: whoever holds it has its PID in the file, and a lock of the kernel's on it.

    So a file that was left behind is nobody's, and a PID that is another process's by now means nobody. Files of programs
    with the original, which holds no lock of the kernel's, are understood: the process must have begun before the file was
    written.

    :param path: the file's path.
    :param threaded: not used; the lock belongs to the process.
    :param timeout: what `acquire` waits for without one of its own.
    """

    def _file(self):
        from .._native import PidFile

        # Made anew each time: a relative path counts from wherever the process is by then.
        return PidFile(self.path, "either")

    def read_pid(self):
        """The number in the file, whoever that is by now; None when there is no file, or no number in it."""
        import os

        try:
            # Bytes: a codec may be out of reach, below a new root or for another user. A FIFO would wait for a writer.
            with open(self.path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                return int(file.readline())
        except (OSError, ValueError):
            return None

    def is_locked(self):
        """Whether a process that lives has the lock."""
        return self._status()[0] in ("running", "starting")

    def i_am_locking(self):
        """Whether this process has it."""
        import os

        return self._status() == ("running", os.getpid())

    def _status(self):
        """A file with something other than a PID in it is nobody's lock; `acquire` refuses it."""
        from .._errors import PidFileError

        try:
            return self._file().status()
        except PidFileError:
            return ("not a pid file", None)

    def acquire(self, timeout=None):
        """Take the lock, and write this process's PID. It lasts until `release` or the end of the process.

        :param timeout: how many seconds to wait for somebody else's lock to go; None, 0 and negative numbers for none.
        :raises AlreadyLocked: somebody else has it.
        :raises LockTimeout: somebody else has had it for all the time.
        :raises LockFailed: the file cannot be had for another reason.
        """
        from time import monotonic
        from .._errors import AlreadyRunningError

        timeout = self.timeout if timeout is None else timeout
        patient = timeout is not None and timeout > 0
        end = monotonic() + (timeout if patient else 0)
        while True:
            try:
                return self._file().acquire_for_good()
            except AlreadyRunningError as error:
                left = end - monotonic()
                if not patient:
                    raise AlreadyLocked(f"{self.path} is already locked") from error
                if left <= 0:
                    raise LockTimeout(f"Timeout waiting to acquire lock for {self.path}") from error
                self._wait(left)
            except OSError as error:
                raise LockFailed(f"failed to create {self.path}: {error}") from error

    def _wait(self, left):
        """Until the holder has ended, or has perhaps released the lock: of that nobody tells."""
        from time import sleep

        step = min(left, 0.1)
        try:
            ended = self._file().wait(step)
        except OSError:
            ended = True
        if ended:
            sleep(min(left, 0.001))

    def release(self):
        """Remove the file and give up the lock.

        :raises NotLocked: nobody has it.
        :raises NotMyLock: somebody else has it.
        """
        if not self.is_locked():
            raise NotLocked(f"{self.path} is not locked")
        if not self.i_am_locking():
            raise NotMyLock(f"{self.path} is locked, but not by me")
        self._file().remove()

    def break_lock(self):
        """Remove the file, whoever has the lock; nothing if there is none."""
        import os

        if self.i_am_locking():
            self._file().remove()
            return
        try:
            os.remove(self.path)
        except FileNotFoundError:
            pass
