# SPDX-License-Identifier: MIT
"""Multiply-adds of attention, as Documentation/numerics.rst has the engine count them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from .spec import BAND, HeadSpec
from .tokens import Tokens

# The engine's degrees of interpolation and the strips of its bound.
DEGREES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 30, 40, 48, 60)
STRIPS = ((1.6, 5.75), (2.2, 8.82), (2.6, 14.96), (2.9, 33.2))
SOFTFOLD_BOUND = 1e-4  # of max |V|


def nodes_of(spread: float) -> int:
    """Nodes of a softfold head where range(p) range(q) is spread; 0: all pairs."""
    if spread == 0:
        return 1
    if not math.isfinite(spread):
        return 0
    rates = []
    for angle, factor in STRIPS:
        ratio = 2 * angle / spread
        rate = ratio + math.sqrt(ratio * ratio + 1)
        rates.append((rate, factor / (rate - 1)))
    for degree in DEGREES:
        if any(first / rate**degree <= SOFTFOLD_BOUND for rate, first in rates):
            return degree + 1
    return 0


def spreads(p: Tensor, q: Tensor, tokens: Tokens) -> Tensor:
    """range(p) range(q) of each sequence and head, for p and q of B, L, h."""

    def spread(x: Tensor) -> Tensor:
        high = x.masked_fill(~tokens.mask[..., None], float("-inf")).amax(1)
        return high - x.masked_fill(~tokens.mask[..., None], float("inf")).amin(1)

    return spread(p).double() * spread(q).double()


@dataclass(frozen=True)
class Shape:
    """Of a layer and the sequence that goes through it."""

    hidden: int
    head_size: int
    length: int

    def of_values(self, of_tokens: bool) -> int:
        """V of each token, and its part of the last product."""
        return 2 * self.length * self.hidden * self.head_size if of_tokens else 0

    def of_terms(self, terms: int) -> int:
        """Vectors of the terms, and the terms in each token's output."""
        return terms * self.hidden * (2 * self.head_size + self.length)

    def band(self) -> int:
        return self.head_size * sum(max(0, self.length - abs(o)) for o in range(-BAND, BAND + 1))

    def head(self, spec: HeadSpec, nodes: int = 0) -> int:
        """Of one head; nodes are what softfold needs, 0 for all pairs."""
        length, hidden, size = self.length, self.hidden, self.head_size
        direct = spec.mode == "softfold" and not nodes
        total = self.band() if spec.band else 0
        total += self.of_values(spec.band or direct or spec.mode in ("mhsa", "shift"))
        terms = 1 if spec.sinks else 0
        if spec.sinks:
            total += 2 * hidden
        if spec.mode == "mhsa":
            return total + self.of_terms(terms) + 2 * length * size * (hidden + length)
        total += 2 * length * hidden * spec.rank  # p and q
        if spec.mode == "shift":
            total += length * length
        elif direct:
            total += length * length * (size + 1)
        elif spec.mode == "softfold":
            terms += min(nodes, length)
            total += min(nodes, length) * length * hidden
        elif spec.mode == "fold":
            sums = spec.rank if spec.rank > 1 else max(1, spec.order)
            terms += sums + 1
            total += sums * length * hidden
        else:  # shifts and adds, but for the vectors
            return total + self.of_terms(terms) + (max(1, spec.order) + 1) * 2 * hidden * size
        return total + self.of_terms(terms)
