# SPDX-License-Identifier: MIT
"""Rows 6 to 8 and 12: all-MiniLM-L6-v2 on sentences, tokenizing included."""

from __future__ import annotations

import os
from dataclasses import dataclass
from statistics import median
from typing import Any, Callable

import numpy as np

from contenders import Kernel, Setup, Waiting
from measure import Row, Spread, Times, alternate, best, must_align, ratio, spearman

THREADS = (1, 2)
INT8 = {"per channel, int8": (True, True), "int8": (False, True), "uint8": (False, False)}
EQUAL = 0.002  # of rho
ORT, ORT8 = "ONNX Runtime", "ONNX Runtime, dynamic int8"
PACKED, EAGER = "PyTorch, oneDNN linear", "PyTorch, F.linear"
EXACT, EXACT8, FOLD8, SHIPPED8 = "damf mhsa f32", "damf mhsa int8", "damf fold int8", "damf damf-minilm int8"


@dataclass
class Sentences:
    path: str
    lines: list[str]
    scores: list[float]  # of pairs, the first of which is lines[0] and lines[n / 2]; or none
    name: str

    @property
    def note(self) -> str:
        return "" if self.scores else self.name

    def rho(self, rows: np.ndarray) -> float | None:
        half = len(self.lines) // 2
        return spearman((rows[:half] * rows[half:]).sum(1).tolist(), self.scores) if self.scores else None


def read_sentences(setup: Setup, top: str) -> Sentences:
    path = os.path.join(setup.work, "sentences.txt")
    if setup.glue:
        with open(os.path.join(setup.glue, "STS-B", "dev.tsv"), encoding="utf-8") as f:
            table = [line.rstrip("\n").split("\t") for line in f][1:]
        lines = [r[7] for r in table] + [r[8] for r in table]
        sentences = Sentences(path, lines, [float(r[9]) for r in table], "STS-B dev")
    else:
        pages = sorted(os.listdir(os.path.join(top, "Documentation")))
        texts = [
            open(os.path.join(top, "Documentation", p), encoding="utf-8").read()
            for p in pages
            if p.endswith(".rst")
        ]
        lines = [line.strip() for text in texts for line in text.split("\n") if line.strip()][:3000]
        sentences = Sentences(path, lines, [], "lines of Documentation/*.rst, no BENCH_GLUE")
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in sentences.lines)
    return sentences


def export(setup: Setup) -> dict[str, str]:
    """Files of ONNX Runtime's graphs: f32, and the ways of int8."""
    where = setup.directory("onnx")
    paths = {"f32": where + "/f32.onnx"} | {name: f"{where}/{i}.onnx" for i, name in enumerate(INT8)}
    int8 = [[paths[name], *how] for name, how in INT8.items()]
    setup.worker("ort", 1).ask(open="export", name="export", model=setup.model, onnx=paths["f32"], int8=int8)
    return paths


def embed(setup: Setup, sentences: Sentences, model: str, *how: str) -> np.ndarray:
    out = os.path.join(setup.work, "ours.npy")
    setup.run_damf(
        "embed",
        "--model",
        model,
        "--backend",
        "cpu",
        *how,
        "--format",
        "npy",
        "--output",
        out,
        sentences.path,
    )
    return np.asarray(np.load(out))


class Ours:
    def __init__(self, setup: Setup, sentences: Sentences, model: str, threads: int, *how: str) -> None:
        self.setup = setup
        self.arguments: list[str | int] = [
            "model",
            "--model",
            model,
            "--text",
            sentences.path,
            "--threads",
            threads,
            "--repeat",
            1,
            *how,
        ]

    def __call__(self) -> float:
        return float(self.setup.bench(*self.arguments)["median_ms"])


def open_model(
    setup: Setup, sentences: Sentences, script: str, threads: int, name: str, **how: Any
) -> tuple[Waiting, np.ndarray]:
    waiting = Waiting(
        setup.worker(script, threads),
        name,
        seconds=0,
        open="model",
        model=setup.model,
        text=sentences.path,
        **how,
    )
    path = os.path.join(setup.work, "peer.npy")
    waiting.save(path)
    return waiting, np.asarray(np.load(path))


def pick_int8(
    setup: Setup, sentences: Sentences, paths: dict[str, str], exact: np.ndarray
) -> tuple[str, float | None]:
    """The fastest way of those that lose no more than the best, and its rho."""
    found: list[tuple[float, float, str, float | None]] = []
    for name in INT8:
        waiting, rows = open_model(setup, sentences, "ort", 1, name, onnx=paths[name])
        cosine = must_align(f"int8 {name}", exact, rows, 0.5)
        rho = sentences.rho(rows)
        found.append((cosine if rho is None else rho, waiting(), name, rho))
        waiting.close()
    most = max(found)[0]
    return min(way[1:] for way in found if way[0] >= most - EQUAL)[1:]


