"""Writes ../splits.json: how HF tokenizers cuts texts by each pre-tokenizer's regexes.

Oracle: tokenizers 0.23.3 (pip install tokenizers==0.23.3).
    (in gguf/pretoken) go test -run TestSplitGoldens . -args -dump /tmp/regexes.json && python3 testdata/gen/splits.py ../../testdata/families/strings.json < /tmp/regexes.json > testdata/splits.json
stdin: {"name": ["regex", ...], ...}. A golden is, per name and text, the lengths in characters of the pieces.
"""
import json
import random
import sys

from tokenizers import Regex, pre_tokenizers

EXTRA = [
    "it'S WE'LL I'd don'T ſ'ſ K'K 'ſs", "naïveÉtat ÉTAT étaT ǅungla ᾼb", "a\u0301b e\u0301\u0302x \u0301x 1\u0301", "12345678 1,234,567.89 v1234567b ١٢٣٤٥",
    "x\n\n  y\r\n\r\n z \t\n", "    \n    a", "end   ", "\u3000\u3000全角　スペース\u00a0\u2003x", "http://a.b/c?d=e&f#g //--// \\n", "漢字かなカナ한글 한국 ㄱㄴ ㄅㄆ",
    "<sentinel:12>IMGIMGABZ\t    x  y", "__init__ $x += ~y | `z` ^ <=> «q» …", "🏳️‍🌈🇩🇪 x\u200dy \ufeffz", "\u0085a\u2028b\u2029c\x0bd\x0ce\x1cf",
    "ABCdefGHI jklMNO PqR", "a" * 70 + " " * 70 + "\n" * 3 + "b", " ".join(map(str, range(995, 1012))), "\u1c89\u1c8ax \ua7dcb\ua7da \U00010d40\U00010d41 a\u0897 \U0002ebf0漢 \U00016d40 \U0001fae9! \u2427\u1b4e \U000105c0", "#!/bin/sh;\nif [ $# -gt 1 ]; then\n\techo \"$@\"\nfi\n",
]


def texts():
    with open(sys.argv[1], encoding="utf-8") as f:
        out = [s for s in json.load(f) if s] + EXTRA
    rnd = random.Random(3)
    pools = ["abcXYZ", "0123456789", "  \t\n\r", "'sStTlL", ".,!?-_/()[]{}", "éÉñßſK", "漢字한글かナ", "\u0301\u0302\u093f", "½²Ⅳ٣", "🚀🦙\u200d", "\u00a0\u3000\u2028\u0085"]
    for _ in range(60):
        out.append("".join(rnd.choice(rnd.choice(pools)) for _ in range(rnd.randint(5, 40))))
    return out


def main():
    text = texts()
    splits = {}
    for name, regexes in json.load(sys.stdin).items():
        pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r), "isolated") for r in regexes])
        splits[name] = {"regexes": regexes, "lengths": [[b - a for _, (a, b) in pre.pre_tokenize_str(s)] for s in text]}
    json.dump({"oracle": "tokenizers 0.23.3", "texts": text, "splits": splits}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


main()
