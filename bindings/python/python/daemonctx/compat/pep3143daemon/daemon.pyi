from collections.abc import Collection
from types import TracebackType
from typing import Any, Protocol

from .._start import Start

__all__ = [
    "DaemonContext",
    "DaemonError",
    "close_filenos",
    "default_signal_map",
    "detach_required",
    "parent_is_inet",
    "parent_is_init",
    "redirect_stream",
]

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

class _HasAcquire(Protocol):
    def acquire(self) -> Any: ...

class DaemonError(Exception): ...

class DaemonContext(Start):
    pidfile: _HasAcquire | None  # type: ignore[assignment]
    files_preserve: list[Any] | None
    signal_map: dict[int, Any]
    def __init__(
        self,
        chroot_directory: str | None = None,
        working_directory: str = "/",
        umask: int = 0,
        uid: int | str | None = None,
        gid: int | str | None = None,
        prevent_core: bool = True,
        detach_process: bool | None = None,
        files_preserve: list[Any] | None = None,
        pidfile: _HasAcquire | None = None,
        stdin: _HasFileno | None = None,
        stdout: _HasFileno | None = None,
        stderr: _HasFileno | None = None,
        signal_map: dict[int, Any] | None = None,
    ) -> None: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...

def close_filenos(preserve: Collection[int]) -> None: ...
def default_signal_map() -> dict[int, Any]: ...
def parent_is_init() -> bool: ...
def parent_is_inet() -> bool: ...
def detach_required() -> bool: ...
def redirect_stream(system: _HasFileno, target: _HasFileno | None) -> None: ...
