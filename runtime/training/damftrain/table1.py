# SPDX-License-Identifier: MIT
"""The cells of the paper's Table I: task by row by seed, one result a line."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .convert import Calibration, make_student, student_spec
from .distill import calibration, in_powers
from .errors import TrainError
from .files import load_student, save_student
from .finetune import Tune, TuneRecipe, scores, with_classes
from .loop import Budget, Loop, Options
from .model import Encoder
from .results import append_line, read_lines
from .spec import parse_variant
from .text import Corpus, Packed

EXACT = TuneRecipe()
STUDENT = TuneRecipe(rate=1e-4, new_rate=3e-4)
MIXED = "mixed"  # the variant of a student whose heads differ
SEEDS = {"MRPC": 5, "RTE": 5}  # small tasks spread more


@dataclass(frozen=True)
class Row:
    """A line of the table: exact attention, or a student distilled before or not."""

    name: str
    variant: str
    start: Path | None

    @staticmethod
    def parse(text: str) -> Row:
        name, equals, rest = text.partition("=")
        variant, _, start = rest.partition(":")
        if not (name and equals and variant):
            raise TrainError(f"--row {text}: is to be NAME=VARIANT or NAME=VARIANT:DIR")
        if variant != MIXED:
            parse_variant(variant)
        elif not start:
            raise TrainError(f"--row {text}: needs :DIR of a student, whose heads it is to have")
        return Row(name, variant, Path(start) if start else None)


def read_cells(path: Path) -> list[dict[str, Any]]:
    return read_lines(path, "table1")


def start_model(row: Row, base: Encoder, data: list[Calibration]) -> Encoder:
    if row.variant == "mhsa":
        return base
    if row.start is None:
        return make_student(base, student_spec(base, parse_variant(row.variant), data), data)
    model = load_student(row.start, base)
    if row.variant != MIXED:
        in_powers(model, parse_variant(row.variant))
    return model


def capped(packed: Packed, most: int) -> Packed:
    """The same examples whatever the row and the seed."""
    if len(packed.lengths) <= most:
        return packed
    chosen = np.sort(np.random.default_rng(0).permutation(len(packed.lengths))[:most])
    lengths = packed.lengths.astype(np.int64)
    offsets = np.cumsum(lengths) - lengths
    ids = np.concatenate([packed.ids[offsets[i] : offsets[i] + lengths[i]] for i in chosen])
    return Packed(ids, packed.lengths[chosen], packed.second[chosen], packed.labels[chosen])


@dataclass
class Table:
    """Fills cells, and passes over those that are in its file already."""

    base: Encoder
    text: Packed
    results: Path
    examples: int = 16000
    epochs: float = 2.0
    graphs: bool = True
    deadline: float = float("inf")  # of the clock; no cell is begun after it

    def done(self) -> set[tuple[str, str, int]]:
        cells = read_cells(self.results) if self.results.exists() else []
        return {(c["task"], c["row"], c["seed"]) for c in cells}

    def tune(self, model: Encoder, train: Packed, seed: int, teacher: Encoder | None) -> Encoder:
        recipe = EXACT if teacher is None else STUDENT
        job = Tune(with_classes(model, 2, seed), train, seed, recipe, teacher)
        steps = round(self.epochs * job.plan.per_epoch)
        with tempfile.TemporaryDirectory() as scratch:
            budget = Budget(steps=steps, warmup=0.1)
            path = Path(scratch) / "checkpoint"
            Loop(job, Options(budget, path, {}, graphs=self.graphs, quiet=True, save_seconds=1e9)).run()
        return job.model

    def teacher(self, task: str, train: Packed, seed: int) -> Encoder:
        """The exact model of this task and seed, kept beside the results."""
        place = self.results.parent / "exact" / f"{task}-{seed}"
        if (place / "student.safetensors").exists():
            return load_student(place, self.base)
        model = self.tune(self.base, train, seed, None)
        save_student(model, place)
        return model

    def fill(self, task: str, rows: list[Row], seeds: int, train: Packed, dev: Packed) -> None:
        train = capped(train, self.examples)
        corpus = Corpus(self.text, self.base.words.weight.device)
        data = calibration(self.base, corpus, np.arange(min(2000, len(corpus.lengths))))
        for seed in range(seeds):
            for row in rows:
                if (task, row.name, seed) in self.done() or time.time() > self.deadline:
                    continue
                begin = time.monotonic()
                model = self.teacher(task, train, seed)
                if row.variant != "mhsa":
                    start = start_model(row, self.base, data)
                    model = self.tune(start, train, seed, model)
                cell: dict[str, Any] = {"task": task, "row": row.name, "seed": seed}
                cell |= {"examples": len(train.lengths), "epochs": self.epochs}
                cell |= {"seconds": round(time.monotonic() - begin, 1), **scores(model, dev)}
                del cell["predicted"]
                append_line(self.results, cell)
