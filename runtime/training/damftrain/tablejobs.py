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
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

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
    return [(task, seed) for task in tasks_there(args) for seed in range(args.seeds or SEEDS.get(task, 3))]


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
    table.fill(task, [Row.parse(row) for row in args.row], [seed], train, dev)


class Worker:
    """What a process of several has from its beginning on."""

    table: Table

    @classmethod
    def begin(cls, args: argparse.Namespace, units: list[Unit]) -> None:
        """It ends with the one that began it, which alone hears an interrupt."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // args.jobs)))
        cls.table = table_of(args, units)

    @classmethod
    def fill(cls, args: argparse.Namespace, unit: Unit) -> None:
        fill_unit(cls.table, args, unit)


def fill_in_processes(args: argparse.Namespace, units: list[Unit]) -> None:
    """The first error ends all; what they had finished is kept."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(args.jobs, context, Worker.begin, (args, units))
    try:
        for done in as_completed([pool.submit(Worker.fill, args, unit) for unit in units]):
            done.result()
    except BrokenProcessPool:
        raise TrainError(
            f"one of {args.jobs} processes was ended from outside, perhaps for want of memory; "
            "run it again, with fewer --jobs: cells that are there stay"
        )
    finally:
        for child in multiprocessing.active_children():
            child.terminate()
        pool.shutdown(cancel_futures=True)


def fill_table(args: argparse.Namespace) -> None:
    """The cells that table1 was asked for and that aren't there."""
    if args.jobs < 1:
        raise TrainError(f"--jobs {args.jobs}: at least one process is needed")
    units = units_of(args)
    table = table_of(args, units)
    if args.jobs == 1:
        for unit in units:
            fill_unit(table, args, unit)
        return
    fill_in_processes(args, units)
