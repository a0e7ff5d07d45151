#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tests of bench_device.py with a damf and a guest that are made up."""
import contextlib
import io
import json
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import bench_device

DAMF = """#!/bin/sh
case $* in
convert*--dtype\\ f64*) echo 'damf: --dtype f64: no such type' >&2; exit 2 ;;
convert*) exec mkdir "$5" ;;
*--model*/int8*cpu*) ms=30 ;;
*cpu*) ms=100 ;;
*/int8*) ms=40 ;;
*) ms=80 ;;
esac
case $* in *cpu*) backend=cpu ;; *) backend=${FAKE_BACKEND:-device} ;; esac
echo "$*" >>"$FAKE_LOG"
[ -d "$3" ] && echo "{\\"backend\\": \\"$backend\\", \\"engine_ms\\": $ms}"
"""
GUEST = """#!/bin/sh
for word; do case $word in turns=*) turns=${word#turns=} ;; esac; done
[ -z "$FAKE_PANIC" ] || { echo 'the guest did not get to the end' >&2; exit 125; }
exec sh "$turns/run.sh"
"""


class Monitor:
    """QEMU's, which notes what it is told."""

    def __init__(self, path, timeout):
        pass

    def command(self, name):
        with open(os.environ["FAKE_LOG"], "a", encoding="utf-8") as f:
            f.write(f"{name}\n")


class BenchDeviceTest(unittest.TestCase):
    def setUp(self):
        tmp = tempfile.TemporaryDirectory()
        self.addCleanup(tmp.cleanup)
        self.dir = pathlib.Path(tmp.name)
        for name, text in ("damf", DAMF), ("vm-run", GUEST):
            (self.dir / name).write_text(text)
            (self.dir / name).chmod(0o755)

    def run_bench(self, *args, **env):
        out, err = io.StringIO(), io.StringIO()
        env = {"PATH": f"{self.dir}:{os.environ['PATH']}", "FAKE_LOG": str(self.dir / "log"), **env}
        with mock.patch.dict(os.environ, env), contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(err), \
                mock.patch.object(bench_device, "VM_RUN", self.dir / "vm-run"), \
                mock.patch.object(bench_device.qmp, "Monitor", Monitor):
            status = bench_device.main(["--damf", str(self.dir / "damf"), "--model", "m",
                                        "--rounds", "2", *args])
        return status, out.getvalue(), err.getvalue()

    def test_a_fast_device_passes(self):
        status, out, err = self.run_bench("--types", "f32")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("100.0 ms     80.0 ms   1.250  1.250 1.250", out)

    def test_a_slow_one_fails_and_is_named(self):
        status, _, err = self.run_bench()
        self.assertEqual((status, err), (1, "below 0.95: int8\n"))
        self.assertEqual(self.run_bench("--least", "0.7")[0], 0)

    def test_json(self):
        results = json.loads(self.run_bench("--json")[1])
        self.assertEqual([r["dtype"] for r in results], ["f32", "int8"])
        self.assertEqual(results[1]["ratios"], [0.75, 0.75])

    def test_both_sides_run_the_same_in_turns(self):
        self.run_bench("--types", "f32", "--threads", "3")
        lines = (self.dir / "log").read_text().splitlines()
        turn = ["device", "stop", "cpu --threads 3", "cont"]
        self.assertEqual(len(lines), 8)
        for line, word in zip(lines, 2 * turn):
            self.assertIn(word, line)
            if "bench" in line:
                self.assertIn("--batch 32 --length 128 --list-tokens 4096 --repeat 3", line)

    def check_failure(self, words, *args, **env):
        with self.assertRaises(SystemExit) as end:
            self.run_bench(*args, **env)
        self.assertIn(words, str(end.exception))

    def test_another_backend_is_an_error(self):
        self.check_failure("it ran on cpu, not on device", FAKE_BACKEND="cpu")

    def test_a_guest_that_ends_is_an_error(self):
        self.check_failure("the guest has ended: the guest did not get", FAKE_PANIC="1")

    def test_an_error_of_damf_is_passed_on(self):
        self.check_failure("--dtype f64: no such type", "--types", "f64")


if __name__ == "__main__":
    unittest.main()
