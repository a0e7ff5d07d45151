# SPDX-License-Identifier: MIT
"""A student from its teacher: u and v fitted to the scores that occur.

The scores of a head are [x, 1] A (y, 1)' for tokens x and y. What is constant over y the
softmax doesn't see. With the second moment G of [x, 1] and the covariance C of y, the
singular vectors of G^(1/2) A C^(1/2) give the best low-rank scores on such tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .attention import Group, Tokens
from .model import Encoder
from .spec import BAND, HeadSpec, ModelSpec

RIDGE = 1e-4  # of the mean eigenvalue, for directions that hardly occur


@dataclass
class Calibration:
    """What a layer's inputs and weights are like over some text."""

    moment: Tensor  # d+1, d+1: of [x, 1]
    covariance: Tensor  # d, d
    mean: Tensor  # d
    offsets: Tensor  # heads, 2 BAND + 1: the mean weight on neighbours


def roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of a symmetric matrix and that root's inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp_min(RIDGE * values.mean())
    root = values.sqrt()
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


def exact_weights(group: Group, x: Tensor, tokens: Tokens) -> Tensor:
    shape = (len(group.heads), group.head_size)
    q = group.query(x).unflatten(2, shape)
    k = group.key(x).unflatten(2, shape)
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
def calibrate(teacher: Encoder, ids: Tensor, lengths: Tensor) -> list[Calibration]:
    states = teacher(ids, lengths)
    tokens = Tokens(lengths, ids.shape[1])
    result = []
    for layer, state in zip(teacher.stack(), states):
        group = layer.attention.parts()[0]
        offsets = neighbours(exact_weights(group, state, tokens), tokens)
        x = state[tokens.mask].double()
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
    g_root, g_inverse = roots(data.moment)
    c_root, c_inverse = roots(data.covariance)
    a, s, b = thin_svd(g_root @ query, c_root @ key)
    share = s[:rank].sqrt()
    u = g_inverse @ a[:, :rank] * share / math.sqrt(group.head_size)
    v = c_inverse @ b[:, :rank] * share
    return u, torch.cat([v, -(data.mean @ v)[None]]), s


def student_spec(teacher: Encoder, head: HeadSpec, bands: int, data: list[Calibration]) -> ModelSpec:
    """head everywhere, the bands on those heads that look most at their neighbours."""
    layers = []
    for calibration in data:
        local = calibration.offsets.sum(-1)
        best = set(local.topk(bands).indices.tolist()) if bands else set()
        heads = range(len(local))
        layers.append(tuple(replace(head, band=h in best) for h in heads))
    return ModelSpec(tuple(layers), False, teacher.spec.classes)


def fill_scores(group: Group, teacher_group: Group, data: Calibration) -> None:
    spec = group.spec
    hidden, count = group.pq.in_features, len(group.heads)
    weight = torch.zeros(2, count, spec.rank, hidden + 1, dtype=torch.float64)
    # e^x is (1 + x/K)^K in the variants whose coefficients are binomial.
    slope = spec.coefficients[1] / spec.coefficients[0] if spec.mode == "fold" else 1.0
    for place, head in enumerate(group.heads):
        u, v, _ = fit(teacher_group, head, data, spec.rank)
        weight[0, place], weight[1, place] = u.T / slope, v.T
    flat = weight.flatten(0, 2).float()
    group.pq.weight.copy_(flat[:, :hidden])
    group.pq.bias.copy_(flat[:, hidden])


@torch.no_grad()
def make_student(teacher: Encoder, spec: ModelSpec, data: list[Calibration]) -> Encoder:
    """A model with the teacher's weights and the attention of spec."""
    student = Encoder(teacher.config, spec).to(teacher.words.weight.device)
    ours, theirs = student.state_dict(), teacher.state_dict()
    student.load_state_dict({k: theirs.get(k, v) for k, v in ours.items()})
    for layer, source, calibration in zip(student.stack(), teacher.stack(), data):
        exact = source.attention.parts()[0]
        for group in layer.attention.parts():
            if group.spec.mode == "mhsa":
                for name in ("query", "key"):
                    for kind in ("weight", "bias"):
                        whole = getattr(getattr(exact, name), kind)
                        part = whole.unflatten(0, (-1, group.head_size))[group.index].flatten(0, 1)
                        getattr(getattr(group, name), kind).copy_(part)
            elif group.spec.order > 0:
                fill_scores(group, exact, calibration)
            if group.spec.band:
                group.band.copy_(calibration.offsets[group.heads])
    return student
