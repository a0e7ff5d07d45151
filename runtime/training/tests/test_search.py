# SPDX-License-Identifier: MIT
"""The search by budget: what is counted, what is taken, and models whose heads change."""

from __future__ import annotations

import json
import os
import random
import subprocess
import unittest
from dataclasses import replace
from unittest import mock

import torch
from safetensors.torch import load_file, save_file

from damftrain import text
from damftrain.convert import Calibration, kept_layers, make_student, student_spec
from damftrain.distill import calibration
from damftrain.errors import TrainError
from damftrain.exchange import exchange, place_of
from damftrain.export import export
from damftrain.files import load_student, save_student
from damftrain.losses import hidden_loss
from damftrain.macs import Shape, nodes_of, spreads
from damftrain.model import Encoder, load_exact
from damftrain.search import Score, Search, choose
from damftrain.spec import HeadSpec, ModelSpec, name_of, parse_kind, parse_variant
from damftrain.tokens import Tokens
from test_commands import CommandTest
from test_parity import MIXED, MIXED_IN_POWERS, Exported, kinds
from tiny import HEADS, HIDDEN, INNER, LAYERS, PlaceTest, draw_ids, make_teacher

SIZE = HIDDEN // HEADS
UNKNOWN = 100


class MacsTest(Exported):
    """What is counted here is what the engine's counters say."""

    def counted(self, model: Encoder, length: int) -> int:
        export(model, self.teacher, self.place / "exported", [], "a test")
        call = [str(self.damf), "bench", "--model", str(self.place / "exported"), "--backend", "cpu"]
        call += ["--length", str(length), "--repeat", "1", "--json"]
        done = subprocess.run(call, capture_output=True, check=True)
        layers = len(model.spec.layers)
        return int(json.loads(done.stdout)["macs"]) - layers * length * 2 * HIDDEN * INNER

    @torch.no_grad()
    def nodes(self, model: Encoder, length: int) -> list[list[int]]:
        """Of softfold heads, on the text of `damf bench`, whose words are unknown."""
        ids = torch.tensor([[text.CLS, *[UNKNOWN] * (length - 2), text.SEP]])
        tokens = Tokens(torch.tensor([length]), length)
        found = []
        for state, layer in zip(model(ids, tokens), model.stack()):
            row = []
            for head in range(HEADS):
                group, place = place_of(layer.attention, head)
                if group.spec.mode != "softfold":
                    row.append(0)
                    continue
                p, q = (part[:, :, place, None] for part in (s[..., 0] for s in group.scores(state, tokens)))
                row.append(nodes_of(float(spreads(p, q, tokens))))
            found.append(row)
        return found

    def agree(self, model: Encoder, length: int) -> None:
        shape = Shape(HIDDEN, SIZE, length)
        nodes = self.nodes(model, length)
        wanted = sum(
            shape.head(spec, nodes[number][head])
            for number, layer in enumerate(model.spec.layers)
            for head, spec in enumerate(layer)
        )
        self.assertEqual(self.counted(model, length), wanted, f"{length} tokens")

    def test_heads_of_every_kind(self) -> None:
        every = MIXED + MIXED_IN_POWERS + (kinds("foldshift", "centred", "softfold+band", "softfold+sinks"),)
        make_teacher(self.teacher, layers=len(every))
        for length in (3, 6, 40, 128):
            self.agree(self.model_of(every), length)

    def test_softfold_of_all_pairs(self) -> None:
        model = self.model_of((kinds("softfold", "softfold+sinks", "softfold+band", "fold"),))
        with torch.no_grad():
            for group in model.stack()[0].attention.parts():
                group.pq.weight.mul_(30)
        self.assertEqual(self.nodes(model, 40)[0][:3], [0, 0, 0])
        self.agree(model, 40)

    def test_nodes_at_the_ends(self) -> None:
        self.assertEqual([nodes_of(x) for x in (0.0, 1e-9, 1e6, float("inf"))], [1, 2, 0, 0])


