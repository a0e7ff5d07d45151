# SPDX-License-Identifier: MIT
"""A student with other attention learns its teacher's hidden states, then its output."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor, nn

from .attention import Group
from .convert import Calibration, calibrate
from .errors import TrainError
from .losses import embedding_loss, hidden_loss, label_loss, score_rank_loss
from .model import Encoder
from .spec import HeadSpec, Variant, name_of
from .text import Batch, Corpus, Packed, Plan
from .tokens import Tokens

CALIBRATION_TEXTS = 2000
NO_EXACT_HEADS = "--rank-weight is for models with exact heads: no others have scores of full rank"
NEW = (".pq.", ".band", ".sinks", "classifier")  # parameters that the teacher hasn't tuned


@dataclass(frozen=True)
class Recipe:
    """When each stage begins, as a part of the run, and what it weighs."""

    output_from: float = 0.4  # the output's loss joins the hidden states'
    hidden_weight: float = 0.3  # from then on
    output_weight: float = 1.0
    int8_from: float = 1.0
    shift_from: float = 1.0  # `fold` becomes `foldshift`
    replaced_at: float = 0.0  # from then on all layers have their own attention, first ones sooner
    rank_weight: float = 0.0  # of L_MS, which draws scores of exact heads towards rank 1
    rate: float = 5e-4
    new_rate: float = 1e-3


@dataclass(frozen=True)
class Stage:
    """A part of the run within which every step is the same computation."""

    output: bool
    int8: bool
    shift: bool
    replaced: int | None  # layers that have their own attention already; None: all

    def __str__(self) -> str:
        names = ["output" if self.output else "hidden"]
        if self.replaced is not None:
            names.append(f"replaced {self.replaced}")
        return "+".join(names + ["int8"] * self.int8 + ["foldshift"] * self.shift)


def rate_groups(model: Encoder, rate: float, new_rate: float) -> list[dict[str, Any]]:
    """Embeddings stay what they are; int8 tables are then the teacher's, rounded."""
    for table in (model.words, model.positions, model.types):
        table.weight.requires_grad_(False)
    fresh: list[nn.Parameter] = []
    copied: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (fresh if any(part in name for part in NEW) else copied).append(parameter)
    groups = [{"params": copied, "lr": rate}, {"params": fresh, "lr": new_rate}]
    return [group for group in groups if group["params"]]


def set_mode(model: Encoder, old: str, new: str) -> None:
    """Heads of one mode take another that has the same parameters."""

    def change(head: HeadSpec) -> HeadSpec:
        return replace(head, mode=new) if head.mode == old and head.order else head

    model.spec = model.spec.map_heads(change)
    for module in model.modules():
        if isinstance(module, Group):
            module.spec = change(module.spec)


def in_powers(model: Encoder, variant: Variant) -> None:
    """A student of `fold` goes on in powers of two where the variant is in them."""
    if variant.head.mode in ("foldshift", "shift"):
        set_mode(model, "fold", variant.head.mode)


def as_variant(start: Encoder, variant: Variant, place: Path) -> Encoder:
    """A student that goes on, whose heads are what the variant says."""
    in_powers(start, variant)
    if any(replace(head, band=False) != variant.head for layer in start.spec.layers for head in layer):
        raise TrainError(f"{place}: its heads are others than {name_of(variant.head)}")
    return start


