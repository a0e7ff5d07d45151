# SPDX-License-Identifier: MIT
"""Several processes on one table: nothing lost, nothing twice, none left behind."""

from __future__ import annotations

import argparse
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
from typing import Any
from unittest import mock

import torch

from damftrain.results import append_line, read_lines
from damftrain.saving import locked
from damftrain.tablejobs import processes, units_of
from test_commands import TableCommandTest
from tiny import PlaceTest

WRITERS, LINES = 4, 25


def write_lines(path: Path, writer: int) -> None:
    for line in range(LINES):
        append_line(path, {"writer": writer, "line": line})


class Group(subprocess.Popen[str]):
    """A process and those that it starts: none outlives the block that they are for."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        super().__init__(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=env)

    def __exit__(self, *error: Any) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(*error)


def await_lines(process: Group, word: str, count: int) -> None:
    """Until it has said so many that hold the word."""
    assert process.stderr
    while count and (line := process.stderr.readline()):
        count -= word in line
    assert count == 0, f"ended without saying {word}"


def children(process: Group, word: bytes) -> list[int]:
    """Those with this word in their command."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in found if word in Path(f"/proc/{pid}/cmdline").read_bytes()]


def blocked(pid: int) -> int:
    """The signals that a process doesn't hear, by bit."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))


def is_there(pid: int) -> bool:
    """Also what has ended is listed, until another process asks for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_gone(test: unittest.TestCase, pids: list[int]) -> None:
    end = time.monotonic() + 60
    while any(map(is_there, pids)):
        test.assertLess(time.monotonic(), end, "processes are left behind")
        time.sleep(0.05)


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


class UnitsTest(PlaceTest):
    def test_small_tasks_come_last(self) -> None:
        for task in ("SST-2", "MRPC", "RTE", "QQP"):
            (self.place / task).mkdir()
        units = units_of(argparse.Namespace(glue=self.place, task=None, seeds=None))
        big = [(task, seed) for task in ("SST-2", "QQP") for seed in range(3)]
        small = [(task, seed) for task in ("MRPC", "RTE") for seed in range(5)]
        self.assertEqual(units, big + small)


