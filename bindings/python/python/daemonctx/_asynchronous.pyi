from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

async def in_thread(call: Callable[[], _T]) -> _T: ...
