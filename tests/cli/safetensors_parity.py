#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Opens what damf convert writes with the package safetensors.

safetensors_parity.py DAMF: converts a tiny model to every form and type, reads
the files with that package, and compares what they hold with the original's
weights, packed by the rules of Documentation/hardware.rst. Prints TAP.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
from safetensors import deserialize, safe_open

HERE = os.path.dirname(os.path.abspath(__file__))
Tensors = dict[str, dict]
DTYPES = {"F32": np.float32, "BF16": np.uint16, "I8": np.int8, "U8": np.uint8}


def read(path: str) -> Tensors:
    with open(path, "rb") as f:
        return dict(deserialize(f.read()))


def array(tensor: dict) -> np.ndarray:
    values = np.frombuffer(bytes(tensor["data"]), DTYPES[tensor["dtype"]])
    return values.reshape(tensor["shape"])


def offsets(path: str) -> list[int]:
    """Where each tensor begins in the file, but for what fills gaps, by its own header."""
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    header.pop("__metadata__")
    return [
        8 + size + entry["data_offsets"][0]
        for name, entry in header.items()
        if not name.startswith("damf.pad.")
    ]


def bf16(x: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def int8(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of integers, and the factor of each."""
    top = np.float32(127)
    largest = np.abs(x).max(1, keepdims=True)
    return np.rint(x * (top / largest)).astype(np.int8), (largest / top)[:, 0]


def unpanel(x: np.ndarray, k: int, n: int) -> np.ndarray:
    """PANEL32 as [n, k]."""
    if x.ndim == 4:
        x = x.transpose(0, 1, 3, 2).reshape(x.shape[0], -1, 32)
    return x.transpose(0, 2, 1).reshape(-1, x.shape[1])[:n, :k]


def same(got: np.ndarray, want: np.ndarray) -> bool:
    return got.shape == want.shape and got.tobytes() == np.ascontiguousarray(want).tobytes()


def stored(tensors: Tensors, name: str, packed: str, want: np.ndarray, dtype: str) -> bool:
    """Whether a matrix or table is there as its type is."""
    matrix = packed != name
    got = array(tensors[packed])
    got = unpanel(got, want.shape[1], want.shape[0]) if matrix else got
    if dtype == "f32":
        return same(got, want)
    if dtype == "bf16":
        return same(got, bf16(want))
    integers, factors = int8(want)
    return same(got, integers) and same(array(tensors[name + ".scale"]), factors)


def check_packed(path: str, original: Tensors, dtype: str) -> bool:
    tensors = read(path)
    good = all(at % 64 == 0 for at in offsets(path))
    for name, tensor in original.items():
        want = array(tensor)
        table = "_embeddings." in name
        if want.ndim == 1:
            good &= same(array(tensors[name]), want)
        else:
            good &= stored(tensors, name, name if table else name + ".panel32", want, dtype)
    good &= tensors["damf.layer.1.heads"]["shape"] == [2, 128]
    return good and tensors["damf.layer.0.pq.weight.panel32"]["dtype"] == "F32"


def check_plain(path: str, original: Tensors) -> bool:
    with safe_open(path, framework="numpy") as f:
        good = f.metadata()["damf.form"] == "plain" and f.metadata()["damf.version"] == "2"
        good &= f.get_tensor("damf.layer.0.pq.weight").shape == (4, 24)
        good &= f.get_tensor("damf.layer.1.heads").dtype == np.uint8
        return good and all(same(f.get_tensor(n), array(t)) for n, t in original.items())


def main(damf: str) -> int:
    damf = os.path.abspath(damf)
    results: list[tuple[str, Callable[[], bool]]] = []
    with tempfile.TemporaryDirectory() as work:
        model = os.path.join(work, "model")
        subprocess.run([sys.executable, os.path.join(HERE, "tiny_model.py"), model], check=True)
        original = read(os.path.join(model, "model.safetensors"))

        def convert(*options: str) -> str:
            to = os.path.join(work, "-".join(options).strip("-"))
            subprocess.run(
                [damf, "convert", "--model", model, "--output", to, *options],
                check=True,
                capture_output=True,
            )
            return os.path.join(to, "model.safetensors")

        results.append(("plain", lambda: check_plain(convert("--form", "plain"), original)))
        for dtype in ("f32", "bf16", "int8"):
            results.append(
                (
                    f"packed, {dtype}",
                    lambda d=dtype: check_packed(convert("--dtype", d), original, d),
                )
            )
        print(f"1..{len(results)}")
        failed = 0
        for i, (name, test) in enumerate(results, 1):
            good = bool(test())
            failed += not good
            print(f"{'ok' if good else 'not ok'} {i} - safetensors opens {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
