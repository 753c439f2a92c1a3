#!/usr/bin/env python3
"""Makes runtime/testdata/micro_logits.json: what llama.cpp computes with the f32 files of testdata/micro.

    micro_logits.py MOECONV ORACLE...

MOECONV is the binary that converts (its files are byte for byte the reference converter's, which convert's tests show).
ORACLE... is a command that, given FILE IDS..., prints the logits of every position as JSON.
Oracle: llama.cpp 0.5.0 (npm package @node-llama-cpp/linux-x64 3.22.1), CPU, f32 KV cache, no flash attention, no
repacked weights, a context of 512. Of every position the golden has the five largest logits and the lse.
"""
import glob, json, math, os, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
micro = os.path.join(here, "../../../testdata/micro")
moeconv, oracle = sys.argv[1], sys.argv[2:]
same = ("mixtral-", "gpt-oss-splitpair")  # other encodings of the same models
golden = {}
for config in sorted(glob.glob(micro + "/*/*/config.json")):
    checkpoint = os.path.dirname(config)
    family = os.path.basename(os.path.dirname(checkpoint))
    if family.startswith(same):
        continue
    with tempfile.TemporaryDirectory() as tmp:
        file = tmp + "/m.gguf"
        subprocess.run([moeconv, "convert", checkpoint, "-o", file, "--outtype", "f32"], check=True, capture_output=True)
        ids = [(i * 37 + 11) % 90 + 3 for i in range(40)]
        rows = json.loads(subprocess.run([*oracle, file, *map(str, ids)], check=True, capture_output=True, text=True).stdout)
    out = []
    for row in rows:
        most = max(row)
        top = sorted(range(len(row)), key=lambda i: -row[i])[:5]
        out.append({"lse": round(most + math.log(sum(math.exp(v - most) for v in row)), 6), "top": [[i, round(row[i], 6)] for i in top]})
    golden[family] = {"ids": ids, "rows": out}
with open(os.path.join(here, "../micro_logits.json"), "w") as f:
    f.write("{\n" + ",\n".join(json.dumps(k) + ": " + json.dumps(v, separators=(",", ":")) for k, v in golden.items()) + "\n}\n")
