#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tests of report.py, what it reads, compares and when it fails; and of text.sh,
whose sentences are embedded and have to be those that the report compares."""
import contextlib
import io
import json
import os
import struct
import subprocess
import tempfile
import unittest

import report


def npy(rows, descr="<f4"):
    """An .npy file as the format's specification has it."""
    head = repr({"descr": descr, "fortran_order": False,
                 "shape": (len(rows), len(rows[0]))}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
            + b"".join(struct.pack(f"<{len(r)}f", *r) for r in rows))


class ReportTest(unittest.TestCase):
    STATS = {"backend": "device", "submit": "io_uring", "attention": "mhsa", "sentences": 2,
             "tokens": 20, "seconds": 0.5, "jobs": 40, "macs": 1000, "doorbells": 1,
             "interrupts": 1, "submits_uring": 2, "submits_ioctl": 0, "submits_direct": 0}

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def file(self, name, data):
        path = os.path.join(self.dir.name, name)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return path

    def run_report(self, device, cpu, text="a\tb\tclose\n", guest=None, **stats):
        args = ["--text", self.file("text", text), "--device", self.file("d.npy", npy(device)),
                "--cpu", self.file("c.npy", npy(cpu)),
                "--stats", self.file("s.json", json.dumps({**self.STATS, **stats}))]
        if guest:
            args += ["--guest-cpu", self.file("g.npy", npy(guest)), "--guest-rows", "2"]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = report.main(args)
        return status, out.getvalue()

    def test_equal_embeddings_pass(self):
        status, out = self.run_report([[1, 0], [3, 4]], [[1, 0], [3, 4]])
        self.assertEqual(status, 0)
        self.assertIn(" 0.6000   0.6000  close", out)
        self.assertIn("the same bits", out)

    def test_a_difference_fails_and_is_named(self):
        status, out = self.run_report([[1, 0], [0, 1]], [[1, 0.25], [0, 1]])
        self.assertEqual(status, 1)
        self.assertIn("CPU: 0.25", out)

    def test_nan_is_no_agreement(self):
        nan = float("nan")
        _, out = self.run_report([[nan, 0], [0, 1]], [[1, 0], [0, 1]])
        self.assertIn("CPU: inf", out)

    def test_unused_device_fails(self):
        status, _ = self.run_report([[1, 0], [0, 1]], [[1, 0], [0, 1]], backend="cpu")
        self.assertEqual(status, 1)

    def test_another_path_fails(self):
        status, _ = self.run_report([[1, 0], [0, 1]], [[1, 0], [0, 1]], submits_uring=0)
        self.assertEqual(status, 1)

    def test_guest_rows_are_compared_with_theirs(self):
        rows = [[1, 0], [3, 4]]
        status, out = self.run_report(rows, rows, guest=[[3, 4]])
        self.assertEqual(status, 0)
        self.assertIn("CPU of the guest on 1 of them: the same bits", out)
        status, out = self.run_report(rows, rows, guest=[[1, 0]])
        self.assertEqual(status, 1)
        self.assertIn("NOT THE SAME BITS", out)
        with self.assertRaises(SystemExit):
            self.run_report(rows, rows, guest=rows)

    def test_missing_rows_are_refused(self):
        with self.assertRaises(SystemExit):
            self.run_report([[1, 0]], [[1, 0]])

    def test_other_types_are_refused(self):
        with self.assertRaises(SystemExit):
            report.read_npy(self.file("x.npy", npy([[1.0]], descr="<f8")))

    def test_cut_short_is_refused(self):
        with self.assertRaises(SystemExit):
            report.read_npy(self.file("x.npy", npy([[1.0, 2.0]])[:-4]))

    def test_plain_lines_are_a_chain(self):
        sentences, pairs = report.read_pairs(self.file("t", "one\n\ntwo\nthree\n"))
        self.assertEqual(sentences, ["one", "two", "three"])
        self.assertEqual([p[:2] for p in pairs], [(0, 1), (1, 2)])


class SplitTest(unittest.TestCase):
    """split_text of text.sh, and that read_pairs sees the same."""

    def split(self, text):
        """What is embedded, the three for the guest's CPU, and their rows."""
        with tempfile.TemporaryDirectory() as out:
            path = os.path.join(out, "given")
            with open(path, "wb") as f:
                f.write(text.encode())
            here = os.path.dirname(os.path.abspath(__file__))
            script = "set -euo pipefail; . ./lib.sh; . ./text.sh; split_text \"$@\""
            subprocess.run(["bash", "-c", script, "split", path, out], cwd=here, check=True)
            parts = []
            for name in ("text.txt", "three.txt", "rows"):
                with open(os.path.join(out, name), encoding="utf-8", newline="\n") as f:
                    parts.append(f.read().split("\n")[:-1])
            self.assertEqual(parts[0], report.read_pairs(path)[0])
            return parts

    def test_pairs(self):
        sentences, three, rows = self.split("a\tbbbb\tclose\nccc\tdd\n")
        self.assertEqual(sentences, ["a", "bbbb", "ccc", "dd"])
        self.assertEqual(three, ["a", "ccc", "dd"])
        self.assertEqual(rows, ["1", "3", "4"])

    def test_plain_lines(self):
        sentences, three, rows = self.split("one\nthree\n")
        self.assertEqual(sentences, ["one", "three"])
        self.assertEqual((three, rows), (["one", "three"], ["1", "2"]))

    def test_blank_lines_are_none(self):
        text = "one\n\n \n\t\n \t\v\f\r\ntwo"
        self.assertEqual(self.split(text)[0], ["one", "two"])
        self.assertEqual(self.split("a\tb\n\t \t\n")[0], ["a", "b"])

    def test_only_ascii_is_blank(self):
        text = "\u00a0\n\u2003\none\x1c\n\x1c\n\u0085\n"
        self.assertEqual(self.split(text)[0], text.split("\n")[:-1])

    def test_a_tab_in_a_plain_text_stays(self):
        self.assertEqual(self.split("one\tis one\ntwo\n")[0], ["one\tis one", "two"])

    def test_carriage_returns(self):
        self.assertEqual(self.split("a\tb\r\nc\td\te\r\n")[0], ["a", "b", "c", "d"])
        self.assertEqual(self.split("one\r\nt\rwo\r\n")[0], ["one", "t\rwo"])

    def test_more_than_a_pipe_holds(self):
        text = "".join(f"sentence {i}\n" for i in range(100000))
        sentences, three, rows = self.split(text + "a\nbb\nccc\n")
        self.assertEqual(len(sentences), 100003)
        self.assertEqual(three, ["a", "bb", "ccc"])
        self.assertEqual(rows, ["100001", "100002", "100003"])


if __name__ == "__main__":
    unittest.main()