def split_rows(count: int, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training, and rows that are kept from it."""
    order = np.random.default_rng(seed).permutation(count)
    held_out = min(held_out, len(order) // 10)
    if not held_out:
        raise TrainError(f"{len(order)} texts are too few: some are held out; give 10 or more")
    return np.sort(order[held_out:]), order[:held_out]


def sample(corpus: Corpus, rows: np.ndarray, device: torch.device, width: int = 64) -> Batch:
    return corpus.gather(torch.from_numpy(rows).to(device), width)


def calibration(teacher: Encoder, corpus: Corpus, rows: np.ndarray) -> list[Calibration]:
    batch = sample(corpus, rows[:CALIBRATION_TEXTS], teacher.words.weight.device)
    return calibrate(teacher, batch)


class Distill:
    """A job of the training loop."""

    def __init__(
        self, teacher: Encoder, student: Encoder, corpus: Corpus, plan: Plan,
        train_rows: np.ndarray, held_rows: np.ndarray, recipe: Recipe,
    ) -> None:  # fmt: skip
        self.teacher, self.model, self.corpus, self.plan = teacher, student, corpus, plan
        self.recipe = recipe
        self.device = teacher.words.weight.device
        self.rows = torch.from_numpy(train_rows).to(self.device)
        self.held = sample(corpus, held_rows, self.device)
        if not 0 <= recipe.replaced_at < 1:
            raise TrainError(f"--replaced-at {recipe.replaced_at}: is a part of the run, from 0 to below 1")
        self.names = ("loss", "hidden", "output", "rank")[: 4 if recipe.rank_weight else 3]
        if recipe.rank_weight and "mhsa" not in student.spec.modes():
            raise TrainError(NO_EXACT_HEADS)
        self.weights = (1.0, 0.0)
        for parameter in teacher.parameters():
            parameter.requires_grad_(False)

    def groups(self) -> list[dict[str, Any]]:
        return rate_groups(self.model, self.recipe.rate, self.recipe.new_rate)

    def stage(self, fraction: float) -> Stage:
        recipe, replaced = self.recipe, None
        if fraction < recipe.replaced_at:
            depth = len(self.model.stack())
            replaced = 1 + int((depth - 1) * fraction / recipe.replaced_at)
        output, int8 = fraction >= recipe.output_from, fraction >= recipe.int8_from
        return Stage(output, int8, fraction >= recipe.shift_from, replaced)

    def enter(self, stage: Stage) -> None:
        recipe = self.recipe
        self.weights = (recipe.hidden_weight, recipe.output_weight) if stage.output else (1.0, 0.0)
        self.model.set_int8(stage.int8)
        self.model.spec = replace(self.model.spec, int8=stage.int8)
        if stage.shift:
            set_mode(self.model, "fold", "foldshift")
        self.replace(stage.replaced)

    def replace(self, count: int | None) -> None:
        """The first count layers have their own attention, the others the teacher's; None: all their own."""
        for number, layer in enumerate(self.model.stack()):
            exact = self.teacher.stack()[self.model.spec.source(number)].attention
            layer.instead = [exact] if count is not None and number >= count else []

    def output_loss(self, ours: Tensor, theirs: Tensor, tokens: Tokens) -> Tensor:
        if self.teacher.spec.classes:
            return label_loss(self.model.logits(ours, tokens), self.teacher.logits(theirs, tokens))
        return embedding_loss(self.model.sentence(ours, tokens), self.teacher.sentence(theirs, tokens))

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            wanted = self.teacher(batch.ids, batch.tokens, batch.types)
        states = self.model(batch.ids, batch.tokens, batch.types)
        hidden = hidden_loss(states[1:], wanted[1:], batch.tokens, self.model.spec.kept)
        return hidden, self.output_loss(states[-1], wanted[-1], batch.tokens)

    def losses(self, rows: Tensor, width: int) -> Tensor:
        hidden, output = self.compare(self.corpus.gather(self.rows[rows], width))
        total = self.weights[0] * hidden + self.weights[1] * output
        if not self.recipe.rank_weight:
            return torch.stack([total, hidden, output])
        rank = score_rank_loss(self.model)
        return torch.stack([total + self.recipe.rank_weight * rank, hidden, output, rank])

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        hidden, output = self.compare(self.held)
        return {"hidden": round(float(hidden), 5), "output": round(float(output), 5)}


def prepare(
    teacher: Encoder, packed: Packed, make: Callable[[list[Calibration]], Encoder], recipe: Recipe,
    *, tokens: int, seed: int, held_out: int = 2000,
) -> Distill:  # fmt: skip
    """The student that make gives, what it will be trained on, and what it is judged by."""
    device = teacher.words.weight.device
    corpus = Corpus(packed, device)
    train, held = split_rows(len(packed.lengths), held_out, seed)
    student = make(calibration(teacher, corpus, held))
    plan = Plan(corpus.lengths[train], seed, tokens=tokens)
    return Distill(teacher, student, corpus, plan, train, held, recipe)
