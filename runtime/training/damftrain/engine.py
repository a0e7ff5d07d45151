# SPDX-License-Identifier: MIT
"""The damf command, which runs what was trained as users will run it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import TrainError


@dataclass(frozen=True)
class Engine:
    damf: Path
    model: Path
    backend: str = "auto"
    options: tuple[str, ...] = ()

    def run(self, command: str, arguments: list[str], lines: list[str]) -> str:
        return self.call([command], [*arguments, "-"], "".join(line + "\n" for line in lines))

    def bench(self, length: int) -> dict[str, Any]:
        """What `damf bench model` prints for one made-up text, on one thread."""
        arguments = ["--length", str(length), "--threads", "1", "--json"]
        found: dict[str, Any] = json.loads(self.call(["bench", "model"], arguments))
        return found

    def call(self, command: list[str], arguments: list[str], text: str = "") -> str:
        call = [str(self.damf), *command, "--model", str(self.model), "--backend", self.backend]
        call += [*self.options, *arguments]
        try:
            done = subprocess.run(call, input=text.encode(), capture_output=True, check=False)
        except OSError as error:
            raise TrainError(f"{self.damf}: {error.strerror}; `make` builds it, --damf says where it is")
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().split("\n")[-1]
            raise TrainError(f"damf {' '.join(command)} failed with {done.returncode}: {said}")
        return done.stdout.decode()

    def similarities(self, pairs: list[tuple[str, ...]]) -> list[float]:
        """The cosine of each pair."""
        lines = ["\t".join(pair) for pair in pairs]
        result = json.loads(self.run("similarity", ["--columns", "1,2", "--json"], lines))
        found = [pair["cosine"] for pair in result["pairs"]]
        return self.all_of(found, len(pairs))

    def classes(self, texts: list[tuple[str, ...]]) -> list[str]:
        """The most probable label of each text or pair."""
        arguments = ["--json", *(["--pairs"] if len(texts[0]) == 2 else [])]
        lines = ["\t".join(text) for text in texts]
        output = self.run("classify", arguments, lines)
        found = [json.loads(line)["label"] for line in output.splitlines()]
        return self.all_of(found, len(texts))

    def all_of(self, found: list[Any], wanted: int) -> list[Any]:
        if len(found) != wanted:
            raise TrainError(f"damf gave {len(found)} results for {wanted} texts; is one of them empty?")
        return found


def model_labels(directory: Path) -> list[str]:
    """Of a classifier's classes, in order; none of a model of embeddings."""
    path = directory / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainError(f"{path}: {error}; --model takes a directory that damf reads")
    if not any("Classification" in name for name in data.get("architectures", [])):
        return []
    named = data.get("id2label", {})
    return [named[str(number)] for number in range(len(named))]
