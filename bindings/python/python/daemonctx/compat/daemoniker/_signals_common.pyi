from os import PathLike
from typing import SupportsInt

from .exceptions import DaemonikerSignal

__all__: list[str] = []

IGNORE_SIGNAL: int

def send(pid_file: str | PathLike[str], signal: type[DaemonikerSignal] | SupportsInt) -> None: ...
def ping(pid_file: str | PathLike[str]) -> bool: ...
