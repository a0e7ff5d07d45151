# SPDX-License-Identifier: MIT
"""Which heads are worth a dearer kind of attention, within a budget of multiply-adds.

A head's worth is how much the loss of hidden states on held-out texts falls when that head
alone is exchanged, untrained. What is worth most for its multiply-adds is taken first.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from torch import Tensor

from .attention import Attention, Tokens
from .convert import Calibration
from .errors import TrainError
from .exchange import exchange, exchange_layer, place_of, with_kind
from .macs import Shape, nodes_of, spreads
from .model import Encoder
from .results import append_line, read_lines
from .spec import HeadSpec, ModelSpec, name_of, parse_kind
from .tabletext import simple_table
from .text import WIDTHS, Corpus

LADDER = "uniform+band+sinks,fold,square,square+band,softfold,mhsa"
AT_ONCE = 64  # texts
Head = tuple[int, int]  # layer, head


@dataclass(frozen=True)
class Score:
    """What exchanging a head for a kind gains in loss, and what that head costs then."""

    kind: str
    drop: float
    macs: int


Scores = dict[Head, list[Score]]


def parse_ladder(text: str) -> dict[str, HeadSpec]:
    return {name: parse_kind(name) for name in text.split(",")}


class Texts:
    """Some texts in batches of one width, with the teacher's states."""

    def __init__(self, teacher: Encoder, corpus: Corpus, rows: np.ndarray) -> None:
        device = teacher.words.weight.device
        self.batches, self.wanted = [], []
        edges = np.digitize(corpus.lengths[rows], WIDTHS, right=True)
        for bucket, width in enumerate(WIDTHS):
            for part in torch.from_numpy(rows[edges == bucket]).to(device).split(AT_ONCE):
                if len(part):
                    batch = corpus.gather(part, width)
                    self.batches.append(batch)
                    self.wanted.append(teacher(batch.ids, batch.lengths, batch.types))


class Judge:
    """The loss of a model, and of that model with one layer's attention exchanged."""

    def __init__(self, model: Encoder, texts: Texts) -> None:
        self.model, self.texts = model, texts
        depth = len(model.stack())
        self.sources = [model.spec.source(number) + 1 for number in range(depth)]
        self.norms = [self.squares([w[s] for w in texts.wanted]) for s in self.sources]
        self.states = [[model.embed(batch.ids, batch.types)] for batch in texts.batches]
        self.losses = self.run(0, self.states)

    def tokens(self, at: int) -> Tokens:
        batch = self.texts.batches[at]
        return Tokens(batch.lengths, batch.ids.shape[1])

    def squares(self, parts: list[Tensor]) -> float:
        masked = (part * self.tokens(at).valid for at, part in enumerate(parts))
        return sum(float(part.square().sum(dtype=torch.float64)) for part in masked)

    def run(self, first: int, states: list[list[Tensor]]) -> list[float]:
        """The loss behind each layer from the first on, whose inputs are the last of states."""
        losses = []
        for number in range(first, len(self.sources)):
            layer, source = self.model.stack()[number], self.sources[number]
            for at, state in enumerate(states):
                state.append(layer(state[-1], self.tokens(at)))
            gaps = [s[-1] - w[source] for s, w in zip(states, self.texts.wanted)]
            losses.append(self.squares(gaps) / self.norms[number])
        return losses

    def loss(self) -> float:
        return sum(self.losses) / len(self.losses)

    def loss_with(self, number: int, attention: Attention) -> float:
        layer = self.model.stack()[number]
        kept, layer.attention = layer.attention, attention
        states = [[state[number]] for state in self.states]
        losses = self.losses[:number] + self.run(number, states)
        layer.attention = kept
        return sum(losses) / len(losses)

    def macs(self, number: int, attention: Attention, head: int, shape: Shape) -> int:
        """Of a head; softfold's is the mean over the texts, which need different nodes."""
        group, place = place_of(attention, head)
        if group.spec.mode != "softfold":
            return shape.head(group.spec)
        costs = []
        for at, state in enumerate(self.states):
            p, q = (part[:, :, place] for part in group.scores(state[number]))
            found = spreads(p, q, self.tokens(at)).flatten().tolist()
            costs += [shape.head(group.spec, nodes_of(spread)) for spread in found]
        return math.ceil(sum(costs) / len(costs))


def choose(scores: Scores, costs: dict[Head, int], budget: int) -> dict[Head, str]:
    """Greedily by loss per multiply-add, never above the budget for all heads."""
    spent = sum(costs.values())
    chosen: dict[Head, str] = {}
    now = {head: (0.0, costs[head]) for head in scores}
    while True:
        best: tuple[float, Head, Score] | None = None
        for head, offers in scores.items():
            drop, macs = now[head]
            for offer in offers:
                gain, extra = offer.drop - drop, offer.macs - macs
                if gain <= 0 or spent + extra > budget:
                    continue
                rate = gain / extra if extra > 0 else math.inf
                if best is None or rate > best[0]:
                    best = (rate, head, offer)
        if best is None:
            return chosen
        _, head, offer = best
        spent += offer.macs - now[head][1]
        now[head] = (offer.drop, offer.macs)
        chosen[head] = offer.kind


