from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any, Protocol

from .._start import Start

__all__ = [
    "DaemonContext",
    "DaemonError",
    "DaemonOSEnvironmentError",
    "DaemonProcessDetachError",
    "MAXFD",
    "change_file_creation_mask",
    "change_process_owner",
    "change_root_directory",
    "change_working_directory",
    "close_all_open_files",
    "close_file_descriptor_if_open",
    "detach_process_context",
    "get_maximum_file_descriptors",
    "get_stream_file_descriptors",
    "get_username_for_uid",
    "is_detach_process_context_required",
    "is_process_started_by_init",
    "is_process_started_by_superserver",
    "is_socket",
    "is_socket_file",
    "make_default_signal_map",
    "prevent_core_dump",
    "redirect_stream",
    "register_atexit_function",
    "set_signal_handlers",
]

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Target = str | int | Callable[[int, FrameType | None], Any] | None

class DaemonError(Exception): ...
class DaemonOSEnvironmentError(DaemonError, OSError): ...
class DaemonProcessDetachError(DaemonError, OSError): ...

class DaemonContext(Start):
    pidfile: AbstractContextManager[Any] | None  # type: ignore[assignment]
    stdin: Any
    stdout: Any
    stderr: Any
    files_preserve: list[Any] | None
    signal_map: dict[int, _Target]  # type: ignore[assignment]
    def __init__(
        self,
        chroot_directory: str | None = None,
        working_directory: str = "/",
        umask: int = 0,
        uid: int | None = None,
        gid: int | None = None,
        initgroups: bool = False,
        prevent_core: bool = True,
        detach_process: bool | None = None,
        files_preserve: list[Any] | None = None,
        pidfile: AbstractContextManager[Any] | None = None,
        stdin: object = None,
        stdout: object = None,
        stderr: object = None,
        signal_map: dict[int, _Target] | None = None,
    ) -> None: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

MAXFD: int

def get_stream_file_descriptors(stdin: object = ..., stdout: object = ..., stderr: object = ...) -> set[int]: ...
def change_working_directory(directory: str) -> None: ...
def change_root_directory(directory: str) -> None: ...
def change_file_creation_mask(mask: int) -> None: ...
def get_username_for_uid(uid: int) -> str: ...
def change_process_owner(uid: int, gid: int, initgroups: bool = False) -> None: ...
def prevent_core_dump() -> None: ...
def detach_process_context() -> None: ...
def is_process_started_by_init() -> bool: ...
def is_socket(fd: int) -> bool: ...
def is_socket_file(file: object) -> bool: ...
def is_process_started_by_superserver() -> bool: ...
def is_detach_process_context_required() -> bool: ...
def close_file_descriptor_if_open(fd: int) -> None: ...
def get_maximum_file_descriptors() -> int: ...
def close_all_open_files(exclude: Collection[int] | None = None) -> None: ...
def redirect_stream(system_stream: _HasFileno, target_stream: _HasFileno | None) -> None: ...
def make_default_signal_map() -> dict[int, _Target]: ...
def set_signal_handlers(signal_handler_map: Mapping[int, Any]) -> None: ...
def register_atexit_function(func: Callable[[], object]) -> None: ...
