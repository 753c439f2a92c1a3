"""Makes types.json: what llama-quantize --dry-run decides for made-up models, tensor by tensor.

  python3 gen_types.py path/to/oracle.py > types.json

Covers what the reference's own snapshots do not: an importance matrix, eight experts, Falcon, bailingmoe3,
dense models of running layer numbers, tied outputs, the 70B rule, names that are kept, overrides.
Oracle: llama.cpp 0.5.0 (0c1e57098) through oracle.py. Needs numpy and gguf."""
import ctypes as C, importlib.util, json, os, re, sys, tempfile
import numpy as np
from gguf import GGUFWriter

spec = importlib.util.spec_from_file_location("oracle", sys.argv[1])
oracle = importlib.util.module_from_spec(spec); spec.loader.exec_module(oracle)

class Override(C.Structure): _fields_ = [("pattern", C.c_char_p), ("type", C.c_int)]

T = oracle.TYPES
KEPT = ["position_embd.weight", "token_types.weight", "ab.cd", "abc.de", "per_layer_token_embd.weight", "per_layer_model_proj.weight",
        "v.patch_embd.weight", "sam.neck.0.weight", "mm.a.code_embd.weight", "a.rvq.codebook.weight", "output_norm.weight", "cls.weight"]
KEPT_BLOCK = ["altup_proj.weight", "laurel_l.weight", "ssm_conv1d.weight", "ssm_in.weight", "shortconv.conv.weight", "indexer.k_proj.weight",
              "indexer.proj.weight", "time_mix_w1.weight", "time_mix_key.weight", "attn_rel_b.weight", "attn_q_norm.weight", "attn_q.bias"]
MLA = ["hc_attn.weight", "indexer.attn_q_b.weight", "indexer.attn_k.weight", "indexer_compressor_gate.weight", "ssm_f_a.weight", "ssm_beta.weight",
       "attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight", "attn_q_a.weight", "attn_q_b.weight", "nextn.eh_proj.weight"]

def model(arch, blocks, heads, kv, experts=0, ne=256, ff=256, tied=False, qkv=False, dense=0, shared=False, extra=(), block_extra=(), **keys):
    keys = {"block_count": blocks, "attention.head_count": heads, "attention.head_count_kv": kv, **keys}
    if experts: keys |= {"expert_count": experts, "expert_used_count": 2, "leading_dense_block_count": dense}
    ts = [("token_embd.weight", [ne, 2])] + ([] if tied else [("output.weight", [ne, 2])]) + [(n, [ne, 2]) for n in extra]
    for i in range(blocks):
        names = [("attn_norm", [ne]), ("attn_output", [ne, 2])]
        names += [("attn_qkv", [ne, 2])] if qkv else [("attn_q", [ne, 2]), ("attn_k", [ne, 2]), ("attn_v", [ne, 2])]
        if experts and i >= dense:
            names += [("ffn_gate_inp", [ne, experts])] + [(f"ffn_{p}_exps", [w, 2, experts]) for p, w in (("gate", ne), ("up", ne), ("down", ff))]
            if shared: names += [(f"ffn_{p}_shexp", [w, 2]) for p, w in (("gate", ne), ("up", ne), ("down", 2 * ff))]
        else: names += [(f"ffn_{p}", [w, 2]) for p, w in (("gate", ne), ("up", ne), ("down", ff))]
        ts += [(f"blk.{i}.{n}.weight", s) for n, s in names] + [(f"blk.{i}.{n}", [ne, 2, 3] if n.endswith(("k_b.weight", "v_b.weight")) else [ne, 2]) for n in block_extra]
    return dict(arch=arch, keys=keys, tensors=ts)

MLAKEYS = {"attention.key_length_mla": 64, "attention.value_length_mla": 64, "attention.q_lora_rank": 64, "attention.kv_lora_rank": 64, "ssm.conv_kernel": 4,
           "kda.head_dim": 64, "kda.gate_lower_bound": -1.0, "expert_shared_count": 1, "expert_feed_forward_length": 256, "expert_gating_func": 2}
DS = {"expert_shared_count": 2, "expert_feed_forward_length": 192}
MODELS = {
    "dense": model("llama", 33, 8, 8, tied=True, extra=KEPT),
    "experts8": model("llama", 17, 8, 2, experts=8, block_extra=KEPT_BLOCK[:2]),
    "experts8-gqa1": model("llama", 80, 8, 8, experts=8, ff=288),
    "experts4": model("llama", 24, 8, 4, experts=4, ne=288, ff=100, tied=True),
    "experts3": model("llama", 16, 8, 4, experts=3, ff=128),
    "shared": model("deepseek", 28, 4, 4, experts=6, ff=192, dense=1, shared=True, **DS),
    "falcon": model("falcon", 34, 4, 1, qkv=True),
    "llama70": model("llama", 80, 16, 8),
    "llama65": model("llama", 80, 8, 8),
    "qwen70": model("qwen2", 80, 8, 8),
    "olmo70": model("olmo", 80, 8, 8), "deci70": model("deci", 80, 8, 8), "jais70": model("jais2", 68, 8, 8),
    "no-kv": model("llama", 8, 8, 0, experts=5, block_extra=KEPT_BLOCK),
    "bailingmoe3": model("bailingmoe3", 9, 4, 4, experts=6, ff=256, dense=1, shared=True, block_extra=MLA, **MLAKEYS),
}
OPTIONS = {
    "pure": (["Q4_K_M", "IQ4_XS", "F16"], dict(pure=True)),
    "leave": (["Q4_K_M"], dict(leave=True)),
    "output": (["Q4_K_M", "MXFP4_MOE", "F16"], dict(output="Q5_K")),
    "embedding": (["Q4_K_M", "F16"], dict(embedding="Q3_K")),
    "tensors": (["Q4_K_M", "Q3_K_M", "BF16"], dict(tensors=[[r"blk\.[02]\.attn_v", "Q8_0"], ["ffn_down", "Q6_K"], ["attn_v|_embd", "F16"]])),
    "all": (["Q4_K_S"], dict(pure=True, output="Q8_0", embedding="Q6_K", tensors=[["per_layer", "Q5_K"], ["attn_k", "Q5_0"]])),
}

