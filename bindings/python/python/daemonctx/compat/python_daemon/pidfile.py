"""Pid files with the interface of lockfile, as python-daemon's ``daemon.pidfile``; and its exceptions, for programs that do
without lockfile.
"""

from .._lockfile import AlreadyLocked, LockFailed, LockTimeout, NotLocked, NotMyLock, PIDLockFile

__all__ = [
    "AlreadyLocked",
    "LockFailed",
    "LockTimeout",
    "NotLocked",
    "NotMyLock",
    "PIDLockFile",
    "TimeoutPIDLockFile",
]


class TimeoutPIDLockFile(PIDLockFile):
    """A `PIDLockFile` with a timeout of its own.

    :param path: the file's path.
    :param acquire_timeout: what `acquire` waits for without one of its own, in seconds; None for not at all.
    """

    def __init__(self, path, acquire_timeout=None, *args, **kwargs):
        self.acquire_timeout = acquire_timeout
        super().__init__(path, *args, **kwargs)

    def acquire(self, timeout=None, *args, **kwargs):
        """Take the lock. See `PIDLockFile.acquire`; *timeout* None stands for *acquire_timeout*."""
        super().acquire(self.acquire_timeout if timeout is None else timeout, *args, **kwargs)
