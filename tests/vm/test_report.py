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
    STATS = {"backend": "device", "submit": "io_uring", "attention": "fold", "dtype": "int8",
             "sentences": 2, "tokens": 20, "seconds": 0.5, "jobs": 40, "macs": 1000000,
             "doorbells": 1, "interrupts": 1, "submits_uring": 2, "submits_ioctl": 0,
             "submits_direct": 0, "cycles": 3000000, "energy_pj": 4000000000,
             "read_weights": 1000000, "read_activations": 200000, "read_intermediates": 30000,
             "write_activations": 40000, "write_intermediates": 50000}
    EXACT = {"attention": "mhsa", "dtype": "f32", "macs": 4000000, "cycles": 6000000}
    # 20 tokens in two layers of it are 2 * 20 * 2 * 100 * 100 MACs
    CONFIG = {"num_hidden_layers": 2, "hidden_size": 100, "intermediate_size": 100}

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def file(self, name, data):
        path = os.path.join(self.dir.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return path

    def add_run(self, place, device, cpu, guest=None, **stats):
        self.file(f"{place}/device.npy", npy(device))
        self.file(f"{place}/cpu.npy", npy(cpu))
        if guest:
            self.file(f"{place}/guest-cpu.npy", npy(guest))
        self.file(f"{place}/config.json", json.dumps(self.CONFIG))
        stats = self.file(f"{place}/device.json", json.dumps({**self.STATS, **stats}))
        return os.path.dirname(stats)

    def call(self, *arguments, text="a\tb\tclose\n"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = report.main(["--text", self.file("text", text), *arguments])
        return status, out.getvalue()

    def run_report(self, device, cpu, guest=None, **stats):
        rows = ["--guest-rows", "2"] if guest else []
        return self.call("--run", self.add_run("run", device, cpu, guest, **stats), *rows)

    def beside(self, exact_cpu, same_type=True):
        """[1, 0] and [3, 4], which are 0.6 alike, beside exact ones that are 0.8 alike."""
        rows, exact = [[1, 0], [3, 4]], [[1, 0], [4, 3]]
        counted = {**self.STATS, **self.EXACT}
        if same_type:
            self.file("counts/exact-text.json", json.dumps({**counted, "dtype": "int8"}))
        longer = {"tokens": 128, "macs": 128 * 40000 + 10 ** 9}
        self.file("counts/exact-long.json", json.dumps({**counted, **longer}))
        longer["macs"] -= 9 * 10 ** 8
        long = self.file("counts/run-long.json", json.dumps({**self.STATS, **longer}))
        return self.call("--run", self.add_run("run", rows, rows),
                         "--exact", self.add_run("exact", exact, exact_cpu, **self.EXACT),
                         "--counts", os.path.dirname(long), "--dev-rho", "0.86,0.87")

    def lines(self, out):
        return [" ".join(line.split()) for line in out.splitlines()]

    def test_beside_the_exact_model(self):
        status, out = self.beside([[1, 0], [4, 3]])
        lines = self.lines(out)
        self.assertEqual(status, 0)
        self.assertIn("first sentence second sentence DAMF exact meaning", lines)
        self.assertIn("a b 0.6000 0.8000 close", lines)
        self.assertIn("similarity of these pairs off by 0.2000 in the mean, 0.2000 at most", lines)
        self.assertIn("STS-B dev set, Spearman's rho 0.86, exact 0.87 (models/README.md)", lines)
        self.assertIn("exact f32 exact int8 DAMF int8 DAMF int8 / exact int8", lines)
        # 1 and 4 million, less 0.8 of the feed-forward layers
        self.assertIn("attention, million MACs 3.20 3.20 0.20 0.06", lines)
        self.assertIn("all, million MACs 4.00 4.00 1.00 0.25", lines)
        self.assertIn("read and written, MB 1.32 1.32 1.32 1.00", lines)
        self.assertIn("modelled million cycles 6.00 6.00 3.00 0.50", lines)
        self.assertIn("modelled energy, mJ 4.00 4.00 4.00 1.00", lines)
        self.assertIn("attention, million MACs 1,000.00 100.00 0.10", lines)

    def test_both_models_have_to_agree_with_the_cpu(self):
        status, out = self.beside([[1, 0], [4, 3.5]])
        self.assertEqual(status, 1)
        self.assertIn("DAMF, largest difference of device and CPU: 0 (the same bits", out)
        self.assertIn("exact, largest difference of device and CPU: 0.5 (NOT THE SAME BITS", out)

    def test_models_of_one_type_have_no_third_column(self):
        _, out = self.beside([[1, 0], [4, 3]], same_type=False)
        self.assertIn("attention, million MACs 3.20 0.20 0.06", self.lines(out))

    def test_the_readme_says_the_rho_that_is_shown(self):
        """run.sh takes the line apart by this shape."""
        models = os.path.join(os.path.dirname(report.__file__), "../../models/README.md")
        with open(models, encoding="utf-8") as f:
            self.assertRegex(f.read(), r"STS-B: rho 0\.[0-9]{4}, exact 0\.[0-9]{4} ")

    def test_equal_embeddings_pass(self):
        status, out = self.run_report([[1, 0], [3, 4]], [[1, 0], [3, 4]])
        self.assertEqual(status, 0)
        self.assertIn(" 0.6000   0.6000  close", out)
        self.assertIn("(the same bits, 2 embeddings of 2 numbers)", out)

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
