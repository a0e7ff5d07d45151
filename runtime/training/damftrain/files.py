# SPDX-License-Identifier: MIT
"""Students on disk: one safetensors file with shape and attention in its metadata."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import safe_open

from .errors import TrainError
from .saving import save_atomically, tensor_bytes
from .model import Encoder, load_exact
from .spec import EncoderConfig, ModelSpec

NAME = "student.safetensors"
WRITTEN = ("checkpoint", "curve.json", "curve.svg")  # beside it, and no part of what it is


def digest(path: Path) -> str:
    """Of a file, or of the files in a directory."""
    found = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file() and file.name not in WRITTEN:
            found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()[:16]


def save_student(model: Encoder, directory: Path, dtype: torch.dtype = torch.float32) -> None:
    """Everything but the embedding tables, which are the teacher's."""
    tables = ("words.", "positions.", "types.")
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(tables)
    }
    config = asdict(model.config)
    config.pop("extra")
    meta = {"config": json.dumps(config), "spec": json.dumps(model.spec.to_json())}
    data = tensor_bytes(tensors, meta)
    save_atomically(directory / NAME, lambda file: file.write(data))


def load_student(directory: Path, teacher: Encoder) -> Encoder:
    """A student of this teacher, whose embedding tables it takes."""
    path = directory / NAME
    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata()
            state = {name: file.get_tensor(name).float() for name in file.keys()}
    except FileNotFoundError:
        raise TrainError(f"{path}: no such file; `distill --output` makes it")
    except Exception as error:  # the reader's own types of error are many
        raise TrainError(f"{path}: {error}")
    if not meta or "spec" not in meta:
        raise TrainError(f"{path}: has no attention in its metadata; `distill --output` makes it")
    config = EncoderConfig(**json.loads(meta["config"]))
    spec = ModelSpec.from_json(json.loads(meta["spec"]))
    depth = teacher.config.num_hidden_layers
    of_layers = len(spec.kept or spec.layers) == config.num_hidden_layers
    if replace(config, num_hidden_layers=depth) != teacher.config or not of_layers:
        raise TrainError(f"{path}: is of another shape than its teacher")
    if config.num_hidden_layers != depth and max(spec.kept, default=depth) >= depth:
        raise TrainError(f"{path}: is of another number of layers than its teacher")
    model = Encoder(config, spec)
    tables = {
        k: v for k, v in teacher.state_dict().items() if k.split(".")[0] in ("words", "positions", "types")
    }
    try:
        model.load_state_dict({**tables, **state})
    except RuntimeError as error:
        raise TrainError(f"{path}: doesn't fit its own metadata: {error}")
    return model.to(teacher.words.weight.device)


def load_any(directory: Path, teacher: Encoder) -> Encoder:
    """A student, or a Hugging Face directory."""
    if (directory / NAME).exists():
        return load_student(directory, teacher)
    return load_exact(directory).to(teacher.words.weight.device)
