#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the last head of each layer exact: mixed_model.py PLAIN DIR [PART [TABLE]].

PLAIN is a converted directory in the plain form. With PART, query and key keep the
rows of the last head alone; with TABLE, the table still says where they were.
"""
import json
import os
import shutil
import struct
import sys

HEAD_SIZE = 128


def exact_head(width, qk_col, v_col):
    head = struct.pack("<4H4I2Hf", 0, 0, width, width, qk_col, v_col, 0, 0, 0, 0, width ** -0.5)
    return head + bytes(HEAD_SIZE - len(head))


def main(plain, path, part=False, old_table=False):
    shutil.copytree(plain, path)
    with open(os.path.join(plain, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = hidden // heads
    with open(os.path.join(plain, "model.safetensors"), "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header, data = json.loads(f.read(size)), f.read()
    whole = b""
    for name, entry in header.items():
        if name == "__metadata__":
            entry["damf.attention"] = "mixed"
            continue
        begin, end = entry["data_offsets"]
        tensor = data[begin:end]
        if name.endswith(".heads"):
            col = hidden - width if old_table or not part else 0
            tensor = tensor[:-HEAD_SIZE] + exact_head(width, col, hidden - width)
        elif part and (".self.query." in name or ".self.key." in name):
            tensor = tensor[-len(tensor) // heads:]
            entry["shape"][0] = width
        entry["data_offsets"] = [len(whole), len(whole) + len(tensor)]
        whole += tensor
    head = json.dumps(header).encode()
    with open(os.path.join(path, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + whole)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(bool(word) for word in sys.argv[3:]))
