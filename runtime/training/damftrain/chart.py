# SPDX-License-Identifier: MIT
"""Plots as SVG: lines or points over two axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Sequence

WIDTH, HEIGHT = 720, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 40, 60
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")


@dataclass(frozen=True)
class Axis:
    name: str
    low: float
    high: float
    log: bool
    start: float  # where low and high are drawn
    end: float

    def at(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = [m * 10.0**e for e in decades for m in (1, 2, 5)]
        else:
            step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            marks = [n * step for n in range(first, last + 1, max(1, round((last - first) / 6)))]
        return [mark for mark in marks if self.low <= mark <= self.high]


@dataclass(frozen=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]


def axis(name: str, values: list[float], log: bool, start: float, end: float) -> Axis:
    low, high = min(values), max(values)
    if log:
        return Axis(name, low / 1.2, high * 1.2, True, start, end)
    margin = 0.08 * (high - low) or abs(high) or 1.0
    return Axis(name, low - margin, high + margin, False, start, end)


def label(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'


def frame(x: Axis, y: Axis, title: str) -> list[str]:
    parts = [f'<rect x="{x.start}" y="{y.end}" width="{x.end - x.start}" height="{y.start - y.end}"']
    parts[0] += ' fill="none" stroke="black"/>'
    middle = 'text-anchor="middle"'
    for mark in x.ticks():
        parts.append(label(x.at(mark), y.start + 18, f"{mark:g}", middle))
    for mark in y.ticks():
        parts.append(label(x.start - 8, y.at(mark) + 4, f"{mark:g}", 'text-anchor="end"'))
    parts.append(label((x.start + x.end) / 2, y.start + 44, x.name, middle))
    across = (y.start + y.end) / 2
    parts.append(label(18, across, y.name, f'{middle} transform="rotate(-90 18 {across})"'))
    parts.append(label((x.start + x.end) / 2, y.end - 14, title, middle))
    return parts


def draw(series: Sequence[Series], x: Axis, y: Axis, lines: bool) -> list[str]:
    """Lines have a legend; a point has its name beside it."""
    parts = []
    legend = x.start + 12 if y.log else x.end - 150  # where curves seldom are
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x.at(a), y.at(b)) for a, b in one.points]
        if lines:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
            parts.append(label(legend, y.end + 20 + 16 * number, one.name, f'fill="{colour}"'))
            continue
        for a, b in places:
            side = 'text-anchor="end"' if a > (x.start + x.end) / 2 else ""
            shift = -8 if side else 8
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{colour}"/>')
            parts.append(label(a + shift, b + 4, one.name, f'{side} fill="{colour}"'))
    return parts


def chart(
    title: str,
    x_name: str,
    y_name: str,
    series: Sequence[Series],
    *,
    lines: bool,
    log_x: bool = False,
    log_y: bool = False,
) -> str:
    points = [point for one in series for point in one.points]
    x = axis(x_name, [a for a, _ in points], log_x, LEFT, WIDTH - RIGHT)
    y = axis(y_name, [b for _, b in points], log_y, HEIGHT - BOTTOM, TOP)
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg"'
    head += ' font-family="sans-serif" font-size="12">'
    licence = "<!-- SPDX-License-Identifier: MIT -->"
    background = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    body = [*frame(x, y, title), *draw(series, x, y, lines)]
    return "\n".join([licence, head, background, *body, "</svg>"]) + "\n"


def learning_curve(title: str, curve: list[dict[str, float]], names: Sequence[str]) -> str:
    series = [Series(name, [(entry["step"], entry[name]) for entry in curve]) for name in names]
    return chart(title, "step", "loss", series, lines=True)
