#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares the device's embeddings with the CPU's and prints the closing table.

report.py --text FILE --device A.npy --cpu B.npy [--guest-cpu C.npy --guest-rows N,N...]
          --stats S.json [--backend device|sim|cpu] [--submit uring|ioctl]

Exits with 1 when the embeddings differ or the device was not used.
"""
import argparse
import array
import ast
import json
import math
import sys


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


def print_table(sentences, pairs, device, cpu):
    print(f"{'first sentence':40}  {'second sentence':40}  {'device':>7}  {'CPU':>7}  meaning")
    for i, j, label in pairs:
        print(f"{shorten(sentences[i], 40):40}  {shorten(sentences[j], 40):40}"
              f"  {cosine(device[i], device[j]):7.4f}  {cosine(cpu[i], cpu[j]):7.4f}  {label}")


def print_stats(stats):
    """What it cost and how it was done, as the device's side counted it."""
    seconds = stats["seconds"]
    print(f"embedding: {stats['sentences']} sentences, {stats['tokens']} tokens in {seconds:.2f} s"
          f" ({stats['sentences'] / seconds:.1f} sentences/s), attention {stats['attention']}")
    print(f"backend {stats['backend']}, submitted by {stats['submit']}: {stats['jobs']} jobs,"
          f" {stats['submits_uring']} lists by io_uring, {stats['submits_ioctl']} by ioctl")
    print(f"doorbells {stats['doorbells']}, interrupts {stats['interrupts']},"
          f" MACs {stats['macs']:,}")


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
    args.add_argument("--device", required=True)
    args.add_argument("--cpu", required=True)
    args.add_argument("--guest-cpu")
    args.add_argument("--guest-rows", default="",
                      help="the lines, from 1, that the guest's CPU embedded")
    args.add_argument("--stats", required=True)
    args.add_argument("--backend", default="device")
    args.add_argument("--submit", default="uring")
    return args.parse_args(argv)


def main(argv=None):
    args = parse_arguments(argv)
    sentences, pairs = read_pairs(args.text)
    device, cpu = read_npy(args.device), read_npy(args.cpu)
    if not len(device) == len(cpu) == len(sentences):
        fail(f"{len(sentences)} sentences, but {len(device)} embeddings from the device "
             f"and {len(cpu)} from the CPU")
    print_table(sentences, pairs, device, cpu)
    print()
    worst = difference(device, cpu)
    equal = same_bits(device, cpu)
    print(f"largest difference of device and CPU: {worst:g}"
          f" ({'the same bits' if equal else 'NOT THE SAME BITS'},"
          f" {len(device)} embeddings of {len(device[0])} numbers)")
    if args.guest_cpu:
        guest = read_npy(args.guest_cpu)
        rows = [int(n) - 1 for n in args.guest_rows.split(",") if n]
        if len(rows) != len(guest):
            fail(f"{len(guest)} embeddings from the CPU of the guest for {len(rows)} sentences")
        same = same_bits(guest, [device[i] for i in rows])
        equal = equal and same
        print(f"CPU of the guest on {len(guest)} of them: "
              f"{'the same bits' if same else 'NOT THE SAME BITS'}")
    with open(args.stats, encoding="utf-8") as f:
        stats = json.load(f)
    print_stats(stats)
    return 0 if check_path(stats, args.backend, args.submit) and equal else 1


if __name__ == "__main__":
    sys.exit(main())
