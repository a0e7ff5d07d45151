# SPDX-License-Identifier: MIT
"""damf on a stream of lines: constant memory, results as they come, back-pressure.

usage: stream.py memory|prompt|pressure DAMF MODEL [embed|tokenize]
"""

import os
import select
import subprocess
import sys
import threading
from typing import IO, Iterator

FEW, MANY = 2_000, 200_000
GROWTH_KB = 1_024  # what the memory of MANY lines may be above that of FEW
PATIENCE = 60.0  # seconds


OPTIONS = {"embed": ["--backend", "cpu", "--format", "table"], "tokenize": ["--json"]}
COMMAND = sys.argv[4] if len(sys.argv) > 4 else "embed"


def start(damf: str, model: str) -> subprocess.Popen[bytes]:
    """The command between two pipes."""
    command = [damf, COMMAND, "--model", model, *OPTIONS[COMMAND], "-"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def words(i: int) -> int:
    """Words of a line, which tell it from those beside it."""
    return 2 + i * 7 % 13


def text(lines: int, spaces: int = 0) -> Iterator[bytes]:
    """Lines of different lengths; spaces are bytes that make little work."""
    for i in range(lines):
        yield b"a b " + b"c " * (words(i) - 2) + b" " * spaces + b"\n"


def feed(pipe: IO[bytes], lines: int) -> None:
    """All lines; the pipe stays open."""
    for line in text(lines):
        pipe.write(line)
    pipe.flush()


def read_rows(pipe: IO[bytes], first: int, lines: int) -> None:
    """Rows of these lines, each in its turn."""
    for i in range(first, first + lines):
        row = pipe.readline()
        if COMMAND == "embed":
            good = row.split()[:1] == [b"%d" % (i + 1)]
        else:
            good = row.endswith(b'"full": %d}\n' % (words(i) + 2))
        if not good:
            sys.exit(f"row {row!r} where that of line {i + 1} is due")


def skip_head(pipe: IO[bytes]) -> None:
    """The head of a table."""
    if COMMAND == "embed":
        pipe.readline()


def end(process: subprocess.Popen[bytes]) -> None:
    """Nothing but the end follows."""
    assert process.stdin and process.stdout
    process.stdin.close()
    if process.stdout.read() or process.wait(PATIENCE):
        sys.exit("the stream did not end well")


def peak_kb(pid: int) -> int:
    """Most memory that a process has had."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def run(damf: str, model: str, lines: int) -> int:
    """Memory that so many lines took; asked when all results are there."""
    process = start(damf, model)
    assert process.stdin and process.stdout
    feeder = threading.Thread(target=feed, args=(process.stdin, lines), daemon=True)
    feeder.start()
    skip_head(process.stdout)
    read_rows(process.stdout, 0, lines)
    feeder.join()
    kb = peak_kb(process.pid)
    end(process)
    return kb


def memory(damf: str, model: str) -> None:
    """A hundred times the lines need no more memory."""
    few, many = run(damf, model, FEW), run(damf, model, MANY)
    print(f"{FEW} lines: {few} kB, {MANY} lines: {many} kB")
    if many > few + GROWTH_KB:
        sys.exit(f"memory grows with the text: {few} kB, then {many} kB")


def prompt(damf: str, model: str) -> None:
    """Results come although the text has not ended."""
    process = start(damf, model)
    assert process.stdin and process.stdout
    data = b"".join(text(3))
    process.stdin.write(data[:-3])  # the last line is not whole yet
    process.stdin.flush()
    skip_head(process.stdout)
    read_rows(process.stdout, 0, 2)
    process.stdin.write(data[-3:])
    process.stdin.flush()
    read_rows(process.stdout, 2, 1)
    end(process)


def stuff(pipe: IO[bytes], data: bytes) -> int:
    """Bytes that a pipe takes until it takes none for three seconds."""
    os.set_blocking(pipe.fileno(), False)
    sent = 0
    while sent < len(data) and select.select([], [pipe], [], 3.0)[1]:
        sent += os.write(pipe.fileno(), data[sent : sent + 65536])
    os.set_blocking(pipe.fileno(), True)
    return sent


def write_all(pipe: IO[bytes], data: bytes) -> None:
    """All of it, and the end."""
    pipe.write(data)
    pipe.close()


def pressure(damf: str, model: str) -> None:
    """While nobody takes results no more text is read; then all of it is."""
    lines = 10_000
    data = b"".join(text(lines, 200))
    process = start(damf, model)
    assert process.stdin and process.stdout
    sent = stuff(process.stdin, data)
    if sent > len(data) // 2:
        sys.exit(f"{sent} of {len(data)} bytes were read, and no result was taken")
    rest = threading.Thread(target=write_all, args=(process.stdin, data[sent:]), daemon=True)
    rest.start()
    skip_head(process.stdout)
    read_rows(process.stdout, 0, lines)
    rest.join()
    if process.stdout.read() or process.wait(PATIENCE):
        sys.exit("the stream did not end well")


if __name__ == "__main__":
    {"memory": memory, "prompt": prompt, "pressure": pressure}[sys.argv[1]](*sys.argv[2:4])
