#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares damf's exact attention on the CPU with PyTorch on STS-B's dev set.

pytorch_parity.py DAMF MODEL [--backend cpu] [--limit N]

DAMF is the command, MODEL a directory with all-MiniLM-L6-v2; DAMF_DATA has
glue/STS-B/dev.tsv. Needs torch and transformers. The embeddings must agree to
1e-5, and Spearman's rho on all 1,500 pairs must be 0.8672. Prints TAP.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile


def read_pairs(path, limit):
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f][1:]
    return [(r[7], r[8], float(r[9])) for r in rows][:limit]


def torch_embeddings(model_dir, sentences):
    import torch
    from transformers import AutoModel, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModel.from_pretrained(model_dir, attn_implementation="eager").eval()
    rows = []
    with torch.no_grad():
        for text in sentences:
            tokens = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
            hidden = model(**tokens).last_hidden_state[0]
            rows.append(torch.nn.functional.normalize(hidden.mean(0), dim=0))
    return torch.stack(rows).numpy()


def damf_embeddings(damf, model_dir, backend, sentences, work):
    import numpy
    text, out = os.path.join(work, "text"), os.path.join(work, "out.npy")
    with open(text, "w", encoding="utf-8") as f:
        f.writelines(s + "\n" for s in sentences)
    subprocess.run([damf, "embed", "--model", model_dir, "--backend", backend, "--attention",
                    "mhsa", "--output", out, text], check=True)
    return numpy.load(out)


def damf_rho(damf, model_dir, backend, data):
    out = subprocess.run([damf, "similarity", "--model", model_dir, "--backend", backend,
                          "--attention", "mhsa", "--columns", "8,9,10", "--header", "--json",
                          data], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)["spearman"]


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("damf")
    args.add_argument("model")
    args.add_argument("--backend", default="cpu")
    args.add_argument("--limit", type=int)
    args = args.parse_args()
    data = os.path.join(os.environ.get("DAMF_DATA", ""), "glue/STS-B/dev.tsv")
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as e:
        print(f"1..0 # SKIP {e}")
        return 0
    if not os.path.exists(data):
        print("1..0 # SKIP DAMF_DATA names no directory with glue/STS-B/dev.tsv")
        return 0
    pairs = read_pairs(data, args.limit)
    sentences = [s for pair in pairs for s in pair[:2]]
    with tempfile.TemporaryDirectory() as work:
        ours = damf_embeddings(args.damf, args.model, args.backend, sentences, work)
    theirs = torch_embeddings(args.model, sentences)
    worst = float(abs(ours - theirs).max())
    print("1..2" if args.limit is None else "1..1")
    good = worst <= 1e-5
    print(f"{'ok' if good else 'not ok'} 1 - largest difference of {len(sentences)} embeddings:"
          f" {worst:.3g}")
    if args.limit is None:
        from scipy.stats import spearmanr
        rho = damf_rho(args.damf, args.model, args.backend, data)
        check = spearmanr((theirs[::2] * theirs[1::2]).sum(1), [p[2] for p in pairs])[0]
        same = f"{rho:.4f}" == "0.8672"
        print(f"{'ok' if same else 'not ok'} 2 - Spearman's rho {rho:.6f}, PyTorch's {check:.6f}")
        good = good and same
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
