# SPDX-License-Identifier: MIT
"""Where products of activations with weights lie below what one core can do.

roofline.py DAMF MACHINE SVG: damf bench gemm over encoders' shapes on one
thread; a table on stdout, a plot as SVG. MACHINE: tests/bench/machine.c.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from damftrain.chart import Series, chart

TOKENS = (8, 32, 128, 512, 1024, 4096)
SHAPES = ((384, 384), (384, 1536), (1536, 384), (768, 768), (768, 3072), (3072, 768))  # in, out
TYPES = {"f32": 4, "bf16": 2, "int8": 1}  # bytes of a weight
LIMITS = 5  # how often the machine's are measured: the most counts
INTENSITIES = tuple(10 ** (e / 10) for e in range(0, 33))  # of the roofs: MACs a byte


@dataclass(frozen=True)
class Point:
    dtype: str
    tokens: int
    shape: tuple[int, int]
    gmac_s: float

    @property
    def intensity(self) -> float:
        """Multiply-adds for each byte of X, W and Y, each moved once."""
        k, n = self.shape
        moved = 4 * self.tokens * (k + n) + TYPES[self.dtype] * k * n
        return self.tokens * k * n / moved


def peak(machine: dict[str, float], dtype: str) -> float:
    return machine["int8_gmac_s" if dtype == "int8" else "f32_gmac_s"]


def roof(top: float, gb_s: float) -> list[tuple[float, float]]:
    return [(x, min(top, x * gb_s)) for x in INTENSITIES]


def output_json(*command: str) -> dict[str, float]:
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def measure(damf: str, dtype: str, tokens: int, shape: tuple[int, int]) -> Point:
    size = ("--length", str(tokens), "--in", str(shape[0]), "--out", str(shape[1]))
    figures = output_json(damf, "bench", "gemm", "--dtype", dtype, *size, "--threads", "1", "--json")
    return Point(dtype, tokens, shape, figures["macs"] / figures["min_ms"] * 1e-6)


def plot(machine: dict[str, float], points: list[Point]) -> str:
    series = [
        Series("int8 peak, third cache", roof(machine["int8_gmac_s"], machine["l3_gb_s"])),
        Series("f32 peak, third cache", roof(machine["f32_gmac_s"], machine["l3_gb_s"])),
        Series("f32 peak, memory", roof(machine["f32_gmac_s"], machine["memory_gb_s"])),
    ]
    for dtype in ("int8", "f32"):
        for shape in ((384, 384), (768, 3072)):
            some = [(p.intensity, p.gmac_s) for p in points if (p.dtype, p.shape) == (dtype, shape)]
            series.append(Series(f"{dtype} {shape[0]} x {shape[1]}", some))
    title = "Matrix products, 1 thread, 8 to 4,096 tokens"
    return chart(title, "multiply-adds a byte", "G MACs/s", series, lines=True, log_x=True, log_y=True)


def table(machine: dict[str, float], points: list[Point]) -> str:
    rule = "======  ===========" + "  =======" * len(TOKENS)
    lines = [rule, "type    in x out   " + "".join(f"  {t:7,}" for t in TOKENS), rule]
    for dtype in TYPES:
        for shape in SHAPES:
            row = [p for p in points if (p.dtype, p.shape) == (dtype, shape)]
            cells = [f"{p.gmac_s:.0f} {100 * p.gmac_s / peak(machine, dtype):.0f} %" for p in row]
            lines.append(f"{dtype:6}  {f'{shape[0]} x {shape[1]}':11}" + "".join(f"  {c:>7}" for c in cells))
    return "\n".join([*lines, rule])


def main() -> None:
    damf, tool, svg = sys.argv[1:]
    runs = [output_json(tool) for _ in range(LIMITS)]
    machine = {name: max(run[name] for run in runs) for name in runs[0]}
    print(", ".join(f"{name} {value:.1f}" for name, value in machine.items()))
    points = [measure(damf, d, t, s) for d in TYPES for s in SHAPES for t in TOKENS]
    with open(svg, "w", encoding="utf-8") as f:
        f.write(plot(machine, points))
    print(table(machine, points))


if __name__ == "__main__":
    main()
