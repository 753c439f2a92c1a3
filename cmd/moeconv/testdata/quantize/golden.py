"""Goldens of quantize's command lines: golden.json and imatrix.dat.

Oracle: llama-quantize of llama.cpp 0.5.0 (commit 0c1e57098), tools/quantize/quantize.cpp.
Needs pip's numpy and gguf. INPUT is families/deepseek-moe as its golden gguf-f32.json has it, IMATRIX the matrix beside that,
NATIVE is micro/gpt-oss converted to bf16: its experts are MXFP4.

  python golden.py LLAMA_QUANTIZE INPUT.gguf IMATRIX.gguf NATIVE.gguf
"""
import hashlib, json, os, shutil, struct, subprocess, sys, tempfile

import numpy as np
from gguf import GGUFReader

HERE = os.path.dirname(os.path.abspath(__file__))
IN = "input-model-f32.gguf"
OUT = "ggml-model-Q4_K_M.gguf"
SHARD = "ggml-model-Q4_K_M-00001-of-00001.gguf"

# name: (what it writes, the command line)
LINES = {
    # tools/quantize/README.md, in its order; the first with this input's name
    "readme-first": ("gemma-4-E2B-it-Q4_K_M.gguf", [IN, "gemma-4-E2B-it-Q4_K_M.gguf", "Q4_K_M"]),
    "readme-naive": (OUT, [IN, "q4_k_m", "8"]),
    "readme-pure": (OUT, ["--allow-requantize", "--leave-output-tensor", "--pure", IN, "q4_k_m", "8"]),
    "readme-include": (OUT, ["--imatrix", "imatrix.gguf", "--include-weights", "attn_v", "--include-weights", "ffn_down", IN, "q4_k_m", "8"]),
    "readme-types": (SHARD, ["--imatrix", "imatrix.gguf", "--output-tensor-type", "q5_k", "--token-embedding-type", "q3_k", "--keep-split", IN, "q4_k_m", "8"]),
    "readme-regex": (OUT, ["--imatrix", "imatrix.gguf", "--tensor-type", r"\.(\d*[13579])\.attn_k=q5_k", "--tensor-type", r"\.(\d*[02468])\.attn_q=q3_k", IN, "q4_k_m", "8"]),
    "readme-prune": (OUT, ["--imatrix", "imatrix.gguf", "--tensor-type", "attn_v=q5_k", "--tensor-type", "ffn_down=q5_k", "--prune-layers", "20,21,22", IN, "q4_k_m", "8"]),
    "readme-copy": ("pruned-model-f32.gguf", ["--imatrix", "imatrix.gguf", "--override-kv", "qwen3moe.expert_used_count=int:16", "--prune-layers", "20,21,22", IN, "pruned-model-f32.gguf", "copy", "8"]),
    # what the README has no line for
    "number": ("out.gguf", [IN, "out.gguf", "12"]),
    "exclude": ("out.gguf", ["--imatrix", "imatrix.gguf", "--exclude-weights", "attn", IN, "out.gguf", "Q4_0"]),
    "dat": ("out.gguf", ["--imatrix", "imatrix.dat", IN, "out.gguf", "q4_k_m"]),
    "dat-q2": ("out.gguf", ["--imatrix", "imatrix.dat", "--pure", IN, "out.gguf", "q2_k_s"]),
    "prune": ("out.gguf", ["--imatrix", "imatrix.gguf", "--prune-layers", "0", IN, "out.gguf", "q3_k_m"]),
    "override": ("out.gguf", ["--override-kv", "deepseek.expert_count=int:8", "--override-kv", "deepseek.block_count=int:24", "--override-kv", "general.name=str:Other",
                              "--override-kv", "x.float=float:0.1", "--override-kv", "x.bool=bool:true", IN, "out.gguf", "q3_k_m"]),
    "lookahead": ("out.gguf", ["--tensor-type", r"blk\.(?!0\.)\d+\.ffn_down=q6_k", IN, "out.gguf", "q4_k_m"]),
    "rules": ("out.gguf", ["--tensor-type", "attn_v=q8_0", "--tensor-type-file", "rules.txt", "--tensor-type", "attn=q4_0", IN, "out.gguf", "q4_k_m"]),
    "floats": ("out.gguf", ["--tensor-type", "attn_v=q8_0", IN, "out.gguf", "bf16"]),
    "native-kept": ("out.gguf", ["--tensor-type", r"exps\.weight=mxfp4", "native.gguf", "out.gguf", "q4_k_m"]),
    "native-again": ("out.gguf", ["--allow-requantize", "native.gguf", "out.gguf", "q3_k_m"]),
    "native-moe": ("out.gguf", ["native.gguf", "out.gguf", "mxfp4_moe"]),
    "buffer": ("out.gguf", ["--max-buffer-size", "1", IN, "out.gguf", "q5_k_s", "2"]),
}
RULES = "ffn_up=q5_1 attn_q=q6_k\n\n  ffn_gate=q5_0\n"


def legacy(gguf, out):
    """imatrix.gguf in the older form, as if of 7 calls; the first expert of every tensor with experts has seen nothing."""
    t = {x.name: x for x in GGUFReader(gguf).tensors}
    names = [n[:-8] for n in t if n.endswith(".in_sum2")]
    with open(out, "wb") as f:
        f.write(struct.pack("<i", len(names)))
        for n in names:
            c = np.array(t[n + ".counts"].data, np.float32).reshape(-1)
            s = np.array(t[n + ".in_sum2"].data, np.float32).reshape(len(c), -1)
            v = s / np.maximum(c, 1)[:, None] * np.float32(7)
            if len(c) > 1:
                v[0] = 0
            f.write(struct.pack("<i", len(n)) + n.encode() + struct.pack("<ii", 7, v.size) + v.astype("<f4").tobytes())
        f.write(struct.pack("<ii", 42, 9) + b"calib.txt")


def main():
    tool, model, imatrix, native = map(os.path.abspath, sys.argv[1:])
    legacy(imatrix, os.path.join(HERE, "imatrix.dat"))
    doc = {"oracle": "llama-quantize, llama.cpp 0.5.0 (0c1e57098)", "rules.txt": RULES, "lines": {}}
    for name, (out, args) in LINES.items():
        with tempfile.TemporaryDirectory() as d:
            os.symlink(model, os.path.join(d, IN))
            os.symlink(native, os.path.join(d, "native.gguf"))
            shutil.copy(imatrix, os.path.join(d, "imatrix.gguf"))
            shutil.copy(os.path.join(HERE, "imatrix.dat"), d)
            with open(os.path.join(d, "rules.txt"), "w") as f:
                f.write(RULES)
            subprocess.run([tool] + args, cwd=d, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(os.path.join(d, out), "rb") as f:
                doc["lines"][name] = {"args": args, "out": out, "sha256": hashlib.sha256(f.read()).hexdigest()}
    with open(os.path.join(HERE, "golden.json"), "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")


main()
