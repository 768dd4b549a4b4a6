"""Medians, and how far they can be trusted."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

RESAMPLINGS = 2000


class Spread(NamedTuple):
    """A median, and the interval that 19 of 20 resamplings' medians lie in."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def spread(values: Sequence[float]) -> Spread:
    """The bootstrap of a median, without drawing all of a sample each time: the median of n draws is at a place among the sorted
    values whose share has a beta distribution."""
    ordered, chance = sorted(values), random.Random(1)
    count = len(ordered)
    below = (count + 1) / 2
    medians = sorted(ordered[int(chance.betavariate(below, below) * count)] for _ in range(RESAMPLINGS))
    margin = RESAMPLINGS // 40
    return Spread(statistics.median(ordered), medians[margin], medians[-1 - margin])


def ratios(values: Sequence[float], base: Sequence[float]) -> Spread:
    """Of neighbours: what disturbs one mostly disturbs the other too."""
    return spread([value / other for value, other in zip(values, base)])


def differences(values: Sequence[float], base: Sequence[float]) -> Spread:
    return spread([value - other for value, other in zip(values, base)])
