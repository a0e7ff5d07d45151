# SPDX-License-Identifier: MIT
"""Text as tokens: read, tokenised, joined, packed, and drawn in batches."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .errors import TrainError
from .saving import save_atomically
from .tokens import Tokens

CLS, SEP = 101, 102
WIDTHS = (16, 32, 64, 128)  # a batch is padded to one of them


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file that hold text."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}")
    lines = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise TrainError(f"{path}:{number}: byte {error.start + 1} isn't UTF-8; convert it first")
        if text:
            lines.append(text)
    if not lines:
        raise TrainError(f"{path}: holds no text; give a file with a sentence a line")
    return lines


@dataclass
class Packed:
    """Token ids of all texts, one after another, [CLS] and [SEP] among them.

    second is where the second of two texts begins, 0 for single ones; labels may be none.
    """

    ids: np.ndarray  # uint16
    lengths: np.ndarray  # uint16
    second: np.ndarray  # uint16
    labels: np.ndarray  # int64

    def save(self, path: Path) -> None:
        save_atomically(path, lambda file: np.savez_compressed(file, **vars(self)))

    @staticmethod
    def load(path: Path) -> Packed:
        try:
            with np.load(path) as data:
                return Packed(*(data[name] for name in ("ids", "lengths", "second", "labels")))
        except (OSError, KeyError, ValueError) as error:
            raise TrainError(f"{path}: not a file of packed text ({error}); make it with `pack`")


def pack(rows: list[list[int]], second: list[int] | None = None, labels: list[int] | None = None) -> Packed:
    lengths = np.array([len(row) for row in rows], dtype=np.uint16)
    flat = np.fromiter((i for row in rows for i in row), dtype=np.uint16, count=sum(map(len, rows)))
    return Packed(
        flat,
        lengths,
        np.array(second or [0] * len(rows), dtype=np.uint16),
        np.array(labels or [0] * len(rows), dtype=np.int64),
    )


def tokenize(directory: Path, texts: list[str], limit: int = WIDTHS[-1]) -> list[list[int]]:
    """Ids of each text, cut to limit."""
    from tokenizers import Tokenizer  # not needed where ids are packed already

    path = directory / "tokenizer.json"
    if not path.exists():
        raise TrainError(f"{path}: no such file; it comes with the Hugging Face directory")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def join_rows(rows: list[list[int]], count: int, seed: int) -> list[list[int]]:
    """count new rows of several texts each, of all lengths up to the widest."""
    draw = random.Random(seed)
    joined = []
    for _ in range(count):
        target = draw.randint(24, WIDTHS[-1] - 2)
        row: list[int] = []
        while len(row) < target:
            row += draw.choice(rows)[1:-1]
        joined.append([CLS, *row[:target], SEP])
    return joined


class Batch(NamedTuple):
    ids: Tensor
    lengths: Tensor
    types: Tensor
    labels: Tensor
    tokens: Tokens
    rows: Tensor


class Corpus:
    """Packed text on a device, from which rows are gathered."""

    def __init__(self, packed: Packed, device: torch.device) -> None:
        lengths = packed.lengths.astype(np.int64)
        offsets = np.cumsum(lengths) - lengths
        self.lengths = lengths
        self.ids = torch.from_numpy(packed.ids.astype(np.int32)).to(device)
        table = np.stack([offsets, lengths, packed.second.astype(np.int64), packed.labels], 1)
        self.table = torch.from_numpy(table).to(device)

    def gather(self, rows: Tensor, width: int) -> Batch:
        """Ids padded to width, on a CPU to the longest; rows are on the corpus's device."""
        start, lengths, second, labels = self.table[rows].unbind(1)
        lengths = lengths.clamp_max(width)
        packed = rows.device.type == "cpu"
        width = int(lengths.max()) if packed else width
        at = torch.arange(width, device=rows.device)
        inside = at < lengths[:, None]
        index = (start[:, None] + at).clamp_max(len(self.ids) - 1)
        types = (second[:, None] > 0) & (at >= second[:, None]) & inside
        tokens = Tokens(lengths, width, packed)
        return Batch(self.ids[index].long() * inside, lengths, types.long(), labels, tokens, rows)

    def places(self, batch: Batch) -> Tensor:
        """Where the tokens of a packed batch stand among all."""
        start = self.table[batch.rows, 0]
        at = torch.arange(batch.ids.shape[1], device=start.device)
        return batch.tokens.pack(start[:, None] + at)


def width_of(length: int) -> int:
    return next(w for w in WIDTHS if length <= w)


class Plan:
    """Which rows make batch n: a function of the seed and n alone.

    With `tokens`, batches hold texts of about one length and about as many tokens each;
    with `batch`, that many texts of any length. What doesn't fill a batch waits for
    another epoch, since its draw is another.
    """

    def __init__(self, lengths: np.ndarray, seed: int, *, tokens: int = 0, batch: int = 0) -> None:
        if int(lengths.max(initial=0)) > WIDTHS[-1]:
            raise TrainError(f"a text has {lengths.max()} tokens; {WIDTHS[-1]} is the most")
        self.lengths, self.seed, self.tokens, self.size = lengths, seed, tokens, batch
        self.epoch, self.batches = -1, []  # type: int, list[tuple[int, Tensor]]
        self.per_epoch = len(self.draw(0))
        if not self.per_epoch:
            raise TrainError(
                f"{len(lengths)} texts don't fill a batch of {self.asked()}; give more text, or a smaller batch"
            )

    def asked(self) -> str:
        return f"{self.size} texts (--batch)" if self.size else f"{self.tokens} tokens (--tokens)"

    def draw(self, epoch: int) -> list[tuple[int, Tensor]]:
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))
        batches: list[tuple[int, Tensor]] = []
        if self.size:
            for at in range(0, len(order) - self.size + 1, self.size):
                rows = order[at : at + self.size]
                batches.append((width_of(int(self.lengths[rows].max())), torch.from_numpy(rows)))
            return batches
        edges = np.digitize(self.lengths[order], WIDTHS, right=True)
        for bucket, width in enumerate(WIDTHS):
            members, count = order[edges == bucket], max(2, self.tokens // width)
            for at in range(0, len(members) - count + 1, count):
                batches.append((width, torch.from_numpy(members[at : at + count])))
        return [batches[i] for i in generator.permutation(len(batches))]

    def __getitem__(self, step: int) -> tuple[int, Tensor]:
        epoch, at = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.batches = epoch, self.draw(epoch)
        return self.batches[at]
