"""Writes ../variants.json: what the reference converter makes of small tokenizers that differ in one thing each.

Oracle: get_vocab_base of conversion/base.py and SpecialVocab of gguf-py, both of llama.cpp 0c1e57098 (as vendored in
llama-cpp-python 0.3.36), on transformers 5.23.0 with tokenizers 0.23.3.
    python3 variants.py LLAMA_CPP_DIR > ../variants.json
A variant is the files of a checkpoint, as changes to `base`; "set" replaces whole files' top-level keys (null removes
one), "text" adds files as they are, "remove" removes files. The golden is the metadata in order.
"""
import ast
import json
import os
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
import logging
logging.disable(logging.CRITICAL)

sys.path.insert(0, sys.argv[1] + "/gguf-py")
import gguf
from gguf.gguf_writer import GGUFWriter


def reference():
    src = open(sys.argv[1] + "/conversion/base.py", encoding="utf-8").read()
    want = {"get_vocab_base", "does_token_look_special"}
    funcs = [f for c in ast.parse(src).body if isinstance(c, ast.ClassDef) for f in c.body if isinstance(f, ast.FunctionDef) and f.name in want]
    ns = {"gguf": gguf, "logger": logging.getLogger("x")}
    exec(compile(ast.Module(funcs, []), "base.py", "exec", flags=__import__("__future__").annotations.compiler_flag), ns)
    return ns


NS = reference()


class Model:
    def __init__(self, path):
        self.dir_model, self.hparams = path, json.load(open(path + "/config.json"))

    def get_vocab_base_pre(self, tokenizer):
        return "gpt-2"

    def does_token_look_special(self, token):
        return NS["does_token_look_special"](self, token)


class Recorder(GGUFWriter):
    def __init__(self):
        self.kv = []

    def add_key_value(self, key, val, vtype, sub_type=None):
        self.kv.append([key, vtype.name, val])

    def remove_key(self, key):
        pass


def alphabet():
    bs = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    cs, n = bs[:], 0
    for b in range(256):
        if b not in bs:
            bs.append(b)
            cs.append(256 + n)
            n += 1
    return [chr(c) for c in cs]


def tok(id, content, special=False, normalized=False, **kw):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized, "special": special, **kw}


MERGES = [["Ġ", "t"], ["h", "e"], ["Ġt", "he"], ["Ã", "©"], ["Ġ", "Ġ"]]
VOCAB = alphabet() + ["".join(m) for m in MERGES]
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
ADDED = [tok(261, BOS, True), tok(262, EOS, True), tok(263, "<pad>", True)]
BYTELEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def special(id, t=0):
    return {"SpecialToken": {"id": id, "type_id": t}}


def seq(id, t=0):
    return {"Sequence": {"id": id, "type_id": t}}


def template(single, pair):
    names = {list(p.values())[0]["id"] for p in single + pair if "SpecialToken" in p}
    ids = {a["content"]: a["id"] for a in ADDED}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in names}}


BASE = {
    "tokenizer.json": {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": ADDED, "normalizer": None, "pre_tokenizer": BYTELEVEL,
        "post_processor": None, "decoder": BYTELEVEL,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "vocab": {t: i for i, t in enumerate(VOCAB)}, "merges": MERGES},
    },
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS, "clean_up_tokenization_spaces": False},
    "config.json": {"model_type": "llama", "vocab_size": 272},
}


def config(**kw):
    return {"set": {"tokenizer_config.json": kw}}


def post(p, **kw):
    return {"set": {"tokenizer.json": {"post_processor": p}, "tokenizer_config.json": kw}}


def added(*extra, **kw):
    return {"set": {"tokenizer.json": {"added_tokens": ADDED + list(extra)}, "tokenizer_config.json": kw}}


