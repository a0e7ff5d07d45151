#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spearman's rho on STS-B's dev set, for every attention and type of number.

accuracy.py DAMF MODEL [--limit N]

DAMF is the command, MODEL a directory with all-MiniLM-L6-v2; DAMF_DATA has
glue/STS-B/dev.tsv. Nothing is trained: a mode's row says what it costs to put
it in the place of softmax, a type's what its rounding costs. Prints a table,
then TAP: exact attention must give 0.8672, and other types of it must be
within 0.003 of that.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

# options of damf similarity, and of damf convert before it where there are some
Row = tuple[list[str], list[str]]

EXACT: list[Row] = [
    (["--attention", "mhsa"], []),
    (["--attention", "mhsa", "--dtype", "bf16"], []),
    (["--attention", "mhsa", "--dtype", "int8"], []),
    (["--attention", "mhsa", "--dtype", "int8", "--xtype", "int16"], []),
]
OTHERS: list[Row] = [
    *((["--attention", mode], []) for mode in ("fold", "shift", "foldshift", "softfold")),
    *(
        (["--attention", mode, "--dtype", "int8"], [])
        for mode in ("fold", "shift", "foldshift", "softfold")
    ),
    *(([], ["--order", str(k)]) for k in (2, 3, 4)),
    *(([], ["--mode", "foldshift", "--order", str(k)]) for k in (2, 4)),
    *(([], ["--rank", str(r)]) for r in (4, 16, 32)),
]


def pairs(data: str, limit: int | None, work: str) -> str:
    """The set, or its first pairs."""
    if limit is None:
        return data
    path = os.path.join(work, "pairs.tsv")
    with open(data, encoding="utf-8") as f, open(path, "w", encoding="utf-8") as out:
        out.writelines(line for i, line in enumerate(f) if i <= limit)
    return path


def convert(damf: str, model: str, options: list[str], work: str) -> str:
    to = os.path.join(work, "-".join(options).replace("--", ""))
    subprocess.run(
        [damf, "convert", "--model", model, "--output", to, *options],
        check=True,
        capture_output=True,
    )
    return to


def rho(damf: str, model: str, options: list[str], data: str) -> float:
    run = [damf, "similarity", "--model", model, "--backend", "cpu", *options]
    run += ["--columns", "8,9,10", "--header", "--json", data]
    done = subprocess.run(run, check=True, capture_output=True)
    return json.loads(done.stdout)["spearman"]


def measure(damf: str, model: str, row: Row, data: str) -> float:
    options, conversion = row
    with tempfile.TemporaryDirectory() as work:
        if conversion:
            model = convert(damf, model, conversion, work)
        value = rho(damf, model, options, data)
    words = " ".join(o.removeprefix("--") for o in options + conversion)
    print(f"# {words:44} {value:.6f}", flush=True)
    return value


def judge(values: list[float], whole: bool) -> int:
    """TAP of the rows with exact attention."""
    results = []
    if whole:
        results.append((f"{values[0]:.4f}" == "0.8672", f"f32: rho {values[0]:.6f}"))
    for (options, _), value in zip(EXACT[1:], values[1:]):
        off = abs(value - values[0])
        results.append((off <= 0.003, f"{' '.join(options[2:])}: {off:.6f} from f32"))
    print(f"1..{len(results)}")
    for i, (good, text) in enumerate(results, 1):
        print(f"{'ok' if good else 'not ok'} {i} - mhsa, {text}")
    return 0 if all(good for good, _ in results) else 1


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("damf")
    args.add_argument("model")
    args.add_argument("--limit", type=int)
    args = args.parse_args()
    data = os.path.join(os.environ.get("DAMF_DATA", ""), "glue/STS-B/dev.tsv")
    if not os.path.exists(data):
        print("1..0 # SKIP DAMF_DATA names no directory with glue/STS-B/dev.tsv")
        return 0
    with tempfile.TemporaryDirectory() as work:
        data = pairs(data, args.limit, work)
        exact = [measure(args.damf, args.model, row, data) for row in EXACT]
        for row in OTHERS:
            measure(args.damf, args.model, row, data)
    return judge(exact, args.limit is None)


if __name__ == "__main__":
    sys.exit(main())
