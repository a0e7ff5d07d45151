# SPDX-License-Identifier: MIT
"""What a student of a task learns from: a teacher that was asked once, and products in bf16."""

from __future__ import annotations

import unittest
from unittest import mock

import torch

from damftrain import loop, teacher, text
from damftrain.attention import Linear
from damftrain.finetune import Tune, TuneRecipe, with_classes
from damftrain.model import Encoder, load_exact
from damftrain.teacher import Live, Remembered, teacher_of
from tiny import PlaceTest, draw_pairs, make_teacher

F16 = 2.0**-10  # of the largest: rounding to f16, and sums in another order


class TeacherTest(PlaceTest):
    def setUp(self) -> None:
        super().setUp()
        self.base = load_exact(make_teacher(self.place))
        self.corpus = text.Corpus(draw_pairs(), torch.device("cpu"))

    def model(self) -> Encoder:
        return with_classes(self.base, 2, 1)

    @torch.no_grad()
    def test_what_is_remembered_is_what_it_says(self) -> None:
        model = self.model()
        model.classifier.weight *= 50  # so that classes differ
        remembered = teacher_of(model, self.corpus)
        self.assertIsInstance(remembered, Remembered)
        with mock.patch.object(teacher, "MOST", 1000):
            self.assertIsInstance(teacher_of(model, self.corpus), Live)
        batch = self.corpus.gather(torch.tensor([80, 3, 41, 7, 64]), 32)
        (states, logits), (wanted, classes) = remembered.answer(batch), Live(model).answer(batch)
        self.assertEqual(len(states), len(model.stack()))
        for found, state in zip(states, wanted):
            self.assertEqual(found.dtype, torch.float32)
            self.assertLess(float((found - state).abs().max()), F16 * float(state.abs().max()))
        self.assertLess(float((logits - classes).abs().max()), 1e-4)
        self.assertGreater(float(classes.std(0).min()), 1e-2)  # examples don't all look alike

    def trained(self, name: str, bf16: bool) -> tuple[Encoder, list[bool]]:
        job = Tune(self.model(), self.corpus, 1, TuneRecipe(batch=8), Live(self.model()))
        options = loop.Options(
            loop.Budget(steps=12), self.place / name, {}, report=4, quiet=True, bf16=bf16
        )  # fmt: skip
        seen = []
        forward = Linear.forward

        def spy(self: Linear, x: torch.Tensor) -> torch.Tensor:
            seen.append(self.bf16)
            return forward(self, x)

        with mock.patch.object(Linear, "forward", spy):
            loop.Loop(job, options).run()
        return job.model, seen

    def test_bf16_is_of_training_alone(self) -> None:
        (exact, none), (rounded, seen) = self.trained("f32", False), self.trained("bf16", True)
        self.assertFalse(any(none))
        self.assertTrue(any(seen))
        for module in rounded.modules():
            self.assertFalse(getattr(module, "bf16", False))
        gaps = [float((a - b).abs().max()) for a, b in zip(exact.parameters(), rounded.parameters())]
        self.assertTrue(all(p.dtype == torch.float32 for p in rounded.parameters()))
        self.assertTrue(0 < max(gaps) < 1e-2, max(gaps))


if __name__ == "__main__":
    unittest.main()
