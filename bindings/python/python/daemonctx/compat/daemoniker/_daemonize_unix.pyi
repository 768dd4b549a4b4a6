from collections.abc import Iterable
from os import PathLike
from types import TracebackType
from typing import Any, Protocol, Union

from typing_extensions import TypeAlias

__all__: list[str] = []

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Path: TypeAlias = Union[str, bytes, PathLike[str]]

class _Daemonize(Protocol):
    def __call__(
        self,
        pid_file: _Path,
        *args: Any,
        chdir: _Path | None = None,
        stdin_goto: _Path | None = None,
        stdout_goto: _Path | None = None,
        stderr_goto: _Path | None = None,
        umask: int = 0o027,
        shielded_fds: Iterable[int | _HasFileno] | None = None,
        fd_fallback_limit: int = 1024,
        success_timeout: float | None = 30,
        strip_cmd_args: bool = False,
        explicit_rescript: str | None = None,
    ) -> list[Any]: ...

class Daemonizer:
    def __init__(self) -> None: ...
    def __enter__(self) -> tuple[bool, _Daemonize]: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...

def daemonize(
    pid_file: _Path,
    *args: Any,
    chdir: _Path | None = None,
    stdin_goto: _Path | None = None,
    stdout_goto: _Path | None = None,
    stderr_goto: _Path | None = None,
    umask: int = 0o027,
    shielded_fds: Iterable[int | _HasFileno] | None = None,
    fd_fallback_limit: int = 1024,
    success_timeout: float | None = 30,
    strip_cmd_args: bool = False,
    explicit_rescript: str | None = None,
    _exit_caller: bool = True,
) -> tuple[Any, ...] | list[Any]: ...
