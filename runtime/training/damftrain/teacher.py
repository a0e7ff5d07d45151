# SPDX-License-Identifier: MIT
"""What an exact model says of a task's examples: asked each time, or once for all."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .model import Encoder
from .text import WIDTHS, Batch, Corpus

Answer = tuple[list[Tensor], Tensor]  # states behind each layer, logits
AT_ONCE = 64  # examples
MOST = 4 << 30  # bytes of states that are kept


class Teacher(Protocol):
    def answer(self, batch: Batch) -> Answer: ...


class Live:
    """Runs with every batch: what a GPU can do beside the student."""

    def __init__(self, model: Encoder) -> None:
        self.model = model
        for parameter in model.parameters():
            parameter.requires_grad_(False)

    @torch.no_grad()
    def answer(self, batch: Batch) -> Answer:
        states = self.model(batch.ids, batch.tokens, batch.types)
        return states[1:], self.model.logits(states[-1], batch.tokens)


class Remembered:
    """Has run once over a corpus on a CPU, for all students, seeds and epochs; states are f16."""

    def __init__(self, model: Encoder, corpus: Corpus) -> None:
        live, depth = Live(model), len(model.stack())
        total = int(corpus.lengths.sum())
        self.corpus = corpus
        self.states = [
            torch.empty(total, model.config.hidden_size, dtype=torch.float16) for _ in range(depth)
        ]
        parts = []
        for rows in torch.arange(len(corpus.lengths)).split(AT_ONCE):
            batch = corpus.gather(rows, WIDTHS[-1])
            states, logits = live.answer(batch)
            places = corpus.places(batch)
            for kept, state in zip(self.states, states):
                kept[places] = state.half()
            parts.append(logits)
        self.logits = torch.cat(parts)

    def answer(self, batch: Batch) -> Answer:
        places = self.corpus.places(batch)
        return [state[places].float() for state in self.states], self.logits[batch.rows]


def teacher_of(model: Encoder, corpus: Corpus) -> Teacher:
    on_cpu = model.words.weight.device.type == "cpu"
    size = 2 * int(corpus.lengths.sum()) * model.config.hidden_size * len(model.stack())
    return Remembered(model, corpus) if on_cpu and size <= MOST else Live(model)
