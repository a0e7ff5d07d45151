# SPDX-License-Identifier: MIT
"""A tiny BERT with made-up weights, texts in its words, and a place to put them."""

from __future__ import annotations

import json
import math
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer

from damftrain.text import CLS, SEP, Packed, pack

HIDDEN, HEADS, LAYERS, INNER, WORDS = 24, 4, 2, 48, 200
FIRST_WORD = 104  # the ids below are special, or not used


class PlaceTest(unittest.TestCase):
    """Has a directory for the time of a test."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = Path(scratch.name)


def make_teacher(directory: Path, layers: int = LAYERS) -> Path:
    torch.manual_seed(1)
    shape = {
        "vocab_size": WORDS, "hidden_size": HIDDEN, "num_hidden_layers": layers,
        "num_attention_heads": HEADS, "intermediate_size": INNER, "max_position_embeddings": 128,
        "type_vocab_size": 2, "model_type": "bert", "hidden_act": "gelu",
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(shape))
    tensors = {}

    def add(name: str, *size: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(size) * 1.5 / math.sqrt(size[-1])
        tensors[f"{name}.bias"] = torch.randn(size[0]) * 0.1

    for name, rows in (("word", WORDS), ("position", 128), ("token_type", 2)):
        tensors[f"embeddings.{name}_embeddings.weight"] = torch.randn(rows, HIDDEN)
    add("embeddings.LayerNorm", HIDDEN)
    for number in range(layers):
        stem = f"encoder.layer.{number}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value"):
            add(stem + name, HIDDEN, HIDDEN)
        add(stem + "attention.output.dense", HIDDEN, HIDDEN)
        add(stem + "intermediate.dense", INNER, HIDDEN)
        add(stem + "output.dense", HIDDEN, INNER)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            add(stem + name, HIDDEN)
    save_file(tensors, directory / "model.safetensors")
    (directory / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    return directory


def make_tokenizer(directory: Path) -> None:
    tokenizer = BertWordPieceTokenizer(str(directory / "vocab.txt"))
    tokenizer.save(str(directory / "tokenizer.json"))


def vocabulary() -> list[str]:
    """BERT's special tokens in their places, then words of two letters."""
    special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
    letters = [first + second for first in "abcdefghijklmn" for second in "opqrstuvwxyz"]
    words = [special.get(number, f"[unused{number}]") for number in range(FIRST_WORD)]
    return (words + letters)[:WORDS]


def draw_ids(lengths: list[int], seed: int) -> list[list[int]]:
    """Texts as ids, special tokens included."""
    generator = torch.Generator().manual_seed(seed)
    bodies = [torch.randint(FIRST_WORD, WORDS, (n - 2,), generator=generator) for n in lengths]
    return [[CLS, *body.tolist(), SEP] for body in bodies]


def draw_pairs() -> Packed:
    """Pairs of texts with two labels."""
    rows = draw_ids([4 + row % 23 for row in range(90)], 17)
    return pack(rows, [len(row) // 2 for row in rows], [row % 2 for row in range(90)])


def words_of(ids: list[int]) -> str:
    names = vocabulary()
    return " ".join(names[number] for number in ids[1:-1])
