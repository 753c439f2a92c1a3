#!/usr/bin/env python3
"""Writes general.json: what gguf-py's Metadata (llama.cpp 0c1e57098, with PyYAML) makes of model cards that stress
YAML 1.1 typing, names and sampling defaults. Usage: general.py GGUF_PY_DIR > general.json"""
import json, logging, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import gguf
logging.disable(logging.CRITICAL)

SCALARS = r"""yes No ON off y n True TRUE tRue ~ null Null nUll 0 -0 +1 010 0o10 08 0x1F -0x_f 0b101 1_000 1__0 _1 1e3 1.5e3 1.5e+3 1. .5
-.5 +.inf .Inf -.INF .nan .NaN .naN 1:30 190:20:30 1:60 1:30.5 -1:30.5 2024-01-02 2024-1-2 2024-13-45 2024-01-02T03:04:05Z 2024-01-02T30:04:05Z 12e03 685_230.15 9223372036854775808
2147483648 -2147483648 3.5e+38 1.0e+39 .inf0 = << 'quoted' "\u00e9\x41\n" !!str\ 12 v1.2 a:b a#b 1.2.3 <<x =x 0.1 -12 0_ 1.5_0 '' "" ---x é 日本 0777 0b2 0xG 1,000 +12.3 99999999999999999999.5
""".split()
SCALARS = [s.replace("\\ ", " ") for s in SCALARS] + ["!!str 12", "!!int '12'", "!!float 3", "!!bool yes", "!!null x", "!!int x", "!!binary aGk=", "!foo x", "!!timestamp 2024-01-02", "|\n  a\n  b", ">\n  a\n  b\n\n  c", "two words", "[]", "{}", "[a, b]", "{a: b}", "[yes, no]", "[1, 2]", "[1.5, 2.5]", "[a, 1]", "[1, 2.5]", "[null]", "[[a]]", "[2024-01-02]", "[2147483648]", "[!!binary aGk=, x]", "[[1], [2]]", "[[]]"]
KEYS = ["version", "license", "tags", "language", "base_model", "datasets", "name"]
cards = [f"{k}: {s}" for k in KEYS for s in SCALARS]
cards += ["base_model:\n- " + s.replace("\n", "\n  ") for s in SCALARS]
cards += [
 "a: &x {name: N, version: v1}\nbase_model: [*x, *x]", "base: &b {license: mit, version: v9}\n<<: *b\nversion: v2", "x: &a {license: a}\ny: &b {license: b, tags: [t]}\n<<: [*a, *b]",
 "<<: {license: one}\n<<: {license: two}", "<<: text", "<<: [text]", "license: mit\nlicense: gpl", "? [a]\n: b", "? {a: b}\n: c", "1: a\nyes: b\nlicense: mit", "=: a\nlicense: mit", "license: *undefined", "a: &a [*a]",
 "a: &a {b: *a}", "...\nlicense: mit", "license: mit\n...\n", "license: mit\n...\nmore: x", "- list\n- of things", "just text", "license: mit # comment", "# only a comment", "license: {a: b}\ntags: [x]", "license:\n- mit\n- 2",
 "license: []\nlicense_name: n", "license_name: ''\nlicense_link: l", "tags: a\npipeline_tag: b", "tags: {a: b}\npipeline_tag: [c]", "pipeline_tag: text-generation\nlanguage: no", "language:\n- en\n- no\n- nn", "language: [no, en]", "language: [no]", "languages: de\nlanguage:\n  - en",
 "base_model:\n- name: A\n  author: B\n  version: '1'\n  organization: O\n  description: D\n  url: U\n  doi: 10/1\n  uuid: u-u\n  repo_url: R\n  other: x", "base_model:\n- name: 1.5", "base_model:\n- name: false", "base_models: [a/b, c/d]\nbase_model_sources: [e/f]", "base_model:\nbase_models: [a/b]", "base_model: 7", "base_model: {name: x}",
 "base_model: https://huggingface.co/org/Name-7B-v2", "base_model: http://huggingface.co/org/Name/tree/main", "base_model: [ssh://huggingface.co/a/b, https://example.com/huggingface.co/a/b]", "base_model: https://huggingfaceXco/org/Name", "base_model: ./local-7B", "base_model: a/b/c-8B-chat", "base_model: A Human Name 7B", "base_model: /abs", "base_model: org/",
 "dataset: x/y-v2\ndataset_sources: z", "dataset_sources: [z, 'https://huggingface.co/datasets/a/b']", "datasets:\n- name: D\n  repo_url: R", "name: ''\nmodel_name: M", "name: null\nmodel_name: M", "name: []", "name: 0", "model_creator: C\nmodel_type: bert\nmodel_author: A", "size_label: 3B\nversion: '2'\nfinetune: f\nbasename: b",
 "description: >-\n  folded\n  text", "url: u\nmodel_url: mu\nmodel_doi: d\nmodel_uuid: uu\nmodel_repo_url: rr", "quantized_by: me", "tags:\t[a]", "tags:\n-\ta", "license: \"a\\tb\"", "a: 'it''s'\nlicense: mit", "license: a\u2028b", "license: a\x85b", "license: \x07", "license: a\x0cb", "license: mit\r\ntags: [a]\r", "license: \U0001f600", "tags: ['\ufeff']", "license: @x", "license: `x`", "license: %x", "license: a: b", "{license: mit, tags: [a, b]}",
 "license: 'unterminated", "license: \"bad \\q\"", " license: mit", "license: mit\n tags: [a]", "key: value\nkey2", "!!set {a, b}", "x: !!set {a, b}\nlicense: mit", "x: !!omap [a: b]\nlicense: mit", "x: !!python/object:os.system y\nlicense: mit", "license: !!str\ntags: !!seq [a]", "%YAML 1.1\n---x", "license: ! 12", "tags: [a, b,]", "tags: [a,, b]", "tags: [a b, 'c d']", "license: - a", "? license\n: mit", "license : mit", "\"license\": mit", "license:mit",
 "license: >2\n   x\n", "license: |+\n  x\n\n", "license: |-\n  x\n", "tags:\n- - a\n  - b", "tags:\n  - a\n - b", "date: 2024-02-30\nlicense: mit", "date: 2024-02-29 10:20:30.5 +2\nlicense: mit", "x: 0b\nlicense: mit", "x: 0x_\nlicense: mit", "x: 0b_\nlicense: mit", "x: 1:2:3:4\nversion: v", "license: 2024-01-02 x",
]
cases = [{"card": f"---\n{c}\n---\nbody\n"} for c in cards]
cases += [{"card": c} for c in ["", "---", "---\n", "--- \nlicense: mit\n---\n", "---\r\nlicense: mit\r\n---\r\n", "---\rlicense: mit\r---\r", "\n---\nlicense: mit\n---\n", "---\nlicense: mit\n--- \ntags: [a]\n---\n", "---\n---\n", "---\nlicense: mit\u2028---\u2028bad: [", "---\nlicense: mit"]]
gens = ["{}", "[]", "[1]", "0", "3", "null", "\"x\"", "{", "", " ", "{} {}", "{\"top_k\": 50, \"top_k\": 51}", "{\"top_k\": null, \"top_p\": null}", "{\"top_k\": 50.0}", "{\"top_k\": \"50\"}", "{\"top_k\": true}", "{\"top_k\": 2147483648}", "{\"top_k\": -2147483648}", "{\"top_k\": -1}", "{\"top_k\": [1]}",
 "{\"temperature\": 1}", "{\"temperature\": true}", "{\"temperature\": \"1\"}", "{\"temperature\": 1e39}", "{\"temperature\": 1e400}", "{\"temperature\": 3.4028235677973366e38}", "{\"temperature\": 3.4028235e38}", "{\"temperature\": 0}", "{\"temperature\": 0.1}", "{\"temperature\": 1e-50}", "{\"temperature\": 123456789012345678901234567890}", "{\"temperature\": 16777217}", "{\"temperature\": -0.0}", "{\"temperature\": 1E0}",
 "{\"repetition_penalty\": 1.1}", "{\"penalty_repeat\": 1.2, \"repetition_penalty\": 1.1}", "{\"penalty_repeat\": null, \"repetition_penalty\": 1.1}", "{\"sequence\": \"a;b\"}", "{\"sequence\": \"\"}", "{\"sequence\": 0}", "{\"sequence\": 5}", "{\"sequence\": []}",
 "{\"mirostat_eta\": 0.1, \"mirostat_tau\": 5, \"mirostat\": 2, \"penalty_last_n\": 64, \"xtc_threshold\": 0.1, \"xtc_probability\": 0.5, \"min_p\": 0.05, \"top_p\": 0.95, \"top_k\": 40, \"sequence\": \"s\", \"temperature\": 0.8, \"repetition_penalty\": 1.0}", "\ufeff{\"top_k\": 1}", "{\"top_k\": 1,}", "{'top_k': 1}", "{\"a\": \"\\ud83d\\ude00\", \"top_k\": 3}"]
