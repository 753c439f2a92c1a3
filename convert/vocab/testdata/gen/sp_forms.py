"""Writes ../sentencepiece.json: what the reference converter makes of SentencePiece vocabularies that differ in one thing each.

Oracle: set_vocab of the named class of conversion/*.py of llama.cpp 0c1e57098 (as vendored in llama-cpp-python 0.3.36),
on transformers 5.23.0, tokenizers 0.23.3 and sentencepiece 0.2.3.
    python3 sp_forms.py LLAMA_CPP_DIR ../../../../runtime/token/testdata/unigram.model > ../sentencepiece.json
A case is a checkpoint's files as changes to `base` ("set" replaces top-level keys, null removes one; "text" adds files, "remove"
takes them away; "pieces" names one of `models`) and the metadata in order, or `error` where the converter fails. Tokens, scores and
types leave out those of the bytes 1 to 255; beyond 1000 they are given by length and the SHA-256 of their compact JSON.
"""
import base64
import copy
import hashlib
import json
import os
import struct
import sys
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
import logging
logging.disable(logging.CRITICAL)
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[1] + "/gguf-py")
import conversion
from conversion import arctic, deepseek, ernie, gemma, jamba, llama, phi, t5
from gguf.gguf_writer import GGUFWriter
from sentencepiece import sentencepiece_model_pb2


class Recorder(GGUFWriter):
    def __init__(self):
        self.kv, self.arch = {}, "arch"

    def add_key_value(self, key, val, vtype, sub_type=None):
        if isinstance(val, (bytes, bytearray)):
            val = list(val)
        if isinstance(val, (list, tuple)):
            val = [v.decode() if isinstance(v, bytes) else v for v in val]
            if len(val) > 1000:
                text = json.dumps(val, ensure_ascii=False, separators=(",", ":"))
                val = {"len": len(val), "sha256": hashlib.sha256(text.encode()).hexdigest()}
            elif key.split(".")[-1] in ("tokens", "scores", "token_type"):
                val = val[:4] + val[259:]
        elif vtype.name == "BOOL":
            val = bool(val)
        self.kv[key] = (vtype.name, val)

    def remove_key(self, key):
        pass


CLASSES = {"llama": llama.LlamaModel, "phi": phi.Phi3MiniModel, "arctic": arctic.ArcticModel, "ernie": ernie.Ernie4_5Model, "jamba": jamba.JambaModel,
           "deepseek": deepseek.DeepseekModel, "gemma4": gemma.Gemma4Model, "unigram": t5.T5Model}


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(n, data):
    return varint(n << 3 | 2) + varint(len(data)) + data


def number(n, v):
    return varint(n << 3) + varint(v)


NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def piece(text, score=0.0, kind=NORMAL):
    return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + (number(3, kind) if kind != NORMAL else b""))


WORDS = ["▁", "t", "h", "e", "▁t", "he", "▁the", "é", "▁▁"]
PIECES = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
PIECES += [("<0x%02X>" % b, 0.0, BYTE) for b in range(256)] + [(w, -float(i) * 0.1, NORMAL) for i, w in enumerate(WORDS)]


def model(pieces, kind=2, fallback=True, normalizer=number(4, 0)):
    return b"".join(piece(*p) for p in pieces) + field(2, number(3, kind) + number(35, int(fallback)) + number(40, 0)) + field(3, field(1, b"identity") + normalizer)


trained = sentencepiece_model_pb2.ModelProto()
trained.ParseFromString(open(sys.argv[2], "rb").read())
MODELS = {
    "bpe": model(PIECES),
    "kinds": model(PIECES[:262] + [("▁t", -1.5, UNUSED), ("xy", 0.25, USER), ("<ctl>", 0.0, CONTROL), ("é", -0.3)]),
    "normalized": model(PIECES, 2, normalizer=number(3, 0)),
    "unigram": model(PIECES, 1, normalizer=number(3, 0) + number(4, 0)),
    "unigram, defaults": model(PIECES, 1, normalizer=b""),
    "unigram, map": model(PIECES, 1, normalizer=field(2, trained.normalizer_spec.precompiled_charsmap)),
}


def tok(id, content, special=False, normalized=False, **kw):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized, "special": special, **kw}


def entry(content, special=False, **kw):
    t = tok(0, content, special, **kw)
    del t["id"]
    return t


