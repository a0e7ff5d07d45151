# SPDX-License-Identifier: MIT
"""Tests of the benchmark's own arithmetic, without a peer: statistics, the
comparison that has to refuse, tables, plots and the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "runtime", "training")]

import gemm_cases
import measure
import plots
import roofline
import table
from measure import Mismatch, Row, Spread


class Array:
    """As much of numpy's array as comparisons need."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = rows
        self.shape = len(rows), len(rows[0])

    def each(self, other: Array, how: Any) -> Array:
        return Array([[how(a, b) for a, b in zip(r, s)] for r, s in zip(self.rows, other.rows)])

    def __sub__(self, other: Array) -> Array:
        return self.each(other, lambda a, b: a - b)

    def __mul__(self, other: Array) -> Array:
        return self.each(other, lambda a, b: a * b)

    def __abs__(self) -> Array:
        return Array([[abs(a) for a in r] for r in self.rows])

    def max(self) -> float:
        return max(a if a == a else float("nan") for r in self.rows for a in r)

    def min(self) -> float:
        return min(a for r in self.rows for a in r)

    def sum(self, axis: int) -> Array:
        assert axis == 1
        return Array([[sum(r)] for r in self.rows])


def abs_array(a: Array) -> Array:
    return a.__abs__()


class MeasureTest(unittest.TestCase):
    def test_all_take_turns_and_another_begins_each_round(self) -> None:
        calls: list[str] = []

        def contender(name: str, ms: float) -> Any:
            def call() -> float:
                calls.append(name)
                return ms

            return call

        times = measure.alternate({"a": contender("a", 1.0), "b": contender("b", 2.0)}, 3)
        self.assertEqual(calls, ["a", "b", "b", "a", "a", "b"])
        self.assertEqual(times, {"a": [1.0] * 3, "b": [2.0] * 3})

    def test_a_ratio_is_of_the_same_round(self) -> None:
        times = {"damf": [1.0, 2.0, 10.0], "peer": [4.0, 6.0, 20.0]}
        self.assertEqual(measure.ratio(times, "damf", "peer"), Spread(3.0, 2.0, 4.0))

    def test_the_best_peer_is_the_one_of_the_least_median(self) -> None:
        times = {"damf": [1.0] * 3, "steady": [5.0, 5.0, 5.0], "lucky": [1.0, 9.0, 9.0]}
        row = measure.row("1", "x", times, "damf", ["lucky", "steady"], reach=5.0)
        self.assertEqual((row.peer_name, row.ratio.median, row.reached), ("steady", 5.0, True))
        missed = measure.row("1", "x", times, "damf", ["lucky", "steady"], reach=5.01)
        self.assertFalse(missed.reached)
        self.assertIsNone(measure.row("1", "x", times, "damf", ["steady"]).reached)
        self.assertFalse(measure.row("1", "x", times, "damf", ["steady"], reach=2.0, spoiled=True).reached)

    def test_fastest_way(self) -> None:
        self.assertEqual(measure.fastest({"a": lambda: 2.0, "b": lambda: 1.0}), "b")

    def test_spearman(self) -> None:
        self.assertEqual(measure.ranks([3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0])
        self.assertAlmostEqual(measure.spearman([1, 2, 3, 4], [10, 20, 30, 40]), 1.0)
        self.assertAlmostEqual(measure.spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]), 1 - 6 * 4 / 120)
        self.assertAlmostEqual(measure.spearman([1, 2, 2, 3], [1, 2, 3, 4]), 4.5 / (4.5 * 5) ** 0.5)


class AgreeTest(unittest.TestCase):
    OURS = Array([[1.0, -4.0], [2.0, 3.0]])

    def test_close_is_good(self) -> None:
        theirs = Array([[1.0, -4.0], [2.0, 3.002]])
        self.assertAlmostEqual(measure.must_agree("layer", self.OURS, theirs, 1e-3), 5e-4)

    def test_a_wrong_output_is_refused_by_name(self) -> None:
        wrong = Array([[1.0, -4.0], [2.0, 3.5]])
        with self.assertRaisesRegex(
            Mismatch, "layer: outputs differ by 0.12 of the largest number, 0.001 is allowed"
        ):
            measure.must_agree("layer", self.OURS, wrong, 1e-3)

    def test_not_a_number_is_refused(self) -> None:
        with self.assertRaises(Mismatch):
            measure.must_agree("layer", self.OURS, Array([[float("nan"), 0.0], [0.0, 0.0]]), 1e9)

    def test_another_shape_is_refused(self) -> None:
        with self.assertRaisesRegex(Mismatch, "not the same output"):
            measure.must_agree("layer", self.OURS, Array([[1.0, -4.0]]), 1.0)
        with self.assertRaisesRegex(Mismatch, "not the same output"):
            measure.must_align("model", self.OURS, Array([[1.0, -4.0]]), 0.0)

    def test_embeddings_must_point_the_same_way(self) -> None:
        ours, turned = Array([[1.0, 0.0], [0.6, 0.8]]), Array([[1.0, 0.0], [0.8, 0.6]])
        self.assertAlmostEqual(measure.must_align("model", ours, turned, 0.95), 0.96)
        with self.assertRaisesRegex(Mismatch, "model: embeddings have a cosine of 0.96"):
            measure.must_align("model", ours, turned, 0.97)


