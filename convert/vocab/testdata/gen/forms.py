"""Writes ../forms.json: what the reference converter makes of vocabularies in tekken.json and tiktoken files, and of
tokenizer.json by the classes that add ids of their own.

Oracle: set_vocab of the named class of conversion/*.py and MistralVocab of gguf-py, both of llama.cpp 0c1e57098 (as
vendored in llama-cpp-python 0.3.36), on transformers 5.23.0, tokenizers 0.23.3 and mistral-common 1.13.1. The Python
classes that models with tiktoken files bring along are stood in for by what the converter uses of them.
    python3 forms.py LLAMA_CPP_DIR TEKKEN.JSON.GZ > ../forms.json
(TEKKEN.JSON.GZ: of which the first ranks are taken.) A case is a checkpoint's files and the metadata in order;
"full" is the metadata of TEKKEN.JSON.GZ itself.
"""
import base64
import gzip
import hashlib
import json
import os
import struct
import sys
import tempfile
import types
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
import logging
logging.disable(logging.CRITICAL)
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[1] + "/gguf-py")
import conversion
import gguf
import transformers
from conversion import base, deepseek, glm, hunyuan, llama, nemotron, qwen
from gguf.gguf_writer import GGUFWriter


class Recorder(GGUFWriter):
    def __init__(self):
        self.kv, self.arch = {}, "arch"

    def add_key_value(self, key, val, vtype, sub_type=None):
        if hasattr(val, "tolist"):
            val = val.tolist()
        if isinstance(val, (list, tuple)):
            val = [v.decode() if isinstance(v, bytes) else v for v in val]
        self.kv[key] = (vtype.name, val)

    def remove_key(self, key):
        self.kv.pop(key, None)


def convert(cls, files, shim=None, pre=None):
    with tempfile.TemporaryDirectory() as d:
        for name, text in files.items():
            Path(d, name).write_text(text, encoding="utf-8")
        m = object.__new__(cls)
        m.dir_model, m.hparams, m.gguf_writer = Path(d), json.loads(files["config.json"]), Recorder()
        m.is_mistral_format, m.disable_mistral_community_chat_template, m.origin_hf_arch = False, False, None
        m.get_vocab_base_pre = lambda tokenizer: pre
        real = transformers.AutoTokenizer.from_pretrained
        if shim:
            transformers.AutoTokenizer.from_pretrained = staticmethod(lambda p, **kw: shim)
        try:
            m.set_vocab()
        finally:
            transformers.AutoTokenizer.from_pretrained = real
        return {k: entry(t, v) for k, (t, v) in m.gguf_writer.kv.items()}


def entry(t, v):
    """Metadata as in fixtures/families: long lists by length and SHA-256 of their JSON."""
    if t != "ARRAY":
        return {"type": t, "value": v}
    elem = "STRING" if isinstance(v[0], str) else "FLOAT32" if isinstance(v[0], float) else "INT32"
    if elem == "FLOAT32":
        v = [struct.unpack("<I", struct.pack("<f", x))[0] for x in v]
    if len(v) <= 32:
        return {"type": t, "elem": elem, "value": v}
    return {"type": t, "elem": elem, "len": len(v), "sha256": hashlib.sha256(json.dumps(v, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()}


FULL = json.load(gzip.open(sys.argv[2]))
N = 320
TOKENS = [base64.b64decode(t["token_bytes"]) for t in FULL["vocab"][:N]]
SPECIALS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]",
            "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]"]