MERGES = [["t", "h"], ["h", "e"], ["▁", "t"], ["▁t", "he"], ["▁", "▁"]]
VOCAB = [p[0] for p in PIECES[:259]] + ["▁", "t", "h", "e", "▁t", "he", "▁the", "é", "▁▁", "th"]
ADDED = [tok(0, "<unk>", True), tok(1, "<s>", True), tok(2, "</s>", True)]
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
BASE = {
    "tokenizer.json": {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": ADDED,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": None, "post_processor": TEMPLATE,
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                  "byte_fallback": True, "vocab": {t: i for i, t in enumerate(VOCAB)}, "merges": MERGES},
    },
    "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False,
                              "chat_template": "{{ messages }}"},
    "config.json": {"model_type": "mixtral", "vocab_size": 272},
}


def case(cls, remove=(), pieces="bpe", text={}, **files):
    c = {"class": cls, "pieces": pieces}
    names = {"tj": "tokenizer.json", "tc": "tokenizer_config.json", "cj": "config.json"}
    if files:
        c["set"] = {names[k]: v for k, v in files.items()}
    if remove:
        c["remove"] = list(remove)
    if text:
        c["text"] = {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in text.items()}
    return c


TJ, TM, TC = "tokenizer.json", "tokenizer.model", "tokenizer_config.json"
DECODER = {"0": entry("<unk>", True), "1": entry("<s>", True), "2": entry("</s>", True), "266": entry("É"), "268": entry("<end>", True), "269": entry("<|looks|>"),
           "270": entry("▁two▁words"), "271": entry("<pad>")}
