# SPDX-License-Identifier: MIT
"""Intervals of losses, where they are known from the binomial distribution."""

from __future__ import annotations

import math
import unittest

import numpy as np

from damftrain.errors import TrainError
from damftrain.intervals import decode, encode, intervals
from damftrain.tabletext import table

COUNT = 400
TRUTH = np.arange(COUNT) % 2


def cell(row: str, seed: int, predicted: np.ndarray | None, task: str = "SST-2") -> dict[str, object]:
    found: dict[str, object] = {"task": task, "row": row, "seed": seed, "accuracy": 1.0, "f1": 1.0}
    return found if predicted is None else {**found, "predicted": encode(predicted)}


class IntervalTest(unittest.TestCase):
    def test_predictions_come_back(self) -> None:
        drawn = np.random.default_rng(2).integers(2, size=13)
        self.assertEqual(len(encode(drawn)), 4)
        self.assertEqual(decode(encode(drawn), 13).tolist(), drawn.tolist())

    def test_predictions_of_another_dev_set(self) -> None:
        cells = [cell("exact", 0, TRUTH[:100]), cell("fold", 0, TRUTH[:100])]
        with self.assertRaisesRegex(TrainError, "the dev set has 400"):
            intervals(cells, {"SST-2": TRUTH})

    def test_of_errors_that_are_independent(self) -> None:
        """A fifth of all wrong beside a model without errors: 20% and a binomial spread."""
        wrong = TRUTH.copy()
        wrong[::5] ^= 1
        cells = [cell("exact", 0, TRUTH), cell("fold", 0, wrong)]
        low, high = intervals(cells, {"SST-2": TRUTH})["SST-2", "fold"]
        reach = 1.96 * 100 * math.sqrt(0.2 * 0.8 / COUNT)
        self.assertLess(abs(low - (20 - reach)), 0.6)
        self.assertLess(abs(high - (20 + reach)), 0.6)

    def test_pairs_share_their_examples(self) -> None:
        """What both get wrong is no loss, however the examples are drawn."""
        wrong = TRUTH.copy()
        wrong[::3] ^= 1
        cells = [cell("exact", s, wrong) for s in (0, 1)] + [cell("same", s, wrong) for s in (0, 1)]
        self.assertEqual(intervals(cells, {"SST-2": TRUTH}), {("SST-2", "same"): (0.0, 0.0)})

    def test_a_seed_without_predictions_leaves_no_interval(self) -> None:
        cells = [cell("exact", s, TRUTH) for s in (0, 1)] + [cell("fold", 0, TRUTH), cell("fold", 1, None)]
        self.assertEqual(intervals(cells, {"SST-2": TRUTH}), {})
        self.assertEqual(intervals(cells[:3], {}), {})
        found = intervals(cells[:3], {"SST-2": TRUTH})
        self.assertIn("fold 0.0 to 0.0", " ".join(table(cells[:3], [], found).split()))

    def test_relative_to_another_row(self) -> None:
        """Half of the answers of one row are right, a quarter of the other's."""
        half, quarter = TRUTH.copy(), TRUTH.copy()
        half[: COUNT // 2] ^= 1
        quarter[: 3 * COUNT // 4] ^= 1
        scores = {"exact": 1.0, "again": 0.5, "mixed": 0.25}
        rows = zip(scores, (TRUTH, half, quarter))
        cells = [{**cell(row, 0, predicted), "accuracy": scores[row]} for row, predicted in rows]
        found = intervals(cells, {"SST-2": TRUTH}, "again")
        self.assertEqual(set(found), {("SST-2", "exact"), ("SST-2", "mixed")})
        low, high = found["SST-2", "mixed"]
        self.assertTrue(40 < low < 50 < high < 60, (low, high))
        shown = table(cells, [], found, "again")
        self.assertIn("relative to again of the same seed", shown)
        self.assertIn("mixed 50.0", " ".join(shown.split()))
        self.assertNotIn("published", shown)

    def test_of_pairs_it_is_f1(self) -> None:
        """Nothing called 1: F1 is 0 and all is lost, though half of the answers are right."""
        cells = [cell("exact", 0, TRUTH, "QQP"), cell("fold", 0, 0 * TRUTH, "QQP")]
        self.assertEqual(intervals(cells, {"QQP": TRUTH})["QQP", "fold"], (100.0, 100.0))


if __name__ == "__main__":
    unittest.main()
