#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write tokenizer_data.h: what test_tokenizer.c expects.

usage: gen_tokenizer_data.py MODEL_DIR > tokenizer_data.h

All expected ids come from the Python package tokenizers (Hugging Face's). It
isn't needed to run the test. MODEL_DIR is a directory of all-MiniLM-L6-v2.

Two vocabularies are used: the model's, and a made one that the test builds
by the same rule as made_vocabulary() here. The latter has nearly every
character by itself, so that whatever normalisation does to one is seen.
"""

import os
import sys
import tempfile
from itertools import product

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
RANGES = [(0x21, 0xD7FF), (0xE000, 0x2FA1F), (0xE0100, 0xE01EF)]
WORDS = ["un", "##believ", "##able", "hello", "world", "a", "##b", "##", "\ufffd"]

# Every code point is encoded in each of these.
FRAMES = ["{}", "a{}b", "{}\u0f39\u1b44\u0316\u0301a"]

# And in each of these, with the added tokens below: what stands beside a token
# decides whether it is a single word, and what it strips, which the tokens with
# a space show.
ADDED_FRAMES = ["<s>{}", "{}<s>", "]{}<l>", "<r>{}["]

# Text, single_word, lstrip, rstrip, normalized, special
ADDED = [
    ("<s>", True, False, False, False, False), ("<l>", False, True, False, False, False),
    ("<r>", False, False, True, False, False), ("a b", False, False, False, True, False),
    ("<N\u00c9>", False, True, True, True, False), ("<nf>", False, False, False, True, True),
    ("<x>", True, True, True, False, True), ("<xx", False, False, False, False, False),
    ("abab", True, False, True, True, False), (" [", False, False, False, True, False),
    ("] ", False, False, False, True, False),
]

# do_lower_case, strip_accents, tokenize_chinese_chars
SETTINGS = [(1, -1, 1), (0, -1, 1), (1, 0, 0), (0, 1, 1)]


def made_vocabulary():
    tokens = list(SPECIAL)
    for first, last in RANGES:
        for c in range(first, last + 1):
            tokens += [chr(c), "##" + chr(c)]
    return tokens + WORDS


def tokenizer(vocab_path, lower, strip, cjk):
    t = Tokenizer(models.WordPiece.from_file(vocab_path, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=bool(cjk),
        strip_accents=None if strip < 0 else bool(strip), lowercase=bool(lower))
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")),
                                                 ("[CLS]", t.token_to_id("[CLS]")))
    t.add_special_tokens(SPECIAL)
    return t


def fnv(h, ids):
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = (h ^ b) * 0x01000193 & 0xFFFFFFFF
    return h


def block_hashes(t, frames=FRAMES):
    """A hash over the ids of the 256 code points of each block in all frames."""
    hashes = []
    for block in range(0x1100):
        h = 0x811C9DC5
        if not 0xD8 <= block < 0xE0:
            chars = [chr(c) for c in range(block * 256, block * 256 + 256)]
            texts = [f.format(c) for c in chars for f in frames]
            for e in t.encode_batch(texts):
                h = fnv(h, e.ids)
        hashes.append(h)
    return hashes


def emit_blocks(name, hashes):
    """Runs of blocks with the same hash: the first block and the hash."""
    print(f"\nstatic const struct tok_blocks {name}[] = {{")
    last, line = None, "\t"
    for block, h in enumerate(hashes):
        if h == last:
            continue
        item = f"{{ 0x{block:x}, 0x{h:08x} }}, "
        if len(line) + len(item) > 92:
            print(line.rstrip())
            line = "\t"
        line += item
        last = h
    print(line.rstrip())
    print("};")


def c_string(text):
    """Octal escapes: three digits at most, so nothing runs into them."""
    out = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
                  for b in text.encode())
    return f'"{out}"'


def case_texts():
    e, mark = "\u00e9", "e\u0301"
    texts = ["", " ", "\t\n\r", "hello world", "Hello, WORLD!", "unbelievable", "unbelievableX",
             "na\u00efve caf\u00e9", "\u4f60\u597d", "a\u4f60b", "[SEP]", "a[SEP]b", "[sep]",
             "[CLS] hello [MASK] [PAD] [UNK]", "[[SEP]]", "[SE P]", "[SEP", "un[MASK]believable",
             "\x00", "a\x00b", "a\u200db", "a\ufeffb", "a\u00adb", "a\u2028b", "a\u00a0b",
             "a\u3000b", "a\x0bb", "a\x85b", "a\ue000b", "a\ufffdb", "\u0130", "\u03a3\u03a3",
             "\u1e9e", "\u212b", "\ufb01", "\uac01", "\ud55c\uad6d\uc5b4", "\U0002b81f\U0002b820",
             "\U0002b91f\U0002b920", "\uf900", "\U0002f800", "a$b", "a+b", "\u20ac5",
             "\u2014", "don\u2019t", "\U0001f600!", "a\u0345b", "\u1b44\u0f39", "a\u1b44\u0f39b",
             "e\u0301\u0323", "\u0301", "\u1ec7", "##b", "a##b"]
    for n in (99, 100, 101, 102):
        texts += ["a" * n, e * n, mark * n, "\u4e00" * n, "." * n, "a" * n + " b"]
    texts.append("a" + "\U00011046\u302e\u1b44\u0f39" * 12 + "b")
    return texts


def added_tokenizer():
    """A small vocabulary with added tokens of every kind."""
    words = SPECIAL + ["a", "##a", "b", "##b", "<", ">", "x", "[", "]"]
    vocab = {w: i for i, w in enumerate(words)}
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]),
                                                 ("[CLS]", vocab["[CLS]"]))
    t.add_special_tokens(SPECIAL)
    for text, single_word, lstrip, rstrip, normalized, special in ADDED:
        t.add_tokens([AddedToken(text, single_word=single_word, lstrip=lstrip, rstrip=rstrip,
                                 normalized=normalized, special=special)])
    return t


def emit_added(t):
    print(f"\nstatic const char tok_added_json[] =\n\t{c_string(t.to_str())};")
    print("\nstatic const struct tok_case tok_added_cases[] = {")
    beside = ["", "a", " ", "_", "-", "\t\u3000", "\u0301", "]"]
    texts = [x + text + y for text, *_ in ADDED for x, y in product(beside, beside)]
    texts += ["a b", "a\tb", "A\u00a0B", "aa b", "a  b", "<n\u00e9>", "<NF>", "<s><s>",
              "<s> <s>", "<xxx>", "<x><x>", " <x> <x> ", "<l><l>", " <l> <l> ", "<r> <l>",
              "<r> <x> <l>", "ababab", "abab abab", "abab_", "x <NE> x", "x <NF> x",
              "[SEP] <x> [SEP]", "<s>\x00a", "a\x00<s>", "<r> [", "] <l>", "<r>\t[",
              "]\u3000<l>", "<x> [", "] <x>"]
    for text in texts:
        for special in (1, 0):
            t.encode_special_tokens = not special
            emit_case(t, text, None, special, 0)
    print("};")
    t.encode_special_tokens = False
    emit_blocks("tok_added_blocks", block_hashes(t, ADDED_FRAMES))


def emit_cases(t):
    print("\nstatic const struct tok_case tok_cases[] = {")
    for text in case_texts():
        for special in (1, 0) if "[" in text else (1,):
            t.encode_special_tokens = not special
            emit_case(t, text, None, special, 0)
    t.encode_special_tokens = False
    for limit in range(2, 9):
        emit_case(t, "a a a a a", None, 1, limit)
    words = "a b c d e f".split()
    for limit in range(3, 14):
        for a in (0, 1, 3, 4, 6):
            for b in (0, 1, 3, 4, 6):
                emit_case(t, " ".join(words[:a]), " ".join(words[:b]), 1, limit)
    emit_case(t, "hello [SEP]", "[CLS] world", 1, 0)
    print("};")


def emit_case(t, a, b, special, limit):
    t.no_truncation()
    n_full = len(t.encode(a, b).ids)
    if limit:
        t.enable_truncation(limit)
    e = t.encode(a, b)
    ids = list(e.ids)
    second = e.type_ids.index(1) if 1 in e.type_ids else len(ids)
    second_text = f"{c_string(b)}, {len(b.encode())}" if b is not None else "NULL, 0"
    print(f"\t{{ {c_string(a)}, {len(a.encode())}, {second_text}, {special}, {limit},")
    print(f"\t  {n_full}, {len(ids)}, {second}, (const int32_t []){{"
          f" {', '.join(map(str, ids))} }} }},")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print("/* SPDX-License-Identifier: MIT */")
    print(f"/* Generated by gen_tokenizer_data.py with tokenizers {tokenizers.__version__}. */")
    print("\nstatic const uint32_t tok_ranges[][2] = {")
    for first, last in RANGES:
        print(f"\t{{ 0x{first:x}, 0x{last:x} }},")
    print("};\n\nstatic const char *const tok_words[] = {")
    for w in WORDS:
        print(f"\t{c_string(w)},")
    print("};\n\nstatic const char *const tok_special[] = {")
    for w in SPECIAL:
        print(f"\t{c_string(w)},")
    print("};")
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "vocab.txt")
        with open(path, "w", encoding="utf-8", newline="\n") as f:
            f.write("".join(w + "\n" for w in made_vocabulary()))
        for i, setting in enumerate(SETTINGS):
            emit_blocks(f"tok_blocks_{i}", block_hashes(tokenizer(path, *setting)))
        print("\nstatic const struct tok_setting tok_settings[] = {")
        for i, (lower, strip, cjk) in enumerate(SETTINGS):
            print(f"\t{{ {lower}, {strip}, {cjk}, tok_blocks_{i}, ARRAY_SIZE(tok_blocks_{i}) }},")
        print("};")
        emit_cases(tokenizer(path, 1, -1, 1))
    emit_added(added_tokenizer())
    t = Tokenizer.from_file(os.path.join(sys.argv[1], "tokenizer.json"))
    t.no_truncation()
    t.no_padding()
    emit_blocks("tok_model_blocks", block_hashes(t))


if __name__ == "__main__":
    main()
