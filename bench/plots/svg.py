"""Drawings as SVG, in one style: readable on light and on dark, text as text."""

from __future__ import annotations

from html import escape

# Told apart in both, also by those who see fewer colours.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8f6b00", "#56b4e9", "#7f7f7f")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px }
.title { font-size: 15px; font-weight: 600 }
.axis { stroke: #57606a; fill: none }
.grid { stroke: #d0d7de; fill: none }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.axis { stroke: #8b949e }
.grid { stroke: #30363d }
.spread { stroke: #e6edf3 }
}
"""


class Drawing:
    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts = [f'<text class="title" x="12" y="22">{escape(title)}</text>']

    def text(self, x: float, y: float, text: str, anchor: str = "start", small: bool = False) -> None:
        name = ' class="small"' if small else ""
        self.parts.append(f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def line(self, points: list[tuple[float, float]], name: str = "", colour: str = "") -> None:
        looks = f'class="{name}"' if name else f'fill="none" stroke="{colour}" stroke-width="2"'
        self.parts.append(f'<polyline {looks} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')

    def bar(self, x: float, y: float, width: float, height: float, colour: str, faint: bool = False) -> None:
        opacity = ' fill-opacity="0.45"' if faint else ""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" fill="{colour}"{opacity}/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    def __str__(self) -> str:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(self.title)}">'
        return "\n".join([head, f"<style>{STYLE}</style>", *self.parts, "</svg>", ""])
