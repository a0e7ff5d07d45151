# SPDX-License-Identifier: MIT
"""damf and its peers on this machine, taking turns; see Documentation/benchmarks.rst.

bench.py DAMF TOOLS MODEL SHIPPED [--rows N...] [--glue DIR] [--rounds N] [--json FILE] [--plots DIR]
"""

from __future__ import annotations

import argparse
import datetime
import glob
import json
import os
import platform
import shutil
import sys
import time
from typing import Any

import plots
import rows_attention
import rows_gemm
import rows_model
import rows_start
import table
from contenders import HERE, Setup, output_of
from measure import Row, Times

ALL = [str(n) for n in range(1, 13)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("damf", "tools", "model", "shipped"):
        parser.add_argument(name)
    parser.add_argument("--rows", nargs="*", choices=ALL, default=ALL)
    parser.add_argument("--glue", default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default=None)
    parser.add_argument("--plots", default=None)
    parser.add_argument("--command", default="make bench")
    given = parser.parse_args()
    given.rows = given.rows or ALL
    if given.glue and not os.path.isfile(os.path.join(given.glue, "STS-B", "dev.tsv")):
        parser.error(f"--glue {given.glue}: there is no STS-B/dev.tsv in it")
    if given.rounds < 2:
        parser.error("--rounds: at least 2, a median and a spread are wanted")
    return given


def field_of(path: str, key: str) -> str:
    with open(path, encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith(key)), "unknown")


def machine(setup: Setup) -> dict[str, Any]:
    memory = int(field_of("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    named = {
        "cpu": field_of("/proc/cpuinfo", "model name"),
        "cpu_family": field_of("/proc/cpuinfo", "cpu family"),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "system": f"{platform.system()} {platform.release()}",
    }
    return named | setup.machine


def largest_cache() -> int:
    """Of the first CPU, in bytes; 0 if the system doesn't say."""
    found = [0]
    for path in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*/size"):
        with open(path, encoding="ascii") as f:
            found.append(int(f.read().strip().removesuffix("K")) * 1024)
    return max(found)


def versions(setup: Setup) -> dict[str, str]:
    libraries: dict[str, str] = json.loads(output_of([os.path.join(setup.tools, "gemm"), "versions"]))
    libraries["OpenBLAS"] = libraries["OpenBLAS"].removeprefix("OpenBLAS ").split()[0]
    return {"damf": setup.run_damf("--version").split()[1], **libraries, "Python": platform.python_version()}


def say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


def measure(
    setup: Setup, wanted: set[str], top: str, report: dict[str, Any], curves: dict[int, Times]
) -> list[Row]:
    measured = json.loads(output_of([os.path.join(setup.tools, "machine")]))
    setup.machine = measured | {"cache_bytes": largest_cache()}
    sentences = rows_model.read_sentences(setup, top)
    report["texts"] = f"{sentences.name}, {len(sentences.lines)}"
    say("rows 1 to 4: attention layers")
    done = rows_attention.rows(setup, wanted, curves)
    say("row 5: matrix products")
    done += rows_gemm.rows(setup, wanted, report["shapes"])
    say("rows 6 to 8, 12: MiniLM")
    model = rows_model.rows(setup, wanted, sentences, report["model"])
    done += [r for r in model if r.number != "12"]
    setup.close()  # what is measured now is fresh processes
    say("rows 9 to 11: tokenizer, start, memory")
    done += rows_start.rows(setup, wanted, sentences)
    return done + [r for r in model if r.number == "12"]


def write_json(path: str, report: dict[str, Any]) -> None:
    with open(path + ".part", "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1)
        f.write("\n")
    os.replace(path + ".part", path)


def main() -> None:
    given = arguments()
    setup = Setup(given.damf, given.tools, given.model, given.shipped, given.glue, given.rounds)
    curves: dict[int, Times] = {}
    report: dict[str, Any] = {
        "command": given.command,
        "date": datetime.date.today().isoformat(),
        "rounds": given.rounds,
        "shapes": [],
        "model": {},
    }
    start = time.monotonic()
    try:
        top = os.path.dirname(os.path.dirname(HERE))
        results = [r.as_json() for r in measure(setup, set(given.rows), top, report, curves)]
        report["versions"] = versions(setup) | setup.versions
    finally:
        setup.close()
        shutil.rmtree(setup.work)
    report |= {
        "machine": machine(setup),
        "results": results,
        "curves": curves,
        "seconds": time.monotonic() - start,
    }
    report["plots"] = plots.write(given.plots, results, curves) if given.plots else []
    if given.json:
        write_json(given.json, report)
    print(*table.machine_lines(report), "", table.text_table(results), table.notes(results), sep="\n", end="")
    say(f"{report['seconds']:.0f} s")


if __name__ == "__main__":
    main()
