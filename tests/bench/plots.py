# SPDX-License-Identifier: MIT
"""SVG: an attention layer's time by length, and the ratios of all rows."""

from __future__ import annotations

import os
from statistics import median

from damftrain.chart import COLOURS, Series, chart, label
from measure import Times
from table import Result

WIDTH, LINE, LEFT, SCALE = 1100, 22, 430, 130  # pixels; SCALE: of a factor of ten


def by_length(curves: dict[int, Times]) -> str:
    """Of the ways of one peer the one that was chosen counts, length by length."""
    points: dict[str, list[tuple[float, float]]] = {}
    for length, times in curves.items():
        for name, values in times.items():
            points.setdefault(name.split(",")[0], []).append((float(length), median(values)))
    series = [Series(name, sorted(some)) for name, some in points.items()]
    title = "Attention layer, 768 wide, 12 heads, f32, 1 thread"
    return chart(title, "tokens", "ms", series, lines=True, log_x=True, log_y=True)


def bar(y: int, result: Result) -> list[str]:
    from math import log10

    one = LEFT + SCALE // 2
    end = one + SCALE * log10(max(result["ratio"]["median"], 0.4))
    colour = {None: COLOURS[7], True: COLOURS[2], False: COLOURS[1]}[result["reached"]]
    place, size = min(one, end), abs(end - one)
    parts = [label(LEFT - 10, y + 15, f"{result['number']} {result['what']}"[:64], 'text-anchor="end"')]
    parts.append(
        f'<rect x="{place:.1f}" y="{y + 3}" width="{size:.1f}" height="{LINE - 7}" fill="{colour}"/>'
    )
    if result["reach"]:
        at = one + SCALE * log10(result["reach"])
        parts.append(
            f'<line x1="{at:.1f}" y1="{y}" x2="{at:.1f}" y2="{y + LINE - 2}" stroke="black" stroke-width="2"/>'
        )
        end = max(end, at)
    words = f"{result['ratio']['median']:.3g} x {result['peer_name']}"
    parts.append(label(max(one, end) + 8, y + 15, words))
    return parts


def ratios(results: list[Result]) -> str:
    height = 60 + LINE * len(results)
    parts = ["<!-- SPDX-License-Identifier: MIT -->"]
    parts.append(
        f'<svg viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12">'
    )
    parts.append(f'<rect width="{WIDTH}" height="{height}" fill="white"/>')
    title = "Times faster than the best peer (logarithmic; black: the reach; green: reached)"
    parts.append(label(WIDTH / 2, 22, title, 'text-anchor="middle"'))
    for i, result in enumerate(results):
        parts += bar(36 + LINE * i, result)
    one = LEFT + SCALE // 2
    parts.append(f'<line x1="{one}" y1="32" x2="{one}" y2="{height - 20}" stroke="black"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write(directory: str, results: list[Result], curves: dict[int, Times]) -> list[str]:
    """Returns the names of the plots."""
    os.makedirs(directory, exist_ok=True)
    drawn = {"ratios": ratios(results)} | ({"length": by_length(curves)} if len(curves) > 1 else {})
    for name, svg in drawn.items():
        with open(os.path.join(directory, f"{name}.svg"), "w", encoding="utf-8") as f:
            f.write(svg)
    return list(drawn)
