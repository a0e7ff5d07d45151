# SPDX-License-Identifier: MIT
"""Sentences for the peers: tokenized, sorted by length, in batches of 32 with little padding."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

BATCH = 32
Embed = Callable[[np.ndarray, np.ndarray], np.ndarray]  # ids and mask, [texts][tokens]


def open_tokenizer(model: str) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    return tokenizer


def read_lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as f:
        return f.read().split("\n")[:-1]


def embed_all(tokenizer: Any, lines: list[str], embed: Embed) -> np.ndarray:
    ids = [e.ids for e in tokenizer.encode_batch_fast(lines)]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    parts = []
    for first in range(0, len(order), BATCH):
        some = [ids[i] for i in order[first : first + BATCH]]
        padded = np.zeros((len(some), len(some[-1])), np.int32)
        mask = np.zeros_like(padded)
        for row, of in enumerate(some):
            padded[row, : len(of)] = of
            mask[row, : len(of)] = 1
        parts.append(embed(padded, mask))
    out = np.concatenate(parts)
    rows = np.empty_like(out)
    rows[order] = out
    return rows
