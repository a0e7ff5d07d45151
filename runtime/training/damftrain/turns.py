# SPDX-License-Identifier: MIT
"""Measurements that take turns, so that what changes with time changes for all."""

from __future__ import annotations

from typing import Callable, Mapping, TypeVar

T = TypeVar("T")


def alternate(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """One measurement of each a round; who begins changes from round to round."""
    names = list(contenders)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(contenders[name]())
    return found
