"""Makes golden/ of the micro checkpoints: what llama.cpp's converter writes for them.

    python testdata/micro/golden.py LLAMA_CPP_DIR [FAMILY...]

A micro checkpoint is testdata/micro/FAMILY/REPO/ with a fixture.json {"pre": name, "args": further arguments, "config": changed fields} beside REPO: a model of the family
small enough to live in this repository. golden/gguf-bf16.json lists metadata and tensors as shared fixtures do,
golden/files.json has the SHA-256 and size of each output type's file, or {"error": text} where the converter fails.
Oracle: convert_hf_to_gguf.py of llama.cpp 0.5.0 (0c1e57098, as in llama-cpp-python 0.3.36), transformers 5.23, torch 2.15.
Where the converter's table of hashes does not know a (truncated) tokenizer, the name in fixture.json is given.
"""
import hashlib, json, os, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUTTYPES = ("f32", "f16", "bf16", "auto", "q8_0")
CHILD = """
import sys; sys.path.insert(0, sys.argv[1])
import conversion.base as b
real, pre = b.TextModel.get_vocab_base_pre, sys.argv[5]
def name(self, tokenizer):
    try:
        return real(self, tokenizer)
    except NotImplementedError:
        return pre
b.TextModel.get_vocab_base_pre = name
import json, os
if os.path.exists(sys.argv[2] + "/hy.tiktoken"):  # read by code of the model's own: this is what the converter uses of it
    import base64, transformers
    class Tokenizer:
        mergeable_ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(sys.argv[2] + "/hy.tiktoken"))}
        special_tokens = json.load(open(sys.argv[2] + "/../fixture.json"))["special"]
        vocab_size = json.load(open(sys.argv[2] + "/config.json"))["vocab_size"]
        def encode(self, text):
            raise NotImplementedError
    transformers.AutoTokenizer.from_pretrained = staticmethod(lambda *a, **k: Tokenizer())
else:  # a type of model that transformers does not know, which its author's code would load
    import transformers
    load = transformers.AutoTokenizer.from_pretrained
    def tokenizer(d, **k):
        try:
            return load(d, **k)
        except AttributeError:
            return transformers.PreTrainedTokenizerFast.from_pretrained(d)
    transformers.AutoTokenizer.from_pretrained = staticmethod(tokenizer)
import convert_hf_to_gguf as c
sys.argv = ["convert", sys.argv[2], "--outfile", sys.argv[4], "--outtype", sys.argv[3]] + sys.argv[6:]
c.main()
"""


def sha(b):
    return hashlib.sha256(b).hexdigest()


def dump(gguf, np, path):
    r = gguf.GGUFReader(path)
    kv = {}
    for k, f in r.fields.items():
        if k.startswith("GGUF."):
            continue
        t, v = f.types[0].name, f.contents()
        if t == "ARRAY":
            elem = f.types[-1].name
            h = [int(np.float32(x).view(np.uint32)) for x in v] if elem.startswith("FLOAT") else v
            kv[k] = {"type": t, "elem": elem, "len": len(v)}
            if len(v) > 32:
                kv[k]["sha256"] = sha(json.dumps(h, ensure_ascii=False, separators=(",", ":")).encode())
            else:
                kv[k]["value"] = v
        elif t == "FLOAT32":
            kv[k] = {"type": t, "value": float(v), "bits": int(np.float32(v).view(np.uint32))}
        elif isinstance(v, str) and len(v) > 600:
            kv[k] = {"type": t, "len": len(v.encode()), "sha256": sha(v.encode())}
        else:
            kv[k] = {"type": t, "value": v}
    ts = [{"name": t.name, "type": t.tensor_type.name, "ne": [int(x) for x in t.shape], "offset": int(t.data_offset - r.data_offset),
           "bytes": int(t.n_bytes), "sha256": sha(t.data.tobytes())} for t in r.tensors]
    raw = open(path, "rb").read()
    return {"file_sha256": sha(raw), "file_bytes": len(raw), "data_offset": int(r.data_offset), "kv": kv, "tensors": ts}


def main():
    llama = sys.argv[1]
    sys.path.insert(0, os.path.join(llama, "gguf-py"))
    import gguf, numpy as np
    for fam in sys.argv[2:] or sorted(d for d in os.listdir(HERE) if os.path.isdir(os.path.join(HERE, d))):
        root = os.path.join(HERE, fam)
        repo = next(d for d in sorted(os.listdir(root)) if os.path.exists(os.path.join(root, d, "config.json")))
        fixture = json.load(open(os.path.join(root, "fixture.json")))
        pre, more, checkpoint = fixture.get("pre", "default"), fixture.get("args", []), os.path.join(root, repo)
        if "config" in fixture:  # fields that are changed because the converter refuses the config as it is
            temp = tempfile.mkdtemp()
            checkpoint = shutil.copytree(checkpoint, os.path.join(temp, repo))
            config = json.load(open(os.path.join(checkpoint, "config.json"))) | fixture["config"]
            json.dump(config, open(os.path.join(checkpoint, "config.json"), "w"))
        os.makedirs(os.path.join(root, "golden"), exist_ok=True)
        files = {"oracle": "convert_hf_to_gguf.py, llama.cpp 0.5.0 (0c1e57098); see ../../golden.py"}
        for outtype in OUTTYPES:
            out = tempfile.mktemp(suffix=".gguf")
            r = subprocess.run([sys.executable, "-c", CHILD, llama, checkpoint, outtype, out, pre, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if r.returncode:
                files[outtype] = {"error": r.stderr.strip().splitlines()[-1]}
                print(fam, outtype, r.stderr[-1500:])
                continue
            d = dump(gguf, np, out)
            os.remove(out)
            files[outtype] = {"bytes": d["file_bytes"], "sha256": d["file_sha256"]}
            if outtype == "bf16":
                json.dump(d, open(os.path.join(root, "golden", "gguf-bf16.json"), "w"), ensure_ascii=False, indent=0)
        json.dump(files, open(os.path.join(root, "golden", "files.json"), "w"), indent=1)
        print(fam, {k: v.get("sha256", "error")[:8] for k, v in files.items() if k != "oracle"})


main()
