# SPDX-License-Identifier: MIT
"""How sure the losses of Table I are, as far as its dev sets are samples of their tasks."""

from __future__ import annotations

import numpy as np

from .errors import TrainError
from .stats import accuracy, f1
from .tabletext import Cell, main_metric, of

DRAWS = 2000
Interval = tuple[float, float]


def encode(predicted: np.ndarray) -> str:
    """Classes 0 and 1, four in a digit."""
    return np.packbits(predicted.astype(np.uint8)).tobytes().hex()


def decode(text: str, count: int) -> np.ndarray:
    packed = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    if len(packed) != (count + 7) // 8:
        raise TrainError(f"predictions of {8 * len(packed)} examples or fewer, where the dev set has {count}")
    return np.unpackbits(packed, count=count)


def loss_interval(ours: list[np.ndarray], exact: list[np.ndarray], truth: np.ndarray, task: str) -> Interval:
    """95% of the mean loss over seeds, by paired bootstrap: all models meet the same examples."""
    metric = f1 if main_metric(task) == "f1" else accuracy
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS):
        rows = generator.integers(len(truth), size=len(truth))
        pairs = [(metric(a[rows], truth[rows]), metric(b[rows], truth[rows])) for a, b in zip(ours, exact)]
        draws.append(np.mean([100 * (1 - a / b) for a, b in pairs]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def intervals(
    cells: list[Cell], truth: dict[str, np.ndarray], base: str = "exact"
) -> dict[tuple[str, str], Interval]:
    """Of each task and row all of whose seeds have kept what they predicted, and so has the exact model."""
    found = {}
    for task, row in dict.fromkeys((cell["task"], cell["row"]) for cell in cells):
        exact = of(cells, task, base)
        pairs = [(cell, exact[seed]) for seed, cell in of(cells, task, row).items() if seed in exact]
        known = all("predicted" in cell for pair in pairs for cell in pair)
        if row == base or task not in truth or not pairs or not known:
            continue
        labels = truth[task]
        ours, theirs = ([decode(cell["predicted"], len(labels)) for cell in part] for part in zip(*pairs))
        found[task, row] = loss_interval(ours, theirs, labels, task)
    return found
