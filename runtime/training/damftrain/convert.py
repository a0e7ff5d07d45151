# SPDX-License-Identifier: MIT
"""A student from its teacher: u and v fitted to the scores that occur.

The scores of a head are [x, 1] A (y, 1)' for tokens x and y. What is constant over y the
softmax doesn't see. With the second moment G of [x, 1] and the covariance C of y, the
singular vectors of G^(1/2) A C^(1/2) give the best low-rank scores on such tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from .attention import Group
from .errors import TrainError
from .model import Encoder
from .spec import BAND, HeadSpec, ModelSpec, Variant
from .text import Batch
from .tokens import Tokens

RIDGE = 1e-4  # of the mean eigenvalue, for directions that hardly occur


@dataclass
class Calibration:
    """What a layer's inputs and weights are like over some text."""

    moment: Tensor  # d+1, d+1: of [x, 1]
    covariance: Tensor  # d, d
    mean: Tensor  # d
    offsets: Tensor  # heads, 2 BAND + 1: the mean weight on neighbours

    @cached_property
    def moment_roots(self) -> tuple[Tensor, Tensor]:
        return roots(self.moment)

    @cached_property
    def covariance_roots(self) -> tuple[Tensor, Tensor]:
        return roots(self.covariance)


def roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of a symmetric matrix and that root's inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp_min(RIDGE * values.mean())
    root = values.sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


def exact_weights(group: Group, x: Tensor, tokens: Tokens) -> Tensor:
    shape = (len(group.heads), group.head_size)
    q = tokens.spread(group.query(x)).unflatten(2, shape)
    k = tokens.spread(group.key(x)).unflatten(2, shape)
    scores = torch.einsum("bmhd,bnhd->bhmn", q, k) / math.sqrt(group.head_size)
    return torch.softmax(scores.masked_fill(~tokens.mask[:, None, None], float("-inf")), -1)


def neighbours(weights: Tensor, tokens: Tokens) -> Tensor:
    """Mean weight a head by offset, over the queries that have such a neighbour."""
    length = weights.shape[-1]
    found = []
    for offset in range(-BAND, BAND + 1):
        diagonal = weights.diagonal(offset, -2, -1)
        first = tokens.mask[:, max(0, -offset) : length - max(0, offset)]
        both = first & tokens.mask[:, max(0, offset) : length - max(0, -offset)]
        found.append((diagonal * both[:, None]).sum((0, 2)) / both.sum().clamp_min(1))
    return torch.stack(found, -1)


@torch.no_grad()
def calibrate(teacher: Encoder, batch: Batch) -> list[Calibration]:
    tokens = batch.tokens
    states = teacher(batch.ids, tokens, batch.types)
    result = []
    for layer, state in zip(teacher.stack(), states):
        group = layer.attention.parts()[0]
        offsets = neighbours(exact_weights(group, state, tokens), tokens)
        x = tokens.spread(state)[tokens.mask].double()
        mean = x.mean(0)
        ones = torch.cat([x, x.new_ones(len(x), 1)], 1)
        covariance = (x - mean).T @ (x - mean) / len(x)
        result.append(Calibration(ones.T @ ones / len(x), covariance, mean, offsets))
    return result


