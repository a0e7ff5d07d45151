# SPDX-License-Identifier: MIT
"""The training package against sums written out, and against itself after a kill."""

from __future__ import annotations

import math
import resource
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch

from damftrain import attention, loop, text
from damftrain.attention import Attention, Linear, soft_direct, soft_nodes
from damftrain.cli import main
from damftrain.convert import Calibration, make_student, student_spec
from damftrain.distill import Distill, Recipe, prepare
from damftrain.errors import TrainError
from damftrain.losses import hidden_loss, score_rank_loss
from damftrain.model import Encoder, load_exact
from damftrain.saving import save_atomically
from damftrain.spec import NAMED, HeadSpec, parse_variant
from damftrain.tokens import Tokens

from tiny import HEADS, HIDDEN, WORDS, PlaceTest, make_teacher


def nearest_power(x: float) -> float:
    """Decided by comparing with the root of two, in place of rounding a logarithm."""
    if x == 0:
        return 0.0
    mantissa, exponent = math.frexp(abs(x))  # mantissa in [1/2, 1)
    power = 2.0 ** (exponent if mantissa > math.sqrt(0.5) else exponent - 1)
    return math.copysign(power, x)


def head_weights(spec: HeadSpec, p: list[float], q: list[float]) -> list[list[float]]:
    """Weights of one head of rank 1, pair by pair."""
    if spec.centred:
        mean = sum(q) / len(q)
        q = [value - mean for value in q]
    if spec.mode == "foldshift":
        p, q = [nearest_power(v) for v in p], [nearest_power(v) for v in q]
        tops = [max(map(abs, v)) * 2.0**-12 for v in (p, q)]
        p, q = ([v if abs(v) >= top else 0.0 for v in values] for values, top in zip((p, q), tops))
    bound = max(map(abs, p)) * max(map(abs, q)) if spec.scale == "max" else 1.0
    rows = []
    for left in p:
        scores = [left * right for right in q]
        if spec.mode == "softfold":
            row = [math.exp(score) for score in scores]
        elif spec.mode == "shift":
            top = nearest_power(bound)
            row = [top + nearest_power(s) * (abs(nearest_power(s)) >= top * 2.0**-12) for s in scores]
        else:
            powers = enumerate(spec.coefficients)
            terms = [(k, c) for k, c in powers]
            row = [sum(c * (s / bound) ** k for k, c in terms) for s in scores]
        total = sum(row)
        rows.append([w / (nearest_power(total) if "shift" in spec.mode else total) for w in row])
    return rows


