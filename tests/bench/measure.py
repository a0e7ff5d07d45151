# SPDX-License-Identifier: MIT
"""Rounds in which all take turns, what comes of them, and whether outputs are the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Callable, Mapping, Sequence

from damftrain.turns import alternate as alternate

Times = dict[str, list[float]]  # ms, one of each round


class Mismatch(SystemExit):
    """Outputs differ: there is nothing to compare the times of."""


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Row:
    number: str
    what: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: Spread
    reach: float | None = None
    limit: float | None = None  # the ratio at the machine's measured limits
    note: str = ""
    spoiled: bool = False  # faster by being worse doesn't count

    @property
    def reached(self) -> bool | None:
        return None if self.reach is None else not self.spoiled and self.ratio.median >= self.reach

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached}


def best(times: Times, names: Sequence[str]) -> str:
    return min(names, key=lambda name: median(times[name]))


def fastest(contenders: Mapping[str, Callable[[], float]]) -> str:
    """Of several ways of one peer, by one measurement each."""
    return min(contenders, key=lambda name: contenders[name]())


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratio(times: Times, ours: str, peer: str) -> Spread:
    """How many times longer the peer took, round by round."""
    return spread([theirs / mine for theirs, mine in zip(times[peer], times[ours])])


def row(number: str, what: str, times: Times, ours: str, peers: Sequence[str], **more: Any) -> Row:
    peer = best(times, peers)
    figures = median(times[ours]), median(times[peer])
    return Row(number, what, *figures, peer, more.pop("unit", "ms"), ratio(times, ours, peer), **more)


def must_agree(what: str, ours: Any, theirs: Any, tolerance: float) -> float:
    """Arrays: the largest difference, relative to the largest number."""
    if ours.shape != theirs.shape:
        raise Mismatch(f"bench: {what}: shapes {ours.shape} and {theirs.shape}: not the same output")
    error = float(abs(ours - theirs).max() / abs(ours).max())
    if not error <= tolerance:
        raise Mismatch(
            f"bench: {what}: outputs differ by {error:.2g} of the largest number, {tolerance:g} is allowed"
        )
    return error


def must_align(what: str, ours: Any, theirs: Any, least: float) -> float:
    """Rows of length 1: the smallest cosine."""
    if ours.shape != theirs.shape:
        raise Mismatch(f"bench: {what}: shapes {ours.shape} and {theirs.shape}: not the same output")
    cosine = float((ours * theirs).sum(1).min())
    if not cosine >= least:
        raise Mismatch(f"bench: {what}: embeddings have a cosine of {cosine:.6f}, {least:g} is needed")
    return cosine


def ranks(values: Sequence[float]) -> list[float]:
    """Equal ones share their mean rank."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    out = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for i in order[first : last + 1]:
            out[i] = (first + last) / 2 + 1
        first = last + 1
    return out


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    a, b = ranks(x), ranks(y)
    mean = (len(a) + 1) / 2
    cross = sum((i - mean) * (j - mean) for i, j in zip(a, b))
    return float(cross / (sum((i - mean) ** 2 for i in a) * sum((j - mean) ** 2 for j in b)) ** 0.5)
