# SPDX-License-Identifier: MIT
"""Tests with a script in the place of damf, and a table to judge by."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path


class StandInTest(unittest.TestCase):
    SCRIPT = ""  # what damf is

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = Path(scratch.name)
        self.damf = self.place / "damf"
        self.damf.write_text(self.SCRIPT)
        self.damf.chmod(0o755)
        self.table = self.place / "table.tsv"
