# SPDX-License-Identifier: MIT
"""A peer in a process of its own, which sleeps while others are measured.

Requests and answers are a line of JSON each. {"open": KIND, "name": N, ...}
prepares something and runs it once, {"run": N, "seconds": S} measures it for
about that long (once at least), {"save": N, "path": P} writes its last result, {"close": N} forgets it.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from statistics import median
from typing import Any, Callable, Mapping

Run = Callable[[], Any]


def measure(run: Run, seconds: float) -> tuple[list[float], Any]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        result = run()
        now = time.perf_counter()
        times.append((now - start) * 1e3)
        if now >= end:
            return times, result


def save(path: str, result: Any) -> None:
    """An array as npy; what a tokenizer gives as damf tokenize prints it."""
    if isinstance(result, list):
        with open(path, "w", encoding="ascii") as f:
            f.writelines(" ".join(map(str, encoding.ids)) + "\n" for encoding in result)
        return
    import numpy as np

    np.save(path, result)


def serve(kinds: Mapping[str, Callable[[dict[str, Any]], Run]], versions: dict[str, str]) -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    things: dict[str, Run] = {}
    results: dict[str, Any] = {}
    print(json.dumps({"versions": versions}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if "open" in request:
            things[request["name"]] = kinds[request["open"]](request)
            results[request["name"]] = things[request["name"]]()
        elif "run" in request:
            times, results[request["run"]] = measure(things[request["run"]], request["seconds"])
            answer["ms"] = median(times)
        elif "save" in request:
            save(request["path"], results[request["save"]])
        else:
            things.pop(request["close"], None)
            results.pop(request["close"], None)
            gc.collect()
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """The other end: starts the script and asks."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.versions: dict[str, str] = self.answer()["versions"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: {' '.join(self.command)} ended: status {self.process.wait()}")
        return dict(json.loads(line))

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
