#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare the tokenizer with Hugging Face's, id by id, and count differences.

usage: tokenizer_parity.py TOK_DUMP MODEL_DIR [--random N]

TOK_DUMP is build/tests/tok_dump, MODEL_DIR a directory with tokenizer.json
and vocab.txt. Needs the Python package tokenizers (0.23). Texts: every code
point alone, between letters and before an accent; random mixtures of awkward
ones; pairs and truncation; and, if DAMF_DATA names a directory with glue/ in
it, every field of every line there.

Prints TAP. Exit status: 0 without a difference, 1 with some, 77 if tokenizers is missing.
"""

import glob
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import tokenizers
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
except ImportError:
    print("skipped: the Python package tokenizers is not installed")
    sys.exit(77)

CODE_POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def dump(program, args, texts):
    """Ids that our tokenizer gives; for pairs ids and type ids."""
    data = bytearray()
    for text in texts:
        for part in text if isinstance(text, tuple) else (text,):
            raw = part.encode()
            data += struct.pack("=I", len(raw)) + raw
    out = subprocess.run([program, *args], input=bytes(data), stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True).stdout.decode()
    return [line.split()[1:] for line in out.splitlines()]


def reference(tokenizer, texts):
    encodings = tokenizer.encode_batch(texts)
    if texts and isinstance(texts[0], tuple):
        return [[f"{i}:{t}" for i, t in zip(e.ids, e.type_ids)] for e in encodings]
    return [[str(i) for i in e.ids] for e in encodings]


class Comparison:
    def __init__(self, program):
        self.program = program
        self.number = 0
        self.differences = 0

    def report(self, good, text):
        self.number += 1
        print(f"{'ok' if good else 'not ok'} {self.number} - {text}", flush=True)

    def run(self, name, tokenizer, args, texts):
        different = 0
        for i in range(0, len(texts), 50000):
            part = texts[i:i + 50000]
            ours, theirs = dump(self.program, args, part), reference(tokenizer, part)
            if len(ours) != len(theirs):
                sys.exit(f"{name}: {len(ours)} results for {len(theirs)} texts")
            for text, a, b in zip(part, ours, theirs):
                if a != b:
                    different += 1
                    if different <= 3:
                        print(f"# {text!r}\n#   ours   {a}\n#   theirs {b}")
        self.report(not different, f"{name}: {len(texts)} texts, {different} differences")
        self.differences += different


def plain(path):
    """The reference tokenizer without the truncation and padding of its file."""
    t = Tokenizer.from_file(path)
    t.no_truncation()
    t.no_padding()
    return t


def from_vocab(path, lower, strip, cjk):
    """What a bare vocab.txt stands for."""
    t = Tokenizer(models.WordPiece.from_file(path, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=cjk,
                                              strip_accents=strip, lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")),
                                                 ("[CLS]", t.token_to_id("[CLS]")))
    t.add_special_tokens([s for s in ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
                          if t.token_to_id(s) is not None])
    return t


def glue_texts():
    data = os.environ.get("DAMF_DATA")
    if not data:
        return []
    texts = []
    for path in sorted(glob.glob(os.path.join(data, "glue", "*", "*.tsv"))):
        with open(path, encoding="utf-8", newline="") as f:
            for line in f:
                texts.append(line)
                texts += line.rstrip("\n").split("\t")
    return texts


def awkward_texts(n, seed):
    """Random texts of pieces where tokenizers tend to differ."""
    r = random.Random(seed)
    marks = [c for c in CODE_POINTS if 0x300 <= ord(c) < 0x370 or 0x1D165 <= ord(c) < 0x1D1AE
             or 0x1DC0 <= ord(c) < 0x1E00 or 0x302A <= ord(c) < 0x3030]
    pieces = ["[SEP]", "[CLS]", "[MASK]", "[UNK]", "[sep]", "[", "]", " ", "  ", "\t", "\n", "a",
              "A", "the", "ing", "un", "believ", "able", "\u0130", "\u1e9e", "\u03a3", "\u00df",
              "\u212b", "\ufb01", "\u4e2d", "\U0002b820", "\U0002b920", "\uf900", "\u3042",
              "\uac00", "\ud7a3", "\u1100", "\u1161", "\u11a8", "\u200b", "\u200d", "\ufeff",
              "\u00a0", "\u3000", "\u2028", "\x00", "\x0b", "\x7f", "\x85", "\ufffd", "\ue000",
              "\u2019", "\u2014", "$", "+", "\u20ac", "\U0001f600", "\u0345", "\u1b44", "\u0e33",
              "word" * 30, "\u00e9" * 100, "b" * 100, "b" * 101]
    texts = []
    for _ in range(n):
        text = ""
        for _ in range(r.randrange(12)):
            kind = r.random()
            if kind < 0.5:
                text += r.choice(pieces)
            elif kind < 0.7:
                text += r.choice(marks)
            elif kind < 0.8:
                text += r.choice(CODE_POINTS[:0x3000])
            elif kind < 0.9:
                text += r.choice(CODE_POINTS)
            else:
                text += "".join(r.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(9))
        texts.append(text)
    return texts


def long_marks(seed):
    """Long runs of combining characters, which have to be sorted."""
    r = random.Random(seed)
    reorder = "\u0f39\u1b44\u302e\u302f\U0001d165\U0001d16d\U000116b6\U00011046\U0001e944\U0001e94a"
    texts = []
    for n in (1, 2, 23, 24, 25, 100, 3000):
        for _ in range(20):
            texts.append("a" + "".join(r.choice(reorder) for _ in range(n)) + "b")
    return texts


def compare_pairs(c, tokenizer, args):
    words = "one two three four five six seven eight".split()
    pairs = [(" ".join(words[:a]), " ".join(words[:b])) for a in range(9) for b in range(9)]
    for limit in range(3, 22):
        tokenizer.enable_truncation(limit)
        c.run(f"pairs cut to {limit}", tokenizer, ["-p", "-m", str(limit), *args], pairs)
    for limit in range(2, 12):
        tokenizer.enable_truncation(limit)
        c.run(f"texts cut to {limit}", tokenizer, ["-m", str(limit), *args],
              [a for a, _ in pairs[::9]])
    tokenizer.no_truncation()


def compare_added(c, model_dir, texts):
    """Added tokens of every kind, in a tokenizer.json of their own."""
    for seed in range(12):
        r = random.Random(seed)
        t = plain(os.path.join(model_dir, "tokenizer.json"))
        contents = ["the", "<x>", "ab", "a b", "\u00c9t\u00e9", "THEM", "abc", "[CL", "[S", "]",
                    "S]", "ing", " able", "\u4e2d", "word word", "Bert"]
        for content in r.sample(contents, 6):
            t.add_tokens([AddedToken(content, single_word=r.random() < 0.4,
                                     lstrip=r.random() < 0.4, rstrip=r.random() < 0.4,
                                     normalized=r.random() < 0.5, special=r.random() < 0.3)])
        mixed = ["".join(r.choice([*contents, " ", "\t", "x", "\u0301", "\u3000", "_", "-"])
                         for _ in range(r.randrange(14))) for _ in range(2000)] + texts
        with tempfile.TemporaryDirectory() as d:
            t.save(os.path.join(d, "tokenizer.json"))
            c.run(f"added tokens {seed}", t, [d], mixed)
            t.encode_special_tokens = True
            c.run(f"added tokens {seed}, specials as text", t, ["-r", d], mixed)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    c, model = Comparison(sys.argv[1]), sys.argv[2]
    n = int(sys.argv[4]) if len(sys.argv) > 4 and sys.argv[3] == "--random" else 20000
    vocab = os.path.join(model, "vocab.txt")
    print("# reference: tokenizers", tokenizers.__version__)
    awkward = awkward_texts(n, 1) + long_marks(2)
    sentences = glue_texts()
    t = plain(os.path.join(model, "tokenizer.json"))
    c.run("code points alone", t, [model], CODE_POINTS)
    c.run("code points between letters", t, [model], [f"a{x}b" for x in CODE_POINTS])
    c.run("code points before marks", t, [model],
          [f"{x}\u0f39\u1b44\u0316\u0301a" for x in CODE_POINTS])
    if sentences:
        c.run("sentences of GLUE", t, [model], sentences)
    else:
        c.report(True, "sentences of GLUE # SKIP DAMF_DATA names no directory with glue/ in it")
    c.run("awkward texts", t, [model], awkward)
    compare_pairs(c, t, [model])
    t.encode_special_tokens = True
    c.run("awkward texts, specials as text", t, ["-r", model], awkward)
    for case, accents, cjk in ((0, -1, 1), (1, -1, 1), (0, 1, 1), (1, 0, 0), (0, 0, 0), (1, 1, 0)):
        strip = None if accents < 0 else bool(accents)
        t = from_vocab(vocab, not case, strip, bool(cjk))
        args = (["-c"] if case else []) + ["-a", str(accents), "-k", str(cjk), vocab]
        name = f"vocab.txt, lower case {1 - case}, strip accents {accents}, ideographs {cjk}"
        c.run(name, t, args,
              [f"a{x}b" for x in CODE_POINTS[:0x20000]] + awkward + sentences[:20000])
    compare_added(c, model, awkward[:1000])
    print(f"1..{c.number}\n# total: {c.differences} differences")
    return 1 if c.differences else 0


if __name__ == "__main__":
    sys.exit(main())
