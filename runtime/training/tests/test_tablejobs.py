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
import unittest
from contextlib import suppress
from pathlib import Path

from damftrain import text
from damftrain.results import append_line, read_lines
from damftrain.saving import locked
from test_commands import TableCommandTest
from tiny import PlaceTest

WRITERS, LINES = 4, 25


def write_lines(path: Path, writer: int) -> None:
    for line in range(LINES):
        append_line(path, {"writer": writer, "line": line})


def await_lines(process: subprocess.Popen[str], word: str, count: int) -> None:
    """Until it has said so many that hold the word."""
    assert process.stderr
    while count and (line := process.stderr.readline()):
        count -= word in line
    assert count == 0, f"ended without saying {word}"


def children(process: subprocess.Popen[str], word: bytes) -> list[int]:
    """Those with this word in their command."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in found if word in Path(f"/proc/{pid}/cmdline").read_bytes()]


def assert_gone(test: unittest.TestCase, pids: list[int]) -> None:
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        test.assertLess(time.monotonic(), end, "processes are left behind")
        time.sleep(0.05)


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
        await_lines(process, "exact", jobs)
        found = children(process, b"spawn_main")
        self.assertEqual(len(found), jobs)
        self.addCleanup(end, found)
        return found

    def test_one_that_is_killed_ends_all_with_a_word(self) -> None:
        with self.start(2) as process:
            workers = self.workers(process, 2)
            os.kill(workers[0], signal.SIGKILL)
            _, said = process.communicate()
        self.assertEqual(process.returncode, 3, said)
        self.assertIn("damftrain: one of 2 processes was ended from outside", said)
        self.assertNotIn("Traceback", said)
        assert_gone(self, workers)

    def test_none_is_left_when_the_first_is_killed(self) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            with self.start(2) as process:
                workers = self.workers(process, 2)
                process.send_signal(number)
                process.wait(60)
                assert_gone(self, workers)
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


class ScriptTest(TableCommandTest):
    """Students that `make table1` distills before."""

    def script(self, jobs: str, steps: str, *rows: str) -> subprocess.Popen[str]:
        out = self.place / "out"
        out.mkdir()
        text.pack(self.ids * 4).save(out / "text.npz")
        script = Path(__file__).parent.parent / "table1.sh"
        call = [str(script), sys.executable, str(self.teacher), str(self.write_task()), str(out), steps, "5"]
        flags = {**os.environ, "JOBS": jobs}
        return subprocess.Popen([*call, *rows], env=flags, stderr=subprocess.PIPE, text=True)

    def test_an_error_in_one_student_ends_all(self) -> None:
        with self.script("2", "100000", "cubed", "fold") as process:
            _, said = process.communicate()
        self.assertEqual(process.returncode, 3)
        self.assertIn("cubed: damftrain: no such variant: cubed", said)
        self.assertFalse((self.place / "out" / "start" / "fold" / "student.safetensors").exists())

    def test_two_at_a_time_and_none_is_left(self) -> None:
        with self.script("2", "100000", "fold", "square", "uniform") as process:
            await_lines(process, "fitting u and v", 2)
            students = children(process, b"distill")
            self.addCleanup(end, students)
            self.assertEqual(len(students), 2)
            process.terminate()
            self.assertEqual(process.wait(60), 143)
            assert_gone(self, students)

    def test_a_number_of_processes(self) -> None:
        with self.script("two", "2", "fold") as process:
            _, said = process.communicate()
        self.assertEqual(
            (process.returncode, said), (1, "table1: JOBS=two: is to be a number of processes\n")
        )
