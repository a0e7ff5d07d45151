# SPDX-License-Identifier: MIT
"""Scores of a directory: arithmetic against figures by hand, and what is refused."""

from __future__ import annotations

import json
import unittest
from unittest import mock

import numpy as np

from damftrain.cli import main
from damftrain.columns import Columns, read_columns
from damftrain.engine import Engine
from damftrain.errors import TrainError
from damftrain.evaluate import Judged, compare, evaluate
from damftrain.stats import accuracy, spearman
from stand_in import StandInTest

# Answers what its model directory holds, whatever the texts.
STAND_IN = """#!/bin/sh
cat >/dev/null
cat "$3/answer"
"""


class EvaluateTest(StandInTest):
    SCRIPT = STAND_IN

    def config(self, labels: list[str]) -> None:
        data = {"id2label": dict(enumerate(labels))} if labels else {}
        data["architectures"] = ["BertForSequenceClassification" if labels else "BertModel"]
        (self.place / "config.json").write_text(json.dumps(data))

    def scores(self, columns: Columns) -> dict[str, object]:
        return evaluate(Engine(self.damf, self.place, "cpu"), read_columns(self.table, columns), self.table)

    def test_accuracy_and_f1(self) -> None:
        self.config(["bad", "good"])
        self.table.write_text("label\ttext\n" + "".join(f"{n}\tt\n" for n in (1, 1, 1, 0, 0)))
        answers = ["good", "good", "bad", "good", "bad"]  # 2 of 3 good ones, and one too many
        (self.place / "answer").write_text("".join(json.dumps({"label": a}) + "\n" for a in answers))
        found = self.scores(Columns(("text",), "label"))
        self.assertAlmostEqual(found["accuracy"], 3 / 5)  # type: ignore[arg-type]
        self.assertAlmostEqual(found["f1"], 2 / 3)  # type: ignore[arg-type]
        self.assertEqual(found["examples"], 5)

    def test_spearman(self) -> None:
        self.config([])
        self.table.write_text("a\tb\tscore\n" + "".join(f"x\ty\t{n}\n" for n in (1, 2, 3, 4)))
        pairs = [{"cosine": c} for c in (0.1, 0.2, 0.9, 0.8)]  # ranks 1 2 4 3: 1 - 6 * 2 / 60
        (self.place / "answer").write_text(json.dumps({"pairs": pairs}))
        self.assertAlmostEqual(self.scores(Columns(("a", "b"), "score"))["spearman"], 0.8)  # type: ignore[arg-type]

    def test_paired_differences(self) -> None:
        """One is right wherever the other is, and in 20 of 100 examples more."""
        truth = np.arange(100) % 2
        theirs = np.where(np.arange(100) < 40, 1 - truth, truth)
        ours = np.where(np.arange(100) < 20, 1 - truth, truth)
        metrics = {"accuracy": accuracy}
        found = compare(Judged(ours, truth, metrics), Judged(theirs, truth, metrics))
        self.assertAlmostEqual(found["accuracy_difference"], 0.2)
        low, high = found["accuracy_interval"]  # of a share of .2: 1.96 sqrt(.2 .8 / 100) = .078
        self.assertAlmostEqual(low, 0.2 - 0.078, delta=0.012)
        self.assertAlmostEqual(high, 0.2 + 0.078, delta=0.012)
        with self.assertRaisesRegex(TrainError, "of the same kind"):
            compare(Judged(ours, truth, metrics), Judged(theirs, truth, {"spearman": spearman}))

    def test_what_is_refused(self) -> None:
        self.config(["bad", "good"])
        self.table.write_text("label\ttext\n1\tt\n")
        (self.place / "answer").write_text("")
        with self.assertRaisesRegex(TrainError, "has no column mood .columns: label, text"):
            self.scores(Columns(("text",), "mood"))
        with self.assertRaisesRegex(TrainError, "0 results for 1 texts"):
            self.scores(Columns(("text",), "label"))
        self.table.write_text("label\ttext\nfair\tt\n")
        with self.assertRaisesRegex(TrainError, "label fair isn't one of bad, good"):
            self.scores(Columns(("text",), "label"))
        self.damf.write_text("#!/bin/sh\necho damf: no such model >&2\nexit 3\n")
        self.table.write_text("label\ttext\n1\tt\n")
        with self.assertRaisesRegex(TrainError, "failed with 3: damf: no such model"):
            self.scores(Columns(("text",), "label"))
        self.damf.unlink()
        with self.assertRaisesRegex(TrainError, "`make` builds it"):
            self.scores(Columns(("text",), "label"))

    def test_a_model_of_embeddings_wants_numbers_for_pairs(self) -> None:
        self.config([])
        self.table.write_text("a\tscore\nx\thigh\n")
        with self.assertRaisesRegex(TrainError, "held against numbers"):
            self.scores(Columns(("a",), "score"))
        self.table.write_text("a\tscore\nx\t1\nx\t2\n")
        with self.assertRaisesRegex(TrainError, "--text-column twice"):
            self.scores(Columns(("a",), "score"))

    def test_command_says_what_is_missing(self) -> None:
        with mock.patch("sys.stderr") as stderr:
            self.assertEqual(main(["evaluate", "--model", "x", "--task", "RTE"]), 3)
        self.assertIn("--task needs --glue", "".join(c.args[0] for c in stderr.write.call_args_list))


if __name__ == "__main__":
    unittest.main()
