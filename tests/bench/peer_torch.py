# SPDX-License-Identifier: MIT
"""PyTorch: answers requests on standard input (see worker.py)."""

from __future__ import annotations

import json
import os
from typing import Any, Callable

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

import worker
from text import embed_all, open_tokenizer, read_lines

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.set_grad_enabled(False)
Tensor = torch.Tensor
ROWS = 512  # that a packed weight is meant for


def split(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:-1], heads, -1).transpose(-2, -3)


def mix(qkv: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    q, k, v = (split(part, heads) for part in qkv.chunk(3, -1))
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(-2, -3).flatten(-2)


def join(w: dict[str, Tensor], names: list[str], what: str) -> Tensor:
    return torch.cat([w[n + what] for n in names])


class Linear:
    """F.linear, or oneDNN's product with a weight packed beforehand, whichever is asked for."""

    def __init__(self, weight: Tensor, bias: Tensor, variant: str) -> None:
        packed = variant != "F.linear"
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS) if packed else weight
        self.bias, self.packed = bias, packed

    def __call__(self, x: Tensor, act: str = "none") -> Tensor:
        if self.packed:
            done: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, act, [], "none")
            return done
        y = F.linear(x, self.weight, self.bias)
        return F.gelu(y) if act == "gelu" else y


def attention(request: dict[str, Any]) -> Callable[[], np.ndarray]:
    w = load_file(request["dir"] + "/weights.safetensors")
    x = torch.from_numpy(np.load(request["dir"] + "/x.npy"))[None]
    heads, variant = request["heads"], request["variant"]
    layers = []
    for i in range(request["cold"]):
        names = [f"{i}.{n}" for n in "qkv"]
        qkv = Linear(join(w, names, ".weight"), join(w, names, ".bias"), variant)
        layers.append((qkv, Linear(w[f"{i}.o.weight"], w[f"{i}.o.bias"], variant)))

    def run() -> np.ndarray:
        done = [out(mix(qkv(x), heads, None))[0].numpy() for qkv, out in layers]
        return np.concatenate(done) if len(done) > 1 else done[0]

    return run


class Encoder:
    """BERT with nothing around it."""

    def __init__(self, model: str, variant: str) -> None:
        with open(model + "/config.json", encoding="utf-8") as f:
            self.config = json.load(f)
        self.w = load_file(model + "/model.safetensors")
        self.eps = float(self.config["layer_norm_eps"])
        self.heads = self.config["num_attention_heads"]
        self.products: list[dict[str, Linear]] = []
        for i in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{i}."
            names = [f"{at}attention.self.{n}" for n in ("query", "key", "value")]
            products = {"qkv": Linear(join(self.w, names, ".weight"), join(self.w, names, ".bias"), variant)}
            for name in ("attention.output", "intermediate", "output"):
                weight, bias = (self.w[f"{at}{name}.dense.{n}"] for n in ("weight", "bias"))
                products[name] = Linear(weight, bias, variant)
            self.products.append(products)

    def norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.w[name + ".LayerNorm.weight"], self.w[name + ".LayerNorm.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.eps)

    def embedded(self, ids: Tensor) -> Tensor:
        w = self.w
        x = (
            F.embedding(ids, w["embeddings.word_embeddings.weight"])
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        return self.norm(x, "embeddings")

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        x = self.embedded(torch.from_numpy(ids))
        keep = torch.from_numpy(mask)
        bias = None if mask.all() else keep.bool()[:, None, None, :]
        for i, product in enumerate(self.products):
            at = f"encoder.layer.{i}."
            y = product["attention.output"](mix(product["qkv"](x), self.heads, bias))
            x = self.norm(x + y, at + "attention.output")
            x = self.norm(x + product["output"](product["intermediate"](x, "gelu")), at + "output")
        total = (x * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)
        return F.normalize(total).numpy()


def model(request: dict[str, Any]) -> Callable[[], np.ndarray]:
    lines = read_lines(request["text"])
    tokenizer, embed = open_tokenizer(request["model"]), Encoder(request["model"], request["variant"])
    return lambda: embed_all(tokenizer, lines, embed)


if __name__ == "__main__":
    worker.serve({"attention": attention, "model": model}, {"PyTorch": torch.__version__})
