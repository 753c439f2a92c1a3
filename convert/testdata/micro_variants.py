"""Makes micro_variants.json: SHA-256 of what llama.cpp's converter writes for micro checkpoints with another config.json.

    python convert/testdata/micro_variants.py LLAMA_CPP_DIR > convert/testdata/micro_variants.json

Oracle: convert_hf_to_gguf.py of llama.cpp 0.5.0 (0c1e57098, as in llama-cpp-python 0.3.36), transformers 5.23, torch 2.15.
A value of "-" removes the field. Where the converter does not know the tokenizer, the name in fixture.json is given.
"""
import hashlib, json, os, shutil, subprocess, sys, tempfile

MICRO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "testdata", "micro")
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048, "beta_fast": 16.0}
VARIANTS = [
    ("gpt-oss", {"rope_scaling": "-"}),
    ("gpt-oss", {"rope_scaling": "-", "rope_theta": "-", "rms_norm_eps": "-", "max_position_embeddings": "-", "sliding_window": "-"}),
    ("gpt-oss", {"rope_theta": "-"}),
    ("gpt-oss", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
    ("deepseek-v3", {"rope_theta": "-"}),
    ("kimi-k2", {"rope_theta": "-"}),
    ("glm4-moe-lite", {"rope_parameters": "-", "rope_theta": "-"}),
    ("lfm2-moe", {"rope_parameters": YARN | {"rope_theta": 500000.0}}),
    ("llama4", {"text_config": {"rope_scaling": YARN}}),
]
CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
import conversion.base as b
real, pre = b.TextModel.get_vocab_base_pre, sys.argv[4]
def name(self, tokenizer):
    try:
        return real(self, tokenizer)
    except NotImplementedError:
        return pre
b.TextModel.get_vocab_base_pre = name
import convert_hf_to_gguf as c
sys.argv = ["convert", sys.argv[2], "--outfile", sys.argv[3], "--outtype", "f16"]
c.main()
"""


def change(config, changes):
    for key, value in changes.items():
        if value == "-":
            config.pop(key, None)
        elif isinstance(value, dict) and key == "text_config":
            change(config[key], value)
        else:
            config[key] = value


out = []
for family, changes in VARIANTS:
    root = os.path.join(MICRO, family)
    repo = next(d for d in sorted(os.listdir(root)) if os.path.exists(os.path.join(root, d, "config.json")))
    temp = tempfile.mkdtemp()
    checkpoint = shutil.copytree(os.path.join(root, repo), os.path.join(temp, repo))
    config = json.load(open(os.path.join(checkpoint, "config.json")))
    change(config, changes)
    json.dump(config, open(os.path.join(checkpoint, "config.json"), "w"))
    fixture = json.load(open(os.path.join(root, "fixture.json")))
    file = os.path.join(temp, "out.gguf")
    r = subprocess.run([sys.executable, "-c", CHILD, sys.argv[1], checkpoint, file, fixture.get("pre", "default")], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{family} {changes}: {r.stderr[-2000:]}")
    data = open(file, "rb").read()
    out.append({"family": family, "changes": changes, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    shutil.rmtree(temp)
json.dump({"oracle": "convert_hf_to_gguf.py --outtype f16, llama.cpp 0.5.0 (0c1e57098); see micro_variants.py", "variants": out}, sys.stdout, indent=1)
print()
