# SPDX-License-Identifier: MIT
"""The training sentences of the GLUE sets, without any that a dev set holds."""

from __future__ import annotations

from pathlib import Path

from .errors import TrainError
from .glue import TASKS, Task, both_parts

STSB = Task("STS-B", (7, 8), 9)


def column_texts(path: Path, task: Task) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")[1:]
    except (OSError, UnicodeDecodeError) as error:
        raise TrainError(f"{path}: {error}; --glue takes a directory with {task.name} in it")
    rows = [line.rstrip("\r").split("\t") for line in lines]
    return [[row[c].strip() for c in task.columns] for row in rows if len(row) > max(task.columns)]


def glue_sentences(directory: Path) -> list[str]:
    train: dict[str, None] = {}
    dev: set[str] = set()
    for task in (*TASKS.values(), STSB):
        rows, held = both_parts(directory, task, column_texts)
        train.update(dict.fromkeys(text for row in rows for text in row))
        dev.update(text for row in held for text in row)
    return [text for text in train if text and text not in dev]
