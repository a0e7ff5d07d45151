# SPDX-License-Identifier: MIT
"""The cells of the paper's Table I: task by row by seed, one result a line."""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .convert import make_student, student_spec
from .distill import CALIBRATION_TEXTS, as_variant, calibration
from .errors import TrainError
from .exchange import add_change, exchange
from .files import NAME, load_student, save_student
from .finetune import Tune, TuneRecipe, scores, with_classes
from .intervals import encode
from .loop import Budget, Loop, Options
from .model import Encoder
from .results import append_line, read_lines
from .saving import locked, save_json
from .search import Wish, read_spec, search_heads
from .spec import ModelSpec, parse_variant
from .teacher import Teacher, teacher_of
from .text import Corpus, Packed

EXACT = TuneRecipe()
STUDENT = TuneRecipe(rate=3e-4, new_rate=1e-3)
NEAR = TuneRecipe(rate=1.5e-4, new_rate=1e-3)  # of mixed and again, which begin as the exact model
MIXED = "mixed"  # the variant of a student whose heads were searched for its task
AGAIN = "again"  # the exact model itself, which goes on like a student: a control
OPTIONS = "table1-options.json"
CellKey = tuple[str, str, int]  # task, row, seed
SEEDS = {"SST-2": 3, "QQP": 3, "MRPC": 5, "RTE": 5}  # small tasks spread more


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
        if variant not in (MIXED, AGAIN):
            parse_variant(variant)
        return Row(name, variant, Path(start) if start else None)


def read_cells(path: Path) -> list[dict[str, Any]]:
    return read_lines(path, "table1")


def trim_heap() -> None:
    """Gives back what freed batches of all sizes left in glibc's heap; it kept 8 GiB of 11 after 50 minutes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


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
    results: Path
    examples: int = 16000
    epochs: float = 2.0
    graphs: bool = True
    bf16: bool = False
    wish: Wish = Wish(fewer=5.0, texts=300)  # of mixed rows
    deadline: float = float("inf")  # of the clock; no cell is begun after it
    wanted: frozenset[CellKey] = frozenset()  # of all processes; for progress

    def done(self) -> set[CellKey]:
        cells = read_cells(self.results) if self.results.exists() else []
        return {(c["task"], c["row"], c["seed"]) for c in cells}

    def tune(
        self, model: Encoder, corpus: Corpus, seed: int, recipe: TuneRecipe, teacher: Teacher | None = None
    ) -> Encoder:
        job = Tune(model, corpus, seed, recipe, teacher)
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
        with locked(place):
            if (place / NAME).exists():
                return load_student(place, self.base)
            model = self.tune(with_classes(self.base, 2, seed), corpus, seed, EXACT)
            self.keep(model, place)
        return model

    def mixed_spec(self, task: str, corpus: Corpus) -> ModelSpec:
        """Which heads to keep exact, by the exact model of the first seed; searched once a task."""
        path = self.results.parent / MIXED / task / "spec.json"
        with locked(path):
            if not path.exists():
                search_heads(self.exact(task, corpus, 0), None, corpus, self.wish, path.parent, {})
        spec = read_spec(path, self.base)
        found = json.loads(path.read_text(encoding="utf-8"))["search"]
        if found["budget"] != self.wish.most(found["exact_macs"]):
            raise TrainError(f"{path}: was searched for another --fewer; give another --output directory")
        return spec

    def taught(self, start: Path, exact: Encoder) -> Encoder:
        """A student of text, with what the task changed in the exact model.

        Cells are of floats, also of a student that distill left in int8.
        """
        student = load_student(start, self.base)
        if student.spec.classes:
            raise TrainError(f"{start}: has learned a task already; a row begins with a student of text")
        student.spec = replace(student.spec, int8=False)
        model = with_classes(student, exact.spec.classes, 0)
        add_change(model, self.base, exact)
        return model

    def start(self, row: Row, task: str, corpus: Corpus, exact: Encoder) -> Encoder:
        """What a student is before it learns the task."""
        if row.variant == AGAIN:
            return make_student(exact, exact.spec, [])  # its heads have nothing that is fitted to data
        student = self.taught(row.start, exact) if row.start else exact
        if row.start and row.variant != MIXED:
            return as_variant(student, parse_variant(row.variant), row.start)
        data = calibration(exact, corpus, np.arange(min(CALIBRATION_TEXTS, len(corpus.lengths))))
        if row.variant == MIXED:
            return exchange(student, self.mixed_spec(task, corpus), exact, data)
        return make_student(exact, student_spec(exact, parse_variant(row.variant), data), data)

    def options(self) -> dict[str, Any]:
        """What all that lies in a directory must have in common."""
        recipes = [asdict(recipe) for recipe in (EXACT, STUDENT, NEAR)]
        return {"examples": self.examples, "epochs": self.epochs, "bf16": self.bf16, "recipes": recipes}

    def agree(self) -> None:
        """Refuses to go on where something was made with other options."""
        path = self.results.parent / OPTIONS
        if path.exists() and json.loads(path.read_text(encoding="utf-8")) != self.options():
            raise TrainError(f"{path}: cells there are of other options; give another --output directory")

    def keep(self, model: Encoder, place: Path) -> None:
        """An exact model; from now on its options bind."""
        save_student(model, place)
        path = self.results.parent / OPTIONS
        with locked(path):
            save_json(path, self.options())

    def progress(self) -> str:
        there = len(self.done() & self.wanted)
        return f" ({there} of {len(self.wanted)} cells are there)" if self.wanted else ""

    def fill(self, task: str, rows: list[Row], seed: int, train: Packed, dev: Packed) -> None:
        """What is missing of a seed's cells, which nobody else fills meanwhile."""
        corpus = Corpus(capped(train, self.examples), self.base.words.weight.device)
        exact, teacher = None, None
        with locked(self.results.with_name(f"{self.results.name}.{task}-{seed}")):
            for row in rows:
                if (task, row.name, seed) in self.done() or time.time() > self.deadline:
                    continue
                since = time.monotonic()
                line = f"{task}, seed {seed}: {row.name}{self.progress()}\n"
                print(line, end="", file=sys.stderr)  # in one go, as others may write too
                model = exact = exact or self.exact(task, corpus, seed)
                if row.variant != "mhsa":
                    teacher = teacher or teacher_of(exact, corpus)
                    student = self.start(row, task, corpus, exact)
                    recipe = NEAR if row.variant in (MIXED, AGAIN) else STUDENT
                    model = self.tune(student, corpus, seed, recipe, teacher)
                cell: dict[str, Any] = {"task": task, "row": row.name, "seed": seed}
                cell |= {"examples": len(corpus.lengths), "epochs": self.epochs}
                cell |= {"bf16": True} if self.bf16 else {}
                cell |= {"seconds": round(time.monotonic() - since, 1), **scores(model, dev)}
                cell["predicted"] = encode(np.array(list(cell["predicted"]), dtype=np.uint8))
                append_line(self.results, cell)
                trim_heap()
