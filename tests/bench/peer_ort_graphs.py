# SPDX-License-Identifier: MIT
"""ONNX graphs of an attention layer and of MiniLM, in the operators that ONNX Runtime is fastest with."""

from __future__ import annotations

import os
from typing import Any, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Tensors = dict[str, np.ndarray]
CONTRIB = "com.microsoft"


class Graph:
    """Nodes and constants, in order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: np.ndarray, name: str) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(
        self, op: str, inputs: Sequence[str], name: str, domain: str = "", outputs: int = 1, **how: Any
    ) -> str:
        names = [name] + [f"{name}.{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **how))
        return name

    def contrib(self, op: str, inputs: Sequence[str], name: str, outputs: int = 1, **how: Any) -> str:
        return self.add(op, inputs, name, CONTRIB, outputs, **how)

    def save(self, path: str, inputs: dict[str, tuple[int, list[Any]]], outputs: Sequence[str]) -> None:
        graph = helper.make_graph(
            self.nodes,
            "bench",
            [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
            self.constants,
        )
        sets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
        onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=9), path)


# ---- One attention layer -----------------------------------------------------


def linear(g: Graph, w: Tensors, x: str, name: str) -> str:
    product = g.add("MatMul", [x, g.constant(w[name + ".weight"].T, name + ".w")], name + ".xw")
    return g.add("Add", [product, g.constant(w[name + ".bias"], name + ".b")], name + ".y")


def together(w: Tensors, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """W_Q, W_K and W_V beside each other, and their biases."""
    weights = [w[f"{layer}{n}.weight"].T for n in "qkv"]
    return np.concatenate(weights, 1), np.concatenate([w[f"{layer}{n}.bias"] for n in "qkv"])


def plain(g: Graph, w: Tensors, layer: str, heads: int, width: int) -> str:
    """What an exporter writes."""
    shape = g.constant(np.array([0, 0, heads, width], np.int64), layer + "split")
    parts = []
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        y = g.add("Reshape", [linear(g, w, "x", layer + name), shape], layer + name + ".r")
        parts.append(g.add("Transpose", [y], layer + name + ".t", perm=order))
    scores = g.add("MatMul", parts[:2], layer + "scores")
    scale = g.constant(np.array(1 / np.sqrt(width), np.float32), layer + "scale")
    scaled = g.add("Mul", [scores, scale], layer + "scaled")
    weights = g.add("Softmax", [scaled], layer + "softmax", axis=-1)
    mixed = g.add(
        "Transpose", [g.add("MatMul", [weights, parts[2]], layer + "av")], layer + "avt", perm=[0, 2, 1, 3]
    )
    shape = g.constant(np.array([0, 0, heads * width], np.int64), layer + "join")
    return g.add("Reshape", [mixed, shape], layer + "mixed")


def fused(g: Graph, w: Tensors, layer: str, heads: int, width: int) -> str:
    weights, bias = together(w, layer)
    inputs = ["x", g.constant(weights, layer + "qkv.w"), g.constant(bias, layer + "qkv.b")]
    return g.contrib("Attention", inputs, layer + "mixed", num_heads=heads)


def multi_head(g: Graph, w: Tensors, layer: str, heads: int, width: int) -> str:
    parts = [linear(g, w, "x", layer + name) for name in "qkv"]
    return g.contrib("MultiHeadAttention", parts, layer + "mixed", num_heads=heads)


VARIANTS = {"plain graph": plain, "Attention": fused, "MultiHeadAttention": multi_head}


def attention(
    path: str, variant: str, w: Tensors, layers: int, length: int, heads: int, hidden: int
) -> list[str]:
    """Layers that all take x; returns the names of their outputs."""
    g = Graph()
    outputs = []
    for i in range(layers):
        VARIANTS[variant](g, w, f"{i}.", heads, hidden // heads)
        g.add("MatMul", [f"{i}.mixed", g.constant(w[f"{i}.o.weight"].T, f"{i}.o.w")], f"{i}.o.xw")
        outputs.append(g.add("Add", [f"{i}.o.xw", g.constant(w[f"{i}.o.bias"], f"{i}.o.b")], f"{i}.o.y"))
    g.save(path, {"x": (TensorProto.FLOAT, [1, length, hidden])}, outputs)
    return outputs


# ---- MiniLM ---------------------------------------------------------------------


def embedding(g: Graph, w: Tensors, eps: float) -> str:
    tables = ["word_embeddings.weight", "position_embeddings.weight", "token_type_embeddings.weight"]
    tables += ["LayerNorm.weight", "LayerNorm.bias"]
    names = [g.constant(w["embeddings." + t], t) for t in tables]
    inputs = ["ids", "types", *names, "mask"]
    return g.contrib("EmbedLayerNormalization", inputs, "embedded", outputs=2, epsilon=eps)


def skip_norm(g: Graph, w: Tensors, x: str, skip: str, place: str, bias: str, eps: float) -> str:
    constants = [g.constant(w[f"{place}.LayerNorm.{n}"], f"{place}.norm.{n}") for n in ("weight", "bias")]
    constants.append(g.constant(w[bias], bias))
    return g.contrib("SkipLayerNormalization", [x, skip, *constants], place + ".normed", epsilon=eps)


def block(g: Graph, w: Tensors, x: str, i: int, heads: int, eps: float) -> str:
    at = f"encoder.layer.{i}."
    names = [at + "attention.self." + n for n in ("query", "key", "value")]
    qkv = g.constant(np.concatenate([w[n + ".weight"].T for n in names], 1), at + "qkv.w")
    bias = g.constant(np.concatenate([w[n + ".bias"] for n in names]), at + "qkv.b")
    mixed = g.contrib("Attention", [x, qkv, bias, "embedded.1"], at + "mixed", num_heads=heads)
    out = at + "attention.output"
    y = g.add("MatMul", [mixed, g.constant(w[out + ".dense.weight"].T, out + ".w")], out + ".xw")
    x = skip_norm(g, w, y, x, out, out + ".dense.bias", eps)
    up, down = at + "intermediate.dense", at + "output"
    y = g.add("MatMul", [x, g.constant(w[up + ".weight"].T, up + ".w")], up + ".xw")
    y = g.contrib("BiasGelu", [y, g.constant(w[up + ".bias"], up + ".b")], up + ".gelu")
    y = g.add("MatMul", [y, g.constant(w[down + ".dense.weight"].T, down + ".w")], down + ".xw")
    return skip_norm(g, w, y, x, down, down + ".dense.bias", eps)


def pool(g: Graph, x: str) -> str:
    """The mean over the tokens that are not padding, of length 1."""
    axis = g.constant(np.array([2], np.int64), "axis2")
    tokens = g.constant(np.array([1], np.int64), "axis1")
    mask = g.add("Unsqueeze", [g.add("Cast", ["mask"], "maskf", to=TensorProto.FLOAT), axis], "mask3")
    total = g.add("ReduceSum", [g.add("Mul", [x, mask], "masked"), tokens], "total", keepdims=0)
    count = g.add("ReduceSum", [mask, tokens], "count", keepdims=0)
    return g.add("LpNormalization", [g.add("Div", [total, count], "mean")], "embedding", axis=1, p=2)


def encoder(path: str, w: Tensors, config: dict[str, Any]) -> None:
    g = Graph()
    eps = float(config["layer_norm_eps"])
    x = embedding(g, w, eps)
    for i in range(config["num_hidden_layers"]):
        x = block(g, w, x, i, config["num_attention_heads"], eps)
    shape = ["texts", "tokens"]
    inputs = {n: (TensorProto.INT32, shape) for n in ("ids", "types", "mask")}
    g.save(path, inputs, [pool(g, x)])


def quantized(path: str, to: str, per_channel: bool, signed: bool) -> None:
    """By ONNX Runtime's own tool, dynamically."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kind = QuantType.QInt8 if signed else QuantType.QUInt8
    options = {"DefaultTensorType": TensorProto.FLOAT}
    quantize_dynamic(path, to + ".part", per_channel=per_channel, weight_type=kind, extra_options=options)
    os.replace(to + ".part", to)
