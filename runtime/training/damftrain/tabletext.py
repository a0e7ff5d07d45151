# SPDX-License-Identifier: MIT
"""Table I as text: what was measured here, and what others published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

TASKS = ("SST-2", "MRPC", "QQP", "RTE")
EXACT_ROW = "exact"  # what losses are relative to, unless another row is
PAIRS = ("MRPC", "QQP")  # their losses are of F1, as the paper's compared rows are
Cell = dict[str, Any]

# Losses in per cent as the paper prints them, and test scores of the GLUE server.
PRINTED = {
    "DAMF": (0.28, 0.69, 4.11, -4.79),
    "SkipBERT": (2.78, 3.37, 1.40, 4.22),
    "BERT-PKD": (4.39, 7.09, 1.40, 6.17),
    "BERT-small": (4.06, 6.19, 4.35, 6.93),
}
SERVER_BASE = (93.5, 88.9, 71.2, 66.4)
SERVER = {
    "BERT4-PKD": (89.4, 82.6, 70.2, 62.3),
    "BERT-small": (89.7, 83.4, 68.1, 61.8),
    "TinyBERT6": (93.1, 87.3, 71.6, 70.0),
}


def main_metric(task: str) -> str:
    return "f1" if task in PAIRS else "accuracy"


@dataclass(frozen=True)
class Spread:
    values: tuple[float, ...]

    def __str__(self) -> str:
        """Mean and standard deviation over seeds; of one seed there is none."""
        if not self.values:
            return ""
        mean = np.mean(self.values)
        return f"{mean:.1f}" + (f" ±{np.std(self.values, ddof=1):.1f}" if len(self.values) > 1 else "")


def of(cells: list[Cell], task: str, row: str) -> dict[int, Cell]:
    return {c["seed"]: c for c in cells if (c["task"], c["row"]) == (task, row)}


def score(cells: list[Cell], task: str, row: str) -> str:
    found = of(cells, task, row)
    if not found:
        return ""
    metrics = ("accuracy", "f1") if task in PAIRS else ("accuracy",)
    shown = (str(Spread(tuple(100 * c[m] for c in found.values()))) for m in metrics)
    return f"{', '.join(shown)} ({len(found)})"


def losses(cells: list[Cell], task: str, row: str, base: str) -> Spread:
    """Relative to the exact model of the same seed, in per cent."""
    metric, exact = main_metric(task), of(cells, task, base)
    found = of(cells, task, row).items()
    return Spread(tuple(100 * (1 - c[metric] / exact[s][metric]) for s, c in found if s in exact))


def simple_table(head: list[str], rows: list[list[str]]) -> str:
    """A table of reStructuredText; an empty cell behind the first is a backslash there."""
    body = [[row[0], *(cell or "\\" for cell in row[1:])] for row in rows]
    widths = [max(len(line[at]) for line in (head, *body)) for at in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = ("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in body)
    title = "  ".join(c.ljust(w) for c, w in zip(head, widths)).rstrip()
    return "\n".join([rule, title, rule, *lines, rule])


def published() -> list[list[str]]:
    rows = [[f"{n}, paper, printed", *(f"{v:.2f}" for v in values)] for n, values in PRINTED.items()]
    for name, values in SERVER.items():
        loss = (100 * (1 - v / base) for v, base in zip(values, SERVER_BASE))
        rows.append([f"{name}, published", *(f"{v:.2f}" for v in loss)])
    return rows


def spans(names: list[str], intervals: dict[tuple[str, str], tuple[float, float]]) -> list[list[str]]:
    def span(task: str, name: str) -> str:
        low, high = intervals.get((task, name), (None, None))
        return "" if low is None else f"{low:.1f} to {high:.1f}"

    return [[name, *(span(task, name) for task in TASKS)] for name in names]


def table(
    cells: list[Cell], missing: list[str], intervals: dict[tuple[str, str], tuple[float, float]],
    base: str = EXACT_ROW,
) -> str:  # fmt: skip
    names = list(dict.fromkeys(cell["row"] for cell in cells))
    scored = [[name, *(score(cells, task, name) for task in TASKS)] for name in names]
    lost = [[n, *(str(losses(cells, t, n, base)) for t in TASKS)] for n in names if n != base]
    others = published() if base == EXACT_ROW else []
    parts = [
        "Dev scores in per cent, mean and standard deviation over (n) seeds:",
        simple_table(["row", "SST-2", "MRPC, accuracy, F1", "QQP, accuracy, F1", "RTE"], scored),
        f"Loss in per cent, relative to {base} of the same seed:",
        simple_table(["row", "SST-2", "MRPC (F1)", "QQP (F1)", "RTE"], lost + others),
    ]
    if intervals:
        parts.append("95% intervals of these losses, by paired bootstrap over the dev examples:")
        known = [n for n in names if n != base]
        parts.append(simple_table(["row", "SST-2", "MRPC (F1)", "QQP (F1)", "RTE"], spans(known, intervals)))
    if missing:
        parts.append(f"Not there, and left empty: {', '.join(missing)}.")
    return "\n\n".join(parts)
