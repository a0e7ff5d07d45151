# SPDX-License-Identifier: MIT
"""Scores of a finished directory on a task, by the damf command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np

from .columns import Columns, Labelled, number_labels, read_columns
from .engine import Engine, model_labels
from .errors import TrainError
from .glue import TASKS, read_task
from .stats import accuracy, f1, spearman

Metric = Callable[[np.ndarray, np.ndarray], float]
DRAWS = 2000

STSB = Columns(("sentence1", "sentence2"), "score")


def glue_dev(directory: Path, task: str) -> Labelled:
    """The part that scores are taken on; never the test set."""
    if task == "STS-B":
        return read_columns(directory / task / "dev.tsv", STSB)
    _, dev = read_task(directory, task)
    return Labelled(dev.texts, [TASKS[task].labels[label] for label in dev.labels])


@dataclass(frozen=True)
class Judged:
    """What a model says of each example, beside the truth, and how it is scored."""

    found: np.ndarray
    truth: np.ndarray
    metrics: dict[str, Metric]

    def scores(self) -> dict[str, float]:
        return {name: metric(self.found, self.truth) for name, metric in self.metrics.items()}


def rank(engine: Engine, data: Labelled) -> Judged:
    try:
        wanted = np.array([float(label) for label in data.labels])
    except ValueError as error:
        raise TrainError(f"a model of embeddings is held against numbers: {error}")
    if len(data.texts[0]) != 2:
        raise TrainError("a model of embeddings compares two texts: give --text-column twice")
    if np.ptp(wanted) == 0:
        raise TrainError("all scores of the table are equal, so that no rank correlation is defined")
    return Judged(np.array(engine.similarities(data.texts)), wanted, {"spearman": spearman})


def classify(engine: Engine, labels: list[str], data: Labelled, where: Path) -> Judged:
    """Labels of the table are the model's names, or else the numbers of its classes."""
    numbers = [str(number) for number in range(len(labels))]
    wanted = number_labels(where, data, numbers if data.labels[0] in numbers else labels).labels
    found = np.array([labels.index(label) for label in engine.classes(data.texts)])
    metrics: dict[str, Metric] = {"accuracy": accuracy}
    if len(labels) == 2:
        metrics["f1"] = f1
    return Judged(found, np.array(wanted), metrics)


def judge(engine: Engine, data: Labelled, where: Path) -> Judged:
    labels = model_labels(engine.model)
    return classify(engine, labels, data, where) if labels else rank(engine, data)


def compare(ours: Judged, theirs: Judged, draws: int = DRAWS) -> dict[str, Any]:
    """Differences, and 95% intervals of them by paired bootstrap over the examples."""
    if ours.metrics.keys() != theirs.metrics.keys():
        raise TrainError("--against takes a model of the same kind and classes")
    generator = np.random.default_rng(0)
    result: dict[str, Any] = {}
    rows = [generator.integers(len(ours.truth), size=len(ours.truth)) for _ in range(draws)]
    for name, metric in ours.metrics.items():
        gaps = [
            metric(ours.found[row], ours.truth[row]) - metric(theirs.found[row], theirs.truth[row])
            for row in rows
        ]
        result[f"{name}_difference"] = ours.scores()[name] - theirs.scores()[name]
        result[f"{name}_interval"] = np.percentile(gaps, [2.5, 97.5]).tolist()
    return result


def evaluate(engine: Engine, data: Labelled, where: Path, against: Engine | None = None) -> dict[str, Any]:
    ours = judge(engine, data, where)
    result: dict[str, Any] = {"model": str(engine.model), "examples": len(ours.truth), **ours.scores()}
    if against:
        result["against"] = str(against.model)
        result |= compare(ours, judge(against, data, where))
    return result