class AttentionTest(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(3)
        self.lengths = torch.tensor([5, 9, 2, 12])
        self.tokens = Tokens(self.lengths, 12)
        self.x = torch.randn(4, 12, HIDDEN, dtype=torch.float64)

    def module(self, spec: HeadSpec) -> Attention:
        specs = (spec, spec, replace(spec, band=True), spec)
        module = Attention(specs, HIDDEN).double()
        for name, parameter in module.named_parameters():
            if "band" in name or "sinks" in name:
                torch.nn.init.normal_(parameter)
        return module

    def by_pairs(self, module: Attention, row: int) -> torch.Tensor:
        """The layer's output for one sequence, from weights of pairs."""
        length = int(self.lengths[row])
        x = self.x[row, :length]
        v = module.value(x).unflatten(1, (HEADS, -1))
        out = torch.zeros_like(v)
        for group in module.groups:
            p, q = group.pq(x).unflatten(1, (2, len(group.heads))).unbind(1)
            for place, head in enumerate(group.heads):
                w = head_weights(group.spec, p[:, place].tolist(), q[:, place].tolist())
                mixed = torch.tensor(w, dtype=torch.float64) @ v[:, head]
                mixed = mixed + group.sinks[place, 0] * v[0, head] + group.sinks[place, 1] * v[-1, head]
                for m in range(length) if group.spec.band else ():
                    for offset in range(-7, 8):
                        if 0 <= m + offset < length:
                            mixed[m] += group.band[place, offset + 7] * v[m + offset, head]
                out[:, head] = mixed
        return module.output(out.flatten(1))

    @torch.no_grad()
    def test_every_mode_is_the_sum_over_pairs(self) -> None:
        for name in ("fold", "centred", "square", "fourth", "softfold", "foldshift", "shift"):
            module = self.module(replace(NAMED[name], sinks=True))
            found = module(self.x, self.tokens)
            for row in range(4):
                wanted = self.by_pairs(module, row)
                error = (found[row, : len(wanted)] - wanted).abs().max()
                self.assertLess(float(error), 1e-9, name)

    @torch.no_grad()
    def test_folding_changes_nothing_but_roundings(self) -> None:
        for name in NAMED:
            module = self.module(replace(NAMED[name], sinks=True))
            wanted = module(self.x, self.tokens)
            for part in module.modules():
                if isinstance(part, Linear):
                    part.int8 = True
            rounded = module(self.x, self.tokens)
            with mock.patch.object(attention, "int8_rows", lambda t: t):
                found = module(self.x, self.tokens)
            mask = self.tokens.mask[..., None]
            self.assertLess(float(((found - wanted) * mask).abs().max()), 1e-9, name)
            gap = float(((rounded - wanted) * mask).abs().max())
            self.assertTrue(1e-4 < gap < 0.3, f"{name}: int8 differs by {gap}")

    @torch.no_grad()
    def test_packed_rows_are_the_padded_ones(self) -> None:
        packed = Tokens(self.lengths, 12, packed=True)
        for name in ("mhsa", *NAMED):
            for int8 in (False, True):
                module = self.module(replace(NAMED[name], sinks=True))
                for part in module.modules():
                    if isinstance(part, Linear):
                        part.int8 = int8
                wanted = module(self.x, self.tokens)[self.tokens.mask]
                found = module(packed.pack(self.x), packed)
                self.assertEqual(found.shape, (28, HIDDEN))
                self.assertLess(float((found - wanted).abs().max()), 1e-9, f"{name}, int8 {int8}")
        theirs = self.x + 0.1 * torch.randn_like(self.x)
        padded, dense = (
            hidden_loss([tokens.pack(self.x)], [tokens.pack(theirs)], tokens)
            for tokens in (self.tokens, packed)
        )
        self.assertAlmostEqual(
            float(padded), float(dense), places=12
        )  # what is behind a text's end counts in neither
        spread = packed.spread(packed.pack(self.x))
        self.assertTrue(torch.equal(spread, self.x * self.tokens.valid))
        self.assertTrue(torch.equal(packed.first(packed.pack(self.x)), self.x[:, 0]))

    @torch.no_grad()
    def test_nodes_interpolate_softmax(self) -> None:
        p, q = (torch.randn(4, 12, 3, dtype=torch.float64) for _ in range(2))
        v = torch.randn(4, 12, 3, 5, dtype=torch.float64) * self.tokens.valid[..., None]
        direct, nodes = soft_direct(p, q, v, self.tokens), soft_nodes(p, q, v, self.tokens, 24)
        error = ((direct - nodes) * self.tokens.valid[..., None]).abs().max()
        self.assertLess(float(error), 1e-6)
        self.assertFalse(bool(nodes.isnan().any()))


class RankLossTest(unittest.TestCase):
    def test_it_is_of_the_whole_matrix(self) -> None:
        """Eq. 9 by the SVD of each head's [W_Q; b_Q] [W_K; b_K]' itself, and it falls when followed."""
        with tempfile.TemporaryDirectory() as scratch:
            model = load_exact(make_teacher(Path(scratch)))
        wanted = []
        for layer in model.stack():
            group = layer.attention.parts()[0]
            stacked = [torch.cat([w.weight, w.bias[:, None]], 1).double() for w in (group.query, group.key)]
            for q, k in zip(*(part.unflatten(0, (HEADS, -1)) for part in stacked)):
                values = torch.linalg.svdvals(q.T @ k)
                wanted.append(1 - values[0] / values.sum())
        found = score_rank_loss(model)
        self.assertAlmostEqual(float(found), float(torch.stack(wanted).mean()), places=5)
        found.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
        self.assertLess(float(score_rank_loss(model)), float(found))


class LoopTest(PlaceTest):
    def setUp(self) -> None:
        super().setUp()
        make_teacher(self.place)
        generator = torch.Generator().manual_seed(5)
        lengths = torch.randint(4, 30, (400,), generator=generator).tolist()
        rows = [torch.randint(5, WORDS, (n,), generator=generator).tolist() for n in lengths]
        self.packed = text.pack(rows)

    def job(self, name: str, recipe: Recipe) -> Distill:
        teacher, variant = load_exact(self.place), parse_variant(name)

        def make(data: list[Calibration]) -> Encoder:
            return make_student(teacher, student_spec(teacher, variant, data), data)

        return prepare(teacher, self.packed, make, recipe, tokens=128, seed=0, held_out=40)

    def loop(self, name: str, limit: int = 0) -> loop.Loop:
        job = self.job("square+sinks+band1", Recipe(output_from=0.4, int8_from=0.7, replaced_at=0.2))
        options = loop.Options(
            loop.Budget(steps=20), self.place / name, {"of": "test"}, report=5, save_seconds=0, quiet=True
        )
        made = loop.Loop(job, options)
        if limit:
            inner = made.once

            def once(rows: torch.Tensor, width: int) -> None:
                if made.step >= limit:
                    raise KeyboardInterrupt
                inner(rows, width)

            made.once = once  # type: ignore[method-assign]
        return made

    def test_resumes_to_the_same_weights(self) -> None:
        whole = self.loop("whole")
        whole.run()
        with self.assertRaises(KeyboardInterrupt):
            self.loop("cut", 13).run()
        resumed = self.loop("cut")
        saved = torch.load(resumed.options.checkpoint, weights_only=True)
        self.assertEqual(saved["step"], 13)  # between two lines of progress
        resumed.run()
        for name, tensor in whole.job.model.state_dict().items():
            self.assertTrue(torch.equal(tensor, resumed.job.model.state_dict()[name]), name)

    def test_learns(self) -> None:
        made = self.loop("learns")
        before = made.job.check()["hidden"]
        made.run()
        self.assertLess(made.job.check()["hidden"], before)

    def test_what_is_learned_when(self) -> None:
        job = self.job("fold", Recipe(output_from=0.3, int8_from=0.6, shift_from=0.8))
        for fraction, said, weights, int8, modes in (
            (0.0, "hidden", (1.0, 0.0), False, {"fold"}),
            (0.3, "output", (0.3, 1.0), False, {"fold"}),
            (0.7, "output+int8", (0.3, 1.0), True, {"fold"}),
            (0.9, "output+int8+foldshift", (0.3, 1.0), True, {"foldshift"}),
        ):
            stage = job.stage(fraction)
            job.enter(stage)
            self.assertEqual(str(stage), said)
            self.assertEqual(
                (job.weights, job.model.spec.int8, job.model.spec.modes()), (weights, int8, modes)
            )
            self.assertEqual({m.int8 for m in job.model.modules() if isinstance(m, Linear)}, {int8})

    def test_attention_is_replaced_layer_by_layer(self) -> None:
        job = self.job("shift", Recipe(replaced_at=0.5))
        found = []
        for fraction in (0.0, 0.2, 0.3, 0.49, 0.5, 0.99):
            job.enter(job.stage(fraction))
            found.append(job.check()["hidden"])
        self.assertGreater(found[0], 1e-4)  # the first of two layers has its own
        self.assertEqual(found[:4], [found[0]] * 4)
        self.assertGreater(found[4], found[0] + 1e-4)
        self.assertEqual(found[5], found[4])
        self.assertEqual(str(job.stage(0.45)), "output+replaced 1")
        for wrong in (-0.1, 1.0):
            with self.assertRaisesRegex(TrainError, "from 0 to below 1"):
                self.job("shift", Recipe(replaced_at=wrong))
        names = {name for name, _ in job.model.named_parameters()}
        self.assertEqual(names, set(job.model.state_dict()))

    def test_layers_learn_through_attention_that_waits_for_its_turn(self) -> None:
        def gradients(job: Distill) -> list[torch.Tensor]:
            hidden, _ = job.compare(job.held)
            first = list(job.model.stack()[0].parameters())
            return list(torch.autograd.grad(hidden, first))

        waiting = self.job("shift", Recipe(replaced_at=0.5))
        waiting.enter(waiting.stage(0.0))
        # the same model, whose second layer is made of the teacher's attention
        built = self.job("shift", Recipe())
        built.model.stack()[1].attention = built.teacher.stack()[1].attention
        for found, wanted in zip(gradients(waiting), gradients(built)):
            self.assertGreater(float(wanted.abs().max()), 0)
            self.assertTrue(torch.equal(found, wanted))

    def test_scores_of_exact_heads_are_drawn_towards_rank_1(self) -> None:
        job = self.job("mhsa", Recipe(rank_weight=1.0))
        self.assertEqual(job.names[-1], "rank")
        before = float(score_rank_loss(job.model))
        options = loop.Options(loop.Budget(steps=20), self.place / "rank", {}, report=5, quiet=True)
        loop.Loop(job, options).run()
        self.assertLess(float(score_rank_loss(job.model)), before - 0.005)
        self.assertEqual(options.curve[-1].keys() & {"rank", "hidden"}, {"rank", "hidden"})
        with self.assertRaisesRegex(TrainError, "--rank-weight is for models with exact heads"):
            self.job("fold", Recipe(rank_weight=1.0))

    def test_another_run_s_checkpoint_is_refused(self) -> None:
        self.loop("one").run()
        other = self.loop("one")
        other.options.identity["of"] = "another"
        with self.assertRaisesRegex(TrainError, "other options"):
            other.run()

    def test_a_full_disk_keeps_the_old_checkpoint(self) -> None:
        """The system refuses to write more than a part of it."""
        made = self.loop("full")
        made.save()
        path = made.options.checkpoint
        old = path.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))
        try:
            with self.assertRaisesRegex(TrainError, "cannot save.*one from before is kept"):
                made.run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(path.read_bytes(), old)
        self.assertEqual(list(path.parent.glob("*.part")), [])
        self.loop("full").run()  # goes on from it

    def test_a_full_disk_keeps_the_old_file(self) -> None:
        path = self.place / "file"
        path.write_bytes(b"old")

        def full(file: object) -> None:
            raise OSError(28, "No space left on device")

        with self.assertRaisesRegex(TrainError, "one from before is kept"):
            save_atomically(path, full)
        self.assertEqual(path.read_bytes(), b"old")
        self.assertEqual([p.name for p in self.place.glob("*.part")], [])


