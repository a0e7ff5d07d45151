# SPDX-License-Identifier: MIT
"""Files that are whole or not there, also where several processes write them."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

from safetensors.torch import save
from torch import Tensor

from .errors import TrainError

LENGTH = 8  # bytes before the header of a safetensors file, which say how long it is


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
        with suppress(OSError):
            part.unlink()
        kept = "; the one from before is kept" if path.exists() else ""
        raise TrainError(f"{path}: cannot save: {error}{kept}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time has what is to be at this path; one that was killed has it no longer."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(path.with_name(path.name + ".lock"), os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError as error:
        raise TrainError(f"{path}: cannot lock: {error}")
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems have none
            raise TrainError(f"{path}: cannot lock: {error}")
        yield
    finally:
        os.close(held)


def tensor_bytes(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file, the same bytes each time: the library shuffles metadata."""
    data = save(tensors, metadata)
    end = LENGTH + int.from_bytes(data[:LENGTH], "little")
    header = json.loads(data[LENGTH:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % LENGTH)  # tensors begin at whole words
    return len(encoded).to_bytes(LENGTH, "little") + encoded + data[end:]


def save_json(path: Path, data: Any) -> None:
    encoded = json.dumps(data, indent=1).encode()
    save_atomically(path, lambda file: file.write(encoded))
