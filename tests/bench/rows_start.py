# SPDX-License-Identifier: MIT
"""Rows 9 to 11: the tokenizer, the time to the first embedding, and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import Callable

from contenders import HERE, Setup, Waiting, environment
from measure import Mismatch, Row, Spread, Times, alternate, best, fastest, ratio, row, spread
from rows_model import Sentences, export

LINES = 1280  # of which memory is measured


# ---- 9: tokenizer --------------------------------------------------------------


def tokenizer_row(setup: Setup, sentences: Sentences) -> Row:
    mine = setup.run_damf("tokenize", "--model", setup.model, "--max-length", 256, sentences.path)
    ways: dict[str, Waiting] = {}
    for method in ("encode", "encode_batch", "encode_batch_fast"):
        waiting = Waiting(
            setup.worker("ort", 1),
            method,
            seconds=0.2,
            open="tokenizer",
            model=setup.model,
            text=sentences.path,
            variant=method,
        )
        path = os.path.join(setup.work, "ids.txt")
        waiting.save(path)
        with open(path, encoding="ascii") as f:
            if f.read() != mine:
                raise Mismatch(f"bench: tokenizer, {method}: the ids differ from damf's")
        ways[method] = waiting

    def ours() -> float:
        arguments = ("tokenizer", "--model", setup.model, "--max-length", 256, sentences.path)
        return float(setup.bench(*arguments)["median_ms"])

    name = fastest(ways)
    times = alternate({"damf": ours, name: ways[name]}, setup.rounds)
    mine_rate, rate = (len(sentences.lines) / median(times[n]) * 1e3 for n in ("damf", name))
    return Row(
        "9",
        "tokenizer, 1 thread",
        mine_rate,
        rate,
        f"tokenizers, {name}",
        "lines/s",
        ratio(times, "damf", name),
        5.0,
        None,
        sentences.note,
    )


# ---- 10, 11: processes ------------------------------------------------------------


class Process:
    """A command; call gives ms until it has printed a line."""

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self) -> float:
        start = time.perf_counter()
        child = subprocess.Popen(
            self.command, env=environment(1), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdout
        line = child.stdout.readline()
        took = (time.perf_counter() - start) * 1e3
        child.stdout.read()
        if child.wait() or not line:
            raise SystemExit(f"bench: {' '.join(self.command)}: status {child.returncode}")
        return took

    def memory(self, report: str) -> float:
        """The most MiB it had. What forks it counts in it, so that has to be small: time, not Python."""
        measured = ["/usr/bin/time", "-q", "-o", report, "-f", "%M", *self.command]
        status = subprocess.run(measured, env=environment(1), stdout=subprocess.DEVNULL).returncode
        if status:
            raise SystemExit(f"bench: {' '.join(self.command)}: status {status}")
        with open(report, encoding="utf-8") as f:
            return float(f.read()) / 1024


def processes(setup: Setup, text: str, onnx: str, packed: str) -> dict[str, Process]:
    def damf(model: str) -> Process:
        return Process(
            [
                setup.damf,
                "embed",
                "--model",
                model,
                "--backend",
                "cpu",
                "--threads",
                "1",
                "--format",
                "jsonl",
                text,
            ]
        )

    def peer(name: str) -> Process:
        script = os.path.join(HERE, "peer_start.py")
        return Process([sys.executable, "-B", script, name, setup.model, onnx, text])

    return {
        "damf f32, converted": damf(packed),
        "damf f32, Hugging Face files": damf(setup.model),
        "damf damf-minilm int8": damf(setup.shipped),
        "ONNX Runtime": peer("ort"),
        "PyTorch": peer("torch"),
    }


def write_lines(setup: Setup, name: str, lines: list[str]) -> str:
    path = os.path.join(setup.work, name)
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines)
    return path


def convert(setup: Setup) -> str:
    to = os.path.join(setup.work, "converted")
    setup.run_damf("convert", "--model", setup.model, "--output", to, "--mode", "mhsa", "--dtype", "f32")
    return to


def start_rows(setup: Setup, sentences: Sentences, onnx: str, packed: str) -> list[Row]:
    text = write_lines(setup, "one.txt", sentences.lines[:1])
    times = alternate(processes(setup, text, onnx, packed), setup.rounds + 1)
    times = {name: values[1:] for name, values in times.items()}  # the first brings files into memory
    ours = [name for name in times if name.startswith("damf")]
    peers = [name for name in times if name not in ours]
    done = []
    for name in ours:
        what = f"start to first embedding: {name}"
        goal = spread([30.0 / ms for ms in times[name]])
        reach = None if "Hugging" in name else 1.0
        done.append(row("10", what, times, name, peers, reach=10.0))
        done.append(Row("10", what, median(times[name]), 30.0, "30 ms", "ms", goal, reach))
    return done


def memory_rows(setup: Setup, lines: list[str], texts: str, onnx: str, packed: str) -> list[Row]:
    text, report = write_lines(setup, "some.txt", lines), os.path.join(setup.work, "memory.txt")
    all_of = processes(setup, text, onnx, packed)
    megabytes: Times = {name: [process.memory(report)] for name, process in all_of.items()}
    peers = [name for name in megabytes if not name.startswith("damf")]
    done = []
    for name, model in (
        ("damf f32, converted", packed),
        ("damf f32, Hugging Face files", setup.model),
        ("damf damf-minilm int8", setup.shipped),
    ):
        weights = os.path.getsize(os.path.join(model, "model.safetensors")) / 2**20
        limit = megabytes[best(megabytes, peers)][0] / weights
        more = {
            "unit": "MiB",
            "reach": 4.0,
            "limit": limit,
            "note": f"its weights alone are {weights:.1f} MiB",
        }
        what = f"resident memory, 32 {texts} a batch: {name}"
        done.append(row("11", what, megabytes, name, peers, **more))
    return done


def joined(lines: list[str], n: int) -> list[str]:
    """n lines in one."""
    return [" ".join(lines[i : i + n]) for i in range(0, len(lines), n)]


def rows(setup: Setup, wanted: set[str], sentences: Sentences) -> list[Row]:
    done = [tokenizer_row(setup, sentences)] if "9" in wanted else []
    if wanted & {"10", "11"}:
        onnx, packed = export(setup)["f32"], convert(setup)
        done += start_rows(setup, sentences, onnx, packed) if "10" in wanted else []
        if "11" in wanted:
            lines = sentences.lines[:LINES]
            done += memory_rows(setup, lines, "sentences", onnx, packed)
            done += memory_rows(setup, joined(lines, 8), "texts of 8 sentences", onnx, packed)
    return done
