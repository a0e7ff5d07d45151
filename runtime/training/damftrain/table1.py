# SPDX-License-Identifier: MIT
"""The cells of the paper's Table I: task by row by seed, one result a line."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .convert import Calibration, make_student, student_spec
from .distill import calibration, in_powers
from .errors import TrainError
from .exchange import exchange
from .files import load_student, save_student
from .finetune import Tune, TuneRecipe, scores, with_classes
from .intervals import encode
from .loop import Budget, Loop, Options
from .model import Encoder
from .results import append_line, read_lines
from .saving import save_json
from .search import Wish, read_spec, search_heads
from .spec import ModelSpec, parse_variant
from .teacher import Teacher, teacher_of
from .text import Corpus, Packed

EXACT = TuneRecipe()
STUDENT = TuneRecipe(rate=3e-4, new_rate=1e-3)
MIXED = "mixed"  # the variant of a student whose heads were searched for its task
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
        return Row(name, variant, Path(start) if start else None)


def read_cells(path: Path) -> list[dict[str, Any]]:
    return read_lines(path, "table1")


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
    bf16: bool = False
    wish: Wish = Wish(fewer=5.0, texts=300)  # of mixed rows
    deadline: float = float("inf")  # of the clock; no cell is begun after it

    @cached_property
    def data(self) -> list[Calibration]:
        corpus = Corpus(self.text, self.base.words.weight.device)
        return calibration(self.base, corpus, np.arange(min(2000, len(corpus.lengths))))

    def done(self) -> set[tuple[str, str, int]]:
        cells = read_cells(self.results) if self.results.exists() else []
        return {(c["task"], c["row"], c["seed"]) for c in cells}

    def tune(self, model: Encoder, corpus: Corpus, seed: int, teacher: Teacher | None) -> Encoder:
        recipe = EXACT if teacher is None else STUDENT
        job = Tune(with_classes(model, 2, seed), corpus, seed, recipe, teacher)
        steps = round(self.epochs * job.plan.per_epoch)
        with tempfile.TemporaryDirectory() as scratch:
            budget = Budget(steps=steps, warmup=0.1)
            path = Path(scratch) / "checkpoint"
            options = Options(
                budget, path, {}, graphs=self.graphs, quiet=True, bf16=self.bf16, save_seconds=1e9
            )
            Loop(job, options).run()
        return job.model

    def exact(self, task: str, corpus: Corpus, seed: int) -> Encoder:
        """The exact model of this task and seed, kept beside the results."""
        place = self.results.parent / "exact" / f"{task}-{seed}"
        if (place / "student.safetensors").exists():
            return load_student(place, self.base)
        model = self.tune(self.base, corpus, seed, None)
        save_student(model, place)
        return model

    def mixed_spec(self, task: str, corpus: Corpus) -> ModelSpec:
        """Which heads to keep exact, by the exact model of the first seed; searched once a task."""
        place = self.results.parent / MIXED / task
        if not (place / "spec.json").exists():
            search_heads(self.exact(task, corpus, 0), None, corpus, self.wish, place, {})
        return read_spec(place / "spec.json", self.base)

    def start(self, row: Row, task: str, corpus: Corpus) -> Encoder:
        """What a student is before it sees the task's labels."""
        if row.variant == MIXED:
            begin = load_student(row.start, self.base) if row.start else self.base
            return exchange(begin, self.mixed_spec(task, corpus), self.base, self.data)
        variant = parse_variant(row.variant)
        if row.start is None:
            return make_student(self.base, student_spec(self.base, variant, self.data), self.data)
        model = load_student(row.start, self.base)
        in_powers(model, variant)
        return model

    def agree(self) -> None:
        """What lies beside the results was made with the same options."""
        path = self.results.parent / "table1-options.json"
        ours = {"examples": self.examples, "epochs": self.epochs, "bf16": self.bf16, **asdict(self.wish)}
        if not path.exists():
            save_json(path, ours)
        elif json.loads(path.read_text(encoding="utf-8")) != ours:
            raise TrainError(f"{path}: cells there are of other options; give another --output directory")

    def fill(self, task: str, rows: list[Row], seeds: int, train: Packed, dev: Packed) -> None:
        corpus = Corpus(capped(train, self.examples), self.base.words.weight.device)
        for seed in range(seeds):
            exact, teacher = None, None
            for row in rows:
                if (task, row.name, seed) in self.done() or time.time() > self.deadline:
                    continue
                begin = time.monotonic()
                model = exact = exact or self.exact(task, corpus, seed)
                if row.variant != "mhsa":
                    teacher = teacher or teacher_of(exact, corpus)
                    model = self.tune(self.start(row, task, corpus), corpus, seed, teacher)
                cell: dict[str, Any] = {"task": task, "row": row.name, "seed": seed}
                cell |= {"examples": len(corpus.lengths), "epochs": self.epochs}
                cell |= {"bf16": True} if self.bf16 else {}
                cell |= {"seconds": round(time.monotonic() - begin, 1), **scores(model, dev)}
                cell["predicted"] = encode(np.array(list(cell["predicted"]), dtype=np.uint8))
                append_line(self.results, cell)
