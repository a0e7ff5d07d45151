# SPDX-License-Identifier: MIT
"""Attention of one layer, every head in its own mode.

Scores of a head are p_m q_n with p = X u, q = X v; u holds the scale. Sums over tokens
are of V, which is the folded form before the products with W_V and X change places.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rounding import int8_rows, power_of_two, windowed_power_of_two
from .spec import BAND, HeadSpec
from .tokens import Tokens

CANCELLED = 2.0**-20  # of the terms' magnitudes: a smaller denominator is rounding


class Linear(nn.Linear):
    """A product that can be int8: weights by output channel, inputs by row.

    In bf16 both factors and the result are rounded, and so are gradients; weights stay f32.
    """

    int8 = False
    bf16 = False  # while training alone, where the processor is faster in it

    def forward(self, x: Tensor) -> Tensor:
        if self.int8:
            return F.linear(int8_rows(x), int8_rows(self.weight), self.bias)
        if self.bf16:
            return F.linear(x.bfloat16(), self.weight.bfloat16(), self.bias.bfloat16()).float()
        return F.linear(x, self.weight, self.bias)


def set_bf16(model: nn.Module, on: bool) -> None:
    for module in model.modules():
        if isinstance(module, Linear):
            module.bf16 = on


def centre(q: Tensor, tokens: Tokens) -> Tensor:
    mean = (q * tokens.valid[..., None]).sum(1, keepdim=True) / tokens.count[:, :, None, None]
    return q - mean


def factors(spec: HeadSpec) -> list[float]:
    return [spec.coefficients[0], *spec.coefficients[1:] * (spec.rank if spec.order == 1 else 1)]


def shares(left: Tensor, usable: Tensor, denominator: Tensor, count: Tensor) -> Tensor:
    """What a query takes of each sum; of the first, by count, where the denominator is lost."""
    quotient = left / torch.where(usable, denominator, 1.0)[..., None]
    uniform = F.pad((1 / count)[:, :, None, None], (0, left.shape[-1] - 1))
    return torch.where(usable[..., None], quotient, uniform)


def fold_terms(spec: HeadSpec, factor: Tensor, p: Tensor, q: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """sum_k c_k (g p_m q_n)^k as weights, for p and q of B, L, h, r.

    Returned are shares of queries and coefficients of tokens, both B, L, h, terms.
    """
    valid = tokens.valid[..., None].expand_as(q[..., :1])
    q = (centre(q, tokens) if spec.centred else q) * valid
    if spec.scale == "max":
        bound = (p * valid).abs().amax(1, keepdim=True) * q.abs().amax(1, keepdim=True)
        bound = bound.sum(-1, keepdim=True)
        p = p / torch.where(bound > 0, bound, 1.0)
    if spec.rank > 1:
        left, right = torch.cat([torch.ones_like(p[..., :1]), p], -1), torch.cat([valid, q], -1)
    else:
        powers = range(spec.order + 1)
        left = torch.cat([p**k for k in powers], -1)
        right = torch.cat([q**k * valid for k in powers], -1)
    left = left * factor
    if spec.order == 0 or (spec.centred and spec.order == 1):
        return left / (spec.coefficients[0] * tokens.count[:, :, None, None]), right
    terms = left * right.sum(1, keepdim=True)
    total = terms.sum(-1)
    return shares(left, total > CANCELLED * terms.abs().sum(-1), total, tokens.count), right


def shift_terms(
    spec: HeadSpec, factor: Tensor, p: Tensor, q: Tensor, tokens: Tokens
) -> tuple[Tensor, Tensor]:
    """The same of powers of two: p, q, the bound, and the denominator, whose sum is exact.

    The number of tokens is one as well where it is the denominator.
    """
    valid = tokens.valid[..., None]
    q = centre(q, tokens) if spec.centred else q
    p, p_max = windowed_power_of_two(p * valid, 1)
    q, q_max = windowed_power_of_two(q * valid, 1)
    if spec.scale == "max":
        p = p / torch.where(p_max > 0, p_max, 1.0)
        q = q / torch.where(q_max > 0, q_max, 1.0)
    powers = range(spec.order + 1)
    left = torch.cat([p**k for k in powers], -1) * factor
    right = torch.cat([q**k * valid for k in powers], -1)
    total = (left * right.sum(1, keepdim=True)).sum(-1)
    usable = total > 0
    rounded = power_of_two(torch.where(usable, total, 1.0))
    return shares(left, usable, rounded, power_of_two(tokens.count)), right


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
    uniform = valid / power_of_two(tokens.count)[:, :, None, None]
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
    gap = torch.where(mask, p, low)[..., None] - at  # padding must not become not-a-number
    exact = gap == 0
    weights = factor / torch.where(exact, 1.0, gap)
    weights = torch.where(exact.any(-1, keepdim=True), exact.to(p.dtype), weights)
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("blhg,bhgd->blhd", weights, values)


class Group(nn.Module):
    """The heads of a layer that are alike."""

    index: Tensor
    factor: Tensor

    def __init__(self, spec: HeadSpec, heads: list[int], hidden: int, head_size: int) -> None:
        super().__init__()
        self.spec, self.heads, self.head_size = spec, heads, head_size
        self.nodes = 0  # of softfold; 0: all pairs
        self.register_buffer("index", torch.tensor(heads), persistent=False)
        self.register_buffer("factor", torch.tensor(factors(spec)), persistent=False)
        self.total = hidden // head_size  # heads of the layer
        count = len(heads)
        if spec.mode == "mhsa":
            self.query = Linear(hidden, count * head_size)
            self.key = Linear(hidden, count * head_size)
        elif spec.order > 0:
            self.pq = nn.Linear(hidden, 2 * count * spec.rank)  # f32 in all models
        if spec.band:
            self.band = nn.Parameter(torch.zeros(count, 2 * BAND + 1))
        if spec.sinks:
            self.sinks = nn.Parameter(torch.zeros(count, 2))

    def has_terms(self) -> bool:
        return self.spec.mode in ("fold", "foldshift")

    def of_tokens(self) -> bool:
        """Whether each token has an output of its own, for which V of each is needed."""
        return self.spec.band or not self.has_terms()

    def scores(self, x: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """p and q of B, L, h, r."""
        if self.spec.order == 0:
            none = x.new_zeros(*tokens.mask.shape, len(self.heads), 1)
            return none, none
        p, q = tokens.spread(self.pq(x)).unflatten(2, (2, len(self.heads), self.spec.rank)).unbind(2)
        return p, q

    def terms(self, x: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Shares and coefficients; the sinks are one more term, of share 1."""
        make = fold_terms if self.spec.mode == "fold" else shift_terms
        share, coefficient = make(self.spec, self.factor, *self.scores(x, tokens), tokens)
        if not self.spec.sinks:
            return share, coefficient
        at = torch.arange(tokens.mask.shape[1], device=x.device)
        first = (at[None] == 0) & tokens.mask
        last = (at[None] == tokens.lengths[:, None] - 1) & tokens.mask
        ends = torch.stack([first, last], -1).to(x.dtype)
        sinks = torch.einsum("ble,he->blh", ends, self.sinks)[..., None]
        return torch.cat([share, torch.ones_like(share[..., :1])], -1), torch.cat([coefficient, sinks], -1)

    def outputs(self, x: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
        """What each token gets that isn't in terms. v: B, L, h, d_h, 0 in padding."""
        spec = self.spec
        if self.has_terms():
            out = torch.zeros_like(v)
        elif spec.mode == "mhsa":
            out = self.exact(x, v, tokens)
        else:
            p, q = (part[..., 0] for part in self.scores(x, tokens))
            if spec.mode == "shift":
                out = score_shift(p, q, v, tokens)
            elif self.nodes:
                out = soft_nodes(p, q, v, tokens, self.nodes)
            else:
                out = soft_direct(p, q, v, tokens)
        if spec.band:
            near = F.pad(v, (0, 0, 0, 0, BAND, BAND)).unfold(1, 2 * BAND + 1, 1)
            out = out + torch.einsum("blhdo,ho->blhd", near, self.band)
        if spec.sinks and not self.has_terms():
            last = (tokens.lengths - 1).clamp_min(0).long()[:, None, None, None]
            ends = torch.stack([v[:, 0], v.gather(1, last.expand_as(v[:, :1]))[:, 0]], -1)
            out = out + torch.einsum("bhde,he->bhd", ends, self.sinks)[:, None]
        return out

    def forward(self, x: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
        """In floats, where it doesn't matter whether W_V comes before or after the sums."""
        out = self.outputs(x, v, tokens) if self.of_tokens() else None
        if not self.has_terms():
            assert out is not None
            return out
        share, coefficient = self.terms(x, tokens)
        sums = torch.einsum("blhk,blhd->bhkd", coefficient, v)
        terms = torch.einsum("blhk,bhkd->blhd", share, sums)
        return terms if out is None else terms + out

    def exact(self, x: Tensor, v: Tensor, tokens: Tokens) -> Tensor:
        shape = (len(self.heads), self.head_size)
        q = tokens.spread(self.query(x)).unflatten(2, shape).transpose(1, 2)
        k = tokens.spread(self.key(x)).unflatten(2, shape).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), attn_mask=tokens.mask[:, None, None, :])
        return out.transpose(1, 2)


