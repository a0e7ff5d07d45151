# SPDX-License-Identifier: MIT
"""What was trained and what runs are the same: PyTorch against libdamf."""

from __future__ import annotations

import os
import subprocess
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from safetensors import safe_open

import powers
from damftrain.evaluate import evaluate
from damftrain.columns import Labelled
from damftrain.engine import Engine
from damftrain.export import export
from damftrain.finetune import scores
from damftrain.model import Encoder, read_config
from damftrain.spec import NAMED, HeadSpec, ModelSpec, parse_kind, parse_variant
from damftrain.text import pack
from damftrain.tokens import Tokens
from tiny import HEADS, HIDDEN, PlaceTest, draw_ids, make_teacher, words_of

CLOSE = 1e-5
LENGTHS = [3, 5, 9, 17, 33, 64, 90, 128]
FLOATS = ("mhsa", "fold", "fold+rank3", "centred", "square", "fourth", "softfold", "uniform+sinks")
# In one layer: of two, what the first differs by moves scores of the second to another
# power of two. PyTorch has no fixed point here, so that X and V differ by 2^-16 of the
# largest; norms and W_O make a few times that of it.
IN_POWERS = ("shift", "foldshift", "foldshift+sinks", "foldshift+band4")
OF_POWERS = 2.0**-15


def specs(variant: str) -> tuple[HeadSpec, ...]:
    """The first head has a band as well."""
    head = parse_variant(variant).head
    return (replace(head, band=True), *[head] * (HEADS - 1))


def kinds(*names: str) -> tuple[HeadSpec, ...]:
    return tuple(parse_kind(name) for name in names)


# Heads that differ, of two layers.
MIXED = (
    kinds("mhsa", "square+sinks", "softfold", "fold"),
    kinds("fold+rank2+band", "uniform+band+sinks", "mhsa", "fourth"),
)
MIXED_IN_POWERS = (kinds("shift", "foldshift+band", "mhsa", "square+sinks"),)


class Exported(PlaceTest):
    def setUp(self) -> None:
        super().setUp()
        (self.place / "teacher").mkdir()
        self.teacher = make_teacher(self.place / "teacher")
        self.damf = Path(os.environ["DAMF"])

    def model(self, heads: tuple[HeadSpec, ...], classes: int = 0) -> Encoder:
        config, _ = read_config(self.teacher)
        return self.model_of((heads,) * config.num_hidden_layers, classes)

    def model_of(self, layers: tuple[tuple[HeadSpec, ...], ...], classes: int = 0) -> Encoder:
        torch.manual_seed(7)
        config, _ = read_config(self.teacher)
        config = replace(config, num_hidden_layers=len(layers))
        model = Encoder(config, ModelSpec(layers, False, classes))
        for name, parameter in model.named_parameters():
            if "norm.weight" not in name:
                torch.nn.init.normal_(parameter, std=0.3 if parameter.dim() > 1 else 0.1)
        return model

    def directory(self, model: Encoder, labels: list[str]) -> Path:
        place = self.place / "exported"
        export(model, self.teacher, place, labels, "a test")
        return place

    def vectors(self, directory: Path, ids: list[list[int]]) -> np.ndarray:
        text, found = self.place / "text", self.place / "found.npy"
        text.write_text("".join(words_of(row) + "\n" for row in ids))
        call = [str(self.damf), "embed", "--model", str(directory), "--backend", "cpu"]
        subprocess.run([*call, "--output", str(found), str(text)], check=True, stderr=subprocess.PIPE)
        return np.load(found)


class BytesTest(Exported):
    def test_a_model_is_the_same_file_each_time(self) -> None:
        model, found = self.model((HeadSpec("fold"),) * HEADS), set()
        for _ in range(5):
            path = self.directory(model, []) / "model.safetensors"
            found.add(path.read_bytes())
        self.assertEqual(len(found), 1)