def head_matrices(group: Group, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """W_Q with its bias as one more row, W_K, b_K, of one head in float64."""
    rows = slice(head * group.head_size, (head + 1) * group.head_size)
    query = torch.cat([group.query.weight[rows].T, group.query.bias[rows][None]]).double()
    return query, group.key.weight[rows].T.double(), group.key.bias[rows].double()


def thin_svd(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The SVD of left right' by the small matrix between two thin QRs."""
    q1, r1 = torch.linalg.qr(left)
    q2, r2 = torch.linalg.qr(right)
    a, s, bt = torch.linalg.svd(r1 @ r2.T)
    return q1 @ a, s, q2 @ bt.T


def fit(group: Group, head: int, data: Calibration, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """U (d+1, r), V (d+1, r) with scores [x,1] U V' [y,1]', and singular values."""
    query, key, _ = head_matrices(group, head)
    g_root, g_inverse = data.moment_roots
    c_root, c_inverse = data.covariance_roots
    a, s, b = thin_svd(g_root @ query, c_root @ key)
    share = s[:rank].sqrt()
    u = g_inverse @ a[:, :rank] * share / math.sqrt(group.head_size)
    v = c_inverse @ b[:, :rank] * share
    return u, torch.cat([v, -(data.mean @ v)[None]]), s


def kept_layers(layers: int, kept: int) -> tuple[int, ...]:
    """Which of the teacher's layers a student with fewer has, evenly spaced."""
    return tuple(round((number + 0.5) * layers / kept - 0.5) for number in range(kept))


def student_spec(teacher: Encoder, variant: Variant, data: list[Calibration]) -> ModelSpec:
    """The variant's head everywhere, its bands on the heads that look most at their neighbours."""
    layers, total = [], len(data)
    if variant.layers > total:
        raise TrainError(f"{variant.layers} layers are to be kept of {total}")
    kept = kept_layers(total, variant.layers) if variant.layers else ()
    for number in kept or range(total):
        local = data[number].offsets.sum(-1)
        if variant.bands > len(local):
            raise TrainError(f"{variant.bands} bands a layer: a layer has {len(local)} heads")
        best = set(local.topk(variant.bands).indices.tolist()) if variant.bands else set()
        layers.append(tuple(replace(variant.head, band=h in best) for h in range(len(local))))
    return ModelSpec(tuple(layers), False, teacher.spec.classes, kept)


def fitted(spec: HeadSpec, exact: Group, head: int, data: Calibration) -> Tensor:
    """u and v of a head of this kind with their biases: 2, rank, d+1."""
    # e^x is (1 + x/K)^K in the variants whose coefficients are binomial.
    slope = spec.coefficients[1] / spec.coefficients[0] if spec.mode == "fold" else 1.0
    u, v, _ = fit(exact, head, data, spec.rank)
    return torch.stack([u.T / slope, v.T]).float()


def fill_scores(group: Group, teacher_group: Group, data: Calibration) -> None:
    each = [fitted(group.spec, teacher_group, head, data) for head in group.heads]
    flat = torch.stack(each, 1).flatten(0, 2)
    group.pq.weight.copy_(flat[:, :-1])
    group.pq.bias.copy_(flat[:, -1])


def teacher_state(teacher: Encoder, kept: tuple[int, ...]) -> dict[str, Tensor]:
    """The teacher's weights under the names of a student that has some of its layers."""
    state = teacher.state_dict()
    if not kept:
        return state
    result = {name: part for name, part in state.items() if not name.startswith("layers.")}
    for number, source in enumerate(kept):
        stem = f"layers.{source}."
        for name, part in state.items():
            if name.startswith(stem):
                result[f"layers.{number}.{name.removeprefix(stem)}"] = part
    return result


@torch.no_grad()
def make_student(teacher: Encoder, spec: ModelSpec, data: list[Calibration]) -> Encoder:
    """A model with the teacher's weights and the attention of spec."""
    config = replace(teacher.config, num_hidden_layers=len(spec.layers))
    student = Encoder(config, spec).to(teacher.words.weight.device)
    ours, theirs = student.state_dict(), teacher_state(teacher, spec.kept)
    unlike = {k for k, v in ours.items() if k in theirs and theirs[k].shape != v.shape}
    student.load_state_dict({k: v if k in unlike else theirs.get(k, v) for k, v in ours.items()})
    for number, layer in enumerate(student.stack()):
        source = spec.source(number)
        exact = teacher.stack()[source].attention.parts()[0]
        for group in layer.attention.parts():
            if group.spec.mode == "mhsa":
                for name in ("query", "key"):
                    for kind in ("weight", "bias"):
                        whole = getattr(getattr(exact, name), kind)
                        part = whole.unflatten(0, (-1, group.head_size))[group.index].flatten(0, 1)
                        getattr(getattr(group, name), kind).copy_(part)
            elif group.spec.order > 0:
                fill_scores(group, exact, data[source])
            if group.spec.band:
                group.band.copy_(data[source].offsets[group.heads])
    return student
