# SPDX-License-Identifier: MIT
"""The integers of heads in powers of two, from Documentation/numerics.rst.

Exponents are those of the package's own rounding, so that what was trained with it is
held to what runs. Everything else is int64, as that page has it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from damftrain.rounding import WINDOW, power_of_two
from damftrain.spec import HeadSpec

NONE = -(10**6)  # the exponent of 0: below any window
Integers = dict[str, list[int]]


def exponents(x: Tensor) -> Tensor:
    """Of the nearest powers of two, in double, where a product of two floats is exact."""
    rounded = power_of_two(x.double()).abs()
    return torch.where(rounded > 0, torch.log2(rounded).round(), NONE).long()


def fixed(x: Tensor, bits: int) -> tuple[Tensor, int]:
    exponent = int(torch.frexp(x.abs().max())[1]) - 1 - (bits - 2)
    most = 2 ** (bits - 1) - 1
    return torch.round(x.double() * 2.0**-exponent).clamp(-most, most).long(), exponent


def signed_powers(sign: Tensor, exponent: Tensor) -> Tensor:
    kept = (exponent >= 0) & (sign != 0)
    return torch.where(kept, sign * 2 ** exponent.clamp(0, 62), 0)


def flat(**named: Tensor | int) -> Integers:
    return {k: v.flatten().tolist() if isinstance(v, Tensor) else [v] for k, v in named.items()}


def shift(p: Tensor, q: Tensor, v: Tensor) -> Integers:
    """D and N without what all queries have in common; 0 scores are uniform weights."""
    scores = p.double()[:, None] * q.double()[None]
    most = exponents(p.double().abs().max() * q.double().abs().max())
    a = signed_powers(scores.sign().long(), exponents(scores) - most + WINDOW)
    integers, exponent = fixed(v, 16)
    return flat(exponent=exponent, fixed=integers, sum=integers.sum(0), den=a.sum(1), num=a @ integers)


def sums(spec: HeadSpec, q: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """a, sigma, S and the exponent of X."""
    top = exponents(q.abs().max())
    columns = [torch.ones(len(q), dtype=torch.long)]
    for k in range(1, spec.order + 1):
        below = k * (exponents(q) - top)
        columns.append(signed_powers(q.sign().long() ** k, below + WINDOW))
    a = torch.stack(columns, 1)
    sigma = a.sum(0)
    sigma[0] = len(q) << WINDOW
    if spec.centred and spec.order == 1:
        sigma[1] = 0
    integers, exponent = fixed(x, 16)
    return a, sigma, a.T @ integers, exponent


def mix(spec: HeadSpec, p: Tensor, q: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """b, and by what each query's sum is shifted."""
    coefficients = torch.tensor(spec.coefficients)
    powers = torch.arange(spec.order + 1)
    top = exponents(p.abs().max())
    scored = bool((p != 0).any() and (q != 0).any())
    step = int(top + exponents(q.abs().max())) if spec.scale == "learned" and scored else 0
    gamma = exponents(coefficients) + powers * step
    gamma = gamma - gamma[coefficients != 0].max()
    below = exponents(p)[:, None] - top
    sign = coefficients.sign().long() * p.sign().long()[:, None] ** powers
    b = signed_powers(sign, WINDOW + gamma + powers * below) * (scored | (powers == 0))
    den = b @ sigma
    uniform = den < 1 << WINDOW
    b = torch.where(uniform[:, None], (powers == 0).long() << WINDOW, b)
    den = torch.where(uniform, len(p) << 2 * WINDOW, den)
    return b, exponents(den) - WINDOW


def foldshift(spec: HeadSpec, p: Tensor, q: Tensor, x: Tensor, z: Tensor) -> Integers:
    q = q - q.mean() if spec.centred else q
    a, sigma, s, exponent = sums(spec, q, x)
    b, right = mix(spec, p, q, sigma)
    integers, z_exponent = fixed(z, 31)
    half = (1 << right) >> 1
    out = (b @ integers + half[:, None]) >> right[:, None]
    named = flat(exponent=exponent, a=a, b=b, right=right, sigma=sigma, sums=s)
    return named | flat(zexponent=z_exponent, z=integers, out=out)
