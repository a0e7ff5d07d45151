# SPDX-License-Identifier: MIT
"""Files that are whole or not there, also where several processes write them."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from .errors import TrainError


def save_atomically(path: Path, write: Any) -> None:
    """The file is whole or the old one stays."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        kept = "; the one from before is kept" if path.exists() else ""
        raise TrainError(f"{path}: cannot save: {error}{kept}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time has what is to be at this path; one that was killed has it no longer."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path.with_name(path.name + ".lock"), "a")
    except OSError as error:
        raise TrainError(f"{path}: cannot lock: {error}")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def save_json(path: Path, data: Any) -> None:
    encoded = json.dumps(data, indent=1).encode()
    save_atomically(path, lambda file: file.write(encoded))
