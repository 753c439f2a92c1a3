# Goldens of --metadata: what the reference converter makes of metadata files, read with its own gguf-py.
# usage: override.py LLAMA_CPP_TREE CHECKPOINT OUT.json  (CHECKPOINT: families/deepseek-moe/deepseek-moe-16b-chat)
import json, subprocess, sys, tempfile, os
tree, ckpt, out = sys.argv[1:4]
sys.path.insert(0, os.path.join(tree, "gguf-py"))
from gguf import GGUFReader
CASES = ['{}', '{"general.name": null}', '{"general.name": ""}', '{"general.name": 5}', '{"general.author": ""}', '{"general.version": 3}',
 '{"general.version": true}', '{"general.license": "mit"}', '{"general.license.name": null, "general.license.link": "l"}',
 '{"general.size_label": "1x1B"}', '{"general.size_label": null}', '{"general.basename": null, "general.finetune": null}',
 '{"general.url": "u", "general.doi": "d", "general.uuid": "i", "general.repo_url": "r", "general.source.url": "su", "general.source.repo_url": "sr"}',
 '{"general.url": ["a"]}', '{"general.tags": []}', '{"general.tags": ["a", "b"]}', '{"general.tags": ["a", 1]}', '{"general.tags": [1, 2]}',
 '{"general.tags": null, "general.languages": ["en", "\\u00e9"]}', '{"general.sampling.temp": null}', '{"general.sampling.temp": 1}',
 '{"general.sampling.temp": "x"}', '{"general.sampling.top_k": 1.5}', '{"general.sampling.top_k": 40, "general.sampling.sequence": "kpt"}',
 '{"general.sampling.sequence": ""}', '{"general.sampling.mirostat_eta": 0.1, "general.sampling.penalty_last_n": -1}',
 '{"general.base_models": []}', '{"general.base_models": null}', '{"general.base_models": [1]}', '{"general.base_models": [{"name": ""}, {"name": null}]}',
 '{"general.base_models": [{"organization": "o", "name": "n", "other": 1, "repo_url": "u", "doi": "d"}]}', '{"general.base_models": [{"name": 3}]}',
 '{"general.datasets": [{"name": "D"}, {}]}', '{"unknown": [1], "general.file_type": 3}', '[1]', 'nonsense', '']
runner = '''import sys; sys.path.insert(0, sys.argv[1]); import conversion.base as b
b.TextModel.get_vocab_base_pre = lambda self, tokenizer: "deepseek-llm"
import convert_hf_to_gguf as c; sys.argv = ["convert"] + sys.argv[2:]; c.main()'''
rows = []
for text in CASES:
    with tempfile.TemporaryDirectory() as d:
        open(d + "/m.json", "w").write(text)
        r = subprocess.run([sys.executable, "-c", runner, tree, ckpt, "--outfile", d + "/o.gguf", "--outtype", "f16", "--vocab-only", "--metadata", d + "/m.json"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        row = {"metadata": text}
        if r.returncode:
            row["error"] = r.stderr.strip().splitlines()[-1]
        else:
            row["kv"] = []
            for f in GGUFReader(d + "/o.gguf").fields.values():
                if f.name.startswith("general."):
                    v = f.contents()
                    row["kv"].append([f.name, f.types[0].name, [float(x) if isinstance(x, float) else x for x in v] if isinstance(v, list) else v])
        rows.append(row)
head = "llama.cpp 0c1e57098, convert_hf_to_gguf.py --outtype f16 --vocab-only --metadata, by testdata/override.py"
with open(out, "w") as f:
    f.write('{"oracle": %s, "cases": [\n%s\n]}\n' % (json.dumps(head), ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)))