def tekken(version, special, n_special=30, n=N, **kw):
    out = {"config": {**FULL["config"], "version": version, "default_vocab_size": n + n_special - 10, "default_num_special_tokens": n_special, "num_vocab_tokens": n}, "vocab": [{**t, "token_str": None} for t in FULL["vocab"][:n]], **kw}
    if special is not None:
        out["special_tokens"] = [{"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(special)]
    return json.dumps(out)


def ranks(tokens, **kw):
    return "".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(tokens))


def named(first, names):
    return {n: first + i for i, n in enumerate(names)}


# A token that is not two of lower rank put together is left without a merge.
LONE = TOKENS + [b"qwxz"]
EXTRAS = [f"<|extra_{i}|>" for i in range(205)]
HY = named(N, ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"] + EXTRAS)
HY_LONE = named(N + 1, ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"] + EXTRAS)
QWEN = named(N, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + EXTRAS)
KIMI_NAMES = {str(N): "[BOS]", str(N + 1): "[EOS]", str(N + 2): "<|im_end|>", str(N + 10): "[EOT]", str(N + 255): "[PAD]"}
KIMI = {KIMI_NAMES.get(str(i), f"<|reserved_token_{i}|>"): i for i in range(N, N + 256)}


def shim(tokens, special, size):
    r = {t: i for i, t in enumerate(tokens)}
    return types.SimpleNamespace(mergeable_ranks=r, special_tokens=special, vocab_size=size, model=types.SimpleNamespace(_mergeable_ranks=r),
                                 get_vocab=lambda: {"": size - 1})


def hy(tokens, special, size, **config):
    c = {"eos_token_id": special["<|eos|>"], "pad_token_id": special["<|pad|>"], "bos_token_id": 1, "eod_token_id": special["<|extra_5|>"], "vocab_size": size, **config}
    cfg = {"tokenizer_class": "HYTokenizer", "bos_token": "<|startoftext|>", "eos_token": "<|eos|>", "pad_token": "<|pad|>", "chat_template": "{{ x }}"}
    files = {"hy.tiktoken": ranks(tokens), "config.json": json.dumps(c), "tokenizer_config.json": json.dumps(cfg)}
    return hunyuan.HunYuanMoEModel, files, shim(tokens, special, size), "hunyuan"


def kimi(size):
    cfg = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "<|im_end|>", "pad_token": "[PAD]",
           "added_tokens_decoder": {i: {"content": s, "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False} for i, s in KIMI_NAMES.items()}}
    files = {"tiktoken.model": ranks(LONE[:N]), "tokenizer_config.json": json.dumps(cfg), "chat_template.jinja": "a\nb",
             "config.json": json.dumps({"bos_token_id": N, "eos_token_id": N + 2, "pad_token_id": N + 255, "vocab_size": size})}
    return deepseek.DeepseekV2Model, files, shim(TOKENS, KIMI, size), "kimi-k2"


def qwen1(size, **config):
    files = {"qwen.tiktoken": ranks(TOKENS), "config.json": json.dumps({"vocab_size": size, **config}), "tokenizer_config.json": json.dumps({"tokenizer_class": "QWenTokenizer"})}
    return qwen.QwenModel, files, shim(TOKENS, QWEN, size), "qwen2"


def byte_letters():
    bs = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    out, n = {b: chr(b) for b in bs}, 0
    for b in range(256):
        if b not in out:
            out[b] = chr(256 + n)
            n += 1
    return [out[b] for b in range(256)]


def fast(cls, added, size, config=None, tokcfg=None, pre="glm4", ranked=False):
    tok = lambda i, s: {"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": s[0] == "<"}
    doc = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [tok(256 + 3 + i, s) for i, s in enumerate(added)], "normalizer": None,
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, "post_processor": None,
           "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
           "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                     "vocab": {t: i for i, t in enumerate(byte_letters() + ["he", "th", "the"])}, "merges": [["h", "e"], ["t", "h"], ["t", "he"]]}}
    files = {"tokenizer.json": json.dumps(doc), "config.json": json.dumps({"model_type": "llama", "vocab_size": size, **(config or {})}),
             "tokenizer_config.json": json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **(tokcfg or {})})}
    return cls, files, None, pre


GLM = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<|system|>", "<|user|>", "<|observation|>"]
CASES = {
    "tekken v3": ("llama", (llama.LlamaModel, {"tekken.json": tekken("v3", None), "config.json": json.dumps({"vocab_size": N + 20})}, None, None)),
    "tekken v7 with special tokens": ("tekken", (llama.LlamaModel, {"tekken.json": tekken("v7", SPECIALS), "config.json": json.dumps({"vocab_size": N + 20})}, None, None)),
    "tekken v1, all special tokens named": ("tekken", (llama.LlamaModel, {"tekken.json": tekken("v1", SPECIALS, n_special=20), "config.json": json.dumps({"vocab_size": N + 10})}, None, None)),
    "hunyuan": ("hunyuan", hy(TOKENS, HY, N + 210)),
    "hunyuan, padded, a lone token": ("hunyuan", hy(LONE, HY_LONE, N + 224)),
    "kimi": ("kimi", kimi(N + 256)),
    "kimi, padded": ("kimi", kimi(N + 260)),
    "kimi, cut": ("kimi", kimi(N + 250)),
    "qwen": ("qwen", qwen1(N + 208)),
    "qwen, padded, ids in the config": ("qwen", qwen1(N + 240, bos_token_id=N + 1, eos_token_id=N + 2)),
    "glm": ("glm", fast(glm.Glm4MoeModel, GLM, 272, {"eos_token_id": [259, 265], "pad_token_id": 259}, {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"})),
    "glm, ids in the config": ("glm", fast(glm.Glm4MoeLiteModel, GLM, 272, {"bos_token_id": 260, "unk_token_id": 261, "eos_token_id": 262}, {"bos_token": "[sMASK]"})),
    "glm-edge": ("glm-edge", fast(glm.Glm4Model, GLM, 272)),
    "solar-open": ("solar-open", fast(glm.SolarOpenModel, GLM + ["<unk>", "<|startoftext|>"], 272, pre="solar-open")),
    "nemotron-h": ("nemotron-h", fast(nemotron.NemotronHModel, GLM, 269, {"bos_token_id": 260}, pre="gpt-2")),
    "nemotron-h, a multiple already": ("nemotron-h", fast(nemotron.NemotronHModel, GLM, 272, pre="gpt-2")),
}


def main():
    out = {"oracle": "llama.cpp 0c1e57098, transformers 5.23.0, tokenizers 0.23.3, mistral-common 1.13.1", "cases": {}}
    for name, (form, case) in CASES.items():
        out["cases"][name] = {"form": form, "files": case[1], "kv": convert(*case)}
    out["full"] = convert(llama.LlamaModel, {"tekken.json": json.dumps(FULL), "config.json": '{"vocab_size": 131072}'})
    json.dump(out, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


main()