def alike(specs: tuple[HeadSpec, ...]) -> dict[HeadSpec, list[int]]:
    groups: dict[HeadSpec, list[int]] = {}
    for head, spec in enumerate(specs):
        groups.setdefault(spec, []).append(head)
    return groups


class Attention(nn.Module):
    """W_V, the heads, W_O."""

    places: Tensor

    def __init__(self, specs: tuple[HeadSpec, ...], hidden: int) -> None:
        super().__init__()
        self.head_size = hidden // len(specs)
        self.heads = len(specs)
        self.value = Linear(hidden, hidden)
        self.output = Linear(hidden, hidden)
        groups = alike(specs)
        self.groups = nn.ModuleList(
            Group(spec, heads, hidden, self.head_size) for spec, heads in groups.items()
        )
        order = [head for heads in groups.values() for head in heads]
        places = torch.tensor([order.index(head) for head in range(self.heads)])
        self.register_buffer("places", places, persistent=False)
        self.single = len(groups) == 1

    def parts(self) -> list[Group]:
        return cast("list[Group]", list(self.groups))

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        if self.value.int8:
            return self.forward_int8(x, tokens)
        v = tokens.spread(self.value(x)).unflatten(2, (self.heads, self.head_size))
        v = v * tokens.valid[..., None]
        if self.single:
            return self.output(tokens.pack(self.groups[0](x, v, tokens).flatten(2)))
        parts = [group(x, v.index_select(2, group.index), tokens) for group in self.parts()]
        o = torch.cat(parts, 2).index_select(2, self.places).flatten(2)
        return self.output(tokens.pack(o))

    def forward_int8(self, x: Tensor, tokens: Tokens) -> Tensor:
        """As it is run: rows that meet int8 weights are sums over tokens, and int8 too."""
        w_v = int8_rows(self.value.weight).view(self.heads, self.head_size, -1)
        b_v = self.value.bias.view(self.heads, self.head_size)
        w_o = int8_rows(self.output.weight).view(-1, self.heads, self.head_size)
        result: Tensor = self.output.bias
        spread = tokens.spread(x)
        rows = int8_rows(spread)
        outputs, used = [], []
        for group in self.parts():
            ours, bias = w_v.index_select(0, group.index), b_v.index_select(0, group.index)
            theirs = w_o.index_select(1, group.index)
            if group.has_terms():
                share, coefficient = group.terms(x, tokens)
                sums = int8_rows(torch.einsum("blhk,bld->bhkd", coefficient, spread))
                values = torch.einsum("bhkd,hed->bhke", sums, ours)
                values = values + torch.einsum("blhk,he->bhke", coefficient, bias)
                z = torch.einsum("bhke,ohe->bhko", int8_rows(values), theirs)
                result = result + torch.einsum("blhk,bhko->blo", share, z)
            if group.of_tokens():
                v = torch.einsum("bld,hed->blhe", rows, ours) + bias
                outputs.append(group.outputs(x, v * tokens.valid[..., None], tokens))
                used.append(theirs)
        if outputs:
            o = int8_rows(torch.cat(outputs, 2).flatten(2))
            result = result + F.linear(o, torch.cat(used, 1).flatten(1))
        return tokens.pack(result)
