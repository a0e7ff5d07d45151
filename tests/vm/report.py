#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares the device's embeddings with the CPU's and prints the closing table.

report.py --text FILE --run DIR [--exact DIR --counts DIR --dev-rho RHO,EXACT]
          [--guest-rows N,N...] [--backend device|sim|cpu] [--submit uring|ioctl]

A DIR holds what one model gave: device.npy, cpu.npy, device.json (what the run
counted), config.json (the model's) and, with --guest-rows, guest-cpu.npy. With
--exact the model of --run stands beside that exact one: what DAMF costs, and
what it saves. --counts holds what more was counted: both models on one long
text, run-long.json and exact-long.json, and where types differ the exact one in
the type of the other, exact-text.json. Exits with 1 when embeddings of device
and CPU differ or the device was not used.
"""
import argparse
import array
import ast
import json
import math
import os
import sys
from dataclasses import dataclass


def fail(text):
    sys.exit(f"report: {text}")


def read_npy(path):
    """A two-dimensional float32 array of an .npy file, as a list of rows."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:6] != b"\x93NUMPY":
        fail(f"{path} is no .npy file")
    size, start = (2, 10) if data[6] == 1 else (4, 12)
    length = int.from_bytes(data[8:8 + size], "little")
    head = ast.literal_eval(data[start:start + length].decode("latin-1"))
    if head["descr"] != "<f4" or head["fortran_order"] or len(head["shape"]) != 2:
        fail(f"{path} holds {head}, not rows of float32")
    rows, width = head["shape"]
    values = array.array("f", data[start + length:])
    if sys.byteorder == "big":
        values.byteswap()
    if len(values) != rows * width:
        fail(f"{path} is cut short")
    return [values[i * width:(i + 1) * width] for i in range(rows)]


def read_pairs(path):
    """Pairs of sentences with a label.

    A line with tabs is a pair and perhaps a label; a file of plain lines is
    a chain, in which each sentence is compared with the next. What is a line,
    and a blank one, is as text.sh has it.
    """
    with open(path, encoding="utf-8", newline="\n") as f:
        lines = [line.removesuffix("\n").removesuffix("\r").split("\t")
                 for line in f if line.strip(" \t\n\v\f\r")]
    if all(len(fields) >= 2 for fields in lines):
        sentences = [s for fields in lines for s in fields[:2]]
        labels = [fields[2] if len(fields) > 2 else "" for fields in lines]
        return sentences, [(2 * i, 2 * i + 1, labels[i]) for i in range(len(lines))]
    sentences = ["\t".join(fields) for fields in lines]
    return sentences, [(i, i + 1, "") for i in range(len(sentences) - 1)]


def cosine(a, b):
    dot = math.fsum(x * y for x, y in zip(a, b))
    norms = math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))
    return dot / norms if norms else 0.0


def difference(a, b):
    """The largest difference of two arrays, element by element; a NaN anywhere
    counts as infinite, so that it can't pass for agreement."""
    worst = 0.0
    for x, y in zip(a, b):
        for u, v in zip(x, y):
            d = abs(u - v)
            worst = max(worst, d if d == d else math.inf)
    return worst


def same_bits(a, b):
    return [x.tobytes() for x in a] == [y.tobytes() for y in b]


def shorten(text, width):
    return text if len(text) <= width else text[:width - 3] + "..."


@dataclass
class Run:
    """What one model gave."""

    device: list
    cpu: list
    guest: list  # of some sentences
    stats: dict
    config: dict

    def name(self):
        return model_name(self.stats)


def model_name(stats):
    return "exact" if stats["attention"] == "mhsa" else "DAMF"


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def read_run(place, sentences, guest_rows):
    def at(name):
        return os.path.join(place, name)

    run = Run(read_npy(at("device.npy")), read_npy(at("cpu.npy")),
              read_npy(at("guest-cpu.npy")) if guest_rows else [],
              read_json(at("device.json")), read_json(at("config.json")))
    if not len(run.device) == len(run.cpu) == sentences:
        fail(f"{sentences} sentences, but {len(run.device)} embeddings from the device "
             f"and {len(run.cpu)} from the CPU")
    if len(run.guest) != len(guest_rows):
        fail(f"{len(run.guest)} embeddings from the CPU of the guest for "
             f"{len(guest_rows)} sentences")
    return run


def print_table(sentences, pairs, columns):
    """columns: two names, and the embeddings of each."""
    heads = "  ".join(f"{name:>7}" for name, _ in columns)
    print(f"{'first sentence':40}  {'second sentence':40}  {heads}  meaning")
    for i, j, label in pairs:
        values = "  ".join(f"{cosine(rows[i], rows[j]):7.4f}" for _, rows in columns)
        print(f"{shorten(sentences[i], 40):40}  {shorten(sentences[j], 40):40}  {values}  {label}")


def check_bits(run, guest_rows):
    """Says whether all who computed got the same bits."""
    equal = same_bits(run.device, run.cpu)
    print(f"{run.name()}, largest difference of device and CPU: {difference(run.device, run.cpu):g}"
          f" ({'the same bits' if equal else 'NOT THE SAME BITS'},"
          f" {len(run.device)} embeddings of {len(run.device[0])} numbers)")
    if guest_rows:
        same = same_bits(run.guest, [run.device[i] for i in guest_rows])
        equal = equal and same
        print(f"{run.name()}, CPU of the guest on {len(run.guest)} of them: "
              f"{'the same bits' if same else 'NOT THE SAME BITS'}")
    return equal


