from logging import Logger
from typing import TypeVar

__all__: list[str] = []

_T = TypeVar("_T")
_D = TypeVar("_D")

logger: Logger

def platform_specificker(linux_choice: _T, win_choice: _T, cygwin_choice: _T, osx_choice: _T, other_choice: _T) -> _T: ...
def default_to(check: _T, default: _D, comparator: object = None) -> _T | _D: ...
def __getattr__(name: str) -> Logger: ...