def result(**more: Any) -> dict[str, Any]:
    row = Row(
        "1",
        "layer `fold`, L = 128",
        0.125,
        3.0,
        "ONNX Runtime",
        "ms",
        Spread(24.0, 22.0, 25.5),
        20.0,
        60.0,
        "so it is",
    )
    return row.as_json() | more


REPORT: dict[str, Any] = {
    "command": "make bench",
    "date": "2026-01-02",
    "rounds": 5,
    "texts": "STS-B dev, 3000",
    "plots": ["ratios"],
    "versions": {"damf": "1.2"},
    "machine": {
        "cpu": "A CPU", "cpus": 2, "memory_gib": 23.5, "system": "Linux 6", "l2_gb_s": 3.0, "l3_gb_s": 2.0,
        "memory_gb_s": 1.0, "f32_gmac_s": 4.0, "int8_gmac_s": 5.0,
    },
    "shapes": [
        {"dtype": "f32", "tokens": 16, "in": 384, "out": 1536, "damf_ms": 0.1, "peer_ms": 0.11, "peer": "oneDNN",
         "ratio": {"median": 1.1}, "of_peak": 0.91},
        {"dtype": "int8", "tokens": 16, "in": 768, "out": 768, "damf_ms": 0.02, "peer_ms": 0.022, "peer": "oneDNN",
         "ratio": {"median": 1.1}, "of_peak": 0.9,
         "alone": {"peer": "the product alone", "peer_ms": 0.018, "ratio": {"median": 0.9}}},
    ],
    "results": [result(), result(number="2", reach=30.0, reached=False, limit=None, note="")],
}  # fmt: skip


def shape(ratio: float, alone: float) -> dict[str, Any]:
    """What gemm_cases has of one shape of int8."""
    return {
        "dtype": "int8", "tokens": 16, "in": 384, "out": 384, "damf_ms": 1.0, "peer": gemm_cases.WHOLE,
        "peer_ms": ratio, "ratio": Spread(ratio, ratio, ratio), "limit": 2.0,
        "alone": {"peer": gemm_cases.ALONE, "peer_ms": alone, "ratio": Spread(alone, alone, alone), "limit": 1.5},
    }  # fmt: skip


class GemmTest(unittest.TestCase):
    def test_rows_of_int8(self) -> None:
        whole, alone = gemm_cases.summaries("int8", [shape(1.0, 0.5), shape(4.0, 2.0)])
        self.assertEqual((whole.peer_name, whole.ratio), (gemm_cases.WHOLE, Spread(2.0, 1.0, 4.0)))
        self.assertEqual((alone.peer_name, alone.ratio), (gemm_cases.ALONE, Spread(1.0, 0.5, 2.0)))
        self.assertAlmostEqual(alone.limit, 1.5)
        self.assertIn("oneDNN is given integers", alone.note)

    def test_ways_of_one_peer(self) -> None:
        ways = {name: lambda: 0.0 for name in ("oneDNN matmul", f"{gemm_cases.ALONE} matmul", "OpenBLAS as X")}
        self.assertEqual(
            [gemm_cases.library(name) for name in ways], [gemm_cases.WHOLE, gemm_cases.ALONE, "OpenBLAS"]
        )

    def test_json(self) -> None:
        plain = gemm_cases.plain(shape(1.0, 0.5))
        self.assertEqual(plain["alone"]["ratio"]["most"], 0.5)
        self.assertEqual(json.loads(json.dumps(plain)), plain)