cases += [{"generation": g} for g in gens]
cases += [{"config": {"_name_or_path": n}} for n in ["", "a", "a/b", "a/b/c", "/", "./x", "../Model-7B-chat", "org/Name-3B-v2", "a b/c", None, "/root/Model-8B", "Name-16b-v0.1-x2", "a//b"]] + [{"config": {"_name_or_path": 5}}, {"config": {"_name_or_path": []}}]
cases += [{"dir": d} for d in ["x", "Name-7B", "Name-7b-v1.5-chat-hf", "mini", "a-mini-8B", "a-mini-large", "A-XL-XL-v2", "Qwen-A2.7B", "x-8x7b-128k", "X-16K-7B", "X-1.5_b", "X-7b1", "bloom-7b1", "X-7_1b", "X-1T", "X-500K", "X-16.4b", "X-14B-1M", "v2", "v2-3", "1.5-x", "iter2-x", "X-iter3", "X-V3-Lite", "q4_0-x", "X-Q4_K_M", "X-bf16-fp32", "X-LoRA-chat", "Ünï-7b-ß", "x--7b--", "-", "--", "3-7B", "x.y_z-7B", "ÀB-cD", "dž-lower-1b", "Name-٣B", "x-\u0661\u0662b", "foo.bar.baz-8b", "o'neil-7b", "x7b-y", "x-7K7", "X-xxl", "X-17B-16E", "a\tb-7b", "Phi-4-mini", "x-8B-8b", "X-2.5B-2_5b", "ſmall-x-ſmall"]]
for params in (0, 1_000_000, 15_700_000_000, 900_000):
    cases += [{"dir": d, "params": params} for d in ["X-16B-chat", "X-900K", "X-1M-7B", "X-8x7B", "X-1B-128K", "X-2B-16b"]]

