# SPDX-License-Identifier: MIT
"""Tasks: GLUE directories as distributed, and any TSV with a label column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, TypeVar

from .errors import TrainError
from .text import CLS, SEP, WIDTHS, Packed, pack, tokenize


@dataclass(frozen=True)
class Task:
    """Where a task's texts and labels stand in its files."""

    name: str
    columns: tuple[int, ...]  # of the texts, from 0
    label: int
    labels: tuple[str, ...] = ("0", "1")
    metric: str = "accuracy"  # the paper's
    ragged: bool = False  # some lines have too few columns, and are passed over


TASKS = {
    "SST-2": Task("SST-2", (0,), 1),
    "MRPC": Task("MRPC", (3, 4), 0, metric="f1"),
    "RTE": Task("RTE", (1, 2), 3, labels=("entailment", "not_entailment")),
    "QQP": Task("QQP", (3, 4), 5, metric="f1", ragged=True),
}
SUBSET = "subset.tsv"  # a part of QQP in one file, in the place of train.tsv and dev.tsv
SUBSET_DEV = 3000  # its rows that are kept for judging, the last ones


@dataclass
class Examples:
    texts: list[tuple[str, ...]]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Examples:
        return Examples(self.texts[rows], self.labels[rows])


Kind = TypeVar("Kind", Examples, list[list[str]])


def both_parts(directory: Path, task: Task, read: Callable[[Path, Task], Kind]) -> tuple[Kind, Kind]:
    """What is for training and what for judging, of two files or of one."""
    place = directory / task.name
    if (place / SUBSET).exists():
        rows = read(place / SUBSET, task)
        return rows[:-SUBSET_DEV], rows[-SUBSET_DEV:]
    return read(place / "train.tsv", task), read(place / "dev.tsv", task)


def read_table(path: Path, name: str) -> list[str]:
    """The lines of a TSV, without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}; {name} isn't there")
    except UnicodeDecodeError as error:
        raise TrainError(f"{path}: not UTF-8 at byte {error.start}")


def read_rows(path: Path, task: Task) -> Examples:
    """Rows that have no such label are errors, and those that lack a column unless the task is ragged."""
    lines = read_table(path, task.name)
    examples = Examples([], [])
    needed = max(*task.columns, task.label) + 1
    for number, line in enumerate(lines[1:], 2):  # the first has names
        cells = line.rstrip("\r").split("\t")
        if not line.strip() or (task.ragged and len(cells) < needed):
            continue
        if len(cells) < needed or cells[task.label] not in task.labels:
            raise TrainError(
                f"{path}:{number}: column {task.label + 1} holds no label of {', '.join(task.labels)}"
            )
        examples.texts.append(tuple(cells[c].strip() for c in task.columns))
        examples.labels.append(task.labels.index(cells[task.label]))
    if not len(examples):
        raise TrainError(f"{path}: holds no examples")
    return examples


def read_task(directory: Path, name: str) -> tuple[Examples, Examples]:
    """Training and dev examples."""
    return both_parts(directory, TASKS[name], read_rows)


def cut_pair(first: list[int], second: list[int], limit: int) -> tuple[list[int], list[int]]:
    """The longer one loses its end, as Hugging Face's longest_first does."""
    while len(first) + len(second) > limit:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    return first, second


def pack_examples(directory: Path, examples: Examples) -> Packed:
    columns = list(zip(*examples.texts))
    parts = [tokenize(directory, list(column), 512) for column in columns]
    rows: list[list[int]] = []
    seconds: list[int] = []
    for ids in zip(*parts):
        bare = [row[1:-1] for row in ids]
        if len(bare) == 1:
            rows.append([CLS, *bare[0][: WIDTHS[-1] - 2], SEP])
            seconds.append(0)
            continue
        first, second = cut_pair(bare[0], bare[1], WIDTHS[-1] - 3)
        rows.append([CLS, *first, SEP, *second, SEP])
        seconds.append(len(first) + 2)
    return pack(rows, seconds, examples.labels)
