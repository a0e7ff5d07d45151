# SPDX-License-Identifier: MIT
"""Attention of one layer, every head in its own mode.

Scores of a head are p_m q_n with p = X u, q = X v; u holds the scale. Sums over tokens
are of V, which is the folded form before the products with W_V and X change places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rounding import int8_rows, power_of_two, straight_through, windowed_power_of_two
from .spec import BAND, HeadSpec

CANCELLED = 2.0**-20  # of the terms' magnitudes: a smaller denominator is rounding


class Linear(nn.Linear):
    """A product that can be int8: weights by output channel, inputs by row."""

    int8 = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.int8:
            return F.linear(x, self.weight, self.bias)
        return F.linear(int8_rows(x), int8_rows(self.weight), self.bias)


class WeightLinear(Linear):
    """Where only the weights are int8, since what it is applied to are sums."""

    def forward(self, x: Tensor) -> Tensor:
        weight = int8_rows(self.weight) if self.int8 else self.weight
        return F.linear(x, weight, self.bias)


class Tokens:
    """Lengths of a padded batch, in the forms that attention wants."""

    def __init__(self, lengths: Tensor, width: int) -> None:
        self.lengths = lengths
        self.mask = torch.arange(width, device=lengths.device)[None, :] < lengths[:, None]
        self.valid = self.mask[:, :, None].float()  # B, L, 1
        self.count = lengths.clamp_min(1).float()[:, None]  # B, 1


def divide(numerator: Tensor, denominator: Tensor, magnitude: Tensor, mean: Tensor) -> Tensor:
    """The quotient, and the mean where the denominator is lost in rounding."""
    usable = denominator > CANCELLED * magnitude
    quotient = numerator / torch.where(usable, denominator, 1.0)[..., None]
    return torch.where(usable[..., None], quotient, mean)


def centre(q: Tensor, tokens: Tokens) -> Tensor:
    mean = (q * tokens.valid).sum(1, keepdim=True) / tokens.count[:, :, None]
    return q - mean


def factors(spec: HeadSpec) -> list[float]:
    return [spec.coefficients[0], *spec.coefficients[1:] * (spec.rank if spec.order == 1 else 1)]


def folded(
    spec: HeadSpec, factor: Tensor, p: Tensor, q: Tensor, v: Tensor, tokens: Tokens
) -> Tensor:
    """sum_k c_k (g p_m q_n)^k as weights. p, q: B, L, h, r; v: B, L, h, d_h, 0 in padding."""
    batch, length, heads, _ = q.shape
    valid = tokens.valid[..., None]
    if spec.centred:
        q = centre(q.flatten(2), tokens).unflatten(2, (heads, spec.rank))
    q = q * valid
    if spec.scale == "max":
        bound = (p * valid).abs().amax(1, keepdim=True) * q.abs().amax(1, keepdim=True)
        bound = bound.sum(-1, keepdim=True)
        p = p / torch.where(bound > 0, bound, 1.0)
    if spec.rank > 1:
        left = torch.cat([torch.ones_like(p[..., :1]), p], -1)
        right = torch.cat([valid.expand(batch, length, heads, 1), q], -1)
    else:
        powers = range(spec.order + 1)
        left = torch.cat([p**k for k in powers], -1)
        right = torch.cat([q**k * valid for k in powers], -1)
    left = left * factor
    sums = torch.einsum("blhk,blhd->bhkd", right, v)
    numerator = torch.einsum("blhk,bhkd->blhd", left, sums)
    mean = v.sum(1, keepdim=True) / tokens.count[:, :, None, None]
    if spec.order == 0 or (spec.centred and spec.order == 1):
        return numerator / (spec.coefficients[0] * tokens.count[:, :, None, None])
    totals = right.sum(1, keepdim=True)
    terms = left * totals
    return divide(numerator, terms.sum(-1), terms.abs().sum(-1), mean)


def fold_shift(spec: HeadSpec, p: Tensor, q: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
    """p, q, the bound and the denominator as powers of two; the denominator's sum is exact."""
    valid, count = tokens.valid, tokens.count[:, :, None]
    if spec.centred:
        q = centre(q, tokens)
    p, p_max = windowed_power_of_two(p * valid, 1)
    q, q_max = windowed_power_of_two(q * valid, 1)
    if spec.scale == "max":
        p = p / torch.where(p_max > 0, p_max, 1.0)
        q = q / torch.where(q_max > 0, q_max, 1.0)
    numerator: Tensor | float = 0.0
    total: Tensor | float = 0.0
    for k, factor in enumerate(spec.coefficients):
        weight = q**k * valid
        left = factor * p**k
        numerator = numerator + left[..., None] * (weight[..., None] * v).sum(1, keepdim=True)
        total = total + left * (weight.sum(1, keepdim=True) if k else count)
    mean = v.sum(1, keepdim=True) / count[..., None]
    assert isinstance(numerator, Tensor) and isinstance(total, Tensor)
    usable = total > 0
    rounded = power_of_two(torch.where(usable, total, 1.0))
    return torch.where(usable[..., None], numerator / rounded[..., None], mean)


