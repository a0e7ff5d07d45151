# SPDX-License-Identifier: MIT
"""Rows 1 to 4: attention layers, projections included, on one thread."""

from __future__ import annotations

import os
from typing import Callable

import numpy as np

from contenders import Kernel, Setup, Waiting
from measure import Row, Times, alternate, fastest, must_agree, row

HIDDEN, HEADS = 768, 12
MODES = ("mhsa", "fold", "softfold", "shift", "foldshift")
ORT, TORCH = "ONNX Runtime", "PyTorch"
VARIANTS = {
    ("ort", ORT): ("Attention", "MultiHeadAttention", "plain graph"),
    ("torch", TORCH): ("oneDNN linear", "F.linear"),
}
REACHES = {  # of mode and length
    ("fold", 128): ("1", 20.0),
    ("fold", 4096): ("1", 100.0),
    ("softfold", 128): ("2", 8.0),
    ("softfold", 4096): ("2", 50.0),
    ("mhsa", 128): ("3", 1.05),
    ("mhsa", 2048): ("3", 1.3),
    ("mhsa", 4096): ("3", 1.3),
}


def open_peers(setup: Setup, where: str, cold: int, seconds: float) -> dict[str, Waiting]:
    """The faster way of each peer, once its output is that of damf."""
    want = np.load(where + "/y.npy")
    chosen: dict[str, Waiting] = {}
    for (script, peer), variants in VARIANTS.items():
        worker = setup.worker(script, 1)
        ways: dict[str, Waiting] = {}
        for variant in variants:
            name = f"{peer}, {variant}"
            ways[name] = Waiting(
                worker,
                name,
                seconds=seconds,
                per=cold,
                open="attention",
                dir=where,
                cold=cold,
                heads=HEADS,
                variant=variant,
            )
            path = os.path.join(where, "peer.npy")
            ways[name].save(path)
            must_agree(f"attention layer, {name}", want, np.load(path), 2e-5)
        winner = fastest(ways)
        for name in set(ways) - {winner}:
            ways[name].close()
        chosen[winner] = ways[winner]
    return chosen


def compare(
    setup: Setup, length: int, modes: tuple[str, ...], cold: int = 1
) -> tuple[Times, list[str], dict[str, Kernel]]:
    where = setup.directory(f"attention-{length}-{cold}")
    shape = ("--length", length, "--hidden", HIDDEN, "--heads", HEADS, "--threads", 1, "--cold", cold)
    ours = {
        mode: Kernel(setup, "attention", "--attention", mode, *shape, dump=where if mode == "mhsa" else "")
        for mode in dict.fromkeys(("mhsa", *modes))
    }
    peers = open_peers(setup, where, cold, 0.1)
    contenders: dict[str, Callable[[], float]] = {f"damf {mode}": ours[mode] for mode in modes}
    times = alternate(contenders | peers, setup.rounds)
    for peer in peers.values():
        peer.close()
    return times, list(peers), ours


def limit_ms(setup: Setup, mode: str, figures: dict[str, float], cold: bool) -> float:
    """Multiply-adds at the peak of one core, or bytes that have to come out of the cache or memory."""
    length = figures["length"]
    data = figures["weight_bytes"] + 2 * 4 * length * HIDDEN
    small = data < 0.75 * setup.machine["cache_bytes"] and not cold
    move = data / (setup.machine["l3_gb_s" if small else "memory_gb_s"] * 1e6)
    return max(move, figures["macs"] / (setup.machine["f32_gmac_s"] * 1e6))


def make_row(
    setup: Setup, times: Times, peers: list[str], kernel: Kernel, mode: str, number: str, reach: float
) -> Row:
    figures = kernel.figures
    cold = figures["cold"] > 1
    least = limit_ms(setup, mode, figures, cold)
    done = row(number, "", times, f"damf {mode}", peers)
    turns = f", {figures['cold']} layers in turn" if cold else ""
    what = f"attention layer `{mode}`, L = {figures['length']}{turns}"
    note = f"damf {figures['macs'] / done.ours * 1e-6:.1f} G MACs/s; limit of the machine {least:.4g} ms"
    return row(number, what, times, f"damf {mode}", peers, reach=reach, limit=done.peer / least, note=note)


def rows(setup: Setup, wanted: set[str], curves: dict[int, Times]) -> list[Row]:
    """curves: gets the times of all lengths, for the plots."""
    done: list[Row] = []
    for length in (128, 256, 512, 1024, 2048, 4096) if wanted & {"1", "2", "3"} else ():
        times, peers, ours = compare(setup, length, MODES)
        curves[length] = times
        for mode in ("fold", "softfold", "mhsa"):
            number, reach = REACHES.get((mode, length), ("", 0.0))
            if number in wanted:
                done.append(make_row(setup, times, peers, ours[mode], mode, number, reach))
    if "4" in wanted:
        times, peers, ours = compare(setup, 128, ("fold",), cold=12)
        done.append(make_row(setup, times, peers, ours["fold"], "fold", "4", 12.0))
    return sorted(done, key=lambda r: r.number)