class ChooseTest(unittest.TestCase):
    def test_most_loss_for_its_multiply_adds_comes_first(self) -> None:
        scores = {
            (0, 0): [Score("a", 4.0, 20), Score("b", 3.5, 60)],
            (0, 1): [Score("a", 4.5, 20), Score("b", 1.0, 60)],
            (1, 0): [Score("a", 6.0, 20)],
        }
        first = dict.fromkeys(scores, Score("now", 5.0, 10))
        self.assertEqual(choose(scores, first, 30), {})
        self.assertEqual(choose(scores, first, 40), {(0, 0): "a"})
        self.assertEqual(choose(scores, first, 90), {(0, 0): "a", (0, 1): "b"})
        # what is left buys the next step of a head that was taken already
        self.assertEqual(choose(scores, first, 130), {(0, 0): "b", (0, 1): "b"})

    def test_never_above_the_budget(self) -> None:
        draw = random.Random(3)
        for _ in range(200):
            heads = [(0, number) for number in range(12)]
            first = {head: Score("now", 0.0, draw.randint(1, 9)) for head in heads}
            offers = {h: [Score(k, draw.uniform(-1, 3), draw.randint(1, 40)) for k in "abc"] for h in heads}
            budget = draw.randint(sum(score.macs for score in first.values()), 300)
            chosen = choose(offers, first, budget)
            spent = sum(
                next((s.macs for s in offers[h] if s.kind == chosen.get(h)), first[h].macs) for h in heads
            )
            self.assertLessEqual(spent, budget)


class ExchangeTest(PlaceTest):
    def setUp(self) -> None:
        super().setUp()
        self.teacher = load_exact(make_teacher(self.place))
        packed = text.pack(draw_ids([5 + row % 20 for row in range(60)], 3))
        self.corpus = text.Corpus(packed, torch.device("cpu"))
        self.data: list[Calibration] = calibration(self.teacher, self.corpus, torch.arange(60).numpy())
        self.batch = self.corpus.gather(torch.arange(8), 32)

    def student(self, variant: str) -> Encoder:
        spec = student_spec(self.teacher, parse_variant(variant), self.data)
        return make_student(self.teacher, spec, self.data)

    @torch.no_grad()
    def output(self, model: Encoder) -> torch.Tensor:
        return model(self.batch.ids, self.batch.tokens)[-1]

    def changed(self, model: Encoder, at: dict[int, str]) -> Encoder:
        """Heads of the second layer become what at says."""
        layers = list(model.spec.layers)
        layers[1] = tuple(parse_kind(at[h]) if h in at else s for h, s in enumerate(layers[1]))
        return exchange(model, replace(model.spec, layers=tuple(layers)), self.teacher, self.data)

    def test_all_exact_is_the_teacher(self) -> None:
        model = exchange(self.student("square+sinks+band2"), self.teacher.spec, self.teacher, self.data)
        self.assertLess(float((self.output(model) - self.output(self.teacher)).abs().max()), 1e-5)

    def test_a_mixed_student_of_the_teacher(self) -> None:
        """By make_student and by exchanging heads of another it is the same."""
        made = make_student(self.teacher, ModelSpec(MIXED), self.data)
        from_other = exchange(self.student("fold"), ModelSpec(MIXED), self.teacher, self.data)
        self.assertLess(float((self.output(made) - self.output(from_other)).abs().max()), 1e-5)

    def test_other_heads_keep_what_they_learned(self) -> None:
        model = self.student("square+sinks+band2")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        once = self.changed(model, {1: "mhsa", 3: "softfold"})
        self.assertGreater(float((self.output(once) - self.output(model)).abs().max()), 1e-3)
        for head in (0, 2):
            (old, at), (new, to) = (place_of(m.stack()[1].attention, head) for m in (model, once))
            self.assertEqual(old.spec, new.spec)
            weights = [g.pq.weight.unflatten(0, (2, len(g.heads)))[:, p] for g, p in ((old, at), (new, to))]
            self.assertTrue(torch.equal(*weights))
            self.assertTrue(torch.equal(old.sinks[at], new.sinks[to]))
        exact, place = place_of(once.stack()[1].attention, 1)
        theirs = self.teacher.stack()[1].attention.parts()[0]
        self.assertTrue(torch.equal(exact.key.weight, theirs.key.weight[SIZE : 2 * SIZE]))
        self.assertEqual(place, 0)

    def test_a_head_that_becomes_exact_is_the_teacher_s(self) -> None:
        model = self.student("fold")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        made = self.changed(model, {1: "mhsa"}).stack()[1].attention
        before, exact = model.stack()[1].attention, self.teacher.stack()[1].attention
        ours = slice(SIZE, 2 * SIZE)
        rest = [row for row in range(HIDDEN) if row not in range(SIZE, 2 * SIZE)]
        for found, old, wanted in (
            (made.value.weight, before.value.weight, exact.value.weight),
            (made.value.bias, before.value.bias, exact.value.bias),
            (made.output.weight.T, before.output.weight.T, exact.output.weight.T),
        ):
            self.assertTrue(torch.equal(found[ours], wanted[ours]))
            self.assertTrue(torch.equal(found[rest], old[rest]))
            self.assertFalse(torch.equal(old[ours], wanted[ours]))

    def test_kinds_of_softmax_take_what_others_learned(self) -> None:
        """Of small scores the square and the exponential are nearly one."""
        model = self.student("square")
        with torch.no_grad():
            for layer in model.stack():
                scores = layer.attention.parts()[0].pq
                scores.weight.normal_(std=0.05)
                scores.bias.zero_()
        for kind in ("softfold", "fourth"):
            other = self.changed(model, dict.fromkeys(range(HEADS), kind))
            gap = float((self.output(other) - self.output(model)).abs().max())
            self.assertTrue(0 < gap < 1e-4, f"{kind}: {gap}")
        # the paper's form has scores without a scale: it begins anew
        fresh = self.changed(model, {0: "fold"})
        group, place = place_of(fresh.stack()[1].attention, 0)
        wanted = place_of(self.student("fold").stack()[1].attention, 0)[0]
        self.assertTrue(torch.equal(group.pq.weight[place], wanted.pq.weight[0]))

    def test_names_of_kinds(self) -> None:
        for name in ("mhsa", "square+band+sinks", "fold+rank2", "uniform+band"):
            self.assertEqual(name_of(parse_kind(name)), name)
        for name in ("square+band2", "mhsa+layers1"):
            with self.assertRaises(TrainError):
                parse_kind(name)

    def test_fewer_layers(self) -> None:
        self.assertEqual(kept_layers(6, 4), (0, 2, 3, 5))
        model = self.student("mhsa+layers1")
        self.assertEqual(model.spec.kept, kept_layers(LAYERS, 1))
        source = self.teacher.stack()[model.spec.kept[0]]
        self.assertTrue(torch.equal(model.stack()[0].inner.weight, source.inner.weight))
        save_student(model, self.place / "short")
        loaded = load_student(self.place / "short", self.teacher)
        self.assertTrue(torch.equal(self.output(loaded), self.output(model)))
        with self.assertRaisesRegex(TrainError, "3 layers are to be kept of 2"):
            self.student("mhsa+layers3")

    def test_layers_are_held_against_those_they_came_from(self) -> None:
        states = [torch.full((1, 2, 3), float(number)) for number in range(1, 4)]
        tokens = Tokens(torch.tensor([2]), 2)
        self.assertEqual(float(hidden_loss([states[1]], states, tokens, (1,))), 0)
        self.assertAlmostEqual(float(hidden_loss([states[1]], states, tokens, (2,))), 1 / 9)


