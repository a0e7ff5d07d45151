#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a tiny BERT with made-up weights: tiny_model.py DIR [LABELS]."""
import json
import os
import random
import struct
import sys

LAYERS, WIDTH, HEADS, INNER, POSITIONS = 2, 24, 2, 32, 32


def tensors(vocab, labels):
    yield "embeddings.word_embeddings.weight", [vocab, WIDTH]
    yield "embeddings.position_embeddings.weight", [POSITIONS, WIDTH]
    yield "embeddings.token_type_embeddings.weight", [2, WIDTH]
    yield "embeddings.LayerNorm.weight", [WIDTH]
    yield "embeddings.LayerNorm.bias", [WIDTH]
    for i in range(LAYERS):
        for name, n_in, n_out in (
                ("attention.self.query", WIDTH, WIDTH), ("attention.self.key", WIDTH, WIDTH),
                ("attention.self.value", WIDTH, WIDTH), ("attention.output.dense", WIDTH, WIDTH),
                ("intermediate.dense", WIDTH, INNER), ("output.dense", INNER, WIDTH)):
            yield f"encoder.layer.{i}.{name}.weight", [n_out, n_in]
            yield f"encoder.layer.{i}.{name}.bias", [n_out]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            yield f"encoder.layer.{i}.{name}.weight", [WIDTH]
            yield f"encoder.layer.{i}.{name}.bias", [WIDTH]
    if labels:
        yield "pooler.dense.weight", [WIDTH, WIDTH]
        yield "pooler.dense.bias", [WIDTH]
        yield "classifier.weight", [labels, WIDTH]
        yield "classifier.bias", [labels]


def main(path, labels=0):
    letters = "abcdefghijklmnopqrstuvwxyz.,"
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
    draw = random.Random(5)
    header, data = {}, b""
    for name, shape in tensors(len(vocab), labels):
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        base = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        values = struct.pack(f"<{n}f", *(base + draw.uniform(-0.3, 0.3) for _ in range(n)))
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    config = {"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": LAYERS,
              "hidden_size": WIDTH, "num_attention_heads": HEADS, "intermediate_size": INNER,
              "vocab_size": len(vocab), "max_position_embeddings": POSITIONS,
              "type_vocab_size": 2}
    if labels:
        config["id2label"] = {str(i): f"label{i}" for i in range(labels)}
    os.makedirs(path, exist_ok=True)
    head = json.dumps(header).encode()
    with open(os.path.join(path, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + data)
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)
    with open(os.path.join(path, "vocab.txt"), "w", encoding="utf-8") as f:
        f.writelines(token + "\n" for token in vocab)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
