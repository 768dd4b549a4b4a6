"""Values of all kinds, for calls that ask for some: fresh ones each time, so that what is left of one is seen."""

from __future__ import annotations

import os
import random
import signal
import types
from collections.abc import Callable


class Refused(Exception):
    """What the values here raise; it may come out of any call that they go into."""


class Raises:
    """Raises where it is asked for anything, now or the second time."""

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience

    def _refuse(self, *_: object) -> object:
        self.patience -= 1
        if self.patience < 0:
            raise Refused
        return 3

    __index__ = __int__ = __float__ = __fspath__ = __str__ = __len__ = __iter__ = __bool__ = __hash__ = _refuse  # type: ignore[assignment]
    __eq__ = fileno = __call__ = acquire = release = __enter__ = _refuse  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        self._refuse()


class Lies:
    """Gives another thing than asked for."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def _answer(self, *_: object) -> object:
        return self.answer

    __index__ = __fspath__ = __iter__ = fileno = acquire = _answer


class Changes(list):  # type: ignore[type-arg]
    """A list that changes while it is read."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        for number in range(3):
            self.append(number)
            yield self
        self.clear()


class Number(int):
    pass


class Text(str):
    pass


def recursive() -> list[object]:
    inside: list[object] = []
    inside.append(inside)
    return inside


def deep() -> object:
    inside: object = None
    for _ in range(5000):
        inside = [inside]
    return inside


def known() -> list[object]:
    """What the calls are made for, to come further than the first argument."""
    return ["file.pid", "/dev/null", ".", "nobody", 0, 1, 2, signal.SIGUSR1, {signal.SIGUSR2: None}, [0, 2], 0o22, True, None, "a=b", 0.01]


STRANGE: list[Callable[[], object]] = [
    lambda: None,
    lambda: True,
    lambda: -1,
    lambda: 2**31,
    lambda: -(2**31) - 1,
    lambda: 2**63,
    lambda: 2**64,
    lambda: 10**400,
    lambda: 65,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: -0.0,
    lambda: 1e308,
    lambda: 1j,
    lambda: b"bytes",
    lambda: b"\xff\0",
    lambda: "",
    lambda: "a\0b",
    lambda: "\udcff\ud800",
    lambda: "x" * 5000,
    lambda: "/" + "y/" * 3000,
    lambda: "{}%s\n",
    lambda: bytearray(b"z"),
    lambda: memoryview(b"m"),
    lambda: Number(7),
    lambda: Text("text"),
    lambda: Raises(),
    lambda: Raises(1),
    lambda: Lies(None),
    lambda: Lies(10**30),
    lambda: Lies("\ud800"),
    lambda: Lies(-5),
    lambda: Changes(),
    lambda: recursive(),
    lambda: deep(),
    lambda: [0] * 100_000,
    lambda: list(range(-5, 300)),
    lambda: {},
    lambda: {1: recursive(), "SIGTERM": None, None: 1, 9: "terminate", 10**9: 0},
    lambda: {"a": "b"},
    lambda: set(),
    lambda: (),
    lambda: (1, "two", None),
    lambda: iter([1, 2]),
    lambda: (number for number in "ab"),
    lambda: object(),
    lambda: type,
    lambda: types,
    lambda: len,
    lambda: lambda *_: None,
    lambda: NotImplemented,
    lambda: os.stat_result(range(10)),
    lambda: range(10),
]


def value(chance: random.Random) -> object:
    return chance.choice(known()) if chance.random() < 0.4 else chance.choice(STRANGE)()
