# SPDX-License-Identifier: MIT
"""Rounding with straight-through gradients: powers of two, and int8."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 12  # exponents below the largest that are kept


def straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    """The value of rounded, to the bit, with the gradient of x."""
    return rounded.detach() + (x - x.detach())


def power_of_two(x: Tensor) -> Tensor:
    """The signed power of two that is nearest in the logarithm; 0 stays 0."""
    magnitude = x.detach().abs()
    tiny = torch.finfo(x.dtype).tiny
    exponent = torch.log2(magnitude.clamp_min(tiny)).round()
    rounded = torch.where(magnitude < tiny, 0.0, torch.sign(x) * torch.exp2(exponent))
    return straight_through(x, rounded)


def windowed_power_of_two(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Powers of two within WINDOW exponents of the largest along dim, and that one.

    Those below the window become 0, and so does their gradient.
    """
    rounded = power_of_two(x)
    largest = rounded.detach().abs().amax(dim, keepdim=True)
    kept = rounded.abs() >= largest * 2.0**-WINDOW
    return rounded * kept, largest


def int8_rows(x: Tensor) -> Tensor:
    """Each row (last dimension) in 255 steps of max |row| / 127."""
    scale = x.detach().abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
    return straight_through(x, torch.round(x.detach() / scale) * scale)
