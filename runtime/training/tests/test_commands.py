# SPDX-License-Identifier: MIT
"""Commands from start to end on a tiny model: tables of one's own, a kill, Table I."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from xml.etree import ElementTree

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from damftrain import text
from damftrain.chart import Series, chart
from damftrain.cli import main
from damftrain.tabletext import table
from tiny import PlaceTest, draw_ids, make_teacher, make_tokenizer, words_of

ROWS = 96


class CommandTest(PlaceTest):
    def setUp(self) -> None:
        super().setUp()
        self.teacher = self.place / "teacher"
        self.teacher.mkdir()
        make_teacher(self.teacher)
        make_tokenizer(self.teacher)
        self.ids = draw_ids([4 + row % 9 for row in range(ROWS)], 17)

    def call(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
        return code, out.getvalue(), err.getvalue()

    def write_table(self, name: str) -> Path:
        """The label says whether the text has an even id for its first word."""
        path = self.place / name
        lines = [f"{n}\t{words_of(row)}\t{'even odd'.split()[row[1] % 2]}" for n, row in enumerate(self.ids)]
        path.write_text("\n".join(["id\tbody\tkind", *lines]) + "\n")
        return path

    def tune(self, output: str, label: str) -> tuple[int, str, str]:
        train = self.write_table("train.tsv")
        arguments = ["finetune", "--teacher", str(self.teacher), "--train", str(train), "--dev", str(train)]
        arguments += ["--text-column", "body", "--label-column", label, "--epochs", "60", "--rate", "3e-3"]
        return self.call(*arguments, "--output", str(self.place / output), "--quiet", "--json")


class FinetuneTest(CommandTest):
    def test_a_table_of_one_s_own(self) -> None:
        code, out, err = self.tune("tuned", "kind")
        self.assertEqual(code, 0, err)
        result = json.loads(out)
        self.assertEqual(result["labels"], ["even", "odd"])
        self.assertGreater(result["accuracy"], 0.9)
        ElementTree.fromstring((self.place / "tuned" / "curve.svg").read_text())
        # ... and what runs it knows the labels by their names
        arguments = ["export", "--teacher", str(self.teacher), "--student", str(self.place / "tuned")]
        self.assertEqual(self.call(*arguments, "--output", str(self.place / "out"))[0], 0)
        arguments = ["evaluate", "--model", str(self.place / "out"), "--damf", os.environ["DAMF"]]
        arguments += ["--data", str(self.place / "train.tsv"), "--text-column", "body"]
        code, out, err = self.call(*arguments, "--label-column", "kind", "--backend", "cpu", "--json")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["accuracy"], result["accuracy"])

    def test_label_column_that_is_missing(self) -> None:
        code, _, err = self.tune("none", "sort")
        self.assertEqual(code, 3)
        self.assertIn("has no column sort (columns: id, body, kind)", err)
        self.assertFalse((self.place / "none").exists())

    def test_one_label_is_no_task(self) -> None:
        path = self.write_table("train.tsv")
        path.write_text(path.read_text().replace("\teven", "\todd"))
        code, _, err = self.call(
            *["finetune", "--teacher", str(self.teacher), "--train", str(path), "--dev", str(path)],
            *["--text-column", "body", "--label-column", "kind", "--output", str(self.place / "none")],
        )
        self.assertEqual(code, 3)
        self.assertIn("one label alone: odd", err)


class KillTest(CommandTest):
    def start(self, output: Path) -> subprocess.Popen[bytes]:
        arguments = ["distill", "--teacher", str(self.teacher), "--text", str(self.place / "text.npz")]
        arguments += ["--variant", "square+sinks+band1", "--steps", "60", "--tokens", "256"]
        arguments += ["--held-out", "10", "--report", "5", "--save-seconds", "0", "--device", "cpu"]
        call = [sys.executable, "-W", "ignore", "-m", "damftrain", *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen([*call, "--output", str(output)], stdout=quiet, stderr=quiet)

    def test_killed_and_resumed_it_ends_with_the_same_weights(self) -> None:
        text.pack(self.ids).save(self.place / "text.npz")
        whole, cut = self.place / "whole", self.place / "cut"
        self.assertEqual(self.start(whole).wait(), 0)
        running = self.start(cut)
        deadline = time.monotonic() + 120
        while not (cut / "checkpoint").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        self.assertEqual(running.wait(), -signal.SIGKILL)  # it had not ended yet
        self.assertFalse((cut / "student.safetensors").exists())
        self.assertEqual(self.start(cut).wait(), 0)
        wanted, found = (load_file(path / "student.safetensors") for path in (whole, cut))
        self.assertEqual(list(wanted), list(found))
        for name, tensor in wanted.items():
            self.assertTrue(torch.equal(tensor, found[name]), name)
        steps = [entry["step"] for entry in json.loads((cut / "curve.json").read_text())]
        self.assertEqual(steps, list(range(5, 61, 5)))


class TableCommandTest(CommandTest):
    def write_task(self) -> Path:
        glue = self.place / "glue"
        (glue / "RTE").mkdir(parents=True, exist_ok=True)
        pairs = zip(self.ids[::2], self.ids[1::2])
        lines = [
            f"{n}\t{words_of(a)}\t{words_of(b)}\t{'not_' * (n % 2)}entailment"
            for n, (a, b) in enumerate(pairs)
        ]
        for part in ("train", "dev"):
            (glue / "RTE" / f"{part}.tsv").write_text("\n".join(["index\ta\tb\tlabel", *lines]) + "\n")
        return glue

    def fill(self, *rows: str) -> tuple[int, str, str]:
        glue = self.write_task()
        arguments = ["table1", "--teacher", str(self.teacher)]
        arguments += ["--glue", str(glue), "--seeds", "2", "--output", str(self.place / "cells.jsonl")]
        more = [word for row in rows for word in ([row] if row.startswith("--") else ["--row", row])]
        return self.call(*arguments, *more, "--json")


class TableTest(TableCommandTest):
    def test_cells_are_filled_once_and_missing_sets_are_named(self) -> None:
        code, out, err = self.fill("exact=mhsa")
        self.assertEqual(code, 0, err)
        self.assertIn("SST-2: isn't there; SST-2 stays empty", err)
        first = json.loads(out)
        self.assertEqual(first["missing"], ["SST-2", "MRPC", "QQP"])
        self.assertEqual(
            [(c["task"], c["row"], c["seed"]) for c in first["cells"]],
            [("RTE", "exact", 0), ("RTE", "exact", 1)],
        )
        code, out, err = self.fill("exact=mhsa", "fold=fold")
        second = json.loads(out)["cells"]
        self.assertEqual(second[:2], first["cells"])  # with the time that they took
        self.assertEqual([c["row"] for c in second[2:]], ["fold", "fold"])
        self.assertNotIn("exact", err)
        self.assertIn("RTE, seed 1: fold (3 of 4 cells are there)\n", err)
        intervals = json.loads(out)["intervals"]
        self.assertEqual([(i["task"], i["row"]) for i in intervals], [("RTE", "fold")])
        # none is begun after the deadline
        code, out, err = self.fill("again=again", "--deadline=1")
        self.assertEqual((code, json.loads(out)["cells"]), (0, second), err)
        # the exact models that lie there are of these options
        code, _, err = self.fill("fold=fold", "--epochs=3")
        self.assertEqual(code, 3)
        self.assertIn("cells there are of other options", err)

    def by_name(self, *rows: str) -> subprocess.CompletedProcess[bytes]:
        """`make table1`, with START_STEPS=2 and FEWER=1.5, where all has been filled in once."""
        script = Path(__file__).parent.parent / "table1.sh"
        place = self.place / "out"
        place.mkdir(exist_ok=True)
        text.pack(self.ids * 4).save(place / "text.npz")  # fills a batch
        call = [str(script), sys.executable, str(self.teacher), str(self.place / "glue"), str(place)]
        flags = {**os.environ, "TRAIN_FLAGS": "--bf16"}
        return subprocess.run([*call, "2", "1.5", "1", *rows], env=flags, capture_output=True, check=False)

    def test_rows_by_their_names(self) -> None:
        self.write_task()
        names = ["exact", "exact1", "foldshift", "uniform+band1", "mixed", "not distilled=fold"]
        done = self.by_name(*names)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        lines = (self.place / "out" / "table1.jsonl").read_text().splitlines()
        cells = [json.loads(line) for line in lines]
        self.assertTrue(all(cell["bf16"] for cell in cells))
        seeds = [(cell["row"], cell["seed"]) for cell in cells]
        wanted = [name.partition("=")[0] for name in names]
        self.assertEqual(seeds, [(name, seed) for seed in range(5) for name in wanted])  # 5 of RTE
        start = self.place / "out" / "start"
        found = json.loads((self.place / "out" / "mixed" / "RTE" / "spec.json").read_text())
        self.assertGreater(len(found["search"]["heads"]), 1)
        self.assertLessEqual(found["search"]["macs"], found["search"]["exact_macs"] / 1.5)
        with safe_open(start / "mhsa+layers1" / "student.safetensors", "pt") as file:
            self.assertEqual(json.loads(file.metadata()["config"])["num_hidden_layers"], 1)
        # once more: nothing is done again
        made = [path for part in ("start", "mixed", "exact") for path in (start.parent / part).rglob("*")]
        files = {path: path.stat().st_mtime_ns for path in made if path.is_file()}
        self.assertEqual(self.by_name(*names).returncode, 0)
        self.assertEqual({path: path.stat().st_mtime_ns for path in files}, files)
        self.assertEqual((self.place / "out" / "table1.jsonl").read_text().splitlines(), lines)

    def test_rows_that_make_no_sense(self) -> None:
        self.write_task()
        for row, said in (
            ("cubed", "no such variant: cubed"),
            ("exact9", "9 layers are to be kept of 2"),
        ):
            done = self.by_name(row)
            self.assertEqual(done.returncode, 3, row)
            self.assertIn(said, done.stderr.decode())

    def test_a_directory_without_any_task_is_refused(self) -> None:
        arguments = ["table1", "--teacher", str(self.teacher), "--row", "exact=mhsa"]
        code, _, err = self.call(*arguments, "--glue", str(self.place), "--output", "none")
        self.assertEqual(code, 3)
        self.assertIn("holds none of SST-2, MRPC, RTE, QQP", err)

    def test_figures(self) -> None:
        """80% of 90% is a loss of 11.1%; seeds without an exact model count in no loss."""

        def cell(task: str, row: str, seed: int, score: float) -> dict[str, object]:
            return {"task": task, "row": row, "seed": seed, "accuracy": score, "f1": score / 2}

        cells = [cell("SST-2", "exact", 0, 0.9), cell("SST-2", "exact", 1, 0.8)]
        cells += [cell("SST-2", "fold", 0, 0.8), cell("SST-2", "fold", 2, 0.1), cell("QQP", "exact", 0, 0.5)]
        lines = [" ".join(line.split()) for line in table(cells, ["RTE"], {}).splitlines()]
        self.assertIn("exact 85.0 ±7.1 (2) \\ 50.0, 25.0 (1) \\", lines)
        self.assertIn("fold 11.1 \\ \\ \\", lines)
        self.assertIn("DAMF, paper, printed 0.28 0.69 4.11 -4.79", lines)
        self.assertIn("Not there, and left empty: RTE.", lines)


class ChartTest(unittest.TestCase):
    def test_points_are_where_their_values_are(self) -> None:
        drawn = chart(
            "t<t", "x", "y", [Series("a", [(1, 2)]), Series("b", [(100, 4)])], lines=False, log_x=True
        )
        root = ElementTree.fromstring(drawn)
        circles = [element for element in root if element.tag.endswith("circle")]
        (ax, ay), (bx, by) = ((float(c.get("cx", "")), float(c.get("cy", ""))) for c in circles)
        self.assertLess(ax, bx)
        self.assertGreater(ay, by)  # upwards is less
        self.assertIn("t<t", [element.text for element in root])


if __name__ == "__main__":
    unittest.main()
