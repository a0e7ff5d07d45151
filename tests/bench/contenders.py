# SPDX-License-Identifier: MIT
"""damf and its peers as programs that are started for each measurement, or that wait for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Any

from worker import Worker

HERE = os.path.dirname(os.path.abspath(__file__))


def environment(threads: int, **more: str) -> dict[str, str]:
    names = "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS RAYON_NUM_THREADS"
    env = dict(os.environ) | dict.fromkeys(names.split(), str(threads)) | more
    return env | {"TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}


def output_of(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)}: status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


@dataclass
class Setup:
    """What is measured with, and where."""

    damf: str
    tools: str  # a directory with machine and gemm
    model: str
    shipped: str  # a model with DAMF attention that is in the repository
    glue: str | None
    rounds: int
    work: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="damf-bench."))
    machine: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    workers: dict[tuple[str, int], Worker] = field(default_factory=dict)

    def worker(self, name: str, threads: int) -> Worker:
        key = name, threads
        if key not in self.workers:
            command = [sys.executable, "-B", os.path.join(HERE, f"peer_{name}.py")]
            self.workers[key] = Worker(command, environment(threads))
            self.versions |= self.workers[key].versions
        return self.workers[key]

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def directory(self, name: str) -> str:
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        return path

    def run_damf(self, *arguments: str | int) -> str:
        return output_of([self.damf, *map(str, arguments)])

    def bench(self, *arguments: str | int) -> dict[str, Any]:
        return dict(json.loads(self.run_damf("bench", *arguments, "--json")))


class Kernel:
    """damf bench attention or gemm, of about so many seconds a measurement."""

    def __init__(
        self, setup: Setup, kind: str, *arguments: str | int, seconds: float = 0.1, dump: str = ""
    ) -> None:
        self.setup = setup
        self.arguments = (kind, *arguments)
        extra = ("--dump", dump) if dump else ()
        self.figures = setup.bench(*self.arguments, "--repeat", 2, *extra)
        one = self.figures["median_ms"] * self.figures["cold"] * 1e-3
        self.repeat = max(3, min(1000, round(seconds / one)))
        if seconds < 2 * one:
            self.repeat = 1

    def __call__(self) -> float:
        return float(self.setup.bench(*self.arguments, "--repeat", self.repeat)["median_ms"])


class Waiting:
    """Something that a worker has opened."""

    def __init__(self, worker: Worker, name: str, *, seconds: float, per: int = 1, **request: Any) -> None:
        self.worker, self.name, self.seconds, self.per = worker, name, seconds, per
        worker.ask(name=name, **request)

    def __call__(self) -> float:
        return float(self.worker.ask(run=self.name, seconds=self.seconds)["ms"]) / self.per

    def save(self, path: str) -> None:
        self.worker.ask(save=self.name, path=path)

    def close(self) -> None:
        self.worker.ask(close=self.name)