def run(c):
    with tempfile.TemporaryDirectory() as td:
        d = Path(td) / c.get("dir", "deepseek-moe-16b-chat"); d.mkdir()
        if "card" in c: (d / "README.md").write_bytes(c["card"].encode())
        if "generation" in c: (d / "generation_config.json").write_bytes(c["generation"].encode())
        if "config" in c: (d / "config.json").write_text(json.dumps(c["config"]))
        params = c.get("params", 16_375_728_128)
        try:
            m = gguf.Metadata.load(None, d, None, params)
            if m.name is None: m.name = d.name
            if m.size_label is None and params > 0: m.size_label = gguf.size_label(params, params, 0, 0)
            w = gguf.GGUFWriter(path=None, arch="llama"); w.kv_data[0].clear(); w.add_type(gguf.GGUFType.MODEL); m.set_gguf_meta_model(w)
            kv = {k: w._pack_val(v.value, v.type, add_vtype=True, sub_type=v.sub_type).hex() for k, v in w.kv_data[0].items()}
            return {**c, "kv": list(kv.items())}
        except Exception as x:
            return {**c, "error": f"{type(x).__name__}: {x}".split("\n")[0][:120]}

if __name__ == "__main__":
    print(json.dumps([run(c) for c in cases], ensure_ascii=True, indent=0))