class FloatTest(Exported):
    @torch.no_grad()
    def difference(self, model: Encoder) -> float:
        ids = draw_ids(LENGTHS, 11)
        found = self.vectors(self.directory(model, []), ids)
        padded = torch.zeros(len(ids), max(LENGTHS), dtype=torch.long)
        for row, numbers in enumerate(ids):
            padded[row, : len(numbers)] = torch.tensor(numbers)
        layouts = [Tokens(torch.tensor(LENGTHS), max(LENGTHS), packed) for packed in (False, True)]
        wanted, same = (model.sentence(model(padded, tokens)[-1], tokens) for tokens in layouts)
        self.assertLess(float((wanted - same).abs().max()), CLOSE)
        self.assertEqual(found.shape, wanted.shape)
        self.assertGreater(float(wanted.std(0).min()), 0.01)  # texts don't all look alike
        return float(np.abs(found - wanted.numpy()).max())

    def test_floats(self) -> None:
        for variant in FLOATS:
            with self.subTest(variant):
                self.assertLess(self.difference(self.model(specs(variant))), CLOSE)

    def test_heads_that_differ(self) -> None:
        self.assertLess(self.difference(self.model_of(MIXED)), CLOSE)
        with safe_open(self.place / "exported" / "model.safetensors", "pt") as file:
            self.assertEqual(file.metadata()["damf.attention"], "mixed")
        self.assertLess(self.difference(self.model_of(MIXED_IN_POWERS)), OF_POWERS)

    def test_fewer_layers_than_the_teacher(self) -> None:
        self.assertLess(self.difference(self.model_of(MIXED[1:])), CLOSE)

    def test_powers_of_two_but_for_fixed_point(self) -> None:
        make_teacher(self.teacher, layers=1)
        for variant in IN_POWERS:
            with self.subTest(variant):
                self.assertLess(self.difference(self.model(specs(variant))), OF_POWERS)

    def test_a_classifier_gives_the_same_classes(self) -> None:
        model = self.model(specs("square"), 2)
        ids = draw_ids(LENGTHS * 4, 13)
        labels = ["good" if row % 3 else "bad" for row in range(len(ids))]
        directory = self.directory(model, ["bad", "good"])
        data = Labelled([(words_of(row),) for row in ids], labels)
        found = evaluate(Engine(self.damf, directory, "cpu"), data, directory)
        wanted = scores(model, pack(ids, labels=[int(label == "good") for label in labels]))
        self.assertTrue({"0", "1"} <= set(wanted["predicted"]))
        for metric in ("accuracy", "f1"):
            self.assertEqual(found[metric], wanted[metric])


class IntegerTest(unittest.TestCase):
    """Fed the same f32 p, q, and X or V (and Z), all integers are equal."""

    def of_engine(self, spec: HeadSpec, floats: list[torch.Tensor], length: int) -> dict[str, list[int]]:
        coefficients = [*spec.coefficients, *[0.0] * (5 - len(spec.coefficients))]
        numbers = [length, HIDDEN, spec.order, int(spec.centred), int(spec.scale == "learned"), 1.0]
        call = [os.environ["INTEGERS"], spec.mode, *map(str, [*numbers, *coefficients])]
        data = b"".join(part.numpy().astype("<f4").tobytes() for part in floats)
        done = subprocess.run(call, input=data, capture_output=True, check=True)
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        return {name: list(map(int, values)) for name, *values in lines}

    def draw(self, length: int, seed: int, wide: float) -> list[torch.Tensor]:
        """Scores over many powers of two, so that some fall below the window."""
        torch.manual_seed(seed)
        p, q = (torch.randn(length) * torch.exp2(torch.randn(length) * wide) for _ in range(2))
        return [p, q, torch.randn(length, HIDDEN)]

    def check(self, spec: HeadSpec) -> None:
        for seed, length in enumerate([1, 2, 5, 31, 32, 33, 100, 128] * 3):
            floats = self.draw(length, seed, 0.5 * (seed % 9))
            if spec.mode == "shift":
                wanted = powers.shift(*floats)
            else:
                floats.append(torch.randn(spec.order + 1, HIDDEN) * 5)
                p, q, x, z = floats
                wanted = powers.foldshift(spec, p, q, x, z)
            self.assertEqual(self.of_engine(spec, floats, length), wanted, f"{spec} {length}")

    def test_shift(self) -> None:
        self.check(HeadSpec("shift"))

    def test_foldshift(self) -> None:
        for name in ("fold", "centred", "square", "fourth"):
            self.check(replace(NAMED[name], mode="foldshift"))

    def test_foldshift_with_a_coefficient_below_zero(self) -> None:
        self.check(replace(NAMED["square"], mode="foldshift", coefficients=(1.0, -0.7, 0.3)))


if __name__ == "__main__":
    unittest.main()
