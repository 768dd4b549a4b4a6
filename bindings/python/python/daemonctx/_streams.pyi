from os import PathLike
from typing import Union

from typing_extensions import TypeAlias

_Path: TypeAlias = Union[str, bytes, PathLike[str], PathLike[bytes]]

class LogFile:
    path: _Path
    append: bool
    mode: int
    user: int | str | None
    group: int | str | None
    def __init__(
        self,
        path: _Path,
        *,
        append: bool = True,
        mode: int = 0o640,
        user: int | str | None = None,
        group: int | str | None = None,
    ) -> None: ...

class Syslog:
    identity: str | None
    facility: str | int
    priority: str | int | None
    def __init__(
        self, identity: str | None = None, facility: str | int = "daemon", priority: str | int | None = None
    ) -> None: ...
