#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The device's engine in the guest beside the same kernels on this machine.

bench_device.py --damf FILE --model DIR [--types T,T...] [--batch N] [--length N]
                [--threads N] [--rounds N] [--repeat N] [--least RATIO] [--json]

Runs a batch as one list in turns, on the device in the guest and here by backend cpu with as many
threads, and compares the time from the start of the list to its end as completions tell it. The
guest waits for an interrupt while the device runs, and is stopped while the CPU does. Exits with 1
when the device is slower than RATIO times the CPU.
"""
from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import qmp

TIMEOUT = 900
# What the kernel says of its clock when a host has no time for the guest.
CLOCK = "clock|on the kernel command line"
VM_RUN = pathlib.Path(__file__).resolve().parent / "vm-run"
# Waits for its turn, which a file tells, and for the end.
GUEST = """
cd "$(dirname "$0")"
wait_for() { while ! [ -e "$1" ]; do sleep 0.1; done; }
while read -r turn dtype; do
	wait_for "go-$turn"
	damf bench --model "../models/$dtype" --backend device $RUN --json >"part-$turn" || exit 1
	mv "part-$turn" "done-$turn"
done <turns
wait_for end
"""


def fail(text: str) -> None:
    sys.exit(f"bench-device: {text}")


def convert(args: argparse.Namespace, dtype: str, models: pathlib.Path) -> None:
    """A packed model, so that the guest, which is slow, has nothing to pack."""
    command = [args.damf, "convert", "--model", args.model, "--output", models / dtype,
               "--mode", "mhsa", "--dtype", dtype]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        fail(done.stderr.strip())


def engine_ms(args: argparse.Namespace, text: str, backend: str) -> float:
    result = json.loads(text)
    if result["backend"] != backend:
        fail(f"it ran on {result['backend']}, not on {backend}")
    return result["engine_ms"]


def here(args: argparse.Namespace, model: pathlib.Path) -> float:
    done = subprocess.run([args.damf, "bench", "--model", model, "--backend", "cpu",
                           "--threads", str(args.threads), *args.run, "--json"],
                          capture_output=True, text=True)
    if done.returncode:
        fail(done.stderr.strip())
    return engine_ms(args, done.stdout, "cpu")


def in_guest(args: argparse.Namespace, vm: subprocess.Popen[str], turns: pathlib.Path,
             turn: int) -> float:
    done = turns / f"done-{turn}"
    (turns / f"go-{turn}").touch()
    while not done.exists():
        if vm.poll() is not None:
            fail(f"the guest has ended: {vm.communicate()[1].strip()}")
        time.sleep(0.1)
    return engine_ms(args, done.read_text(), "device")


def start(args: argparse.Namespace, tmp: pathlib.Path, order: list[str]) -> subprocess.Popen[str]:
    turns = tmp / "turns"
    turns.mkdir()
    (turns / "turns").write_text("".join(f"{i} {dtype}\n" for i, dtype in enumerate(order)))
    (turns / "run.sh").write_text(f"RUN='{' '.join(args.run)}'" + GUEST)
    return subprocess.Popen([VM_RUN, "--timeout", str(TIMEOUT),
                             "--device-args", f"threads={args.threads}",
                             "--qmp", tmp / "qmp", "--allow", CLOCK,
                             "--share", f"models={tmp / 'models'}", "--share-rw",
                             f"turns={turns}", "--", "sh", "/mnt/turns/run.sh"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def measure(args: argparse.Namespace, tmp: pathlib.Path) -> list[dict[str, object]]:
    (tmp / "models").mkdir()
    for dtype in args.types:
        convert(args, dtype, tmp / "models")
    order = [dtype for dtype in args.types for _ in range(args.rounds)]
    times: dict[str, list[tuple[float, float]]] = {dtype: [] for dtype in args.types}
    monitor = None
    with start(args, tmp, order) as vm:
        try:
            for turn, dtype in enumerate(order):
                device = in_guest(args, vm, tmp / "turns", turn)
                monitor = monitor or qmp.Monitor(str(tmp / "qmp"), TIMEOUT)
                monitor.command("stop")
                times[dtype].append((here(args, tmp / "models" / dtype), device))
                monitor.command("cont")
            (tmp / "turns" / "end").touch()
            err = vm.communicate()[1]
        finally:
            vm.terminate()
    if vm.returncode:
        fail(f"the guest ended with status {vm.returncode}: {err.strip()}")
    return [{"dtype": dtype, "threads": args.threads,
             "cpu_ms": statistics.median(c for c, d in pairs),
             "device_ms": statistics.median(d for c, d in pairs),
             "ratios": [c / d for c, d in pairs],
             "ratio": statistics.median(c / d for c, d in pairs)}
            for dtype, pairs in times.items()]


def parse(argv: list[str] | None) -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--damf", required=True)
    args.add_argument("--model", required=True)
    args.add_argument("--types", type=lambda text: text.split(","), default=["f32", "int8"])
    args.add_argument("--batch", type=int, default=32)
    args.add_argument("--length", type=int, default=128)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--repeat", type=int, default=3)
    args.add_argument("--least", type=float, default=0.95)
    args.add_argument("--json", action="store_true")
    parsed = args.parse_args(argv)
    parsed.run = ["--batch", str(parsed.batch), "--length", str(parsed.length),
                  "--list-tokens", str(parsed.batch * parsed.length),
                  "--repeat", str(parsed.repeat)]
    return parsed


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    with tempfile.TemporaryDirectory(prefix="damf-bench.") as tmp:
        results = measure(args, pathlib.Path(tmp))
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        print(f"{args.batch} texts of {args.length} tokens, on the engine, medians of "
              f"{args.rounds} rounds")
        print(f"{'type':6}{'threads':>8}{'CPU here':>12}{'device':>12}{'ratio':>8}  of each round")
        for r in results:
            rounds = " ".join(f"{x:.3f}" for x in r["ratios"])
            print(f"{r['dtype']:6}{r['threads']:8}{r['cpu_ms']:9.1f} ms{r['device_ms']:9.1f} ms"
                  f"{r['ratio']:8.3f}  {rounds}")
    slow = [r["dtype"] for r in results if r["ratio"] < args.least]
    if slow:
        print(f"below {args.least}: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
