# SPDX-License-Identifier: MIT
"""Who fills the cells of Table I: this process, or several, each with a task and a seed at a time."""

from __future__ import annotations

import argparse
import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Iterator

import torch

from .errors import TrainError
from .glue import TASKS, pack_examples, read_task
from .model import device_of, load_exact
from .table1 import SEEDS, Row, Table
from .text import Packed

PR_SET_PDEATHSIG = 1
Unit = tuple[str, int]  # task, seed


def tasks_there(args: argparse.Namespace) -> list[str]:
    """Of those asked for; what isn't there is named."""
    if not any((args.glue / task).is_dir() for task in TASKS):
        raise TrainError(
            f"{args.glue}: holds none of {', '.join(TASKS)}; give GLUE directories as distributed"
        )
    found = []
    for task in args.task or TASKS:
        if (args.glue / task).is_dir():
            found.append(task)
        else:
            print(f"damftrain: {args.glue / task}: isn't there; {task} stays empty", file=sys.stderr)
    return found


def units_of(args: argparse.Namespace) -> list[Unit]:
    """Small tasks, those of many seeds, last: then no process has long to do when others are done."""
    tasks = sorted(tasks_there(args), key=lambda task: SEEDS[task])
    return [(task, seed) for task in tasks for seed in range(args.seeds or SEEDS[task])]


def table_of(args: argparse.Namespace, units: list[Unit]) -> Table:
    """Refuses a directory of other options."""
    base = load_exact(args.teacher).to(device_of(args.device))
    table = Table(base, args.output, args.examples, args.epochs, not args.no_graphs, args.bf16)
    table.wish = replace(table.wish, fewer=args.fewer)
    table.deadline = args.deadline or float("inf")
    names = [Row.parse(row).name for row in args.row]
    table.wanted = frozenset((task, name, seed) for task, seed in units for name in names)
    table.agree()
    return table


@functools.lru_cache(maxsize=1)
def task_of(teacher: Path, glue: Path, task: str) -> tuple[Packed, Packed]:
    """Training and dev examples; units of one task come one after another."""
    train, dev = (pack_examples(teacher, part) for part in read_task(glue, task))
    return train, dev


def fill_unit(table: Table, args: argparse.Namespace, unit: Unit) -> None:
    task, seed = unit
    train, dev = task_of(args.teacher, args.glue, task)
    table.fill(task, [Row.parse(row) for row in args.row], seed, train, dev)


class Worker:
    """One process of several: it makes its table with its first unit, so that errors are heard."""

    table: Table | None = None

    @staticmethod
    def begin(first: int, jobs: int, scratch: str) -> None:
        """It ends with the one that began it, and leaves no files but in the directory of that one."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != first:  # which ended before
            os._exit(1)
        tempfile.tempdir = scratch
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // jobs)))

    @classmethod
    def fill(cls, args: argparse.Namespace, units: list[Unit], unit: Unit) -> None:
        cls.table = cls.table or table_of(args, units)
        fill_unit(cls.table, args, unit)


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """None is left behind, however it ends."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        pool = ProcessPoolExecutor(jobs, context, Worker.begin, (os.getpid(), jobs, scratch))
        try:
            yield pool
        except BrokenProcessPool:
            raise TrainError(
                f"one of {jobs} processes was ended from outside, perhaps for want of memory; "
                "run it again, with fewer --jobs: cells that are there stay"
            )
        finally:
            for child in multiprocessing.active_children():
                child.terminate()
            pool.shutdown(cancel_futures=True)


def fill_in_processes(args: argparse.Namespace, units: list[Unit], left: list[Unit]) -> None:
    """The first error ends all; what they had finished is kept."""
    with processes(min(args.jobs, len(left))) as pool:
        # an interrupt is for this process alone: those that it starts now don't hear any
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        filled = [pool.submit(Worker.fill, args, units, unit) for unit in left]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for done in as_completed(filled):
            done.result()


def fill_table(args: argparse.Namespace) -> None:
    """The cells that table1 was asked for and that aren't there."""
    if args.jobs < 1:
        raise TrainError(f"--jobs {args.jobs}: at least one process is needed")
    units = units_of(args)
    table = table_of(args, units)
    missing = {(task, seed) for task, _, seed in table.wanted - table.done()}
    left = [unit for unit in units if unit in missing]
    if args.jobs > 1 and len(left) > 1:
        fill_in_processes(args, units, left)
        return
    for unit in left:
        fill_unit(table, args, unit)
