# SPDX-License-Identifier: MIT
"""Cells of Table I: what students begin with, and which exact model each learns from."""

from __future__ import annotations

import fcntl
import io
import unittest
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from damftrain import table1, text
from damftrain.attention import Linear
from damftrain.convert import fitted, make_student, student_spec
from damftrain.distill import calibration
from damftrain.errors import TrainError
from damftrain.exchange import add_change, read_head
from damftrain.files import save_student
from damftrain.finetune import with_classes
from damftrain.model import Encoder, load_exact
from damftrain.spec import HeadSpec, name_of, parse_variant
from damftrain.table1 import Row, Table
from damftrain.text import Corpus
from tiny import PlaceTest, draw_pairs, make_teacher

LAYERS = 4


class TableTest(PlaceTest):
    def setUp(self) -> None:
        super().setUp()
        self.base = load_exact(make_teacher(self.place, LAYERS))
        self.packed = draw_pairs()
        self.corpus = Corpus(self.packed, torch.device("cpu"))
        self.table = Table(self.base, self.place / "out" / "cells.jsonl")

    @torch.no_grad()
    def moved(self, model: Encoder, seed: int) -> Encoder:
        """A copy with two classes, all weights of whose layers are others."""
        torch.manual_seed(seed)
        copy = with_classes(model, 2, seed)
        for name, weight in copy.named_parameters():
            if name.startswith(("layers", "pooler", "classifier")):
                weight += 0.1 * torch.randn_like(weight)
        return copy

    def student(self, name: str, int8: bool = False) -> tuple[Row, Encoder]:
        """A row that begins with a student that has learned something."""
        variant, data = parse_variant(name), calibration(self.base, self.corpus, torch.arange(80).numpy())
        model = self.moved(make_student(self.base, student_spec(self.base, variant, data), data), 5)
        model.spec = replace(model.spec, int8=int8)
        save_student(without_classes(model), self.place / name)
        return Row(name, name, self.place / name), model

    def begun(self, row: Row, exact: Encoder) -> dict[str, torch.Tensor]:
        self.begins = self.table.start(row, "RTE", self.corpus, exact)
        return self.begins.state_dict()

    def test_a_student_gets_what_the_task_changed(self) -> None:
        row, student = self.student("fold", int8=True)
        exact = self.moved(self.base, 9)
        found, theirs = self.begun(row, exact), student.state_dict()
        old, new = self.base.state_dict(), exact.state_dict()
        for name in ("layers.2.attention.value.weight", "layers.3.inner.bias", "layers.0.output_norm.weight"):
            torch.testing.assert_close(found[name] - theirs[name], new[name] - old[name], atol=1e-6, rtol=0)
            self.assertFalse(torch.equal(new[name], old[name]))
        for name in ("layers.1.attention.groups.0.pq.weight", "words.weight"):
            self.assertTrue(torch.equal(found[name], theirs[name]), name)
        for name in ("pooler.bias", "classifier.weight"):
            self.assertTrue(torch.equal(found[name], new[name]), name)
        # and is of floats, though distill ended in int8
        linear = [part for part in self.begins.modules() if isinstance(part, Linear)]
        self.assertFalse(self.begins.spec.int8 or any(part.int8 for part in linear))

    def test_fewer_layers_get_the_change_of_those_they_came_from(self) -> None:
        row, student = self.student("mhsa+layers2")
        kept = student.spec.kept
        self.assertNotEqual(kept, (0, 1))
        exact = self.moved(self.base, 9)
        found, theirs = self.begun(row, exact), student.state_dict()
        old, new = self.base.state_dict(), exact.state_dict()
        for number, source in enumerate(kept):
            for part in ("attention.groups.0.query.weight", "outer.weight"):
                ours, its = f"layers.{number}.{part}", f"layers.{source}.{part}"
                change = new[its] - old[its]
                torch.testing.assert_close(found[ours] - theirs[ours], change, atol=1e-6, rtol=0)

    def test_without_a_student_it_is_the_exact_model(self) -> None:
        exact = self.moved(self.base, 9)
        found, new = self.begun(Row("raw", "fold", None), exact), exact.state_dict()
        for name in ("layers.2.attention.value.weight", "layers.1.outer.bias", "classifier.weight"):
            self.assertTrue(torch.equal(found[name], new[name]), name)
        # u and v are those of its own scores on the task's texts
        data = calibration(exact, self.corpus, torch.arange(90).numpy())[1]
        group = exact.stack()[1].attention.parts()[0]
        wanted = fitted(parse_variant("fold").head, group, 2, data)[:, 0, :-1]
        pq = found["layers.1.attention.groups.0.pq.weight"]
        torch.testing.assert_close(pq.unflatten(0, (2, -1))[:, 2], wanted, atol=1e-5, rtol=1e-4)

    def test_mixed_is_the_exact_model_with_other_heads(self) -> None:
        exact = self.moved(self.base, 9)
        save_student(exact, self.place / "out" / "exact" / "RTE-0")
        self.table.wish = replace(self.table.wish, fewer=1.5)
        with redirect_stderr(io.StringIO()):
            found, new = self.begun(Row("mixed", "mixed", None), exact), exact.state_dict()
        for name in ("layers.0.attention.value.weight", "layers.3.outer.bias", "classifier.weight"):
            self.assertTrue(torch.equal(found[name], new[name]), name)
        named = {name_of(head) for layer in self.begins.spec.layers for head in layer}
        self.assertTrue({"square", "mhsa"} <= named <= {"square", "square+band", "mhsa"}, named)
        data = calibration(exact, self.corpus, torch.arange(90).numpy())
        for number, layer in enumerate(self.begins.stack()):
            theirs = exact.stack()[number].attention
            for head, spec in enumerate(self.begins.spec.layers[number]):
                parts = read_head(layer.attention, head)
                if spec.mode == "mhsa":
                    self.assertTrue(torch.equal(parts["query"], read_head(theirs, head)["query"]))
                    continue
                wanted = fitted(spec, theirs.parts()[0], head, data[number])
                torch.testing.assert_close(parts["scores"], wanted, atol=1e-5, rtol=1e-4)
        # another budget is another model
        self.table.wish = replace(self.table.wish, fewer=1.4)
        with self.assertRaisesRegex(TrainError, "searched for another --fewer"):
            self.begun(Row("mixed", "mixed", None), exact)

    def test_exact_heads_of_a_student_get_the_change(self) -> None:
        variant, data = parse_variant("fold"), calibration(self.base, self.corpus, torch.arange(80).numpy())
        spec = student_spec(self.base, variant, data)
        heads = (spec.layers[0][0], HeadSpec(), *spec.layers[0][2:])
        student = self.moved(make_student(self.base, replace(spec, layers=(heads,) * LAYERS), data), 5)
        before, exact = read_head(student.stack()[2].attention, 1), self.moved(self.base, 9)
        add_change(student, self.base, exact)
        after = read_head(student.stack()[2].attention, 1)
        old, new = (read_head(model.stack()[2].attention, 1) for model in (self.base, exact))
        for name in ("query", "key"):
            change = new[name] - old[name]
            self.assertGreater(float(change.abs().max()), 0.01)
            torch.testing.assert_close(after[name] - before[name], change, atol=1e-6, rtol=0)

    def test_the_control_is_the_exact_model(self) -> None:
        exact = self.moved(self.base, 9)
        self.begun(Row("again", "again", None), exact)
        self.assertTrue(same(self.begins, exact))
        weight = self.begins.stack()[0].inner.weight
        self.assertNotEqual(weight.data_ptr(), exact.stack()[0].inner.weight.data_ptr())

    def test_a_start_in_powers_of_two(self) -> None:
        row, _ = self.student("fold")
        self.begun(Row("foldshift", "foldshift", row.start), self.moved(self.base, 9))
        self.assertEqual(self.begins.spec.modes(), {"foldshift"})

    def test_starts_that_make_no_sense(self) -> None:
        row, student = self.student("fold")
        exact = self.moved(self.base, 9)
        with self.assertRaisesRegex(TrainError, "heads are others than square"):
            self.begun(Row("square", "square+band1", row.start), exact)
        save_student(student, self.place / "tuned")
        with self.assertRaisesRegex(TrainError, "has learned a task already"):
            self.begun(Row("fold", "fold", self.place / "tuned"), exact)

    def test_what_processes_share_is_made_under_locks(self) -> None:
        """The exact model, the options, the heads of mixed and the cells of a seed."""
        out, seen = self.table.results.parent, []

        def held(name: str) -> bool:
            with open(out / f"{name}.lock", "a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
            return False

        def tune(model: Encoder, *_: Any) -> Encoder:
            seen.append(("tune", held("exact/RTE-0"), held("cells.jsonl.RTE-0")))
            return model

        def search(*_: Any) -> None:
            seen.append(("search", held("mixed/RTE/spec.json"), held("cells.jsonl.RTE-0")))
            raise TrainError("enough")

        def save(path: Path, data: Any) -> None:
            seen.append(("options", held(table1.OPTIONS), path.name == table1.OPTIONS))

        with (
            mock.patch.object(self.table, "tune", tune),
            mock.patch.object(table1, "teacher_of", lambda model, corpus: model),
            mock.patch.object(table1, "search_heads", search),
            mock.patch.object(table1, "save_json", save),
            redirect_stderr(io.StringIO()),
            self.assertRaisesRegex(TrainError, "enough"),
        ):
            self.table.fill("RTE", [Row("mixed", "mixed", None)], 0, self.packed, self.packed)
        self.assertEqual(seen, [(name, True, True) for name in ("tune", "options", "search")])
        self.assertFalse(held("cells.jsonl.RTE-0"))

    def test_each_seed_learns_from_its_own_exact_model(self) -> None:
        exact = {seed: self.moved(self.base, 20 + seed) for seed in range(2)}
        for seed, model in exact.items():
            save_student(model, self.place / "out" / "exact" / f"RTE-{seed}")
        learned: list[tuple[Encoder, Any]] = []  # teacher, recipe
        searched: list[Encoder] = []
        inner = table1.search_heads

        def tune(model: Encoder, corpus: Corpus, seed: int, recipe: Any, teacher: Any) -> Encoder:
            learned.append((teacher, recipe))
            return model

        def search(teacher: Encoder, *more: Any) -> Any:
            searched.append(teacher)
            return inner(teacher, *more, quiet=True)

        self.table.wish = replace(self.table.wish, fewer=1.5)
        rows = [Row("fold", "fold", None), Row("mixed", "mixed", None), Row("again", "again", None)]
        with (
            mock.patch.object(self.table, "tune", tune),
            mock.patch.object(table1, "teacher_of", lambda model, corpus: model),
            mock.patch.object(table1, "search_heads", search),
            mock.patch.object(table1, "trim_heap") as trimmed,
        ):
            with redirect_stderr(io.StringIO()) as said:
                for seed in range(2):
                    self.table.fill("RTE", rows, seed, self.packed, self.packed)
        self.assertIn("RTE, seed 1: again\n", said.getvalue())
        self.assertEqual(trimmed.call_count, 6)  # after each cell
        cells = [(cell["row"], cell["seed"]) for cell in table1.read_cells(self.table.results)]
        self.assertEqual(cells, [(row.name, seed) for seed in range(2) for row in rows])
        recipes = [table1.STUDENT, table1.NEAR, table1.NEAR]
        for (teacher, recipe), (name, seed), wanted in zip(learned, cells, recipes * 2):
            self.assertTrue(same(teacher, exact[seed]), seed)
            self.assertEqual(recipe, wanted, name)
        self.assertEqual(len(searched), 1)  # the heads are the task's, found once
        self.assertTrue(same(searched[0], exact[0]))


class HeapTest(unittest.TestCase):
    def test_it_is_trimmed_where_the_library_can(self) -> None:
        can, can_not = mock.Mock(spec=["malloc_trim"]), mock.Mock(spec=[])
        for library in (can, can_not):
            with mock.patch("ctypes.CDLL", return_value=library):
                table1.trim_heap()
        can.malloc_trim.assert_called_once_with(0)


def without_classes(model: Encoder) -> Encoder:
    """What distill leaves: no classes."""
    bare = Encoder(model.config, replace(model.spec, classes=0))
    bare.load_state_dict({name: model.state_dict()[name] for name in bare.state_dict()})
    return bare


def same(one: Encoder, other: Encoder) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values())
    return all(torch.equal(a, b) for a, b in pairs)


if __name__ == "__main__":
    unittest.main()
