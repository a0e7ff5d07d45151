# SPDX-License-Identifier: MIT
"""Where the tokens of a batch lie.

States of a batch are rows, one a token. Padded, they are B, L, d and rows behind a text's end
mean nothing; that is what a GPU wants, which captures steps of few shapes. Packed, they are
T, d, those of all texts one after another: on a CPU padding would be most of the work.
Attention, which mixes a text's tokens, spreads what it needs to B, L.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Tokens:
    """Lengths of a batch of width tokens a text, in the forms that attention wants."""

    def __init__(self, lengths: Tensor, width: int, packed: bool = False) -> None:
        self.lengths = lengths
        self.mask = torch.arange(width, device=lengths.device)[None, :] < lengths[:, None]
        self.valid = self.mask[:, :, None].float()  # B, L, 1
        self.count = lengths.clamp_min(1).float()[:, None]  # B, 1
        self.places = self.mask.flatten().nonzero()[:, 0] if packed else None

    @property
    def real(self) -> Tensor:
        """1 for rows that are tokens, 0 for padding."""
        return self.valid if self.places is None else self.valid.new_ones(1)

    def pack(self, padded: Tensor) -> Tensor:
        """B, L, ... as rows."""
        return padded if self.places is None else padded.flatten(0, 1).index_select(0, self.places)

    def spread(self, rows: Tensor) -> Tensor:
        """Rows as B, L, ...; packed, padding becomes 0."""
        if self.places is None:
            return rows
        padded = rows.new_zeros(self.mask.numel(), *rows.shape[1:])
        return padded.index_copy(0, self.places, rows).unflatten(0, self.mask.shape)

    def first(self, rows: Tensor) -> Tensor:
        """The first row of each text."""
        if self.places is None:
            return rows[:, 0]
        return rows.index_select(0, self.lengths.cumsum(0) - self.lengths)
