# SPDX-License-Identifier: MIT
"""Several processes on one table: nothing lost, nothing twice, none left behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from damftrain.results import append_line, read_lines
from damftrain.saving import locked
from test_commands import TableCommandTest
from tiny import PlaceTest

WRITERS, LINES = 4, 25


def write_lines(path: Path, writer: int) -> None:
    for line in range(LINES):
        append_line(path, {"writer": writer, "line": line})


def end(pids: list[int]) -> None:
    """Those that a failed test has left behind."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class AppendTest(PlaceTest):
    def test_no_line_is_lost(self) -> None:
        path, context = self.place / "results.jsonl", multiprocessing.get_context("spawn")
        writers = [context.Process(target=write_lines, args=(path, n)) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
            self.assertEqual(writer.exitcode, 0)
        lines = [(line["writer"], line["line"]) for line in read_lines(path, "table1")]
        self.assertEqual(len(lines), WRITERS * LINES)
        for writer in range(WRITERS):
            self.assertEqual([line for n, line in lines if n == writer], list(range(LINES)))

    def test_a_lock_goes_with_its_process(self) -> None:
        code = "import sys, time, pathlib, damftrain.saving as saving\n"
        code += "with saving.locked(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(600)"
        path = self.place / "exact"
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
            assert holder.stdout
            holder.stdout.readline()
            holder.kill()
        with locked(path):  # hangs if it is still held
            pass


class JobsTest(TableCommandTest):
    def cells(self, name: str) -> dict[tuple[str, int], dict[str, object]]:
        lines = [json.loads(line) for line in (self.place / name).read_text().splitlines()]
        found = {(cell["row"], cell["seed"]): cell for cell in lines}
        self.assertEqual(len(found), len(lines))  # none twice
        for cell in lines:
            del cell["seconds"]
        return found

    def test_cells_are_those_of_one_process(self) -> None:
        rows = ("exact=mhsa", "fold=fold", "mixed=mixed", "--fewer=1.5")
        code, _, err = self.fill(*rows)
        self.assertEqual(code, 0, err)
        one = self.cells("cells.jsonl")
        for part in ("exact", "mixed"):
            (self.place / part).rename(self.place / f"{part}-one")
        (self.place / "cells.jsonl").unlink()
        code, out, err = self.fill(*rows, "--jobs=3")
        self.assertEqual(code, 0, err)
        self.assertEqual(self.cells("cells.jsonl"), one)
        self.assertEqual(len(json.loads(out)["cells"]), 6)

    def start(self, jobs: int) -> subprocess.Popen[str]:
        glue = self.write_task()
        call = [sys.executable, "-W", "ignore", "-m", "damftrain", "table1", "--teacher", str(self.teacher)]
        call += ["--glue", str(glue), "--row", "exact=mhsa", "--epochs", "100000", "--jobs", str(jobs)]
        call += ["--output", str(self.place / "cells.jsonl")]
        return subprocess.Popen(call, stderr=subprocess.PIPE, text=True)

    def workers(self, process: subprocess.Popen[str], jobs: int) -> list[int]:
        """Once each has said which cell it makes."""
        assert process.stderr
        for _ in range(jobs):
            while "exact" not in process.stderr.readline():
                self.assertIsNone(process.poll())
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        named = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        found = [pid for pid, command in named.items() if b"spawn_main" in command]
        self.assertEqual(len(found), jobs)
        self.addCleanup(end, found)
        return found

    def assert_gone(self, pids: list[int]) -> None:
        end = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            self.assertLess(time.monotonic(), end, "processes are left behind")
            time.sleep(0.05)

    def test_one_that_is_killed_ends_all_with_a_word(self) -> None:
        with self.start(2) as process:
            workers = self.workers(process, 2)
            os.kill(workers[0], signal.SIGKILL)
            _, said = process.communicate()
        self.assertEqual(process.returncode, 3, said)
        self.assertIn("damftrain: one of 2 processes was ended from outside", said)
        self.assertNotIn("Traceback", said)
        self.assert_gone(workers)

    def test_none_is_left_when_the_first_is_killed(self) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            with self.start(2) as process:
                workers = self.workers(process, 2)
                process.send_signal(number)
                process.wait(60)
                self.assert_gone(workers)
        self.assertEqual(process.returncode, 130)

    def test_an_error_of_one_is_the_command_s(self) -> None:
        (self.place / "exact").write_text("in the way of the exact models")
        code, _, err = self.fill("exact=mhsa", "--jobs=2")
        self.assertEqual(code, 3)
        self.assertIn(f"{self.place}/exact/RTE-", err)
        self.assertIn("cannot lock", err)

    def test_no_process_at_all_is_refused(self) -> None:
        code, _, err = self.fill("exact=mhsa", "--jobs=0")
        self.assertEqual(code, 3)
        self.assertIn("--jobs 0: at least one process is needed", err)
