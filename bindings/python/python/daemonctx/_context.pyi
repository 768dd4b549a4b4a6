from collections.abc import Callable, Iterable
from os import PathLike
from types import FrameType, TracebackType
from typing import Any, NoReturn, Protocol, Union

from typing_extensions import Self, TypeAlias

from ._streams import LogFile, Syslog

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

class _Acquirable(Protocol):
    def acquire(self) -> object: ...
    def release(self) -> object: ...

class _Enterable(Protocol):
    def __enter__(self) -> object: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, exc_tb: TracebackType | None, /
    ) -> object: ...

_Path: TypeAlias = Union[str, bytes, PathLike[str], PathLike[bytes]]
_Descriptor: TypeAlias = Union[int, _HasFileno]
_Stream: TypeAlias = Union[_Descriptor, _Path]

class _Readable(Protocol):
    def read(self, size: int = -1, /) -> str: ...

class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...

_Input: TypeAlias = Union[_Stream, _Readable]
_Output: TypeAlias = Union[_Stream, _Writable, LogFile, Syslog]
_PidFile: TypeAlias = Union[_Acquirable, _Enterable, _Path]
_Handler: TypeAlias = Union[str, int, Callable[[int, FrameType | None], Any], None]

class DaemonContext:
    chroot_directory: _Path | None
    umask: int
    uid: int | str | None
    gid: int | str | None
    prevent_core: bool
    detach_process: bool | None
    files_preserve: Iterable[_Descriptor] | _Descriptor | None
    pidfile: _PidFile | None
    stdin: _Input | None
    stdout: _Output | None
    stderr: _Output | None
    signal_map: dict[int, _Handler]
    initgroups: bool
    manual_ready: bool
    ready_timeout: float | None
    runtime_directory: _Path | None
    preserve_logging: bool
    ready_after: float | None
    ready_fd: _Descriptor | None
    program_name: str | None
    def __init__(
        self,
        chroot_directory: _Path | None = None,
        working_directory: _Path = "/",
        umask: int = 0,
        uid: int | str | None = None,
        gid: int | str | None = None,
        prevent_core: bool = True,
        detach_process: bool | None = None,
        files_preserve: Iterable[_Descriptor] | _Descriptor | None = None,
        pidfile: _PidFile | None = None,
        stdin: _Input | None = None,
        stdout: _Output | None = None,
        stderr: _Output | None = None,
        signal_map: dict[int, _Handler] | None = None,
        *,
        initgroups: bool = False,
        manual_ready: bool = False,
        ready_timeout: float | None = 30.0,
        runtime_directory: _Path | None = None,
        preserve_logging: bool = True,
        ready_after: float | None = None,
        ready_fd: _Descriptor | None = None,
        program_name: str | None = None,
    ) -> None: ...
    @property
    def working_directory(self) -> _Path: ...
    @working_directory.setter
    def working_directory(self, value: _Path) -> None: ...
    @property
    def is_open(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...
    def open(self) -> None: ...
    def ready(self) -> None: ...
    def fail(self, message: object, status: int = 1) -> NoReturn: ...
    async def ready_async(self) -> None: ...
    def close(self) -> None: ...
    def reopen_streams(self, signal_number: int | None = None, stack_frame: FrameType | None = None) -> None: ...
    def terminate(self, signal_number: int, stack_frame: FrameType | None) -> None: ...

def default_signal_map() -> dict[int, _Handler]: ...
