# SPDX-License-Identifier: MIT
"""A model learns a task from labels, and perhaps from an exact model that knows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Hashable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .distill import NO_EXACT_HEADS, rate_groups
from .errors import TrainError
from .losses import hidden_loss, label_loss, score_rank_loss
from .model import Encoder
from .stats import accuracy, f1
from .teacher import Teacher
from .text import WIDTHS, Corpus, Packed, Plan

BATCH_OF_DEV = 256


@dataclass(frozen=True)
class TuneRecipe:
    rate: float = 5e-5
    new_rate: float = 5e-4
    batch: int = 32
    distil_weight: float = 0.5  # of the teacher's classes against the labels, if there is one
    hidden_weight: float = 1.0
    int8_from: float = 1.0
    rank_weight: float = 0.0  # of L_MS, which draws scores of exact heads towards rank 1


def with_classes(model: Encoder, classes: int, seed: int) -> Encoder:
    """The same model with a new classifier."""
    torch.manual_seed(seed)
    spec = replace(model.spec, classes=classes)
    fresh = Encoder(model.config, spec).to(model.words.weight.device)
    nn.init.normal_(fresh.classifier.weight, std=0.02)
    nn.init.zeros_(fresh.classifier.bias)
    state = fresh.state_dict()
    old = {k: v for k, v in model.state_dict().items() if not k.startswith("classifier")}
    if "pooler.weight" not in old:
        nn.init.normal_(fresh.pooler.weight, std=0.02)
        state = fresh.state_dict()
    fresh.load_state_dict({**state, **{k: v for k, v in old.items() if k in state}})
    return fresh


class Tune:
    """A job of the training loop."""

    def __init__(
        self, model: Encoder, corpus: Corpus, seed: int, recipe: TuneRecipe, teacher: Teacher | None
    ) -> None:
        self.model, self.teacher, self.recipe, self.corpus = model, teacher, recipe, corpus
        self.plan = Plan(self.corpus.lengths, seed, batch=recipe.batch)
        self.names = ("loss", "label", "distil", "hidden", "rank")
        if recipe.rank_weight and "mhsa" not in model.spec.modes():
            raise TrainError(NO_EXACT_HEADS)

    def groups(self) -> list[dict[str, Any]]:
        return rate_groups(self.model, self.recipe.rate, self.recipe.new_rate)

    def stage(self, fraction: float) -> Hashable:
        return "int8" if fraction >= self.recipe.int8_from or self.model.spec.int8 else "float"

    def enter(self, stage: Hashable) -> None:
        self.model.set_int8(stage == "int8")
        self.model.spec = replace(self.model.spec, int8=stage == "int8")

    def losses(self, rows: Tensor, width: int) -> Tensor:
        batch = self.corpus.gather(rows, width)
        states = self.model(batch.ids, batch.tokens, batch.types)
        logits = self.model.logits(states[-1], batch.tokens)
        label = F.cross_entropy(logits, batch.labels)
        weight, none = self.recipe.rank_weight, torch.zeros_like(label)
        rank = score_rank_loss(self.model) if weight else none
        if self.teacher is None:
            return torch.stack([label + weight * rank, label, none, none, rank])
        wanted, classes = self.teacher.answer(batch)
        distil = label_loss(logits, classes)
        hidden = hidden_loss(states[1:], wanted, batch.tokens, self.model.spec.kept)
        share = self.recipe.distil_weight
        total = (1 - share) * label + share * distil + self.recipe.hidden_weight * hidden
        return torch.stack([total + weight * rank, label, distil, hidden, rank])

    def check(self) -> dict[str, float]:
        return {}


@torch.no_grad()
def predict(model: Encoder, packed: Packed) -> np.ndarray:
    """Logits of every example."""
    device = model.words.weight.device
    corpus = Corpus(packed, device)
    found = []
    for rows in torch.arange(len(corpus.lengths), device=device).split(BATCH_OF_DEV):
        batch = corpus.gather(rows, WIDTHS[-1])
        found.append(model.logits(model(batch.ids, batch.tokens, batch.types)[-1], batch.tokens))
    return torch.cat(found).float().cpu().numpy()


def scores(model: Encoder, packed: Packed) -> dict[str, Any]:
    """Accuracy, F1, and the classes themselves, for paired comparisons."""
    predicted = predict(model, packed).argmax(-1)
    return {
        "accuracy": accuracy(predicted, packed.labels),
        "f1": f1(predicted, packed.labels),
        "predicted": "".join(map(str, predicted.tolist())),
    }