def write(path, m):
    w = GGUFWriter(path, m["arch"])
    for k, v in {"context_length": 64, "embedding_length": 256, "feed_forward_length": 256, "attention.layer_norm_rms_epsilon": 1e-5,
                 "attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 256 // m["keys"]["attention.head_count"], "vocab_size": 2, **m["keys"]}.items():
        (w.add_float32 if isinstance(v, float) else w.add_uint32)(m["arch"] + "." + k, v)
    for name, ne in m["tensors"]: w.add_tensor(name, np.zeros(ne[::-1], np.float32 if len(ne) == 1 else np.float16))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()

def log_of(f):
    with tempfile.TemporaryFile() as log:
        keep = os.dup(2); os.dup2(log.fileno(), 2)
        try: rc = f()
        finally: C.CDLL(None).fflush(None); os.dup2(keep, 2); os.close(keep)
        log.seek(0); return rc, log.read().decode(errors="replace")

def decide(llama, path, m, scheme, imatrix=False, pure=False, leave=False, output=None, embedding=None, tensors=()):
    q = llama.llama_model_quantize_default_params()
    q.nthread, q.ftype, q.dry_run, q.pure, q.quantize_output_tensor = 1, oracle.FTYPES[scheme], True, pure, not leave
    if output: q.output_tensor_type = T[output]
    if embedding: q.token_embedding_type = T[embedding]
    if tensors: q.tt_overrides = C.cast((Override * (len(tensors) + 1))(*[Override(p.encode(), T[t]) for p, t in tensors], Override(None, 43)), C.c_void_p)
    if imatrix:
        v = np.ones(1, np.float32); q.imatrix = C.cast((oracle.IM * 2)(oracle.IM(b"none", v.ctypes.data, 1), oracle.IM(None, None, 0)), C.c_void_p)
    rc, log = log_of(lambda: llama.llama_model_quantize(path.encode(), b"", C.byref(q)))
    if rc:
        x = re.search(r"warning: (\S+) +- ncols[^\n]*no tensor type fallback", log)
        if not x: raise SystemExit(f"{m['arch']} {scheme}: {log[-2000:]}")
        return x[1], 0
    got, name = {}, None
    for line in log.splitlines():
        if (x := re.match(r"\[ *\d+/ *\d+\] (\S+) +- \[.*\], type = +(\S+), (.*)", line)):
            name, typ = x[1], x[2]
            if (y := re.search(r"-> .*\((\w+)\)", x[3])): typ = y[1]
            got[name] = typ.upper()
    assert len(got) == len(m["tensors"]), (len(got), log[-3000:])
    n = re.search(r"WARNING: (\d+) of \d+ tensor", log)
    return got, int(n[1]) if n else 0

def ranges(b):
    runs = []
    for i in b:
        if runs and runs[-1][1] == i - 1: runs[-1][1] = i
        else: runs.append([i, i])
    return ",".join(str(a) if a == z else f"{a}-{z}" for a, z in runs)

def by_role(values):
    """{tensor: v} -> {role: {v: "0-3,7"}}: blocks joined; tensors outside of blocks by name, without numbers."""
    out = {}
    for name, v in values:
        x = re.match(r"blk\.(\d+)\.(.*)", name)
        if x: out.setdefault(x[2], {}).setdefault(v, []).append(int(x[1]))
        else: out[name] = {v: []}
    return {r: {t: ranges(b) for t, b in v.items()} for r, v in out.items()}

def main():
    _, _, llama = oracle.load(); llama.llama_log_set(None, None)
    llama.llama_model_quantize_default_params.restype = oracle.QP
    llama.llama_model_quantize.argtypes = [C.c_char_p, C.c_char_p, C.POINTER(oracle.QP)]; llama.llama_model_quantize.restype = C.c_uint32
    doc = dict(oracle="llama.cpp 0.5.0 (0c1e57098), llama_model_quantize with dry_run; made by gen_types.py", models={}, pool=[], cases=[])
    seen = {}
    with tempfile.TemporaryDirectory() as d:
        for name, m in MODELS.items():
            path = os.path.join(d, name + ".gguf"); write(path, m)
            roles = by_role((n, " ".join(map(str, s))) for n, s in m["tensors"])
            doc["models"][name] = dict(arch=m["arch"], keys={k: v for k, v in m["keys"].items() if isinstance(v, int)}, tensors=roles)
            runs = [(s, {}) for s in oracle.FTYPES] + ([] if "70" in name else [(s, dict(imatrix=True)) for s in oracle.FTYPES])
            if name in ("dense", "experts8", "shared"): runs += [(s, o) for ss, o in OPTIONS.values() for s in ss]
            for scheme, o in runs:
                got, n = decide(llama, path, m, scheme, **o)
                if isinstance(got, str):
                    doc["cases"].append(dict(model=name, scheme=scheme, options=o, refused=got)); continue
                types, row = by_role(got.items()), []
                for r in roles:
                    k = json.dumps(types[r])
                    if k not in seen: seen[k] = len(doc["pool"]); doc["pool"].append(types[r])
                    row.append(seen[k])
                doc["cases"].append(dict(model=name, scheme=scheme, options=o, fallbacks=n, types=row))
    print(json.dumps(doc, separators=(",", ":")).replace('{"model"', '\n{"model"'))

main()