EXTRA = ADDED + [tok(269, "<a>", True), tok(270, "<b>"), tok(271, "▁c", True)]
PREFIX = {"add_prefix_space": True}
CASES = {
    "llama": case("llama"),
    "llama, tokenizer.model alone": case("llama", [TJ, TC]),
    "llama, tokenizer.json alone": case("llama", [TM]),
    "llama, only tokenizer.json": case("llama", [TM, TC]),
    "llama, without configuration": case("llama", [TC]),
    "llama, kinds": case("llama", pieces="kinds"),
    "llama, kinds in added_tokens.json": case("llama", pieces="kinds", text={"added_tokens.json": {"▁new": 268, "xy": 263, "far": 272, "<|x|>": 270}}),
    "llama, added_tokens.json below the decoder": case("llama", text={"added_tokens.json": {"lost": 268, "kept": 267}}, tc={"added_tokens_decoder": DECODER}),
    "llama, decoder": case("llama", tc={"added_tokens_decoder": DECODER}),
    "llama, decoder too far": case("llama", tc={"added_tokens_decoder": {**DECODER, "300": entry("far")}}),
    "llama, decoder with a special token that looks plain": case("llama", tc={"added_tokens_decoder": {"265": entry("▁sp", True), "264": entry("<unused7>")}}),
    "llama, vocab_size too small": case("llama", cj={"vocab_size": 265}),
    "llama, no vocab_size": case("llama", cj={"vocab_size": None}),
    "llama, space prefix": case("llama", tc=PREFIX),
    "llama, no space prefix": case("llama", tc={"add_prefix_space": False}),
    "llama, null space prefix": case("llama", tc={"add_prefix_space": "@null"}),
    "llama, ids in config.json": case("llama", cj={"bos_token_id": 5, "pad_token_id": 272, "sep_token_id": 271, "eos_token_id": [2, 3]}, tc={"bos_token": None}),
    "llama, special id beyond": case("llama", [TJ], cj={"bos_token_id": 271, "eos_token_id": 272}),
    "llama, normalized": case("llama", pieces="normalized"),
    "llama, unigram": case("llama", pieces="unigram", tc={"add_prefix_space": False}),
    "codellama": case("llama", cj={"vocab_size": 32016}),
    "granite": case("llama", cj={"vocab_size": 49152}),
    "llama, template file": case("llama", text={"chat_template.jinja": "{{ a }}\r\n{{ b }}"}, tc={"chat_template": None}),
    "hf, added tokens": case("llama", [TM], tj={"added_tokens": EXTRA}),
    "hf, added tokens of the decoder": case("llama", [TM], tj={"added_tokens": EXTRA}, tc={"added_tokens_decoder": {"269": entry("<a>"), "270": entry("<b>", True)}}),
    "hf, named": case("llama", [TM], tj={"added_tokens": EXTRA}, tc={"pad_token": "<b>", "additional_special_tokens": ["<a>"]}),
    "hf, extra": case("llama", [TM], tj={"added_tokens": EXTRA}, tc={"extra_special_tokens": ["▁c"]}),
    "hf, named in the vocabulary": case("llama", [TM], tc={"pad_token": "▁the"}),
    "hf, new name": case("llama", [TM], tc={"pad_token": "<pad>"}),
    "hf, special map": case("llama", [TM], tj={"added_tokens": EXTRA}, text={"special_tokens_map.json": {"pad_token": "<b>"}}),
    "hf, vocab_size larger": case("llama", [TM], cj={"vocab_size": 280}),
    "hf, lower case byte": case("llama", [TM], tj={"model": {**BASE[TJ]["model"], "vocab": {("<0xab>" if t == "<0xAB>" else t): i for i, t in enumerate(VOCAB)}}}),
    "hf, merges as strings": case("llama", [TM], tj={"model": {**BASE[TJ]["model"], "merges": [" ".join(m) for m in MERGES]}}),
    "hf, hole": case("llama", [TM], tj={"model": {**BASE[TJ]["model"], "vocab": {t: i + (i > 265) for i, t in enumerate(VOCAB)}}}),
    "phi": case("phi"),
    "phi, added": case("phi", text={"added_tokens.json": {"<|x|>": 268, "▁y": 269}}, tc={"added_tokens_decoder": DECODER}, tj={"added_tokens": ADDED + [tok(267, "th"), tok(270, "▁z", True)]}),
    "phi, without tokenizer.json": case("phi", [TJ], tc={"added_tokens_decoder": DECODER}),
    "phi, decoder too far": case("phi", tc={"added_tokens_decoder": {"272": entry("far")}}),
    "phi, vocab_size too small": case("phi", cj={"vocab_size": 265}),
    "phi, no tokenizer.model": case("phi", [TM]),
    "arctic": case("arctic"),
    "arctic, redefined": case("arctic", tc={"added_tokens_decoder": {**DECODER, "266": entry("<|im_start|>", True), "267": entry("<|im_end|>", True), "300": entry("far")}}),
    "arctic, no tokenizer.model": case("arctic", [TM]),
    "ernie": case("ernie"),
    "ernie, space prefix": case("ernie", tc=PREFIX),
    "ernie, null space prefix": case("ernie", tc={"add_prefix_space": "@null"}),
    "ernie, no tokenizer.model": case("ernie", [TM]),
    "jamba": case("jamba"),
    "jamba, tokenizer.json alone": case("jamba", [TM]),
    "deepseek": case("deepseek"),
    "gemma4": case("gemma4", [TM]),
    "gemma4, visible": case("gemma4", [TM], tj={"added_tokens": ADDED + [tok(269, "<|channel>", True), tok(270, "<turn|>", True)]}, tc={"eos_token": "<turn|>", "add_bos_token": False}),
    "unigram": case("unigram", pieces="unigram"),
    "unigram, defaults": case("unigram", pieces="unigram, defaults", text={"added_tokens.json": {"<x>": 270}}, tc={"added_tokens_decoder": DECODER}),
    "unigram, map": case("unigram", pieces="unigram, map"),
    "unigram, BPE": case("unigram"),
}


def convert(c):
    docs = copy.deepcopy(BASE)
    for name, keys in c.get("set", {}).items():
        for k, v in keys.items():
            if v is None:
                docs[name].pop(k, None)
            else:
                docs[name][k] = None if v == "@null" else v
    files = {k: json.dumps(v).encode() for k, v in docs.items()}
    files[TM] = MODELS[c["pieces"]]
    for k, v in c.get("text", {}).items():
        files[k] = v.encode()
    for k in c.get("remove", []):
        del files[k]
    with tempfile.TemporaryDirectory() as d:
        for name, data in files.items():
            Path(d, name).write_bytes(data)
        m = object.__new__(CLASSES[c["class"]])
        m.dir_model, m.hparams, m.gguf_writer = Path(d), docs["config.json"], Recorder()
        m.is_mistral_format, m.origin_hf_arch = False, None
        m.get_vocab_base_pre = lambda tokenizer: "gpt-2"
        try:
            m.set_vocab()
        except (Exception, SystemExit) as e:
            c["error"] = f"{type(e).__name__}: {e}".replace(d, "")[:200]
            return
        c["kv"] = [[k, t, v] for k, (t, v) in m.gguf_writer.kv.items()]


for c in CASES.values():
    convert(c)
json.dump({"base": BASE, "models": {k: base64.b64encode(v).decode() for k, v in MODELS.items()}, "cases": CASES}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
print()
