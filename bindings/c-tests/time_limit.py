"""A time limit for a test and all that its own fixtures do; what is made once for all tests is not counted."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType
from typing import Iterator


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"the test takes more than {seconds} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