class ErrorTest(PlaceTest):
    def test_teacher_of_another_architecture(self) -> None:
        make_teacher(self.place)
        path = self.place / "config.json"
        path.write_text(path.read_text().replace('"bert"', '"roberta"'))
        with self.assertRaisesRegex(TrainError, "roberta.*only BERT"):
            load_exact(self.place)

    def test_text_that_is_empty_or_not_utf8(self) -> None:
        path = self.place / "text"
        path.write_bytes(b"\n \n")
        with self.assertRaisesRegex(TrainError, "no text"):
            text.read_lines(path)
        path.write_bytes(b"one\ntw\xffo\n")
        with self.assertRaisesRegex(TrainError, ":2: byte 3 isn't UTF-8"):
            text.read_lines(path)

    def test_variants_that_are_not_defined(self) -> None:
        for variant in ("squared", "square+rank2", "fold+tape", "softfold+rank3", "mhsa+layers0"):
            with self.assertRaises(TrainError):
                parse_variant(variant)

    def test_commands_exit_with_one_line(self) -> None:
        with mock.patch("sys.stderr") as stderr:
            code = main(["export", "--teacher", str(self.place), "--student", "x", "--output", "y"])
        self.assertEqual(code, 3)
        written = "".join(call.args[0] for call in stderr.write.call_args_list)
        self.assertEqual(written.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
