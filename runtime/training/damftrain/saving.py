# SPDX-License-Identifier: MIT
"""Files that are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

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


def save_json(path: Path, data: Any) -> None:
    encoded = json.dumps(data, indent=1).encode()
    save_atomically(path, lambda file: file.write(encoded))