@dataclass
class Search:
    """Scores all heads and exchanges some, as often as there are rounds."""

    teacher: Encoder
    model: Encoder
    data: list[Calibration]
    texts: Texts
    ladder: dict[str, HeadSpec]
    length: int
    place: Path  # of the scores that are known
    identity: dict[str, Any]
    rounds: int = 1
    quiet: bool = False
    table: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.model.config
        self.shape = Shape(config.hidden_size, config.head_size, self.length)
        self.known = self.resume()

    def heads(self) -> Iterator[tuple[Head, HeadSpec]]:
        for number, layer in enumerate(self.model.spec.layers):
            for head, spec in enumerate(layer):
                yield (number, head), spec

    def exact_macs(self) -> int:
        return sum(1 for _ in self.heads()) * self.shape.head(HeadSpec())

    def costs(self, judge: Judge) -> dict[Head, int]:
        stack = self.model.stack()
        return {at: judge.macs(at[0], stack[at[0]].attention, at[1], self.shape) for at, _ in self.heads()}

    def resume(self) -> dict[tuple[int, int, int, str], Score]:
        if not self.place.exists():
            append_line(self.place, self.identity)
            return {}
        first, *lines = read_lines(self.place, "search")
        if first != self.identity:
            raise TrainError(
                f"{self.place}: is of a search with other options; remove it to start anew, "
                "or give another --output"
            )
        return {
            (line["round"], line["layer"], line["head"], line["kind"]): Score(
                line["kind"], line["drop"], line["macs"]
            )
            for line in lines
        }

    def exchanged(self, at: Head, spec: HeadSpec) -> Attention:
        number, head = at
        specs = list(self.model.spec.layers[number])
        specs[head] = spec
        source = self.model.spec.source(number)
        exact = self.teacher.stack()[source].attention.parts()[0]
        old = self.model.stack()[number].attention
        return exchange_layer(old, tuple(specs), exact, self.data[source])

    def score(self, judge: Judge, round_: int, costs: dict[Head, int]) -> Scores:
        offers = [
            (at, kind, spec)
            for at, old in self.heads()
            for kind, new in self.ladder.items()
            if (spec := with_kind(old, new)) != old
        ]
        scores: Scores = {at: [] for at, _ in self.heads()}
        begin, done = time.monotonic(), 0
        for number, (at, kind, spec) in enumerate(offers):
            key = (round_, *at, kind)
            if key not in self.known:
                self.known[key] = self.measure(judge, at, kind, spec)
                line = {"round": round_, "layer": at[0], "head": at[1], **vars(self.known[key])}
                append_line(self.place, line)
                done += 1
                self.report(round_, number + 1, len(offers), (time.monotonic() - begin) / done)
            if self.known[key].macs > costs[at]:
                scores[at].append(self.known[key])
        return scores

    def measure(self, judge: Judge, at: Head, kind: str, spec: HeadSpec) -> Score:
        attention = self.exchanged(at, spec)
        drop = judge.loss() - judge.loss_with(at[0], attention)
        return Score(kind, drop, judge.macs(at[0], attention, at[1], self.shape))

    def report(self, round_: int, done: int, total: int, each: float) -> None:
        if self.quiet or (done % 10 and done < total):
            return
        left = int(each * (total - done))
        print(f"round {round_}  {done} of {total} scored  {left // 60}:{left % 60:02d} left", file=sys.stderr)

    def take(self, chosen: dict[Head, str]) -> None:
        layers = [list(layer) for layer in self.model.spec.layers]
        for (number, head), kind in chosen.items():
            layers[number][head] = with_kind(layers[number][head], self.ladder[kind])
        spec = replace(self.model.spec, layers=tuple(tuple(layer) for layer in layers))
        self.model = exchange(self.model, spec, self.teacher, self.data)

    def add_table(self, scores: Scores, chosen: dict[Head, str]) -> None:
        for at, old in self.heads():
            drops = {score.kind: f"{1e4 * score.drop:.2f}" for score in scores[at]}
            cells = [drops.get(kind, "") for kind in self.ladder]
            self.table.append([f"{at[0]}.{at[1]}", name_of(old), *cells, chosen.get(at, "")])

    @torch.no_grad()
    def run(self, budget: int) -> dict[str, Any]:
        """The model's new attention, and what it costs and gains before any training."""
        judge = Judge(self.model, self.texts)
        costs, before = self.costs(judge), judge.loss()
        start = sum(costs.values())
        if start > budget:
            raise TrainError(
                f"the budget of {budget} multiply-adds is below the {start} of the model that the "
                "search starts from; give more, or a cheaper --start"
            )
        for round_ in range(1, self.rounds + 1):
            share = start + (budget - start) * round_ // self.rounds
            scores = self.score(judge, round_, costs)
            chosen = choose(scores, costs, share)
            self.add_table(scores, chosen)
            self.take(chosen)
            judge = Judge(self.model, self.texts)
            costs = self.costs(judge)
        return {
            "length": self.length,
            "budget": budget,
            "exact_macs": self.exact_macs(),
            "start_macs": start,
            "macs": sum(costs.values()),
            "loss_before": before,
            "loss_after": judge.loss(),
            "heads": count_kinds(self.model.spec),
        }

    def head(self) -> list[str]:
        return ["head", "now", *self.ladder, "taken"]

    def text(self) -> str:
        """Drops of the loss in ten thousandths."""
        return simple_table(self.head(), self.table)


def count_kinds(spec: ModelSpec) -> dict[str, int]:
    names = [name_of(head) for layer in spec.layers for head in layer]
    return {name: names.count(name) for name in dict.fromkeys(names)}
