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


def lines(title: str, found: dict[str, Any], linear: bool) -> str:
    """Milliseconds against what grows: as it is, or sizes evenly spaced and a logarithm's times, where what counts is who is flat."""
    series: dict[str, list[float]] = {name: [it and it[0] / 1e3 for it in values] for name, values in found["series"].items()}
    every = [value for values in series.values() for value in values if value]
    sizes: list[float] = found["x"]
    left, right, top, bottom = 80, WIDTH - 220, 44, 330
    drawing = Drawing(WIDTH, 376, title)
    if linear:
        marks = _steps(max(every) * 1.05)
        low, high = 0.0, float(max(every)) * 1.05
        places = [size / sizes[-1] for size in sizes]
    else:
        low, high = float(math.floor(math.log10(min(every)))), float(math.ceil(math.log10(max(every))))
        marks = [10.0**power for power in range(int(low), int(high) + 1)]
        places = [i / (len(sizes) - 1) for i in range(len(sizes))]

    def y_of(value: float) -> float:
        place: float = value if linear else math.log10(value)
        return bottom - (bottom - top) * (place - low) / (high - low)

    for mark in marks:
        drawing.line([(left, y_of(mark)), (right, y_of(mark))], "grid")
        drawing.text(left - 8, y_of(mark) + 4, f"{mark:,g} ms", "end", small=True)
    drawing.line([(left, top), (left, bottom), (right, bottom)], "axis")
    columns = [left + (right - left) * place for place in places]
    shown = -math.inf
    for x, size in zip(columns, sizes):
        if x - shown > 24:  # Those that would lie on one another are left out.
            drawing.text(x, bottom + 18, f"{size:,}", "middle", small=True)
            shown = x
    drawing.text((left + right) / 2, bottom + 36, found["unit"], "middle")
    for number, (name, values) in enumerate(series.items()):
        points = [(x, y_of(value)) for x, value in zip(columns, values) if value]
        colour = COLOURS[number % len(COLOURS)]
        drawing.line(points, colour=colour)
        for x, y in points:
            drawing.dot(x, y, colour)
        drawing.bar(right + 16, top + 22 * number, 14, 4, colour)
        drawing.text(right + 36, top + 7 + 22 * number, name)
    return str(drawing)
