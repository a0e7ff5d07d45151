# SPDX-License-Identifier: MIT
"""Scores of a finished directory on a task, by the damf command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .columns import Columns, Labelled, number_labels, read_columns
from .engine import Engine, model_labels
from .errors import TrainError
from .glue import TASKS, read_task
from .stats import accuracy, f1, spearman

STSB = Columns(("sentence1", "sentence2"), "score")


def glue_dev(directory: Path, task: str) -> Labelled:
    """The part that scores are taken on; never the test set."""
    if task == "STS-B":
        return read_columns(directory / task / "dev.tsv", STSB)
    _, dev = read_task(directory, task)
    return Labelled(dev.texts, [TASKS[task].labels[label] for label in dev.labels])


def rank_scores(engine: Engine, data: Labelled) -> dict[str, Any]:
    try:
        wanted = np.array([float(label) for label in data.labels])
    except ValueError as error:
        raise TrainError(f"a model of embeddings is held against numbers: {error}")
    if len(data.texts[0]) != 2:
        raise TrainError("a model of embeddings compares two texts: give --text-column twice")
    if np.ptp(wanted) == 0:
        raise TrainError("all scores of the table are equal, so that no rank correlation is defined")
    return {"spearman": spearman(np.array(engine.similarities(data.texts)), wanted)}


def class_scores(engine: Engine, labels: list[str], data: Labelled, where: Path) -> dict[str, Any]:
    """Labels of the table are the model's names, or else the numbers of its classes."""
    numbers = [str(number) for number in range(len(labels))]
    wanted = number_labels(where, data, numbers if data.labels[0] in numbers else labels).labels
    found = np.array([labels.index(label) for label in engine.classes(data.texts)])
    truth = np.array(wanted)
    result: dict[str, Any] = {"accuracy": accuracy(found, truth)}
    if len(labels) == 2:
        result["f1"] = f1(found, truth)
    return result


def evaluate(engine: Engine, data: Labelled, where: Path) -> dict[str, Any]:
    labels = model_labels(engine.model)
    if labels:
        result = class_scores(engine, labels, data, where)
    else:
        result = rank_scores(engine, data)
    return {"model": str(engine.model), "examples": len(data.labels), **result}