class TableTest(unittest.TestCase):
    def test_text(self) -> None:
        lines = table.text_table(REPORT["results"]).splitlines()
        self.assertEqual(len(lines), 4)
        for words in ("0.125 ms", "3 ms", "ONNX Runtime", "24 (22 to 25.5)", "20", "60", "yes"):
            self.assertIn(words, lines[2])
        self.assertTrue(lines[3].endswith("no"))
        self.assertEqual(lines[0].index("which"), lines[2].index("ONNX"))

    def test_numbers(self) -> None:
        self.assertEqual(
            [table.number(n) for n in (None, 0.12345, 12.3456, 123456.7)], ["", "0.1235", "12.35", "123,457"]
        )

    def test_notes_are_said_once(self) -> None:
        self.assertEqual(table.notes([result(), result()]), "1: layer `fold`, L = 128: so it is\n")

    def test_page(self) -> None:
        document = f"head\n\n{table.BEGIN}\nwhat was there\n{table.END}\n\ntail\n"
        once = table.put_into(document, REPORT)
        self.assertEqual(table.put_into(once, REPORT), once)
        self.assertTrue(once.startswith(f"head\n\n{table.BEGIN}\n\nPrinted by ``make bench`` on 2026-01-02:"))
        self.assertTrue(once.endswith(f"\n{table.END}\n\ntail\n"))
        self.assertNotIn("what was there", once)
        for words in (
            "layer ``fold``",
            "A CPU, 2 CPUs, 24 GiB",
            "384 x 1536",
            "91 %",
            "the product alone",
            "0.0180",
            "so it is",
            "image:: benchmarks/ratios.svg",
        ):
            self.assertIn(words, once)

    def test_page_by_command(self) -> None:
        with tempfile.TemporaryDirectory() as work:
            source, page = os.path.join(work, "results.json"), os.path.join(work, "page.rst")
            measure_file = {**REPORT}
            with open(source, "w", encoding="utf-8") as f:
                import json

                json.dump(measure_file, f)
            with open(page, "w", encoding="utf-8") as f:
                f.write(f"{table.BEGIN}\n{table.END}\n")
            subprocess.run([sys.executable, "-B", os.path.join(HERE, "page.py"), source, page], check=True)
            with open(page, encoding="utf-8") as f:
                self.assertEqual(f.read(), table.put_into(f"{table.BEGIN}\n{table.END}\n", REPORT))


class PlotTest(unittest.TestCase):
    def test_ratios(self) -> None:
        drawn = plots.ratios(REPORT["results"])
        root = ElementTree.fromstring(drawn)
        bars = [e for e in root.iter() if e.tag.endswith("rect")][1:]
        self.assertEqual([bar.get("fill") for bar in bars], ["#2ca02c", "#d62728"])
        self.assertIn("24 x ONNX Runtime", drawn)

    def test_lengths(self) -> None:
        curves = {
            128: {"damf fold": [1.0], "PyTorch, a": [4.0]},
            256: {"damf fold": [2.0], "PyTorch, b": [9.0]},
        }
        drawn = plots.by_length(curves)
        root = ElementTree.fromstring(drawn)
        self.assertEqual(len([e for e in root.iter() if e.tag.endswith("polyline")]), 2)
        self.assertNotIn("PyTorch, a", drawn)


class Roofline(unittest.TestCase):
    machine = {"f32_gmac_s": 100.0, "int8_gmac_s": 400.0, "l3_gb_s": 50.0, "memory_gb_s": 10.0}

    def points(self) -> list[roofline.Point]:
        return [
            roofline.Point(d, t, s, 50.0) for d in roofline.TYPES for s in roofline.SHAPES for t in roofline.TOKENS
        ]

    def test_intensity_counts_each_byte_once(self) -> None:
        # 8 x 384 of X and of Y in f32, and the weight
        self.assertAlmostEqual(
            roofline.Point("int8", 8, (384, 384), 1.0).intensity, 8 * 384 * 384 / (2 * 8 * 384 * 4 + 384 * 384)
        )

    def test_roof_is_the_lower_of_both(self) -> None:
        roof = roofline.roof(100.0, 10.0)
        self.assertEqual(roof[0], (1.0, 10.0))
        self.assertEqual(roof[-1][1], 100.0)

    def test_table_has_part_of_the_peak(self) -> None:
        text = roofline.table(self.machine, self.points())
        self.assertIn("50 50 %", text)
        self.assertIn("50 12 %", text)
        self.assertEqual(len({len(line) for line in text.split("\n") if line.startswith("=")}), 1)

    def test_plot_is_xml(self) -> None:
        ElementTree.fromstring(roofline.plot(self.machine, self.points()))


if __name__ == "__main__":
    unittest.main()
