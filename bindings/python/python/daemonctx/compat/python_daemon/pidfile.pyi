from os import PathLike
from typing import Any

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
    acquire_timeout: float | None
    def __init__(
        self, path: str | PathLike[str], acquire_timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> None: ...
    def acquire(self, timeout: float | None = None, *args: Any, **kwargs: Any) -> None: ...
