#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Generate unicode_tables.c, the character properties the tokenizer needs.

The reference tokenizer uses four versions of Unicode at once, and so do
these tables:

  8.0   general categories (control and format characters, nonspacing marks,
        punctuation)
  9.0   canonical decompositions and combining classes
  16.0  what a regular expression calls \\w
  17.0  lower case mappings

The PyPI package "unicodedata2" has a release for each version of Unicode,
whose source archive holds the database as C arrays. Fetch four of them
(nothing of them is run or installed):

  pip download --no-deps --no-binary :all: unicodedata2==8.0.0
  pip download --no-deps --no-binary :all: unicodedata2==9.0.0
  pip download --no-deps --no-binary :all: unicodedata2==16.0.0
  pip download --no-deps --no-binary :all: unicodedata2==17.0.0

then

  gen_tables.py DIRECTORY_OF_THE_ARCHIVES > unicode_tables.c

or "make tokenizer-tables" for both. The archives are checked by SHA-256, so
the output is the same for everyone.
"""

import hashlib
import os
import re
import sys
import tarfile

ARCHIVES = {
    "8.0.0": "83ade023678f55a35650cd12213c9fd8b38e2af90d4a8c71ce92a04e609e95c2",
    "9.0.0": "586bc036686734c0eb47f3516a884e537df60e2ae355d2de59e9962ed6bbac1f",
    "16.0.0": "05488d6592b59cd78b61ec37d38725416b2df62efafa6a0d63a631b27aa474fc",
    "17.0.0": "ffa2f0d6834642fe996d356e728da887201533bb540974ae7ac975e66ecc0e3a",
}

MAX = 0x110000
BLOCK_BITS = 7
BLOCK = 1 << BLOCK_BITS

# Flags of a code point; the same names stand in unicode.h.
DROP, SPACE, PUNCT, CJK, MARK, WORD, NFD, LOWER = (1 << i for i in range(8))

# Property White_Space, unchanged since Unicode 6.3.
WHITE_SPACE = ([*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680]
               + [*range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])

# Ideographs that stand alone. The sixth range is Extension E, which begins at
# U+2B820 in Unicode and at U+2B920 in the reference tokenizer: its spelling
# decides the ids that models were trained on.
CJK_RANGES = [
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
]

# Symbols that have the property Alphabetic, hence are \w: letters in circles
# and squares. Everything else in \w follows from its category.
ALPHABETIC_SYMBOLS = [(0x24B6, 0x24E9), (0x1F130, 0x1F149),
                      (0x1F150, 0x1F169), (0x1F170, 0x1F189)]
JOIN_CONTROL = (0x200C, 0x200D)


class Source:
    """The C arrays of one release of unicodedata2."""

    def __init__(self, directory, version):
        path = os.path.join(directory, f"unicodedata2-{version}.tar.gz")
        with open(path, "rb") as f:
            if hashlib.sha256(f.read()).hexdigest() != ARCHIVES[version]:
                sys.exit(f"{path}: SHA-256 is not the expected one; fetch the file again")
        with tarfile.open(path) as tar:
            base = f"unicodedata2-{version}/unicodedata2/"
            self.db = tar.extractfile(base + "unicodedata_db.h").read().decode()
            self.types = tar.extractfile(base + "unicodetype_db.h").read().decode()

    @staticmethod
    def body(text, name):
        m = re.search(r"\b" + name + r"\[\]\s*=\s*\{(.*?)\n\};", text, re.S)
        return m.group(1)

    def numbers(self, text, name):
        return [int(n, 0) for n in re.findall(r"-?\b(?:0[xX][0-9a-fA-F]+|\d+)\b",
                                              self.body(text, name))]

    def records(self, text, name):
        return [[int(n, 0) for n in r.split(",") if n.strip()]
                for r in re.findall(r"\{([^{}]*)\}", self.body(text, name))]

    def shift(self, text, name):
        return int(re.search(r"#define " + name + r" (\d+)", text).group(1))

    def expand(self, text, shift, first, second):
        """Both stages of a table, as one list with an entry a code point."""
        bits = self.shift(text, shift)
        one, two = self.numbers(text, first), self.numbers(text, second)
        mask = (1 << bits) - 1
        return [two[(one[c >> bits] << bits) + (c & mask)] for c in range(MAX)]

    def categories(self):
        names = re.findall(r'"(\w+)"', self.body(self.db, "_PyUnicode_CategoryNames"))
        rec = self.records(self.db, "_PyUnicode_Database_Records")
        return [names[rec[i][0]] for i in self.expand(self.db, "SHIFT", "index1", "index2")]

    def combining_classes(self):
        rec = self.records(self.db, "_PyUnicode_Database_Records")
        return [rec[i][1] for i in self.expand(self.db, "SHIFT", "index1", "index2")]

    def decompositions(self):
        """Canonical decompositions, one level, Hangul not among them."""
        data = self.numbers(self.db, "decomp_data")
        index = self.expand(self.db, "DECOMP_SHIFT", "decomp_index1", "decomp_index2")
        out = {}
        for c, i in enumerate(index):
            count, prefix = data[i] >> 8, data[i] & 255
            if count and not prefix:
                out[c] = data[i + 1:i + 1 + count]
        return out

    def lower(self):
        """Lower case mappings that need no context."""
        rec = self.records(self.types, "_PyUnicode_TypeRecords")
        extended = self.numbers(self.types, "_PyUnicode_ExtendedCase")
        out = {}
        for c, i in enumerate(self.expand(self.types, "SHIFT", "index1", "index2")):
            lower, flags = rec[i][1], rec[i][5]
            if flags & 0x4000:
                start, count = lower & 0xFFFF, lower >> 24
                to = extended[start:start + count] if count else [extended[start]]
            else:
                to = [c + lower]
            if to != [c]:
                out[c] = to
        return out


def full_decompositions(one_level):
    def expand(c):
        return [d for p in one_level[c] for d in expand(p)] if c in one_level else [c]
    return {c: expand(c) for c in one_level}


def in_ranges(c, ranges):
    return any(a <= c <= b for a, b in ranges)


def flags_of(c, cat8, cat16, ccc, decomp, lower):
    f = 0
    if c in (0, 0xFFFD) or (cat8[c] in ("Cc", "Cf", "Co") and c not in (9, 10, 13)):
        f |= DROP
    if c in WHITE_SPACE:
        f |= SPACE
    if cat8[c][0] == "P" or 33 <= c <= 47 or 58 <= c <= 64 or 91 <= c <= 96 or 123 <= c <= 126:
        f |= PUNCT
    if in_ranges(c, CJK_RANGES):
        f |= CJK
    if cat8[c] == "Mn":
        f |= MARK
    if (cat16[c][0] in "LM" or cat16[c] in ("Nd", "Nl", "Pc") or c in JOIN_CONTROL
            or in_ranges(c, ALPHABETIC_SYMBOLS)):
        f |= WORD
    if ccc[c] or c in decomp or 0xAC00 <= c <= 0xD7A3:
        f |= NFD
    if c in lower:
        f |= LOWER
    return f


def two_stage(values):
    blocks, first = {}, []
    for i in range(0, MAX, BLOCK):
        first.append(blocks.setdefault(tuple(values[i:i + BLOCK]), len(blocks)))
    return first, [v for b in blocks for v in b]


def emit(name, ctype, values):
    print(f"\nconst {ctype} {name}[{len(values)}] = {{")
    line = "\t"
    for v in values:
        item = f"{v}, "
        if len(line) + len(item) > 92:
            print(line.rstrip())
            line = "\t"
        line += item
    print(line.rstrip())
    print("};")


def emit_two_stage(name, ctype, values):
    first, second = two_stage(values)
    emit(name + "_index", "uint8_t" if max(first) < 256 else "uint16_t", first)
    emit(name, ctype, second)


def pool_of(mappings):
    """Sequences end to end, each behind its length; and their places (0: none)."""
    pool, place, seen = [0], [0] * MAX, {}
    for c in sorted(mappings):
        key = tuple(mappings[c])
        if key not in seen:
            seen[key] = len(pool)
            pool += [len(key), *key]
        place[c] = seen[key]
    return pool, place


def check_expansion(decomp, lower):
    """What normalize.c reserves for one code point must be enough."""
    for c in range(MAX):
        if 0xD800 <= c < 0xE000:
            continue
        parts = decomp.get(c, [c])
        parts = [d for p in parts for d in lower.get(p, [p])]
        if len("".join(map(chr, parts)).encode()) > 30:
            sys.exit(f"U+{c:04X} expands too much for DAMF_UC_MAX_BYTES")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    u8, u9, u16, u17 = (Source(sys.argv[1], v) for v in ARCHIVES)
    cat8, cat16 = u8.categories(), u16.categories()
    ccc = u9.combining_classes()
    decomp = full_decompositions(u9.decompositions())
    lower = u17.lower()
    check_expansion(decomp, lower)
    flags = [flags_of(c, cat8, cat16, ccc, decomp, lower) for c in range(MAX)]

    print("/* SPDX-License-Identifier: MIT */")
    print("/* Generated by gen_tables.py: change that instead of this. */")
    print('#include "unicode.h"')
    emit_two_stage("damf_uc_flag", "uint8_t", flags)
    emit_two_stage("damf_uc_ccc", "uint8_t", ccc)
    for name, mappings in (("damf_uc_decomp", decomp), ("damf_uc_lower", lower)):
        pool, place = pool_of(mappings)
        emit(name + "_pool", "uint32_t", pool)
        emit_two_stage(name, "uint16_t", place)


if __name__ == "__main__":
    main()