def print_stats(stats):
    """How it was done, as the device's side counted it."""
    seconds = stats["seconds"]
    print(f"embedding: {stats['sentences']} sentences, {stats['tokens']} tokens in {seconds:.2f} s"
          f" ({stats['sentences'] / seconds:.1f} sentences/s),"
          f" attention {stats['attention']}, {stats['dtype']}")
    print(f"backend {stats['backend']}, submitted by {stats['submit']}: {stats['jobs']} jobs,"
          f" {stats['submits_uring']} lists by io_uring, {stats['submits_ioctl']} by ioctl")
    print(f"doorbells {stats['doorbells']}, interrupts {stats['interrupts']},"
          f" MACs {stats['macs']:,}")


def attention_macs(stats, config):
    """Of all that were counted, those that aren't the feed-forward layers'."""
    layers, inner = config["num_hidden_layers"], config["intermediate_size"]
    return stats["macs"] - stats["tokens"] * layers * 2 * config["hidden_size"] * inner


def moved_bytes(stats):
    return sum(stats[f"{way}_{what}"] for way, what in (
        ("read", "weights"), ("read", "activations"), ("read", "intermediates"),
        ("write", "activations"), ("write", "intermediates")))


def print_costs(pairs, run, exact, dev_rho):
    gaps = [abs(cosine(run.device[i], run.device[j]) - cosine(exact.device[i], exact.device[j]))
            for i, j, _ in pairs]
    print(f"\nwhat {run.name()} costs")
    if gaps:
        print(f"  similarity of these pairs      off by {math.fsum(gaps) / len(gaps):.4f}"
              f" in the mean, {max(gaps):.4f} at most")
    if dev_rho:
        print(f"  STS-B dev set, Spearman's rho  {dev_rho[0]}, exact {dev_rho[1]}"
              " (models/README.md)")


def print_savings(title, columns):
    """columns: what was counted, and the model's config, the exact ones first."""
    heads = [f"{model_name(stats)} {stats['dtype']}" for stats, _ in columns]
    lines = (
        ("attention, million MACs", 1e-6, [attention_macs(*column) for column in columns]),
        ("all, million MACs", 1e-6, [stats["macs"] for stats, _ in columns]),
        ("read and written, MB", 1e-6, [moved_bytes(stats) for stats, _ in columns]),
        ("modelled million cycles", 1e-6, [stats["cycles"] for stats, _ in columns]),
        ("modelled energy, mJ", 1e-9, [stats["energy_pj"] for stats, _ in columns]),
    )
    print(f"\n{title}")
    print(f"  {'':24}{''.join(f'{head:>12}' for head in heads)}   {heads[-1]} / {heads[-2]}")
    for name, unit, values in lines:
        shown = "".join(f"{value * unit:12,.2f}" for value in values)
        print(f"  {name:24}{shown}   {values[-1] / values[-2]:.2f}")


def print_all_savings(run, exact, place):
    same_type = os.path.join(place, "exact-text.json")
    columns = [(exact.stats, exact.config)]
    if os.path.exists(same_type):
        columns.append((read_json(same_type), exact.config))
    print_savings(f"what it saves, counted on these {run.stats['sentences']} sentences",
                  [*columns, (run.stats, run.config)])
    both = [(read_json(os.path.join(place, f"{name}-long.json")), config)
            for name, config in (("exact", exact.config), ("run", run.config))]
    print_savings(f"and on one text of {both[0][0]['tokens']} tokens (device model in a process)", both)


def check_path(stats, backend, submit):
    """Whether the backend and the way to submit were those asked for, by
    what was counted and not only by what was said."""
    if stats["backend"] != backend:
        print(f"NOT ON {backend}: the embedding ran on {stats['backend']}")
        return False
    used, other = ("submits_uring", "submits_ioctl")
    if submit == "ioctl":
        used, other = other, used
    if backend == "device" and (not stats[used] or stats[other] or not stats["jobs"]):
        print(f"NOT BY {submit}: the counters say otherwise")
        return False
    return True


def parse_arguments(argv):
    args = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--text", required=True)
    args.add_argument("--run", required=True)
    args.add_argument("--exact")
    args.add_argument("--counts")
    args.add_argument("--dev-rho", help="of both models on STS-B, to be shown")
    args.add_argument("--guest-rows", default="",
                      help="the lines, from 1, that the guest's CPU embedded")
    args.add_argument("--backend", default="device")
    args.add_argument("--submit", default="uring")
    return args.parse_args(argv)


def main(argv=None):
    args = parse_arguments(argv)
    sentences, pairs = read_pairs(args.text)
    guest_rows = [int(n) - 1 for n in args.guest_rows.split(",") if n]
    run = read_run(args.run, len(sentences), guest_rows)
    runs, columns = [run], [("device", run.device), ("CPU", run.cpu)]
    if args.exact:
        runs.append(read_run(args.exact, len(sentences), guest_rows))
        columns = [(r.name(), r.device) for r in runs]
    print_table(sentences, pairs, columns)
    if args.exact:
        print_costs(pairs, *runs, args.dev_rho.split(",") if args.dev_rho else None)
        print_all_savings(*runs, args.counts)
    print()
    good = [check_bits(r, guest_rows) for r in runs]
    for r in runs:
        print_stats(r.stats)
        good.append(check_path(r.stats, args.backend, args.submit))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
