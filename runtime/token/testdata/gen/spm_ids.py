"""Writes ../spm.json: ids of the SentencePiece library and of HF tokenizers for the texts of ../random.json and for
texts that are hard for SentencePiece; and ../unigram.model, ../bpe.model, small models trained for it.

Oracles: sentencepiece 0.2.3 (`plain`: nothing is parsed) and tokenizers 0.23.3 (`parsed`: added tokens are).
    python3 spm_ids.py MISTRAL_V1.MODEL MIXTRAL-8_DIR TEXT
TEXT is what the small models are trained on. Goldens are the CRC-32 of the ids as little-endian 32-bit numbers.
"""
import binascii
import json
import os
import random
import struct
import sys
import tempfile

import sentencepiece
import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__)) + "/.."
rnd = random.Random(11)
mistral, mixtral, text = sys.argv[1:]


def train(name, **kw):
    with tempfile.TemporaryDirectory() as d:
        here, data = os.getcwd(), open(text, "rb").read()
        os.chdir(d)  # a model names its files
        open("text", "wb").write(data)
        open("rules.tsv", "w").write("41 30A\tC5\n2160\t49\nFB01\t66 69\n3000\t20\n61 301\tE1\n")
        rules = {"normalization_rule_tsv": "rules.tsv"} if name == "unigram" else {"normalization_rule_name": "identity"}
        sentencepiece.SentencePieceTrainer.train(input="text", model_prefix="m", minloglevel=2, num_threads=1, **rules, **kw)
        data = open("m.model", "rb").read()
        os.chdir(here)
        open(f"{HERE}/{name}.model", "wb").write(data)
    return sentencepiece.SentencePieceProcessor(model_proto=data)


# ids as T5 numbers them, which loaders assume: padding, end, unknown
unigram = train("unigram", model_type="unigram", vocab_size=600, character_coverage=0.995, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols=["<x>", "@@"])
bpe = train("bpe", model_type="bpe", vocab_size=700, character_coverage=0.995, byte_fallback=False, remove_extra_whitespaces=False,
            split_by_whitespace=False, allow_whitespace_only_pieces=True, max_sentencepiece_length=24)



def unuse(data):
    """Marks every fifth ordinary piece of a model as unused."""
    out, i, n = b"", 0, 0
    while i < len(data):
        if data[i] != 0x0A:
            return out + data[i:]
        size, body = data[i + 1], data[i + 2:i + 2 + data[i + 1]]  # pieces are shorter than 128 bytes
        i, n = i + 2 + size, n + 1
        if n > 3 and n % 5 == 0:
            body += b"\x18\x05"
        out += bytes([0x0A, len(body)]) + body


data = unuse(open(HERE + "/bpe.model", "rb").read())
open(HERE + "/unused.model", "wb").write(data)
unused = sentencepiece.SentencePieceProcessor(model_proto=data)

texts = []
pieces = [unigram.id_to_piece(i) for i in range(3, unigram.vocab_size())] + [bpe.id_to_piece(i) for i in range(3, bpe.vocab_size())]
pieces += ["  ", " ", "\n", "\t", "é", "A\u030a", "\u2160", "\ufb01", "\u3000", "a\u0301", "日本", "ß", "🙂", "<x>", "@@", "</s>", "<unk>", "\u0000", "0", "12"]
for n in range(400):
    texts.append("".join(rnd.choice(pieces).replace("▁", rnd.choice([" ", " ", "▁", ""])) for _ in range(rnd.randint(0, 30))))
big = sentencepiece.SentencePieceProcessor(model_file=mistral)
for n in range(400):
    texts.append("".join(big.id_to_piece(rnd.randrange(259, big.vocab_size())).replace("▁", rnd.choice([" ", "▁"])) for _ in range(rnd.randint(0, 12))))
texts += [" " * n for n in (1, 2, 3, 15, 16, 17, 63, 64, 65, 200)] + ["a" * 300, "ab" * 200, "=" * 150, "-" * 130, "\n" * 70, "日" * 80]

every = json.load(open(HERE + "/random.json"))["texts"] + texts
crc = lambda ids: binascii.crc32(struct.pack(f"<{len(ids)}I", *ids))
hf = tokenizers.Tokenizer.from_file(mixtral + "/tokenizer.json")
doc = json.load(open(mixtral + "/tokenizer.json"))
doc["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}  # as Gemma's, which puts no space in front
gemma = tokenizers.Tokenizer.from_str(json.dumps(doc))
small = sentencepiece.SentencePieceProcessor(model_file=mixtral + "/tokenizer.model")
json.dump({
    "texts": texts,
    "crc": {
        "mistral_v1 plain": [crc(big.encode(t)) for t in every],
        "mixtral-8 plain": [crc(small.encode(t)) for t in every],
        "mixtral-8 parsed": [crc(hf.encode(t, add_special_tokens=False).ids) for t in every],
        "gemma4 parsed": [crc(gemma.encode(t, add_special_tokens=False).ids) for t in every],
        "unigram plain": [crc(unigram.encode(t)) for t in every],
        "unused plain": [crc(unused.encode(t)) for t in every],
        "bpe plain": [crc(bpe.encode(t)) for t in every],
    },
}, open(HERE + "/spm.json", "w"), ensure_ascii=False, separators=(",", ":"))