def pairwise(weights: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bhmn,bnhd->bmhd", weights, v)


def score_shift(p: Tensor, q: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
    """Eq. 17: every score is a power of two, and so are the bound and the denominator."""
    valid = tokens.mask[:, None, None, :]
    scores = torch.einsum("bmh,bnh->bhmn", p * tokens.valid, q * tokens.valid)
    flat, largest = windowed_power_of_two(scores.flatten(2), 2)
    scores, largest = flat.unflatten(2, scores.shape[2:]), largest[..., None]
    weights = (largest + scores) * valid
    total = weights.sum(-1, keepdim=True)
    usable = total > 0
    rounded = power_of_two(torch.where(usable, total, 1.0))
    uniform = valid / tokens.count[:, :, None, None]
    return pairwise(torch.where(usable, weights / rounded, uniform), v)


def soft_direct(p: Tensor, q: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
    """Softmax of rank-1 scores, all pairs."""
    scores = torch.einsum("bmh,bnh->bhmn", p, q)
    scores = scores.masked_fill(~tokens.mask[:, None, None, :], float("-inf"))
    return pairwise(torch.softmax(scores, -1), v)


def soft_nodes(p: Tensor, q: Tensor, v: Tensor, tokens: Tokens, nodes: int) -> Tensor:
    """The same in O(L): a curve in the one scalar p_m, interpolated from Chebyshev nodes."""
    mask = tokens.mask[:, :, None]
    low = p.masked_fill(~mask, float("inf")).amin(1, keepdim=True)
    high = p.masked_fill(~mask, float("-inf")).amax(1, keepdim=True)
    angle = (torch.arange(nodes, device=p.device, dtype=p.dtype) + 0.5) * (torch.pi / nodes)
    unit = torch.cos(angle)
    factor = torch.sin(angle) * torch.where(torch.arange(nodes, device=p.device) % 2 == 0, 1.0, -1.0)
    at = (low + high)[..., None] / 2 + (high - low)[..., None] / 2 * unit  # B, 1, h, G
    scores = at * q[..., None]
    scores = scores.masked_fill(~mask[..., None], float("-inf"))
    values = torch.einsum("blhg,blhd->bhgd", torch.softmax(scores, 1), v)
    gap = p[..., None] - at
    exact = gap == 0
    weights = factor / torch.where(exact, 1.0, gap)
    weights = torch.where(exact.any(-1, keepdim=True), exact.to(p.dtype), weights)
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("blhg,bhgd->blhd", weights, values)


class Group(nn.Module):
    """The heads of a layer that are alike."""

    def __init__(self, spec: HeadSpec, heads: list[int], hidden: int, head_size: int) -> None:
        super().__init__()
        self.spec, self.heads, self.head_size = spec, heads, head_size
        self.nodes = 0  # of softfold; 0: all pairs
        self.register_buffer("index", torch.tensor(heads), persistent=False)
        self.register_buffer("factor", torch.tensor(factors(spec)), persistent=False)
        count = len(heads)
        if spec.mode == "mhsa":
            self.query = Linear(hidden, count * head_size)
            self.key = Linear(hidden, count * head_size)
        elif spec.order > 0:
            self.pq = Linear(hidden, 2 * count * spec.rank)
        if spec.band:
            self.band = nn.Parameter(torch.zeros(count, 2 * BAND + 1))
        if spec.sinks:
            self.sinks = nn.Parameter(torch.zeros(count, 2))

    def forward(self, x: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
        """v: B, L, h, d_h, 0 in padding."""
        out = self.exact(x, v, tokens) if self.spec.mode == "mhsa" else self.weighted(x, v, tokens)
        if self.spec.band:
            near = F.pad(v, (0, 0, 0, 0, BAND, BAND)).unfold(1, 2 * BAND + 1, 1)
            out = out + torch.einsum("blhdo,ho->blhd", near, self.band)
        if self.spec.sinks:
            last = (tokens.lengths - 1).clamp_min(0).long()[:, None, None, None]
            ends = torch.stack([v[:, 0], v.gather(1, last.expand_as(v[:, :1]))[:, 0]], -1)
            out = out + torch.einsum("bhde,he->bhd", ends, self.sinks)[:, None]
        return out

    def exact(self, x: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
        shape = (len(self.heads), self.head_size)
        q = self.query(x).unflatten(2, shape).transpose(1, 2)
        k = self.key(x).unflatten(2, shape).transpose(1, 2)
        out = F.scaled_dot_product_attention(
            q, k, v.transpose(1, 2), attn_mask=tokens.mask[:, None, None, :]
        )
        return out.transpose(1, 2)

    def weighted(self, x: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
        spec = self.spec
        if spec.order == 0:
            none = x.new_zeros(x.shape[0], x.shape[1], len(self.heads), 1)
            return folded(spec, self.factor, none, none, v, tokens)
        p, q = self.pq(x).unflatten(2, (2, len(self.heads), spec.rank)).unbind(2)
        if spec.mode == "fold":
            return folded(spec, self.factor, p, q, v, tokens)
        p, q = p[..., 0], q[..., 0]
        if spec.mode == "foldshift":
            return fold_shift(spec, p, q, v, tokens)
        if spec.mode == "shift":
            return score_shift(p, q, v, tokens)
        if self.nodes:
            return soft_nodes(p, q, v, tokens, self.nodes)
        return soft_direct(p, q, v, tokens)


def alike(specs: tuple[HeadSpec, ...]) -> dict[HeadSpec, list[int]]:
    groups: dict[HeadSpec, list[int]] = {}
    for head, spec in enumerate(specs):
        groups.setdefault(spec, []).append(head)
    return groups


class Attention(nn.Module):
    """W_V, the heads, W_O."""

    def __init__(self, specs: tuple[HeadSpec, ...], hidden: int) -> None:
        super().__init__()
        self.head_size = hidden // len(specs)
        self.heads = len(specs)
        self.value = WeightLinear(hidden, hidden)
        self.output = WeightLinear(hidden, hidden)
        groups = alike(specs)
        self.groups = nn.ModuleList(
            Group(spec, heads, hidden, self.head_size) for spec, heads in groups.items()
        )
        order = [head for heads in groups.values() for head in heads]
        places = torch.tensor([order.index(head) for head in range(self.heads)])
        self.register_buffer("places", places, persistent=False)
        self.single = len(groups) == 1

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        v = self.value(x).unflatten(2, (self.heads, self.head_size)) * tokens.valid[..., None]
        if self.single:
            return self.output(self.groups[0](x, v, tokens).flatten(2))
        parts = [group(x, v.index_select(2, group.index), tokens) for group in self.groups]
        return self.output(torch.cat(parts, 2).index_select(2, self.places).flatten(2))
