# SPDX-License-Identifier: MIT
"""A student as the directory that libdamf reads: Documentation/model-format.rst, plain form."""

from __future__ import annotations

import json
import math
import shutil
import struct
from pathlib import Path

import torch
from torch import Tensor

from .attention import Attention, Group
from .errors import TrainError
from .macs import SOFTFOLD_BOUND
from .saving import save_atomically, tensor_bytes
from .model import EMBEDDING_NAMES, LAYER_NAMES, Encoder
from .spec import BAND, MAX_ORDER, HeadSpec

MODE_NUMBERS = {"mhsa": 0, "shift": 1, "fold": 2, "foldshift": 3, "softfold": 4}
CENTRED, SCALE, WITH_BAND, WITH_SINKS = 1, 2, 4, 8
HEAD = struct.Struct(f"<4H4I2H{1 + MAX_ORDER + 1 + 2 + 2 * BAND + 1}f2I")
COPIED = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json",
    "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json",
    "1_Pooling/config.json",
)  # fmt: skip


def head_flags(spec: HeadSpec) -> int:
    flags = (WITH_BAND if spec.band else 0) | (WITH_SINKS if spec.sinks else 0)
    if spec.mode in ("fold", "foldshift") and spec.order:
        flags |= (CENTRED if spec.centred else 0) | (SCALE if spec.scale == "learned" else 0)
    return flags


def head_entry(group: Group, place: int, base: int) -> bytes:
    """struct damf_head of one head; base is the group's first column of pq, or the head's of Q."""
    spec, size = group.spec, group.head_size
    head, count = group.heads[place], len(group.heads)
    exact, flags = spec.mode == "mhsa", head_flags(spec)
    coefficients = list(spec.coefficients if spec.order else (1.0, 1.0))
    if spec.mode == "softfold":
        coefficients = [SOFTFOLD_BOUND]
    coefficients = [] if exact else coefficients
    scale = 1 / math.sqrt(size) if exact else float(bool(flags & SCALE))
    columns = (0, 0) if exact else (base + place * spec.rank, base + (count + place) * spec.rank)
    order = 0 if exact or spec.mode == "softfold" else max(1, spec.order)
    sinks = group.sinks[place].tolist() if spec.sinks else [0.0, 0.0]
    band = group.band[place].tolist() if spec.band else [0.0] * (2 * BAND + 1)
    return HEAD.pack(
        MODE_NUMBERS[spec.mode], flags, size if exact else 0, size,
        base if exact else 0, head * size, *columns,
        0 if exact else spec.rank, order,
        scale, *coefficients, *[0.0] * (MAX_ORDER + 1 - len(coefficients)), *sinks, *band, 0, 0,
    )  # fmt: skip


def pq_rows(group: Group) -> tuple[Tensor, Tensor]:
    """Uniform heads have no scores; theirs are zeros here."""
    if group.spec.order:
        return group.pq.weight, group.pq.bias
    rows = 2 * len(group.heads)
    hidden = group.head_size * group.total
    return torch.zeros(rows, hidden), torch.zeros(rows)


def attention_tensors(attention: Attention, prefix: str) -> dict[str, Tensor]:
    """The table of heads, and u and v."""
    entries: dict[int, bytes] = {}
    weights, biases, base = [], [], 0
    exact = exact_heads(attention)
    for group in attention.parts():
        of_scores = group.spec.mode != "mhsa"
        for place, head in enumerate(group.heads):
            at = base if of_scores else exact.index(head) * group.head_size
            entries[head] = head_entry(group, place, at)
        if of_scores:
            weight, bias = pq_rows(group)
            weights.append(weight)
            biases.append(bias)
            base += len(bias)
    table = b"".join(entries[head] for head in sorted(entries))
    data = torch.frombuffer(bytearray(table), dtype=torch.uint8).view(len(entries), HEAD.size)
    tensors = {f"{prefix}.heads": data}
    if weights:
        tensors[f"{prefix}.pq.weight"] = torch.cat(weights)
        tensors[f"{prefix}.pq.bias"] = torch.cat(biases)
    return tensors


def exact_heads(attention: Attention) -> list[int]:
    return sorted(h for group in attention.parts() if group.spec.mode == "mhsa" for h in group.heads)


def exact_tensors(attention: Attention, prefix: str) -> dict[str, Tensor]:
    """W_Q and W_K of the exact heads, one after another."""
    tensors = {}
    heads = exact_heads(attention)
    for name in ("query", "key") if heads else ():
        for kind in ("weight", "bias"):
            like = getattr(attention.value, kind)
            whole = torch.zeros_like(like).unflatten(0, (attention.heads, attention.head_size))
            for group in attention.parts():
                if group.spec.mode == "mhsa":
                    part = getattr(getattr(group, name), kind)
                    whole[group.index] = part.unflatten(0, (-1, attention.head_size))
            tensors[f"{prefix}.attention.self.{name}.{kind}"] = whole[heads].flatten(0, 1)
    return tensors


@torch.no_grad()
def file_tensors(model: Encoder) -> dict[str, Tensor]:
    state, tensors = model.state_dict(), {}
    for theirs, ours in EMBEDDING_NAMES.items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                tensors[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for number, layer in enumerate(model.stack()):
        prefix = f"encoder.layer.{number}"
        for theirs, ours in LAYER_NAMES.items():
            for kind in ("weight", "bias"):
                if ".groups." not in ours:
                    tensors[f"{prefix}.{theirs}.{kind}"] = state[f"layers.{number}.{ours}.{kind}"]
        tensors |= exact_tensors(layer.attention, prefix)
        tensors |= attention_tensors(layer.attention, f"damf.layer.{number}")
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def metadata(model: Encoder, source: str) -> dict[str, str]:
    modes = {head.mode for layer in model.spec.layers for head in layer}
    return {
        "format": "pt",
        "damf.version": "2",
        "damf.form": "plain",
        "damf.dtype": "f32",
        "damf.attention": modes.pop() if len(modes) == 1 else "mixed",
        "damf.trained": "true",
        "damf.source": source,
    }


def write_config(teacher: Path, output: Path, labels: list[str], layers: int) -> None:
    data = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    data["num_hidden_layers"] = layers
    if labels:
        data["architectures"] = ["BertForSequenceClassification"]
        data["id2label"] = {str(i): label for i, label in enumerate(labels)}
        data["label2id"] = {label: i for i, label in enumerate(labels)}
    encoded = json.dumps(data, indent=2).encode() + b"\n"
    save_atomically(output / "config.json", lambda file: file.write(encoded))


def export(model: Encoder, teacher: Path, output: Path, labels: list[str], source: str) -> None:
    if model.spec.classes != len(labels):
        raise TrainError(
            f"the model has {model.spec.classes} classes and {len(labels)} labels are given; "
            "name each with --label"
        )
    write_config(teacher, output, labels, len(model.spec.layers))
    for name in COPIED:
        if (teacher / name).exists():
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(teacher / name, output / name)
    data = tensor_bytes(file_tensors(model), metadata(model, source))
    save_atomically(output / "model.safetensors", lambda file: file.write(data))
