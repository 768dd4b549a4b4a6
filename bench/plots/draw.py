"""The two kinds of plots: bars for starts, lines for what grows."""

from __future__ import annotations

import math
from typing import Any

from plots.svg import COLOURS, Drawing

LABELS, WIDTH = 170, 720


def _steps(most: float) -> list[float]:
    """Round numbers up to the most."""
    raw = most / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * it for it in (1, 2, 5, 10) if unit * it >= raw)
    return [step * i for i in range(int(most / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"


def bars(title: str, rows: list[dict[str, Any]], most: float | None = None) -> str:
    """Until the starter leaves (faint) and until the daemon is ready, in milliseconds, with the spread of the whole."""
    values = [[it[key][0] / 1e3 for key in ("left", "ready")] for it in rows]
    top = most or max(max(pair) for pair in values) * 1.05
    drawing = Drawing(WIDTH, 74 + 40 * len(rows), title)
    scale = (WIDTH - LABELS - 70) / top
    bottom = 44 + 40 * len(rows)
    for step in _steps(top):
        x = LABELS + step * scale
        drawing.line([(x, 38), (x, bottom)], "grid")
        drawing.text(x, bottom + 16, f"{_number(step)} ms", "middle", small=True)
    for i, (it, (left, ready)) in enumerate(zip(rows, values)):
        y, colour = 44 + 40 * i, COLOURS[0] if it["name"].startswith(("ours", "daemonctx", "libdaemon")) else COLOURS[6]
        drawing.text(LABELS - 8, y + 19, it["name"], "end")
        for j, (value, faint) in enumerate(((left, True), (ready, False))):
            drawing.bar(LABELS, y + 14 * j, min(value, top) * scale, 12, colour, faint)
            more = " …" if value > top else ""
            drawing.text(LABELS + min(value, top) * scale + 6, y + 11 + 14 * j, f"{value:.2f}{more}", small=True)
    drawing.text(WIDTH - 12, 22, "faint: until the starter leaves; full: until the daemon is ready", "end", small=True)
    return str(drawing)


def lines(title: str, found: dict[str, Any]) -> str:
    """Milliseconds against what grows. Sizes are evenly spaced: what counts is whether it is flat; the times are a logarithm's."""
    series = {name: [it and it[0] / 1e3 for it in values] for name, values in found["series"].items()}
    every = [value for values in series.values() for value in values if value]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    left, right, top, bottom = 80, WIDTH - 170, 44, 330
    drawing = Drawing(WIDTH, 376, title)

    def x_of(i: int) -> float:
        return left + (right - left) * i / (len(found["x"]) - 1)

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    for power in range(low, high + 1):
        drawing.line([(left, y_of(10.0**power)), (right, y_of(10.0**power))], "grid")
        drawing.text(left - 8, y_of(10.0**power) + 4, f"{10.0**power:g} ms", "end", small=True)
    drawing.line([(left, top), (left, bottom), (right, bottom)], "axis")
    for i, size in enumerate(found["x"]):
        drawing.text(x_of(i), bottom + 18, f"{size:,}", "middle", small=True)
    drawing.text((left + right) / 2, bottom + 36, found["unit"], "middle")
    for number, (name, values) in enumerate(series.items()):
        points = [(x_of(i), y_of(value)) for i, value in enumerate(values) if value]
        colour = COLOURS[number % len(COLOURS)]
        drawing.line(points, colour=colour)
        for x, y in points:
            drawing.dot(x, y, colour)
        drawing.bar(right + 16, top + 22 * number, 14, 4, colour)
        drawing.text(right + 36, top + 7 + 22 * number, name)
    return str(drawing)
