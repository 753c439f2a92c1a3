"""Makes variants.json: SHA-256 of what llama.cpp's converter writes for the checkpoints of variants_test.go.

    MOECONV_VARIANTS=/tmp/variants go test -run WriteVariants ./convert
    python convert/testdata/reference.py LLAMA_CPP_DIR /tmp/variants > convert/testdata/variants.json

Oracle: convert_hf_to_gguf.py of llama.cpp 0.5.0 (0c1e57098, as in llama-cpp-python 0.3.36), transformers 5.23, torch 2.15.
The pre-tokenizer is given, since the tiny model's tokenizer is unknown to the converter's table of hashes.
"""
import hashlib, json, os, subprocess, sys, tempfile

CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
import conversion.base as b
b.TextModel.get_vocab_base_pre = lambda self, tokenizer: "deepseek-llm"
import convert_hf_to_gguf as c
sys.argv = ["convert", sys.argv[2], "--outfile", sys.argv[4], "--outtype", sys.argv[3]]
c.main()
"""
files = {}
for name in sorted(os.listdir(sys.argv[2])):
    for outtype in ("f32", "f16", "bf16", "auto", "q8_0"):
        out = tempfile.mktemp(suffix=".gguf")
        r = subprocess.run([sys.executable, "-c", CHILD, sys.argv[1], os.path.join(sys.argv[2], name), outtype, out], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"{name} {outtype}: {r.stderr[-2000:]}")
        data = open(out, "rb").read()
        os.remove(out)
        files.setdefault(name, {})[outtype] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
json.dump({"oracle": "convert_hf_to_gguf.py, llama.cpp 0.5.0 (0c1e57098); see reference.py", "files": files}, sys.stdout, indent=1)
print()
