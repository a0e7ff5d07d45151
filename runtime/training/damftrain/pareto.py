# SPDX-License-Identifier: MIT
"""What models score beside what their attention costs, in multiply-adds and in time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Sequence

from .chart import Series, chart
from .columns import Labelled
from .engine import Engine
from .errors import TrainError
from .evaluate import judge
from .turns import alternate

Point = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A model as it would be run: a directory and the type of its weights."""

    name: str
    damf: Path
    model: Path
    dtype: str

    @property
    def engine(self) -> Engine:
        return Engine(self.damf, self.model, "cpu", ("--dtype", self.dtype))


def parse_models(words: Sequence[str]) -> list[tuple[str, Path]]:
    named = [(name, Path(path)) for name, _, path in (word.partition("=") for word in words)]
    if any(not name or str(path) == "." for name, path in named):
        raise TrainError("--model takes NAME=DIR")
    return named


def feed_forward_macs(model: Path, length: int) -> int:
    path = model / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        sizes = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainError(f"{path}: {error}; --model takes a directory that damf reads")
    return 2 * length * sizes[0] * sizes[1] * sizes[2]


def bench(candidate: Candidate, length: int) -> Point:
    """One measurement on one thread; macs are those of attention alone."""
    others = feed_forward_macs(candidate.model, length)
    found = candidate.engine.bench(length)
    return {"ms": found["median_ms"], "macs": int(found["macs"]) - others, "isa": found["isa"]}


def on_front(points: Sequence[Point], cost: str, metric: str) -> list[bool]:
    """Whether no other is as good for less, or better for as much."""
    return [
        not any(
            other[metric] >= one[metric]
            and other[cost] <= one[cost]
            and (other[metric], other[cost]) != (one[metric], one[cost])
            for other in points
        )
        for one in points
    ]


def pareto(
    candidates: Sequence[Candidate], data: Labelled, where: Path, length: int, rounds: int
) -> list[Point]:
    turns = {str(i): partial(bench, one, length) for i, one in enumerate(candidates)}
    points = []
    for candidate, runs in zip(candidates, alternate(turns, rounds).values()):
        times = [run["ms"] for run in runs]
        points.append(
            {"name": candidate.name, "dtype": candidate.dtype, "length": length, "isa": runs[0]["isa"]}
            | {"macs": runs[0]["macs"], "ms": median(times), "ms_least": min(times), "ms_most": max(times)}
            | judge(candidate.engine, data, where).scores()
        )
    metric = metric_of(points)
    for cost in ("macs", "ms"):
        for point, front in zip(points, on_front(points, cost, metric)):
            point[f"front_{cost}"] = front
    return points


def metric_of(points: Sequence[Point]) -> str:
    return next(name for name in ("spearman", "accuracy") if name in points[0])


def table(points: Sequence[Point]) -> str:
    metric = metric_of(points)
    head = ("attention", "weights", metric, "MACs, M", "ms (spread)", "front")
    rows = [head] + [
        (
            *(point["name"], point["dtype"], f"{point[metric]:.4f}", f"{point['macs'] / 1e6:.2f}"),
            f"{point['ms']:.3f} ({point['ms_least']:.3f} to {point['ms_most']:.3f})",
            " ".join(name for name, key in (("MACs", "front_macs"), ("time", "front_ms")) if point[key]),
        )
        for point in points
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def plots(points: Sequence[Point]) -> dict[str, str]:
    """File names and what is in them: cost to the right, score upwards."""
    metric = metric_of(points)
    length, dtypes = points[0]["length"], sorted({point["dtype"] for point in points})
    costs = {
        "macs": (f"multiply-adds of attention, millions, {length} tokens", lambda p: p["macs"] / 1e6),
        "time": (f"ms for a text of {length} tokens, one thread", lambda p: p["ms"]),
    }
    return {
        f"pareto-{cost}-{dtype}.svg": chart(
            f"{metric} and cost, {dtype} weights", name, metric,
            [Series(p["name"], [(of(p), p[metric])]) for p in points if p["dtype"] == dtype],
            lines=False, log_x=cost == "macs",
        )
        for cost, (name, of) in costs.items()
        for dtype in dtypes
    }  # fmt: skip
