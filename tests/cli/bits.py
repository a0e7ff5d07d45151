#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bits of embeddings, whatever they are computed by: one hash a row.

bits.py DAMF MODEL TEXT|- [--limit N] [--generic N] [--other DAMF]

Every attention and type of number runs on each instruction set that the
machine has, with 1, 2 and 5 threads, on the first N lines of TEXT (all of
them unless told otherwise); the generic one, which is slow, on few. Then
sentences alone, first and last in a batch of 64; below a library that was
built to flush subnormal numbers to zero; and by another compiler's build.
Prints the rows, then TAP: rows of one attention and type must be equal.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

MODES = ("mhsa", "shift", "fold", "foldshift", "softfold")
TYPES = ("f32", "bf16", "int8")
ISAS = ("avx2", "avxvnni", "avx512", "generic")
THREADS = (1, 2, 5)


@dataclass
class Bits:
    """What is run, and how it went."""

    damf: str
    model: str
    work: str
    tests: list[tuple[str, bool]] = field(default_factory=list)

    def embed(self, lines: list[str], mode: str, dtype: str, *options: str, **env: str) -> bytes:
        """Embeddings of the lines: the bytes of the array, row by row."""
        damf = env.pop("damf", self.damf)
        out = os.path.join(self.work, "out.npy")
        run = [damf, "embed", "--model", self.model, "--backend", "cpu", "--attention", mode]
        run += ["--dtype", dtype, *options, "--format", "npy", "--output", out, "-"]
        text = "".join(line + "\n" for line in lines).encode()
        subprocess.run(
            run, input=text, check=True, stderr=subprocess.DEVNULL, env=os.environ | env
        )
        with open(out, "rb") as f:
            head = f.read(10)
            f.seek(10 + int.from_bytes(head[8:10], "little"))
            return f.read()

    def row(self, what: str, want: bytes, got: bytes) -> bool:
        print(f"# {what:34} {hashlib.sha256(got).hexdigest()[:16]}", flush=True)
        return want == got

    def test(self, name: str, ok: bool) -> None:
        self.tests.append((name, ok))


def supported(bits: Bits, isa: str) -> bool:
    run = [bits.damf, "info"]
    env = os.environ | {"DAMF_ISA": isa}
    return subprocess.run(run, capture_output=True, env=env).returncode == 0


def matrix(bits: Bits, lines: list[str], few: int) -> None:
    """Instruction sets and threads, for each attention and type."""
    isas = [isa for isa in ISAS if supported(bits, isa)]
    for mode in MODES:
        for dtype in TYPES:
            want = bits.embed(lines, mode, dtype, DAMF_ISA=isas[0], OMP_NUM_THREADS="1")
            size = len(want) // len(lines)
            ok = True
            for isa in isas:
                n = few if isa == "generic" else len(lines)
                for threads in THREADS:
                    env = {"DAMF_ISA": isa, "OMP_NUM_THREADS": str(threads)}
                    got = bits.embed(lines[:n], mode, dtype, **env)
                    what = f"{mode} {dtype} {isa} {threads} x {n}"
                    ok &= bits.row(what, want[: n * size], got)
            bits.test(f"{mode} {dtype}: {', '.join(isas)}; 1, 2 and 5 threads", ok)


def batches(bits: Bits, lines: list[str]) -> None:
    """A sentence alone, first and last of 64, and in batches of other sizes."""
    lines = (lines * (64 // len(lines) + 1))[:64]
    turned = lines[1:] + lines[:1]
    for mode in MODES:
        for dtype in TYPES:
            whole = bits.embed(lines, mode, dtype, "--batch", "64")
            size = len(whole) // 64
            alone = bits.embed(lines[:1], mode, dtype, "--batch", "1")
            last = bits.embed(turned, mode, dtype, "--batch", "64")
            ok = bits.row(f"{mode} {dtype} alone", whole[:size], alone)
            ok &= bits.row(f"{mode} {dtype} last of 64", alone, last[-size:])
            for n in ("1", "7"):
                got = bits.embed(lines, mode, dtype, "--batch", n)
                ok &= bits.row(f"{mode} {dtype} batches of {n}", whole, got)
            bits.test(f"{mode} {dtype}: alone, first, last, in batches of 1, 7 and 64", ok)


def same(bits: Bits, lines: list[str], name: str, **env: str) -> None:
    """Every attention and type once more with another environment or command."""
    ok = True
    for mode in MODES:
        for dtype in TYPES:
            want = bits.embed(lines, mode, dtype)
            ok &= bits.row(f"{mode} {dtype} {name}", want, bits.embed(lines, mode, dtype, **env))
    bits.test(name, ok)


def fast_library(work: str) -> str:
    """A library linked with -Ofast sets the processor to flush on loading."""
    library = os.path.join(work, "fast.so")
    run = ["gcc", "-Ofast", "-shared", "-fPIC", "-x", "c", "-o", library, "-"]
    subprocess.run(run, input=b"int damf_test_fast;\n", check=True)
    return library


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("damf")
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("--limit", type=int, help="lines of the text")
    p.add_argument("--generic", type=int, default=4, help="lines for the generic kernels")
    p.add_argument("--other", help="the command as another compiler built it")
    a = p.parse_args()
    text = sys.stdin.fileno() if a.text == "-" else a.text
    with open(text, encoding="utf-8") as f:
        lines = [line.rstrip("\n") for line in f if line.strip()][: a.limit]
    with tempfile.TemporaryDirectory() as work:
        bits = Bits(a.damf, a.model, work)
        matrix(bits, lines, min(a.generic, len(lines)))
        batches(bits, lines[:64])
        same(bits, lines[:8], "below -Ofast", LD_PRELOAD=fast_library(work))
        if a.other:
            same(bits, lines[:64], "other compiler", damf=a.other)
    for i, (name, ok) in enumerate(bits.tests, 1):
        print(f"{'ok' if ok else 'not ok'} {i} {name}")
    print(f"1..{len(bits.tests)}")
    return 0 if all(ok for _, ok in bits.tests) else 1


if __name__ == "__main__":
    sys.exit(main())
