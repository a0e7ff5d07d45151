# SPDX-License-Identifier: MIT
"""Row 5: products of activations with weights, in the shapes of encoders, on one thread."""

from __future__ import annotations

import os
from statistics import median
from typing import Any, Callable

import numpy as np
from safetensors.numpy import load_file

from contenders import Kernel, Setup, environment, output_of
from gemm_cases import ALONE, WHOLE, beside, library, plain, summaries
from measure import Row, Times, alternate, best, must_agree

TOKENS = (16, 128, 1024)
SHAPES = ((384, 384), (384, 1536), (1536, 384), (768, 768), (768, 3072), (3072, 768))  # in, out
SECONDS = 0.05


class Program:
    """tests/bench/gemm.c with one peer."""

    def __init__(self, setup: Setup, peer: str, m: int, k: int, n: int, where: str, core: str = "") -> None:
        more = {"OPENBLAS_CORETYPE": core} if core else {}
        self.env = environment(1, **more)
        self.command = [os.path.join(setup.tools, "gemm"), peer, *map(str, (m, k, n, SECONDS)), where]

    def __call__(self) -> float:
        return float(output_of(self.command, self.env))


def write_inputs(where: str) -> np.ndarray:
    """damf's dump as the program reads it; returns damf's output."""
    tensors = load_file(where + "/weights.safetensors")
    np.load(where + "/x.npy").tofile(where + "/x.bin")
    tensors["0.w.weight"].tofile(where + "/w.bin")
    tensors["0.w.bias"].tofile(where + "/b.bin")
    return np.asarray(np.load(where + "/y.npy"))


def programs(setup: Setup, dtype: str, shape: tuple[int, int, int], where: str) -> dict[str, Program]:
    if dtype == "int8":
        ways = {
            f"{name} {product}": (f"onednn-int8{matmul}{reorder}", "")
            for name, reorder in ((WHOLE, "-reorder"), (ALONE, ""))
            for product, matmul in (("inner_product", ""), ("matmul", "-matmul"))
        }
    else:
        ways = {
            "oneDNN inner_product": ("onednn", ""),
            "oneDNN matmul": ("onednn-matmul", ""),
            "OpenBLAS": ("openblas", ""),
            "OpenBLAS as SkylakeX": ("openblas", "SKYLAKEX"),
        }
    return {name: Program(setup, peer, *shape, where, core) for name, (peer, core) in ways.items()}


def usable(
    ways: dict[str, Program], want: np.ndarray, where: str, dtype: str
) -> dict[str, Callable[[], float]]:
    """The fastest of each library, all having given the same output."""
    screened: dict[str, float] = {}
    for name, program in ways.items():
        screened[name] = program()
        got = np.fromfile(where + "/y.bin", np.float32).reshape(want.shape)
        must_agree(f"gemm {dtype}, {name}", want, got, 2e-5 if dtype == "f32" else 0.03)
    libraries = {library(name) for name in ways}
    names = [
        min((n for n in ways if library(n) == lib), key=screened.__getitem__) for lib in sorted(libraries)
    ]
    return {name: ways[name] for name in names}


def one(setup: Setup, dtype: str, m: int, k: int, n: int) -> dict[str, Any]:
    where = setup.directory("gemm")
    shape = ("--length", m, "--in", k, "--out", n, "--threads", 1)
    setup.bench("gemm", *shape, "--repeat", 1, "--dump", where)
    want = write_inputs(where)
    ours = Kernel(setup, "gemm", *shape, "--dtype", dtype, seconds=SECONDS)
    peers = usable(programs(setup, dtype, (m, k, n), where), want, where, dtype)
    times: Times = alternate({"damf": ours} | peers, setup.rounds)
    peak = setup.machine["int8_gmac_s" if dtype == "int8" else "f32_gmac_s"]
    ms = median(times["damf"])
    alone = [name for name in peers if name.startswith(ALONE)]
    case = {
        "dtype": dtype, "tokens": m, "in": k, "out": n, "damf_ms": ms, "gmac_s": m * k * n / ms * 1e-6,
        "of_peak": m * k * n / ms * 1e-6 / peak if peak else None,
    }  # fmt: skip
    case |= beside(times, best(times, [name for name in peers if name not in alone]), m * k * n, peak)
    if alone:
        case["alone"] = beside(times, alone[0], m * k * n, peak)
    return case


def rows(setup: Setup, wanted: set[str], details: list[dict[str, Any]]) -> list[Row]:
    """details: gets a dictionary of each shape."""
    if "5" not in wanted:
        return []
    done = []
    for dtype in ("f32", "int8"):
        cases = [one(setup, dtype, m, k, n) for m in TOKENS for k, n in SHAPES]
        details += map(plain, cases)
        done += summaries(dtype, cases)
    return done
