from collections.abc import Callable, Iterable, Mapping
from logging import Logger
from os import PathLike
from types import FrameType
from typing import Any, Protocol, Union

from typing_extensions import TypeAlias

__all__ = ["daemonize", "daemonize_lite", "get_logger_files", "read_pid", "write_pid"]

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Path: TypeAlias = Union[str, PathLike[str]]
_Signals: TypeAlias = Mapping[int, Union[Callable[[int, FrameType | None], Any], int]]

def get_logger_files(logger: Logger) -> list[Any]: ...
def write_pid(pid_file: _Path, pid: int) -> None: ...
def read_pid(pid_file: _Path) -> int: ...
# What comes back second is the pid file as it was given.
def daemonize_lite(
    chroot_dir: _Path | None = None,
    work_dir: _Path | None = None,
    umask: int | None = None,
    uid: int | None = None,
    gid: int | None = None,
    pid_file: _Path | None = None,
    signals: _Signals | None = None,
) -> tuple[int, Any]: ...
def daemonize(
    chroot_dir: _Path | None = None,
    work_dir: _Path | None = None,
    umask: int | None = None,
    uid: int | None = None,
    gid: int | None = None,
    pid_file: _Path | None = None,
    files_preserve: Iterable[int | _HasFileno] | None = None,
    signals: _Signals | None = None,
) -> tuple[int, Any]: ...
