# SPDX-License-Identifier: MIT
"""Tests with a script in the place of damf, and a table to judge by."""

from __future__ import annotations

from tiny import PlaceTest


class StandInTest(PlaceTest):
    SCRIPT = ""  # what damf is

    def setUp(self) -> None:
        super().setUp()
        self.damf = self.place / "damf"
        self.damf.write_text(self.SCRIPT)
        self.damf.chmod(0o755)
        self.table = self.place / "table.tsv"
