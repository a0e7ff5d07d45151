# SPDX-License-Identifier: MIT
"""Scores beside costs: which points are on the front, what is counted, and what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import unittest
import xml.etree.ElementTree as ElementTree

from damftrain.cli import main
from damftrain.pareto import on_front
from stand_in import StandInTest

# Answers what its model directory holds, and keeps how it was called.
STAND_IN = """#!/bin/sh
if [ "$1" = bench ]; then
	echo "$@" >>"$4/calls"
	cat "$4/bench"
else
	cat >/dev/null
	cat "$3/answer"
fi
"""
FEED_FORWARD = 2 * 10 * 3 * 8 * 32  # of 10 tokens by 3 layers, 8 columns and 32 inner ones


class ParetoTest(StandInTest):
    SCRIPT = STAND_IN

    def setUp(self) -> None:
        super().setUp()
        self.table.write_text("a\tb\tscore\n" + "".join(f"x\ty\t{n}\n" for n in (1, 2, 3, 4)))

    def model(self, name: str, cosines: tuple[float, ...], macs: int, ms: float) -> str:
        place = self.place / name
        place.mkdir()
        config = {"num_hidden_layers": 3, "hidden_size": 8, "intermediate_size": 32, "architectures": ["B"]}
        (place / "config.json").write_text(json.dumps(config))
        (place / "answer").write_text(json.dumps({"pairs": [{"cosine": c} for c in cosines]}))
        bench = {"macs": float(FEED_FORWARD + macs), "median_ms": ms, "isa": "none"}
        (place / "bench").write_text(json.dumps(bench))
        return f"{name}={place}"

    def call(self, *models: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        arguments = ["pareto", "--damf", str(self.damf), "--data", str(self.table), "--text-column", "a"]
        arguments += ["--text-column", "b", "--label-column", "score", "--length", "10", "--rounds", "2"]
        arguments += ["--dtype", "int8", "--output", str(self.place / "out"), "--json"]
        for model in models:
            arguments += ["--model", model]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
        return code, out.getvalue(), err.getvalue()

    def test_front(self) -> None:
        points = [{"s": 2, "c": 5}, {"s": 1, "c": 5}, {"s": 1, "c": 3}, {"s": 0, "c": 4}, {"s": 2, "c": 5}]
        self.assertEqual(on_front(points, "c", "s"), [True, False, True, False, True])

    def test_command(self) -> None:
        exact = self.model("exact", (0.1, 0.2, 0.3, 0.4), 500, 2.0)  # rho 1
        cheap = self.model("cheap", (0.1, 0.2, 0.9, 0.8), 50, 3.0)  # 1 - 6 * 2 / 60
        code, out, err = self.call(exact, cheap)
        self.assertEqual(code, 0, err)
        first, second = json.loads(out)["points"]
        self.assertEqual((first["macs"], second["macs"]), (500, 50))
        self.assertEqual((first["ms"], second["ms"]), (2.0, 3.0))
        self.assertAlmostEqual(second["spearman"], 0.8)
        self.assertEqual((first["front_macs"], second["front_macs"]), (True, True))
        self.assertEqual((first["front_ms"], second["front_ms"]), (True, False))
        calls = (self.place / "cheap" / "calls").read_text().splitlines()
        self.assertEqual(len(calls), 2)
        self.assertIn("--dtype int8 --length 10 --threads 1", calls[0])

    def test_files(self) -> None:
        self.assertEqual(self.call(self.model("one", (0.1, 0.2, 0.3, 0.4), 500, 2.0))[0], 0)
        found = sorted(path.name for path in (self.place / "out").iterdir())
        self.assertEqual(found, ["pareto-macs-int8.svg", "pareto-time-int8.svg", "pareto.json"])
        for name in found[:2]:
            text = (self.place / "out" / name).read_text()
            self.assertIn("one", [part.text for part in ElementTree.fromstring(text).iter()])

    def test_what_is_no_model(self) -> None:
        code, _, err = self.call("nameless")
        self.assertEqual((code, err), (3, "damftrain: --model takes NAME=DIR\n"))
        code, _, err = self.call(f"empty={self.place}")
        self.assertEqual(code, 3)
        self.assertIn("--model takes a directory that damf reads", err)


if __name__ == "__main__":
    unittest.main()