class SearchTest(CommandTest):
    """A teacher whose attention is flat but for one head."""

    PEAKED = (1, 2)

    def setUp(self) -> None:
        super().setUp()
        path = self.teacher / "model.safetensors"
        tensors = load_file(path)
        for number in range(LAYERS):
            for name in ("query", "key"):
                stem = f"encoder.layer.{number}.attention.self.{name}"
                factor = torch.full((HEADS, 1), 0.05)
                if number == self.PEAKED[0]:
                    factor[self.PEAKED[1]] = 3.0
                for kind in ("weight", "bias"):
                    part = tensors[f"{stem}.{kind}"].view(HEADS, SIZE, -1) * factor[..., None]
                    tensors[f"{stem}.{kind}"] = part.view(tensors[f"{stem}.{kind}"].shape).contiguous()
        save_file(tensors, path)
        text.pack(self.ids).save(self.place / "text.npz")
        shape = Shape(HIDDEN, SIZE, 128)
        self.start, self.exact = shape.head(parse_kind("uniform")), shape.head(HeadSpec())
        # all heads uniform, one exact, and not quite another
        self.budget = (LAYERS * HEADS - 1) * self.start + self.exact + (self.exact - self.start) * 9 // 10

    def search(self, *more: str, output: str = "found") -> tuple[int, str, str]:
        arguments = ["search", "--teacher", str(self.teacher), "--text", str(self.place / "text.npz")]
        arguments += ["--output", str(self.place / output), "--ladder", "uniform,mhsa", "--device", "cpu"]
        return self.call(*arguments, "--json", *more)

    def spec(self, output: str = "found") -> ModelSpec:
        return ModelSpec.from_json(json.loads((self.place / output / "spec.json").read_text()))

    def test_the_peaked_head_gets_exact_within_the_budget(self) -> None:
        code, out, err = self.search("--budget", str(self.budget))
        self.assertEqual(code, 0, err)
        result = json.loads(out)
        exact = [
            (number, head)
            for number, layer in enumerate(self.spec().layers)
            for head, spec in enumerate(layer)
            if spec.mode == "mhsa"
        ]
        self.assertEqual(exact, [self.PEAKED])
        self.assertEqual(result["macs"], (LAYERS * HEADS - 1) * self.start + self.exact)
        self.assertLessEqual(result["macs"], self.budget)
        self.assertEqual(result["exact_macs"], LAYERS * HEADS * self.exact)
        self.assertLess(result["loss_after"], 0.5 * result["loss_before"])
        self.assertEqual(result["heads"], {"uniform": LAYERS * HEADS - 1, "mhsa": 1})
        self.assertIn("left", err)

    def test_fewer_than_exact(self) -> None:
        code, out, err = self.search("--fewer", "1.5", "--length", "40")
        self.assertEqual(code, 0, err)
        result = json.loads(out)
        self.assertEqual(result["budget"], int(result["exact_macs"] / 1.5))
        self.assertLessEqual(result["macs"], result["budget"])
        self.assertEqual(len(result["scores"]), LAYERS * HEADS)
        # exact attention everywhere leaves the exact model as it is
        self.assertEqual({float(row["mhsa"]) for row in result["scores"]}, {0.0})

    def test_heads_of_a_student_are_judged_in_the_exact_model(self) -> None:
        """A student whose W_V has learned nothing sensible changes no score."""
        common = ["distill", "--teacher", str(self.teacher), "--text", str(self.place / "text.npz")]
        common += ["--tokens", "128", "--held-out", "10", "--steps", "1", "--device", "cpu", "--quiet"]
        place = self.place / "first"
        code, _, err = self.call(*common, "--variant", "uniform", "--output", str(place))
        self.assertEqual(code, 0, err)
        teacher = load_exact(self.teacher)
        student = load_student(place, teacher)
        with torch.no_grad():
            for layer in student.stack():
                layer.attention.value.weight.neg_()
        save_student(student, place)
        budget = ("--budget", str(self.budget))
        found = [self.search(*budget, output="a"), self.search(*budget, "--start", str(place), output="b")]
        self.assertEqual([code for code, _, _ in found], [0, 0])
        plain, started = (json.loads(out) for _, out, _ in found)
        self.assertEqual(plain["scores"], started["scores"])
        self.assertNotEqual(plain["loss_before"], started["loss_before"])

    def test_it_goes_on_where_it_was_stopped(self) -> None:
        budget = ("--budget", str(self.budget))
        self.assertEqual(self.search(*budget)[0], 0)
        path = self.place / "found" / "scores.jsonl"
        (self.place / "again").mkdir()
        lines = path.read_text().splitlines(keepends=True)
        (self.place / "again" / "scores.jsonl").write_text("".join(lines[: 1 + 2 * HEADS]))
        seen: list[tuple[int, int]] = []
        whole = Search.measure

        def measure(search: Search, judge: object, at: tuple[int, int], *rest: object) -> Score:
            seen.append(at)
            return whole(search, judge, at, *rest)  # type: ignore[arg-type]

        with mock.patch.object(Search, "measure", measure):
            self.assertEqual(self.search(*budget, output="again")[0], 0)
        self.assertEqual(seen, [(1, head) for head in range(HEADS) for _ in ("as now", "mhsa")])
        self.assertEqual(self.spec("again"), self.spec())
        for other in (("--length", "64"), ("--tuned", str(self.teacher))):
            code, _, err = self.search(*budget, *other)
            self.assertEqual(code, 3)
            self.assertIn("is of a search with other options", err)

    def test_budgets_that_make_no_sense(self) -> None:
        code, _, err = self.search("--budget", "1000")
        self.assertEqual(code, 3)
        self.assertIn(f"is below the {LAYERS * HEADS * self.start} of the model", err)
        most = self.exact / self.start  # all heads exact, by all as they are at first
        self.assertIn(f"(--fewer {most:.1f} at most)", err)
        scores = (self.place / "found" / "scores.jsonl").read_text().splitlines()
        self.assertEqual(len(scores), 1)  # the options; no head was scored for nothing
        # what softfold costs is known when it has been scored, and then it is too much as well
        softfold = ("--ladder", "softfold,mhsa", "--budget", "1000")
        code, _, err = self.search(*softfold, output="soft")
        self.assertEqual(code, 3)
        self.assertIn("the budget of 1000 multiply-adds is below the", err)
        # nor is it judged before as if it took all pairs, which it doesn't
        most = LAYERS * HEADS * Shape(HIDDEN, SIZE, 128).head(parse_kind("softfold")) - 1
        code, out, err = self.search(*softfold[:2], "--budget", str(most), output="nodes")
        self.assertEqual(code, 0, err)
        self.assertLess(json.loads(out)["start_macs"], most)
        for arguments in ((), ("--budget", "1e6", "--fewer", "5")):
            code, _, err = self.search(*arguments, output="none")
            self.assertEqual(code, 3)
            self.assertIn("--budget or --fewer", err)

    def test_what_was_found_is_distilled_and_runs(self) -> None:
        self.assertEqual(self.search("--budget", str(self.budget))[0], 0)
        common = ["distill", "--teacher", str(self.teacher), "--text", str(self.place / "text.npz")]
        common += ["--tokens", "128", "--held-out", "10", "--steps", "4", "--device", "cpu", "--quiet"]
        found = ["--spec", str(self.place / "found" / "spec.json")]
        code, _, err = self.call(*common, "--variant", "uniform", "--output", str(self.place / "first"))
        self.assertEqual(code, 0, err)
        start = ["--start", str(self.place / "first")]
        code, _, err = self.call(*common, *found, *start, "--output", str(self.place / "mixed"))
        self.assertEqual(code, 0, err)
        arguments = ["export", "--teacher", str(self.teacher), "--student", str(self.place / "mixed")]
        code, _, err = self.call(*arguments, "--output", str(self.place / "out"))
        self.assertEqual(code, 0, err)
        call = [os.environ["DAMF"], "info", "--model", str(self.place / "out")]
        said = subprocess.run(call, capture_output=True, check=True).stdout.decode()
        self.assertIn("mixed", said)
        # a checkpoint is of its attention, too, and of what it began from
        for other in ([*start, "--variant", "uniform"], found):
            code, _, err = self.call(*common, *other, "--output", str(self.place / "mixed"))
            self.assertEqual(code, 3)
            self.assertIn("is of a run with other options", err)
        code, _, err = self.call(*common, *start, "--variant", "square", "--output", str(self.place / "none"))
        self.assertEqual(code, 3)
        self.assertIn("its heads are others than square", err)
        tuned = ["--tuned", str(self.place / "first")]
        code, _, err = self.call(*common, *tuned, "--variant", "fold", "--output", str(self.place / "none"))
        self.assertEqual(code, 3)
        self.assertIn("has other attention than exact, and is no teacher", err)

    def test_a_teacher_that_was_drawn_towards_rank_1_first(self) -> None:
        """L_MS on the exact model, which a student with other attention then begins from."""
        common = ["distill", "--teacher", str(self.teacher), "--text", str(self.place / "text.npz")]
        common += ["--tokens", "128", "--held-out", "10", "--steps", "2", "--device", "cpu", "--quiet"]
        first, second = self.place / "first", self.place / "second"
        rank = ["--variant", "mhsa", "--rank-weight", "1"]
        code, _, err = self.call(*common, *rank, "--output", str(first))
        self.assertEqual(code, 0, err)
        start = ["--start", str(first), "--output", str(second)]
        code, _, err = self.call(*common, *start, "--variant", "fold", "--steps", "0", "--minutes", "1e-9")
        self.assertEqual(code, 0, err)
        teacher = load_exact(self.teacher)
        ours, theirs = load_student(second, teacher), load_student(first, teacher)
        self.assertEqual({head.mode for layer in ours.spec.layers for head in layer}, {"fold"})
        gaps = [
            float((a.inner.weight - b.inner.weight).abs().max()) for a, b in zip(ours.stack(), theirs.stack())
        ]
        self.assertLess(max(gaps), 1e-3)  # one step, in the warm-up, from what was learned first
        self.assertGreater(
            float((theirs.stack()[0].inner.weight - teacher.stack()[0].inner.weight).abs().max()), 0
        )

    def test_a_spec_of_another_model(self) -> None:
        path = self.place / "spec.json"
        common = ["distill", "--teacher", str(self.teacher), "--text", str(self.place / "text.npz")]
        common += ["--spec", str(path), "--steps", "1", "--output", str(self.place / "none")]
        for content, said in (
            ("{}", "no attention of a model"),
            (json.dumps(ModelSpec((kinds("fold"),)).to_json()), "have 4 heads in this model, not 1"),
            (json.dumps(ModelSpec((kinds(*["fold"] * HEADS),)).to_json()), "another number of layers"),
        ):
            path.write_text(content)
            code, _, err = self.call(*common)
            self.assertEqual(code, 3)
            self.assertIn(said, err)


if __name__ == "__main__":
    unittest.main()
