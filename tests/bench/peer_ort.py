# SPDX-License-Identifier: MIT
"""ONNX Runtime: answers requests on standard input (see worker.py)."""

from __future__ import annotations

import json
import logging
import os
from typing import Any, Callable

import numpy as np
import onnxruntime as ort
import tokenizers

import worker
from text import embed_all, open_tokenizer, read_lines

THREADS = int(os.environ["OMP_NUM_THREADS"])


def session(path: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def attention(request: dict[str, Any]) -> Callable[[], np.ndarray]:
    import peer_ort_graphs as graphs
    from safetensors.numpy import load_file

    weights = load_file(request["dir"] + "/weights.safetensors")
    x = np.load(request["dir"] + "/x.npy")[None]
    path = request["dir"] + "/layer.onnx"
    layers, hidden = request["cold"], x.shape[2]
    outputs = graphs.attention(
        path, request["variant"], weights, layers, x.shape[1], request["heads"], hidden
    )
    layer = session(path)
    return lambda: np.concatenate([y[0] for y in layer.run(outputs, {"x": x})])


def encoder(path: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    run = session(path)

    def embed(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        feed = {"ids": ids, "types": np.zeros_like(ids), "mask": mask}
        return np.asarray(run.run(["embedding"], feed)[0])

    return embed


def model(request: dict[str, Any]) -> Callable[[], np.ndarray]:
    lines = read_lines(request["text"])
    tokenizer, embed = open_tokenizer(request["model"]), encoder(request["onnx"])
    return lambda: embed_all(tokenizer, lines, embed)


def tokenizer(request: dict[str, Any]) -> Callable[[], Any]:
    """Hugging Face's, which ONNX Runtime has none of its own for; its result are the ids."""
    lines, encode = read_lines(request["text"]), open_tokenizer(request["model"])
    if request["variant"] == "encode":
        return lambda: [encode.encode(line) for line in lines]
    batch = getattr(encode, request["variant"])
    return lambda: batch(lines)


def export(request: dict[str, Any]) -> Callable[[], np.ndarray]:
    """Not measured: writes the graphs of the model, f32 and int8."""
    import peer_ort_graphs as graphs
    from safetensors.numpy import load_file

    logging.getLogger().setLevel(logging.ERROR)  # it advises to do once more what was done by hand

    def write() -> np.ndarray:
        with open(request["model"] + "/config.json", encoding="utf-8") as f:
            config = json.load(f)
        graphs.encoder(request["onnx"], load_file(request["model"] + "/model.safetensors"), config)
        for path, channel, signed in request["int8"]:
            graphs.quantized(request["onnx"], path, channel, signed)
        return np.zeros((1, 1), np.float32)

    return write


if __name__ == "__main__":
    kinds = {"attention": attention, "model": model, "tokenizer": tokenizer, "export": export}
    versions = {"ONNX Runtime": ort.__version__, "tokenizers": tokenizers.__version__}
    worker.serve(kinds, versions)
