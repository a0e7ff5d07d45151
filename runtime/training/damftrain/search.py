# SPDX-License-Identifier: MIT
"""Which heads are worth a dearer kind of attention, within a budget of multiply-adds.

A kind's worth to a head is how much less the exact model's hidden states on held-out texts
change when that head alone has it, untrained, than when it has the kind of the model that the
search starts from. What is worth most for its multiply-adds is taken first. Heads are judged in
the exact model, since a student's W_V and W_O have learned to go with what its heads have.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import torch
from torch import Tensor

from .attention import Attention
from .convert import Calibration, make_student
from .distill import calibration, split_rows
from .errors import TrainError
from .exchange import exchange, exchange_layer, place_of, with_kind
from .macs import Shape, nodes_of, spreads
from .model import Encoder
from .results import append_line, read_lines
from .saving import save_json
from .spec import HeadSpec, ModelSpec, name_of, parse_kind
from .tabletext import simple_table
from .text import WIDTHS, Corpus

AT_ONCE = 64  # texts
NOW = "as now"  # what a head has already
Head = tuple[int, int]  # layer, head


@dataclass(frozen=True)
class Wish:
    """What to search: kinds of heads, and the multiply-adds that they may cost in all."""

    ladder: str = "square,square+band,mhsa"
    length: int = 128  # tokens that multiply-adds are counted at
    budget: float = 0.0
    fewer: float = 0.0  # than exact attention, in the place of a budget
    texts: int = 500
    held_out: int = 2000
    seed: int = 0

    def most(self, exact_macs: int) -> int:
        """Multiply-adds that may be spent."""
        return int(self.budget or exact_macs / self.fewer)


@dataclass(frozen=True)
class Score:
    """The loss when a head of the exact model has a kind, and what that head costs then."""

    kind: str
    loss: float
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
                    self.wanted.append(teacher(batch.ids, batch.tokens, batch.types))


class Judge:
    """The loss of a model, and of that model with one layer's attention exchanged."""

    def __init__(self, model: Encoder, texts: Texts) -> None:
        self.model, self.texts = model, texts
        depth = len(model.stack())
        self.sources = [model.spec.source(number) + 1 for number in range(depth)]
        self.norms = [self.squares([w[s] for w in texts.wanted]) for s in self.sources]
        self.states = [[model.embed(b.ids, b.tokens, b.types)] for b in texts.batches]
        self.losses = self.run(0, self.states)

    def squares(self, parts: list[Tensor]) -> float:
        masked = (part * self.texts.batches[at].tokens.real for at, part in enumerate(parts))
        return sum(float(part.square().sum(dtype=torch.float64)) for part in masked)

    def run(self, first: int, states: list[list[Tensor]]) -> list[float]:
        """The loss behind each layer from the first on, whose inputs are the last of states."""
        losses = []
        for number in range(first, len(self.sources)):
            layer, source = self.model.stack()[number], self.sources[number]
            for at, state in enumerate(states):
                state.append(layer(state[-1], self.texts.batches[at].tokens))
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
            tokens = self.texts.batches[at].tokens
            p, q = (part[:, :, place] for part in group.scores(state[number], tokens))
            found = spreads(p, q, tokens).flatten().tolist()
            costs += [shape.head(group.spec, nodes_of(spread)) for spread in found]
        return math.ceil(sum(costs) / len(costs))


def choose(scores: Scores, first: dict[Head, Score], budget: int) -> dict[Head, str]:
    """Greedily by loss per multiply-add, from what heads have at first, within the budget for all."""
    spent = sum(score.macs for score in first.values())
    chosen: dict[Head, str] = {}
    now = dict(first)
    while True:
        best: tuple[float, Head, Score] | None = None
        for head, offers in scores.items():
            for offer in offers:
                gain, extra = now[head].loss - offer.loss, offer.macs - now[head].macs
                if gain <= 0 or spent + extra > budget:
                    continue
                rate = gain / extra if extra > 0 else math.inf
                if best is None or rate > best[0]:
                    best = (rate, head, offer)
        if best is None:
            return chosen
        _, head, offer = best
        spent += offer.macs - now[head].macs
        now[head] = offer
        chosen[head] = offer.kind


