# SPDX-License-Identifier: MIT
"""Computes once more what damf bench --dump has written, in double precision.

usage: check_bench.py DIR TOLERANCE    (of the largest number of y)
"""

import json
import math
import struct
import sys
from typing import Any

Rows = list[list[float]]


def read_npy(path: str) -> Rows:
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack_from("<H", data, 8)[0]
    head = data[10 : 10 + size].decode()
    rows, cols = (int(n) for n in head.split("(")[1].split(")")[0].split(",")[:2])
    values = struct.unpack_from(f"<{rows * cols}f", data, 10 + size)
    return [list(values[i * cols : (i + 1) * cols]) for i in range(rows)]


def decode(data: bytes, dtype: str) -> list[float]:
    if dtype == "F32":
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    if dtype == "I8":
        return [float(n) for n in struct.unpack(f"<{len(data)}b", data)]
    halves = struct.unpack(f"<{len(data) // 2}H", data)  # BF16
    return list(
        struct.unpack(f"<{len(halves)}f", b"".join(struct.pack("<I", h << 16) for h in halves))
    )


def read_tensors(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + size])
    about = header.pop("__metadata__")
    tensors: dict[str, Any] = {}
    for name, entry in header.items():
        first, last = (8 + size + n for n in entry["data_offsets"])
        values = decode(data[first:last], entry["dtype"])
        cols = entry["shape"][-1]
        rows = [values[i : i + cols] for i in range(0, len(values), cols)]
        tensors[name] = rows if len(entry["shape"]) == 2 else values
    return about, tensors


def linear(x: Rows, tensors: dict[str, Any], name: str) -> Rows:
    weight, bias = tensors[name + ".weight"], tensors[name + ".bias"]
    scales = tensors.get(name + ".scales", [1.0] * len(bias))
    return [
        [b + s * math.fsum(a * c for a, c in zip(row, w)) for w, s, b in zip(weight, scales, bias)]
        for row in x
    ]


def gelu(t: float) -> float:
    return 0.5 * t * (1.0 + math.erf(t / math.sqrt(2.0)))


def softmax(row: list[float]) -> list[float]:
    e = [math.exp(a - max(row)) for a in row]
    return [a / sum(e) for a in e]


def weights_of(mode: str, p: list[float], q: list[float]) -> Rows:
    """A row for each query, from the p and q of a head."""
    if mode == "softfold":
        return [softmax([a * b for b in q]) for a in p]
    most = max(map(abs, p)) * max(map(abs, q))
    rows = [[most + a * b for b in q] for a in p]
    return [[a / sum(row) for a in row] for row in rows]


def attention(about: dict[str, str], x: Rows, tensors: dict[str, Any], layer: str) -> Rows:
    mode, heads, hidden = about["attention"], int(about["heads"]), int(about["hidden"])
    width = hidden // heads
    values = linear(x, tensors, layer + "v")
    out = [[0.0] * hidden for _ in x]
    if mode == "mhsa":
        q, k = linear(x, tensors, layer + "q"), linear(x, tensors, layer + "k")
    else:
        pq = linear(x, tensors, layer + "pq")
    for h in range(heads):
        cols = range(h * width, (h + 1) * width)
        if mode == "mhsa":
            a = [softmax([sum(m[c] * n[c] for c in cols) / math.sqrt(width) for n in k]) for m in q]
        else:
            p_of, q_of = [r[h] for r in pq], [r[heads + h] for r in pq]
            area = (max(p_of) - min(p_of)) * (max(q_of) - min(q_of))
            assert math.isclose(area, float(about["range"]), rel_tol=0.02), area
            a = weights_of(mode, p_of, q_of)
        for row, of in zip(out, a):
            for c in cols:
                row[c] = sum(w * v[c] for w, v in zip(of, values))
    return linear(out, tensors, layer + "o")


def main(directory: str, tolerance: float) -> None:
    about, tensors = read_tensors(f"{directory}/weights.safetensors")
    x, y = read_npy(f"{directory}/x.npy"), read_npy(f"{directory}/y.npy")
    want: Rows = []
    for i in range(int(about["cold"])):
        if about["kernel"] == "gemm":
            rows = linear(x, tensors, f"{i}.w")
            want += [[gelu(t) for t in row] for row in rows] if about["act"] == "gelu" else rows
        else:
            want += attention(about, x, tensors, f"{i}.")
    assert len(want) == len(y) and len(want[0]) == len(y[0])
    most = max(abs(t) for row in want for t in row)
    error = max(abs(a - b) for r, s in zip(want, y) for a, b in zip(r, s))
    print(f"largest error {error / most:.2g} of the largest number {most:.3g}")
    assert most > 0.1 and error <= tolerance * most


main(sys.argv[1], float(sys.argv[2]))
