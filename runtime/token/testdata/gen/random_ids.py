"""Writes ../random.json: ids of random texts by HF tokenizers, as CRC-32 of the ids in little-endian int32.

Oracle: tokenizers 0.23.3 (pip install tokenizers==0.23.3), special tokens found in the text, none added.
    python3 random_ids.py ../../../../testdata > ../random.json
"""
import gzip
import json
import random
import struct
import sys
import zlib

from tokenizers import Tokenizer

POOLS = ["abcdefghijklmnopqrstuvwxyz", "ETAOINS", "0123456789", "   \t\n\r", ".,;:!?'\"()[]{}<>-_=+*/\\|@#$%^&~`", "àéîõüçñßøÿþ÷Á", "αβγδωΣ", "абвгдяЖ",
         "我想在工作天气公司", "こんにちはカタカナ", "한국어가각힣", "مرحبا", "नमस्ते\u0301\u0302", "สวัสดี", "🚀🦙👍🏽🇩🇪\u200d\ufe0f", "½²Ⅳ٣१①", "\u00a0\u3000\u2028\u0085\u200b\ufeff\ufffd", "≤∑€—…“”‘’", "𝒜𠜎𐍈𐐀"]
WORDS = ["func ", "return err\n", "the ", "if x == nil {\n\t\t", "// it's we'll don't", " 12345", "deepseek", "https://a.b/c?d=1", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "ø", "\n\n\n", "        "]


def texts():
    rnd = random.Random(11)
    out = []
    for i in range(1500):
        parts = []
        for _ in range(rnd.randint(1, 12)):
            if rnd.random() < 0.35:
                parts.append(rnd.choice(WORDS))
            else:
                pool = rnd.choice(POOLS)
                parts.append("".join(rnd.choice(pool) for _ in range(rnd.randint(1, 6))))
        out.append("".join(parts))
    return out


def main():
    root = sys.argv[1]
    tok = {
        "tiny": Tokenizer.from_file(root + "/tiny/tiny-moe-go/tokenizer.json"),
        "deepseek-moe": Tokenizer.from_file(root + "/families/deepseek-moe/deepseek-moe-16b-chat/tokenizer.json"),
        "deepseek_llm": Tokenizer.from_str(gzip.open(root + "/tokenizers/deepseek_llm/tokenizer.json.gz", "rt", encoding="utf-8").read()),
    }
    text = texts()
    crc = {}
    for name, t in tok.items():
        crc[name] = []
        for s in text:
            ids = t.encode(s, add_special_tokens=False).ids
            crc[name].append(zlib.crc32(struct.pack("<%di" % len(ids), *ids)))
    json.dump({"oracle": "tokenizers 0.23.3", "texts": text, "crc": crc}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


main()
