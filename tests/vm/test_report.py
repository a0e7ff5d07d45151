#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tests of report.py: what it reads, what it compares, when it fails."""
import contextlib
import io
import json
import os
import struct
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


if __name__ == "__main__":
    unittest.main()