class JobsTest(TableCommandTest):
    def setUp(self) -> None:
        super().setUp()
        self.temporary = self.place / "temporary"
        self.temporary.mkdir()

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

    def test_two_commands_at_once_make_no_cell_twice(self) -> None:
        command = self.command("--seeds", "2")
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        for process in both:
            _, said = process.communicate()
            self.assertEqual(process.returncode, 0, said)
        self.assertEqual(len(self.cells("cells.jsonl")), 2)

    def command(self, *more: str) -> list[str]:
        glue = self.write_task()
        call = [sys.executable, "-W", "ignore", "-m", "damftrain", "table1", "--teacher", str(self.teacher)]
        call += ["--glue", str(glue), "--row", "exact=mhsa", "--output", str(self.place / "cells.jsonl")]
        return [*call, *more]

    def start(self, jobs: int) -> Group:
        command = self.command("--epochs", "100000", "--jobs", str(jobs))
        return Group(command, {**os.environ, "TMPDIR": str(self.temporary)})

    def workers(self, process: Group, jobs: int) -> list[int]:
        """Once each has said which cell it makes."""
        await_lines(process, "exact", jobs)
        found = children(process, b"spawn_main")
        self.assertEqual(len(found), jobs)
        return found

    def test_one_that_is_killed_ends_all_with_a_word(self) -> None:
        with self.start(2) as process:
            workers = self.workers(process, 2)
            os.kill(workers[0], signal.SIGKILL)
            _, said = process.communicate()
            assert_gone(self, workers)
        self.assertEqual(process.returncode, 3, said)
        self.assertIn("damftrain: one of 2 processes was ended from outside", said)
        self.assertNotIn("Traceback", said)

    def test_none_is_left_when_the_first_is_killed(self) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM):
            with self.start(2) as process:
                workers = self.workers(process, 2)
                process.send_signal(number)
                process.wait(60)
                assert_gone(self, workers)

    def test_none_is_left_when_it_is_killed_before_they_begin(self) -> None:
        with self.start(2) as process:
            workers = self.beginners(process)
            process.kill()
            process.wait(60)
            assert_gone(self, workers)

    def beginners(self, process: Group) -> list[int]:
        """Two that are at their imports."""
        found: list[int] = []
        while len(found) < 2 or not all("libtorch" in Path(f"/proc/{pid}/maps").read_text() for pid in found):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
            found = children(process, b"spawn_main")
        return found

    def test_an_interrupt_leaves_nothing(self) -> None:
        """Of the keyboard: all processes get it, at work or before."""
        for wait in (lambda process: self.workers(process, 2), self.beginners):
            with self.start(2) as process:
                workers = wait(process)
                for worker in workers:  # else it shows where it was, if it isn't ended before it can
                    self.assertTrue(blocked(worker) & 1 << signal.SIGINT - 1)
                os.killpg(process.pid, signal.SIGINT)
                _, said = process.communicate()
            self.assertEqual(process.returncode, 130)
            self.assertNotIn("Traceback", said)
            assert_gone(self, workers)
            self.assertEqual(list(self.temporary.iterdir()), [])

    def test_each_has_its_part_of_the_cores(self) -> None:
        with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "64"}), processes(2) as pool:
            self.assertEqual(
                pool.submit(torch.get_num_threads).result(), max(1, len(os.sched_getaffinity(0)) // 2)
            )

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


STAND_IN = """#!/bin/bash
# In the place of Python: notes what it was asked for, and makes the student after a while.
exec >&2
while [ $# -gt 1 ]; do
	case $1 in
	distill | table1) command=$1 ;;
	--output) output=$2 ;;
	--variant) variant=$2 ;;
	esac
	shift
done
echo "$command ${variant:-} ${OMP_NUM_THREADS:-all} $BASHPID" >>"$NOTES"
[ "$command" = distill ] || exit 0
echo begun
case $variant in
fourth) exit 3 ;;
uniform) exec sleep 600 ;;
esac
sleep 0.3
mkdir -p "$output" && echo made >"$output/student.safetensors"
"""


class ScriptTest(PlaceTest):
    """Students that `make table1` distills before, with a stand-in for Python."""

    def setUp(self) -> None:
        super().setUp()
        self.out, self.notes = self.place / "out of it", self.place / "notes"
        self.out.mkdir()
        (self.out / "text.npz").write_text("text")
        self.python = self.place / "python"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)

    def script(self, jobs: str, *rows: str) -> Group:
        call = [str(Path(__file__).parent.parent / "table1.sh"), str(self.python), "teacher", "glue"]
        flags = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        return Group([*call, str(self.out), "9", "5", jobs, *rows], {**flags, "NOTES": str(self.notes)})

    def noted(self) -> list[list[str]]:
        """Command, variant, threads and process of each call."""
        return [line.split(" ") for line in self.notes.read_text().splitlines()]

    def ends(self, process: Group, status: int) -> str:
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, status, said)
        assert_gone(self, [int(process) for *_, process in self.noted()])
        return said

    def test_each_student_is_made_once(self) -> None:
        (self.out / "start" / "softfold").mkdir(parents=True)
        (self.out / "start" / "softfold" / "student.safetensors").write_text("there")
        rows = ("exact", "shift", "fold", "foldshift", "softfold", "square+band1", "x=fold:centred")
        with self.script("2", *rows) as process:
            said = self.ends(process, 0)
        *students, last = self.noted()
        self.assertEqual({variant for _, variant, *_ in students}, {"fold", "square+band1", "centred"})
        self.assertEqual(len(students), 3)
        half = str((len(os.sched_getaffinity(0)) + 1) // 2)
        self.assertEqual({threads for _, _, threads, _ in students}, {half})
        self.assertEqual(last[:3], ["table1", "", "all"])
        self.assertIn("square+band1: begun\n", said)

    def test_one_student_has_all_cores(self) -> None:
        with self.script("8", "fold", "shift") as process:
            self.ends(process, 0)
        self.assertEqual(self.noted()[0][:3], ["distill", "fold", "all"])

    def test_an_error_in_one_ends_all(self) -> None:
        for rows in (("uniform", "fourth"), ("fourth", "uniform"), ("uniform", "fold", "fourth")):
            with self.script("2", *rows) as process:
                self.ends(process, 3)
            self.assertFalse([call for call in self.noted() if call[0] == "table1"])

    def test_none_is_left_after_a_signal(self) -> None:
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.script("2", "uniform", "uniform+band1", "fold") as process:
                await_lines(process, "begun", 1)
                process.send_signal(number)
                self.ends(process, status)

    def test_what_makes_no_sense(self) -> None:
        (self.out / "text.npz").unlink()
        for jobs, row, said in (
            ("two", "fold", "two: is not a number of processes"),
            ("08", "fold", "08: is not a number of processes"),
            ("2", "x=fold:some/where", "some/where: is not the name of a variant"),
            (
                "2",
                "fold",
                f"{self.out}/text.npz: no such file; train-model makes it, or damftrain pack of any text",
            ),
        ):
            with self.script(jobs, row) as process:
                self.assertEqual(process.communicate(timeout=60)[1], f"table1: {said}\n")
            self.assertEqual(process.returncode, 1)