def on(name: str, threads: int) -> str:
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def contenders(
    setup: Setup, sentences: Sentences, paths: dict[str, str], int8: str, exact: np.ndarray
) -> dict[str, Callable[[], float]]:
    all_of: dict[str, Callable[[], float]] = {}
    ways: list[tuple[str, str, dict[str, str]]] = [
        (ORT, "ort", {"onnx": paths["f32"]}),
        (ORT8, "ort", {"onnx": paths[int8]}),
        (PACKED, "torch", {"variant": "oneDNN linear"}),
        (EAGER, "torch", {"variant": "F.linear"}),
    ]
    for threads in THREADS:
        for name, model, how in (
            (EXACT, setup.model, ("--attention", "mhsa", "--dtype", "f32")),
            (EXACT8, setup.model, ("--attention", "mhsa", "--dtype", "int8")),
            (FOLD8, setup.model, ("--attention", "fold", "--dtype", "int8")),
            (SHIPPED8, setup.shipped, ()),
        ):
            all_of[on(name, threads)] = Ours(setup, sentences, model, threads, *how)
        for name, script, more in ways:
            waiting, rows = open_model(setup, sentences, script, threads, name, **more)
            must_align(on(name, threads), exact, rows, 0.5 if name == ORT8 else 0.99999)
            all_of[on(name, threads)] = waiting
    return all_of


def one_row(
    number: str,
    times: Times,
    n: int,
    ours: str,
    peers: list[str],
    reach: float | None,
    note: str = "",
    spoiled: bool = False,
) -> Row:
    peer = best(times, peers)
    rates = [n / median(times[name]) * 1e3 for name in (ours, peer)]
    what = f"MiniLM {ours.removeprefix('damf ')}"
    return Row(
        number,
        what,
        rates[0],
        rates[1],
        peer.rsplit(", ", 1)[0],
        "texts/s",
        ratio(times, ours, peer),
        reach,
        None,
        note,
        spoiled,
    )


def threads_row(what: str, times: Times, ours: str, two: str) -> Row:
    figures = median(times[two]), median(times[ours])
    return Row("12", f"2 threads against 1: {what}", *figures, "1 thread", "ms", ratio(times, two, ours), 1.8)


def kernel_threads(setup: Setup) -> list[Row]:
    done = []
    for mode, length in (("mhsa", 1024), ("shift", 512)):
        shape = ("--attention", mode, "--length", length)
        two: dict[str, Callable[[], float]] = {
            str(t): Kernel(setup, "attention", *shape, "--threads", t, seconds=0.3) for t in THREADS
        }
        done.append(
            threads_row(f"attention layer `{mode}`, L = {length}", alternate(two, setup.rounds), "1", "2")
        )
    return done


def make_rows(times: Times, n: int, rhos: dict[str, str], worse: bool, name: str) -> list[Row]:
    done = []
    for t in THREADS:
        f32 = [on(peer, t) for peer in (ORT, PACKED, EAGER)]
        done += [
            one_row("6", times, n, on(EXACT, t), [on(ORT, t)], 1.15, name),
            one_row("6", times, n, on(EXACT, t), [on(PACKED, t), on(EAGER, t)], 1.35, name),
            one_row("6", times, n, on(EXACT, t), [on(EAGER, t)], 1.35, "F.linear is PyTorch as its modules call it"),
            one_row("7", times, n, on(EXACT8, t), [on(ORT8, t)], 1.4, rhos["int8"], worse),
            one_row("8", times, n, on(FOLD8, t), f32, 4.0, name),
            one_row("8", times, n, on(SHIPPED8, t), f32, None, rhos["shipped"]),
        ]
    done += [
        threads_row(f"MiniLM {w.removeprefix('damf ')}", times, on(w, 1), on(w, 2)) for w in (EXACT, EXACT8)
    ]
    return done


def described(mine: float | None, theirs: float | None, what: str) -> str:
    if mine is None:
        return "rho not measured: no BENCH_GLUE"
    return f"rho {mine:.4f}" + (f", {what} {theirs:.4f}" if theirs is not None else "")


def rows(setup: Setup, wanted: set[str], sentences: Sentences, details: dict[str, Any]) -> list[Row]:
    done: list[Row] = []
    if wanted & {"6", "7", "8", "12"}:
        paths = export(setup)
        exact = embed(setup, sentences, setup.model, "--attention", "mhsa", "--dtype", "f32")
        int8, rho8 = pick_int8(setup, sentences, paths, exact)
        mine = embed(setup, sentences, setup.model, "--attention", "mhsa", "--dtype", "int8")
        must_align("damf int8", exact, mine, 0.9)
        all_of = contenders(setup, sentences, paths, int8, exact)
        times = alternate(all_of, setup.rounds)
        rho = sentences.rho(mine)
        worse = rho is not None and rho8 is not None and rho < rho8
        rhos = {
            "int8": described(rho, rho8, f"ONNX Runtime ({int8})"),
            "shipped": described(
                sentences.rho(embed(setup, sentences, setup.shipped)), sentences.rho(exact), "exact"
            ),
        }
        details.update(texts=sentences.name, lines=len(sentences.lines), times=times)
        done = [
            r
            for r in make_rows(times, len(sentences.lines), rhos, worse, sentences.note)
            if r.number in wanted
        ]
    if "12" in wanted:
        done += kernel_threads(setup)
    return sorted(done, key=lambda r: int(r.number))