A, B = seq("A"), seq("B", 1)
VARIANTS = {
    "plain": {},
    "no tokenizer_config": {"remove": ["tokenizer_config.json"]},
    "empty tokenizer_config": {"text": {"tokenizer_config.json": "{}"}},
    "string merges": {"set": {"tokenizer.json": {"model": {**BASE["tokenizer.json"]["model"], "merges": [" ".join(m) for m in MERGES]}}}},
    "add flags": config(add_bos_token=True, add_eos_token=True, add_sep_token=True, add_pad_token=True),
    "add flags that are no booleans": config(add_bos_token=1, add_eos_token=None),
    "bytelevel": post(BYTELEVEL, add_bos_token=True, add_eos_token=False),
    "bytelevel, eos wanted": post(BYTELEVEL, add_eos_token=True),
    "sequence of bytelevel and template": post({"type": "Sequence", "processors": [BYTELEVEL, template([special(BOS), A], [special(BOS), A, special(BOS, 1), B])]}, add_bos_token=False),
    "sequence of template and bytelevel": post({"type": "Sequence", "processors": [template([special(BOS), A, special(EOS)], [special(BOS), A, B, special(EOS, 1)]), BYTELEVEL]}),
    "template, bos": post(template([special(BOS), A], [special(BOS), A, special(BOS, 1), B])),
    "template, eos": post(template([A, special(EOS)], [A, special(EOS), B, special(EOS, 1)])),
    "template, eos between": post(template([special(BOS), A], [special(BOS), A, special(EOS), B])),
    "template, two between": post(template([special(BOS), A, special(EOS)], [special(BOS), A, special(EOS), special(EOS), B, special(EOS, 1)])),
    "template, sep token": post(template([special(BOS), A], [special(BOS), A, special("<pad>"), B]), sep_token="<pad>"),
    "template, other eos": post(template([special(BOS), A, special("<pad>")], [special(BOS), A, special("<pad>"), B, special("<pad>", 1)])),
    "template, unknown bos": post(template([special("<pad>"), A], [special("<pad>"), A, B])),
    "template, no bos in config": post(template([special("<pad>"), A], [special("<pad>"), A, B]), bos_token=None),
    "template, bos as object": post(template([special(BOS), A], [special(BOS), A, B]), bos_token={"__type": "AddedToken", "content": BOS, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}),
    "template without a config": {"set": {"tokenizer.json": {"post_processor": template([special(BOS), A, special(EOS)], [special(BOS), A, B, special(EOS)])}}, "remove": ["tokenizer_config.json"]},
    "template, one piece": post(template([A], [A, B])),
    "roberta": post({"type": "RobertaProcessing", "sep": [EOS, 262], "cls": [BOS, 261], "trim_offsets": True, "add_prefix_space": False}),
    "roberta, named": post({"type": "RobertaProcessing", "sep": [EOS, 262], "cls": [BOS, 261], "trim_offsets": True, "add_prefix_space": False}, sep_token="<pad>", cls_token="<pad>"),
    "cls and sep for bos and eos": config(bos_token=None, eos_token=None, cls_token=BOS, sep_token=EOS),
    "all named": config(unk_token="<pad>", sep_token="<pad>", pad_token="<pad>", cls_token="<pad>", mask_token="<pad>"),
    "ids in config.json": {"set": {"tokenizer_config.json": {"eos_token": None}, "config.json": {"bos_token_id": 7, "eos_token_id": 8, "pad_token_id": 9, "unk_token_id": None, "sep_token_id": 1.5}}},
    "list of eos ids": {"set": {"tokenizer_config.json": {"eos_token": None}, "config.json": {"eos_token_id": [8, 9], "pad_token_id": 300}}},
    "ids in text_config": {"set": {"tokenizer_config.json": {"bos_token": None}, "config.json": {"text_config": {"bos_token_id": 5, "pad_token_id": 6}, "pad_token_id": 4}}},
    "token not among the added": config(unk_token="the", pad_token="he"),
    "named tokens to be added": config(unk_token="<u>", pad_token="<p>", foo_token="<foo>", additional_special_tokens=["<x1>", "<x0>"]),
    "special_tokens_map": {"text": {"special_tokens_map.json": json.dumps({"pad_token": "<mapped>", "mask_token": {"content": "<m>", "lstrip": True, "rstrip": False, "normalized": True, "single_word": False}})}},
    "special_tokens_map beside a decoder": {"set": {"tokenizer_config.json": {"added_tokens_decoder": {"261": {k: v for k, v in tok(261, BOS, True).items() if k != "id"}}}}, "text": {"special_tokens_map.json": json.dumps({"pad_token": "<mapped>"})}},
    "decoder with other flags": added(tok(264, "öö", normalized=True), tok(265, "üü", normalized=True), added_tokens_decoder={"264": {"content": "öö", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": True}, "265": {"content": "üü", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False}}),
    "decoder with more tokens": config(added_tokens_decoder={"265": {"content": "<b>", "special": True}, "264": {"content": "<a>", "special": False}}),
    "odd added tokens": added(tok(264, "<ab"), tok(265, "Ġx y"), tok(266, "Ġé"), tok(267, "a▁b"), tok(268, " <l>", lstrip=True), tok(258, "Ġthe"), tok(259, "Ã©"), tok(269, "ðŁĺ"), tok(270, "ÿÿa")),
    "tokens that look special": added(tok(264, "<|x|>"), tok(265, "<｜x｜>"), tok(266, "<unused7>"), tok(267, "[@BOS@]"), tok(268, "<mask>", normalized=True), tok(269, "<2mass>"), tok(270, "<|x>")),
    "named tokens that are not special": added(tok(264, "[a]"), tok(265, "[b]", normalized=True), tok(266, "[c]"), tok(267, "[d]", normalized=True), tok(268, "Ġ[e]"), eos_token="[a]", unk_token={"__type": "AddedToken", "content": "[b]", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}, foo_token="Ġ[e]", extra_special_tokens={"x": "[c]"}),
    "more tokens that are not special": added(tok(264, "[a]"), tok(265, "[b]", normalized=True), tok(266, "[c]"), pad_token="[c]", additional_special_tokens=["[a]", "[b]"]),
    "a decoder says named tokens are not special": added(tok(264, "[a]", special=True), tok(265, "[b]"), pad_token="[a]", added_tokens_decoder={"264": {"content": "[a]", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": False}, "265": {"content": "[b]", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, "special": False}}, additional_special_tokens=["[b]"]),
    "a decoder without the named tokens": added(tok(264, "[a]"), tok(265, "[b]", normalized=True), pad_token="[a]", foo_token="[b]", added_tokens_decoder={"261": {k: v for k, v in tok(261, BOS, True).items() if k != "id"}}),
    "an empty decoder": added(tok(264, "[a]"), pad_token="[a]", added_tokens_decoder={}),
    "extra tokens with names and without": added(tok(264, "[a]"), extra_special_tokens={"q_token": "[a]", "r": "<n6>"}, additional_special_tokens=["<n9>", "<n8>"]),
    "no vocab_size": {"set": {"config.json": {"vocab_size": None}}},
    "template empty": config(chat_template=""),
    "template list with empty ones": config(chat_template=[{"name": "default", "template": ""}, {"name": "tool_use", "template": ""}]),
    "template text": {"set": {"tokenizer_config.json": {"chat_template": "{{ bos_token }}a&<b>\r\n"}}},
    "template null wins over the file": {"set": {"tokenizer_config.json": {"chat_template": "@null"}}, "text": {"chat_template.jinja": "x"}},
    "template list": config(chat_template=[{"name": "default", "template": "d"}, {"name": "tool use!", "template": "t"}]),
    "template list without a default": config(chat_template=[{"name": "rag", "template": "r"}]),
    "template file": {"text": {"chat_template.jinja": "{% if x %}\r\na\rb\n{% endif %}", "chat_template.json": json.dumps({"chat_template": "json"})}},
    "template in the config and a file": {"set": {"tokenizer_config.json": {"chat_template": "config"}}, "text": {"chat_template.jinja": "file"}},
    "template json": {"text": {"chat_template.json": json.dumps({"chat_template": "from json"})}},
    "more template files": {"text": {"chat_template.jinja": "main", "additional_chat_templates/rag.jinja": "rag"}},
}


def build(variant):
    files = {n: dict(v) for n, v in BASE.items()}
    for name, keys in variant.get("set", {}).items():
        for k, v in keys.items():
            if v is None:
                files[name].pop(k, None)
            else:
                files[name][k] = None if v == "@null" else v
    files = {n: json.dumps(v, ensure_ascii=False) for n, v in files.items()}
    files.update(variant.get("text", {}))
    for name in variant.get("remove", []):
        del files[name]
    return files


def convert(files):
    with tempfile.TemporaryDirectory() as d:
        for name, text in files.items():
            os.makedirs(os.path.dirname(d + "/" + name), exist_ok=True)
            with open(d + "/" + name, "w", encoding="utf-8", newline="") as f:
                f.write(text)
        w = Recorder()
        tokens, types, pre = NS["get_vocab_base"](Model(d))
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre(pre)
        w.add_token_list(tokens)
        w.add_token_types(types)
        gguf.SpecialVocab(d, load_merges=True).add_to_gguf(w, quiet=True)
        # the plain vocabulary is the same everywhere
        for kv in w.kv:
            if kv[0] in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type"):
                kv[2] = {str(i): v for i, v in enumerate(kv[2]) if i >= 256}
        return w.kv


def main():
    out = {}
    for name, variant in VARIANTS.items():
        try:
            out[name] = {**variant, "kv": convert(build(variant))}
        except Exception as e:
            out[name] = {**variant, "error": f"{type(e).__name__}: {e}"}
    json.dump({"base": BASE, "variants": out}, sys.stdout, ensure_ascii=False, indent=None, separators=(",", ":"))
    print()


main()
