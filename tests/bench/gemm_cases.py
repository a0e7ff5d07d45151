# SPDX-License-Identifier: MIT
"""What becomes of the times of row 5: one figure for each shape and peer, and rows of all shapes."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from measure import Row, Spread, Times, ratio

REACH = {"f32": 1.0, "int8": 0.95}
WHOLE, ALONE = "oneDNN", "oneDNN's product alone"  # int8: X in f32, as damf's; X in integers already


def library(way: str) -> str:
    """What is one contender, whichever of its ways is fastest."""
    return ALONE if way.startswith(ALONE) else way.split()[0]


def beside(times: Times, peer: str, macs: int, peak: float) -> dict[str, Any]:
    ms = median(times[peer])
    return {
        "peer": peer, "peer_ms": ms, "ratio": ratio(times, "damf", peer),
        "limit": ms / (macs / (peak * 1e6)) if peak else None,
    }  # fmt: skip


def mean(values: list[float]) -> float:
    """Geometric."""
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(dtype: str, cases: list[dict[str, Any]], peer: str, note: str = "") -> Row:
    ratios: list[Spread] = [case["ratio"] for case in cases]
    worst = min(cases, key=lambda case: case["ratio"].median)
    together = Spread(
        mean([r.median for r in ratios]), min(r.median for r in ratios), max(r.median for r in ratios)
    )
    limits = [case["limit"] for case in cases if case["limit"]]
    return Row(
        "5",
        f"GEMM {dtype}, {len(cases)} encoder shapes (mean; spread: of shapes)",
        mean([case["damf_ms"] for case in cases]),
        mean([case["peer_ms"] for case in cases]),
        peer,
        "ms",
        together,
        REACH[dtype],
        mean(limits) if limits else None,
        f"worst at {worst['tokens']} tokens, {worst['in']} x {worst['out']}{note}",
    )


def summaries(dtype: str, cases: list[dict[str, Any]]) -> list[Row]:
    if dtype == "f32":
        return [summary(dtype, cases, "the better of OpenBLAS and oneDNN")]
    return [
        summary(dtype, cases, WHOLE, "; X is f32, and oneDNN's reorder makes integers of it as damf does"),
        summary(dtype, [case | case["alone"] for case in cases], ALONE,
                "; oneDNN is given integers, damf makes them of f32"),
    ]  # fmt: skip


def plain(case: dict[str, Any]) -> dict[str, Any]:
    """For JSON."""
    return {
        key: vars(value) if isinstance(value, Spread) else plain(value) if isinstance(value, dict) else value
        for key, value in case.items()
    }
