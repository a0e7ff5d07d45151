# SPDX-License-Identifier: MIT
"""Files of results, a JSON object a line, that commands add to and go on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import TrainError
from .saving import locked, save_atomically


def append_line(path: Path, data: dict[str, Any]) -> None:
    """One more line of a small file, in which all lines are whole at any time."""
    new = json.dumps(data).encode() + b"\n"
    with locked(path):
        old = path.read_bytes() if path.exists() else b""
        save_atomically(path, lambda file: file.write(old + new))


def read_lines(path: Path, command: str) -> list[dict[str, Any]]:
    """What the command wrote."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise TrainError(f"{path}: no such file; `{command}` writes it")
    except (OSError, ValueError) as error:
        raise TrainError(f"{path}: not a file of results ({error})")
