# SPDX-License-Identifier: MIT
"""A BERT encoder with any attention, and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from .attention import Attention, Linear
from .errors import TrainError
from .rounding import int8_rows
from .spec import EncoderConfig, HeadSpec, ModelSpec
from .tokens import Tokens

SHAPE_KEYS = tuple(name for name in EncoderConfig.__dataclass_fields__ if name != "extra")


class Layer(nn.Module):
    def __init__(self, config: EncoderConfig, specs: tuple[HeadSpec, ...]) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.attention = Attention(specs, hidden)
        self.attention_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.inner = Linear(hidden, config.intermediate_size)
        self.outer = Linear(config.intermediate_size, hidden)
        self.output_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.instead: list[Attention] = []  # of another model, in the place of its own; no part of it

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        attention = self.instead[0] if self.instead else self.attention
        x = self.attention_norm(x + attention(x, tokens))
        return self.output_norm(x + self.outer(F.gelu(self.inner(x))))


class Encoder(nn.Module):
    """Embeddings, layers, and perhaps a pooler and a classifier."""

    def __init__(self, config: EncoderConfig, spec: ModelSpec) -> None:
        super().__init__()
        if len(spec.layers) != config.num_hidden_layers:
            raise TrainError(
                f"attention is given for {len(spec.layers)} layers of {config.num_hidden_layers}"
            )
        self.config, self.spec = config, spec
        hidden = config.hidden_size
        self.words = nn.Embedding(config.vocab_size, hidden)
        self.positions = nn.Embedding(config.max_position_embeddings, hidden)
        self.types = nn.Embedding(config.type_vocab_size, hidden)
        self.embedding_norm = nn.LayerNorm(hidden, config.layer_norm_eps)
        self.layers = nn.ModuleList(Layer(config, specs) for specs in spec.layers)
        if spec.classes:
            self.pooler = Linear(hidden, hidden)
            self.classifier = nn.Linear(hidden, spec.classes)
        self.set_int8(spec.int8)

    def stack(self) -> list[Layer]:
        return cast("list[Layer]", list(self.layers))

    def set_int8(self, on: bool) -> None:
        self.int8 = on
        for module in self.modules():
            if isinstance(module, Linear):
                module.int8 = on

    def embed(self, ids: Tensor, tokens: Tokens, types: Tensor | None) -> Tensor:
        tables = [self.words.weight, self.positions.weight, self.types.weight]
        rows = [ids, torch.arange(ids.shape[1], device=ids.device).expand_as(ids)]
        rows.append(torch.zeros_like(ids) if types is None else types)
        parts = [F.embedding(tokens.pack(index), table) for index, table in zip(rows, tables)]
        if self.int8:
            parts = [int8_rows(part) for part in parts]
        return self.embedding_norm(parts[0] + parts[1] + parts[2])

    def forward(self, ids: Tensor, tokens: Tokens, types: Tensor | None = None) -> list[Tensor]:
        """The hidden states behind the embeddings and each layer; ids and types are padded."""
        states = [self.embed(ids, tokens, types)]
        for layer in self.stack():
            states.append(layer(states[-1], tokens))
        return states

    def sentence(self, state: Tensor, tokens: Tokens) -> Tensor:
        """Mean over tokens, of length 1."""
        return F.normalize((tokens.spread(state) * tokens.valid).sum(1) / tokens.count, dim=-1)

    def logits(self, state: Tensor, tokens: Tokens) -> Tensor:
        return self.classifier(torch.tanh(self.pooler(tokens.first(state))))


def read_config(directory: Path) -> tuple[EncoderConfig, dict[str, Any]]:
    path = directory / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainError(f"{path}: no such file; --teacher and --model take a Hugging Face directory")
    except (OSError, ValueError) as error:
        raise TrainError(f"{path}: {error}")
    if data.get("model_type") != "bert" or data.get("hidden_act", "gelu") != "gelu":
        raise TrainError(
            f"{path}: model_type {data.get('model_type')} with {data.get('hidden_act')}: "
            "only BERT encoders with gelu are trained here"
        )
    if data.get("position_embedding_type", "absolute") != "absolute":
        raise TrainError(f"{path}: position_embedding_type must be absolute")
    missing = [k for k in SHAPE_KEYS if k not in data and k not in ("type_vocab_size", "layer_norm_eps")]
    if missing:
        raise TrainError(f"{path}: lacks {', '.join(missing)}")
    return EncoderConfig(**{k: data[k] for k in SHAPE_KEYS if k in data}), data


# Hugging Face's names of a layer's tensors, and ours.
LAYER_NAMES = {
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "inner",
    "output.dense": "outer",
    "output.LayerNorm": "output_norm",
    "attention.self.query": "attention.groups.0.query",
    "attention.self.key": "attention.groups.0.key",
}
EMBEDDING_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "embedding_norm",
    "pooler.dense": "pooler",
    "classifier": "classifier",
}


def our_name(name: str) -> str | None:
    """Of a tensor in a Hugging Face file; None for those that aren't used."""
    name = name.removeprefix("bert.")
    stem, _, kind = name.rpartition(".")
    if stem in EMBEDDING_NAMES:
        return f"{EMBEDDING_NAMES[stem]}.{kind}"
    parts = stem.split(".", 3)
    if parts[:2] == ["encoder", "layer"] and len(parts) == 4 and parts[3] in LAYER_NAMES:
        return f"layers.{parts[2]}.{LAYER_NAMES[parts[3]]}.{kind}"
    return None


def device_of(name: str) -> torch.device:
    """cpu, cuda, or what is there with auto."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    return torch.device(name)


def load_exact(directory: Path, classes: int = 0) -> Encoder:
    """A Hugging Face BERT with exact attention, in f32."""
    config, data = read_config(directory)
    path = directory / "model.safetensors"
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise TrainError(f"{path}: no such file; save the model as safetensors")
    except Exception as error:  # the reader's own types of error are many
        raise TrainError(f"{path}: {error}")
    if not classes and "classifier.weight" in tensors:
        classes = tensors["classifier.weight"].shape[0]
    heads = tuple(HeadSpec() for _ in range(config.num_attention_heads))
    model = Encoder(config, ModelSpec((heads,) * config.num_hidden_layers, False, classes))
    state = {our: t.float() for name, t in tensors.items() if (our := our_name(name))}
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            if name.startswith(("classifier", "pooler")):
                continue
            raise TrainError(f"{path}: lacks the tensor that is {name} here")
        if state[name].shape != tensor.shape:
            raise TrainError(
                f"{path}: {name} is {list(state[name].shape)}, config.json says {list(tensor.shape)}"
            )
    model.load_state_dict({k: state.get(k, v) for k, v in wanted.items()})
    return model
