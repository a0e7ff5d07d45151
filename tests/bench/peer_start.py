# SPDX-License-Identifier: MIT
"""What a program that embeds a text with a peer is at the least.

peer_start.py ort|torch MODEL ONNX TEXT: prints when the first batch is there.
"""

import json
import sys

from text import embed_all, open_tokenizer, read_lines

peer, model, onnx, text = sys.argv[1:]
if peer == "ort":
    from peer_ort import encoder

    embed = encoder(onnx)
else:
    from peer_torch import Encoder

    embed = Encoder(model, "F.linear")
rows = embed_all(open_tokenizer(model), read_lines(text), embed)
print(json.dumps({"rows": len(rows), "first": float(rows[0, 0])}), flush=True)
