from os import PathLike

from .._context import DaemonContext as _Core

__all__ = ["Start", "is_open", "refuse_living"]

class Start(_Core): ...

def is_open(fd: int) -> bool: ...
def refuse_living(path: str | PathLike[str]) -> None: ...
