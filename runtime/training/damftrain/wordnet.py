# SPDX-License-Identifier: MIT
"""Sentences out of Debian's dict-wn: WordNet's definitions and examples."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

EXAMPLE = re.compile(r'"([^"]+)"')
START = re.compile(r"^\s*(?:(?:n|v|adj|adv)\s+)?(?:\d+:\s+|:\s+)?")


def entries(raw: str) -> list[str]:
    """Senses, each with its lines joined."""
    senses: list[str] = []
    for line in raw.split("\n"):
        if not line.startswith("  "):
            continue
        body = line.strip()
        if re.match(r"(?:(?:n|v|adj|adv)\s+(?:\d+)?:|\d+:)", body):
            senses.append(body)
        elif senses:
            senses[-1] += " " + body
    return senses


def sentences(sense: str) -> list[str]:
    text = START.sub("", sense)
    text = re.sub(r"\[(?:syn|ant):[^\]]*\]", "", text)
    examples = [e for e in EXAMPLE.findall(text) if len(e.split()) >= 3]
    definition = EXAMPLE.sub("", text).strip(" ;:")
    return [" ".join(s.split()) for s in [definition, *examples] if len(s.split()) >= 3]


def main() -> int:
    raw = gzip.decompress(Path(sys.argv[1]).read_bytes()).decode("utf-8")
    found = dict.fromkeys(s for sense in entries(raw) for s in sentences(sense))
    print("\n".join(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
