# SPDX-License-Identifier: MIT
"""Any TSV with a line of names: texts and label are told by column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import TrainError
from .glue import Examples, read_table


@dataclass(frozen=True)
class Columns:
    """Which columns hold the one or two texts, and which the label."""

    texts: tuple[str, ...]
    label: str

    def check(self) -> None:
        if not 1 <= len(self.texts) <= 2:
            raise TrainError(f"{len(self.texts)} columns of text: give --text-column once or twice")


@dataclass
class Labelled:
    texts: list[tuple[str, ...]]
    labels: list[str]


def places(path: Path, header: str, columns: Columns) -> list[int]:
    names = header.rstrip("\r").split("\t")
    for name in (*columns.texts, columns.label):
        if name not in names:
            raise TrainError(f"{path}: has no column {name} (columns: {', '.join(names)})")
    return [names.index(name) for name in (*columns.texts, columns.label)]


def read_columns(path: Path, columns: Columns) -> Labelled:
    columns.check()
    lines = read_table(path, "the table")
    wanted = places(path, lines[0], columns)
    found = Labelled([], [])
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) <= max(wanted):
            raise TrainError(f"{path}:{number}: has {len(cells)} columns, {max(wanted) + 1} are needed")
        *texts, label = (cells[place].strip() for place in wanted)
        found.texts.append(tuple(texts))
        found.labels.append(label)
    if not found.labels:
        raise TrainError(f"{path}: holds no examples below its line of names")
    return found


def number_labels(path: Path, found: Labelled, labels: list[str]) -> Examples:
    """Labels as classes, in the order of labels."""
    for label in found.labels:
        if label not in labels:
            raise TrainError(f"{path}: label {label} isn't one of {', '.join(labels)}")
    return Examples(found.texts, [labels.index(label) for label in found.labels])