@dataclass
class Search:
    """Scores all heads in the teacher, and exchanges some in the model."""

    teacher: Encoder
    model: Encoder
    data: list[Calibration]
    texts: Texts
    ladder: dict[str, HeadSpec]
    length: int
    place: Path  # of the scores that are known
    identity: dict[str, Any]
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

    def resume(self) -> dict[tuple[int, int, str], Score]:
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
            (line["layer"], line["head"], line["kind"]): Score(line["kind"], line["loss"], line["macs"])
            for line in lines
        }

    def exchanged(self, at: Head, spec: HeadSpec) -> Attention:
        """Of the teacher's layer, one head of which has the kind."""
        number, head = self.model.spec.source(at[0]), at[1]
        exact = self.teacher.stack()[number].attention
        specs = list(self.teacher.spec.layers[number])
        specs[head] = spec
        return exchange_layer(exact, tuple(specs), exact.parts()[0], self.data[number])

    def offers(self) -> list[tuple[Head, str, HeadSpec]]:
        """What each head has and may have, by name."""
        found = []
        for at, old in self.heads():
            kinds = {kind: with_kind(old, new) for kind, new in self.ladder.items()}
            found.append((at, NOW, old))
            found += [(at, kind, spec) for kind, spec in kinds.items() if spec != old]
        return found

    def score(self) -> Scores:
        judge, offers = Judge(self.teacher, self.texts), self.offers()
        scores: Scores = {at: [] for at, _ in self.heads()}
        begin, done = time.monotonic(), 0
        for number, (at, kind, spec) in enumerate(offers):
            key = (*at, kind)
            if key not in self.known:
                self.known[key] = self.measure(judge, at, kind, spec)
                append_line(self.place, {"layer": at[0], "head": at[1], **vars(self.known[key])})
                done += 1
                self.report(number + 1, len(offers), (time.monotonic() - begin) / done)
            scores[at].append(self.known[key])
        return scores

    def measure(self, judge: Judge, at: Head, kind: str, spec: HeadSpec) -> Score:
        number = self.model.spec.source(at[0])
        if spec == self.teacher.spec.layers[number][at[1]]:
            return Score(kind, 0.0, self.shape.head(spec))
        attention = self.exchanged(at, spec)
        loss = judge.loss_with(number, attention)
        return Score(kind, loss, judge.macs(number, attention, at[1], self.shape))

    def report(self, done: int, total: int, each: float) -> None:
        if self.quiet or (done % 10 and done < total):
            return
        left = int(each * (total - done))
        print(f"{done} of {total} scored  {left // 60}:{left % 60:02d} left", file=sys.stderr)

    def take(self, chosen: dict[Head, str]) -> None:
        layers = [list(layer) for layer in self.model.spec.layers]
        for (number, head), kind in chosen.items():
            layers[number][head] = with_kind(layers[number][head], self.ladder[kind])
        spec = replace(self.model.spec, layers=tuple(tuple(layer) for layer in layers))
        self.model = exchange(self.model, spec, self.teacher, self.data)

    def add_table(self, scores: Scores, chosen: dict[Head, str]) -> None:
        for at, old in self.heads():
            losses = {score.kind: f"{1e4 * score.loss:.1f}" for score in scores[at]}
            cells = [losses.get(kind, "") for kind in (NOW, *self.ladder)]
            self.table.append([f"{at[0]}.{at[1]}", name_of(old), *cells, chosen.get(at, "")])

    def afford(self, start: int, budget: int) -> None:
        if start > budget:
            raise TrainError(
                f"the budget of {budget} multiply-adds is below the {start} of the model that the "
                f"search starts from; give more (--fewer {self.exact_macs() / start:.1f} at most), or let it "
                "start from a cheaper one"
            )

    def run(self, budget: int) -> dict[str, Any]:
        """The model's new attention, and what it costs and gains before any training."""
        # Before the long part, by heads whose cost the data don't change.
        self.afford(sum(self.shape.head(s) for _, s in self.heads() if s.mode != "softfold"), budget)
        scores = self.score()
        first = {at: offers[0] for at, offers in scores.items()}
        start = sum(score.macs for score in first.values())
        self.afford(start, budget)
        before = Judge(self.model, self.texts).loss()
        chosen = choose(scores, first, budget)
        self.add_table(scores, chosen)
        self.take(chosen)
        costs = [
            next(score.macs for score in offers if score.kind == chosen.get(at, NOW))
            for at, offers in scores.items()
        ]
        return {
            "length": self.length,
            "budget": budget,
            "exact_macs": self.exact_macs(),
            "start_macs": start,
            "macs": sum(costs),
            "loss_before": before,
            "loss_after": Judge(self.model, self.texts).loss(),
            "heads": count_kinds(self.model.spec),
        }

    def head(self) -> list[str]:
        return ["head", "is", NOW, *self.ladder, "taken"]

    def text(self) -> str:
        """Losses in ten thousandths."""
        return simple_table(self.head(), self.table)


def count_kinds(spec: ModelSpec) -> dict[str, int]:
    names = [name_of(head) for layer in spec.layers for head in layer]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def read_spec(path: Path, teacher: Encoder) -> ModelSpec:
    """Attention that `search` chose."""
    try:
        spec = ModelSpec.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{path}: no attention of a model ({error}); `search` writes it to spec.json")
    heads = teacher.config.num_attention_heads
    if any(len(layer) != heads for layer in spec.layers):
        raise TrainError(f"{path}: layers have {heads} heads in this model, not {len(spec.layers[0])}")
    return replace(spec, int8=False, classes=teacher.spec.classes)


def first_kind(teacher: Encoder, kind: HeadSpec, data: list[Calibration]) -> Encoder:
    layers = tuple((kind,) * len(layer) for layer in teacher.spec.layers)
    return make_student(teacher, replace(teacher.spec, layers=layers), data)


@torch.no_grad()
def search_heads(
    teacher: Encoder, start: Encoder | None, corpus: Corpus, wish: Wish, output: Path,
    inputs: dict[str, str], quiet: bool = False,
) -> tuple[Search, dict[str, Any]]:  # fmt: skip
    """Searches from start, or the ladder's first kind everywhere; output gets spec.json."""
    if bool(wish.budget) == bool(wish.fewer):
        raise TrainError("--budget or --fewer says how many multiply-adds attention may cost")
    _, held = split_rows(len(corpus.lengths), wish.held_out, wish.seed)
    data, ladder = calibration(teacher, corpus, held), parse_ladder(wish.ladder)
    if start is None:
        start = first_kind(teacher, next(iter(ladder.values())), data)
    start.set_int8(False)
    start.spec = replace(start.spec, int8=False)
    texts = Texts(teacher, corpus, held[: wish.texts])
    # scores don't depend on the budget: the same serve another
    asked = {name: value for name, value in asdict(wish).items() if name not in ("budget", "fewer")}
    identity = {**asked, **inputs}
    search = Search(
        teacher, start, data, texts, ladder, wish.length, output / "scores.jsonl", identity, quiet
    )
    result = search.run(wish.most(search.exact_macs()))
    save_json(output / "spec.json", {**search.model.spec.to_json(), "search": result})
    return search, result
