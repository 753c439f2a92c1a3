"""Makes micro checkpoints of Qwen, OLMoE, Granite, GLM, ERNIE, dots and MiniMax models: other sizes than the shared fixtures'.

    python testdata/micro/make_moe.py FIXTURES [FAMILY...]     (needs torch and safetensors; golden.py then makes the goldens)

FIXTURES is the shared set, whose tokenizers are cut to the bytes and a few merges. Weights are drawn from a seed of
the family's name. Fields that published configs omit are omitted in some, so that defaults show.
"""
import glob, json, os, shutil, sys, torch, zlib
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MERGES = 24
gen = torch.Generator()


def draw(*shape, dtype=torch.bfloat16, scale=0.1, mean=0.0):
    return (torch.randn(*shape, generator=gen) * scale + mean).to(dtype)


def norm(n):
    return draw(n, mean=1.0)


def tokenizer(source, repo):
    """Writes the fixture's tokenizer cut to bytes, MERGES merges and added tokens; returns the number of ids."""
    t, c = json.load(open(source + "/tokenizer.json")), json.load(open(source + "/tokenizer_config.json"))
    vocab, merges, added = t["model"]["vocab"], [], t["added_tokens"]
    keep = {k for k in vocab if len(k) == 1} | {a["content"] for a in added if a["content"] in vocab}
    for m in t["model"]["merges"]:
        x, y = m.split(" ") if isinstance(m, str) else m
        if x in keep and y in keep and x + y in vocab and len(merges) < MERGES:
            merges.append(m)
            keep.add(x + y)
    t["model"]["vocab"] = {k: i for i, k in enumerate(sorted(keep, key=vocab.get))}
    t["model"]["merges"] = merges
    ids, n = dict(t["model"]["vocab"]), len(keep)
    for a in sorted(added, key=lambda a: a["id"]):
        if a["content"] not in ids:
            ids[a["content"]], n = n, n + 1
        a["id"] = ids[a["content"]]
    c["added_tokens_decoder"] = {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in added}
    c.pop("chat_template", None)
    json.dump(t, open(repo + "/tokenizer.json", "w"), ensure_ascii=False, separators=(",", ":"))
    json.dump(c, open(repo + "/tokenizer_config.json", "w"), ensure_ascii=False, indent=1)
    return n


def attention(p, h, heads, kv, d, bias="", qk=0):
    t = {p + "q_proj.weight": draw(heads * d, h), p + "k_proj.weight": draw(kv * d, h), p + "v_proj.weight": draw(kv * d, h), p + "o_proj.weight": draw(h, heads * d)}
    t |= {f"{p}{x}_proj.bias": draw(heads * d if x == "q" else kv * d) for x in bias}
    if qk:
        t |= {p + "q_norm.weight": norm(qk if qk > 0 else heads * d), p + "k_norm.weight": norm(qk if qk > 0 else kv * d)}
    return t


def mlp(p, h, ff):
    return {p + "gate_proj.weight": draw(ff, h), p + "up_proj.weight": draw(ff, h), p + "down_proj.weight": draw(h, ff)}


def experts(p, h, ff, n, names=("gate_proj", "up_proj", "down_proj")):
    t = {p + "gate.weight": draw(n, h)}
    for x in range(n):
        gate, up, down = (f"{p}experts.{x}.{k}.weight" for k in names)
        t |= {gate: draw(ff, h), up: draw(ff, h), down: draw(h, ff)}
    return t


def frame(c, tied=False):
    t = {"model.embed_tokens.weight": draw(c["vocab_size"], c["hidden_size"]), "model.norm.weight": norm(c["hidden_size"])}
    return t if tied else t | {"lm_head.weight": draw(c["vocab_size"], c["hidden_size"])}


def norms(p, h):
    return {p + "input_layernorm.weight": norm(h), p + "post_attention_layernorm.weight": norm(h)}


def config(cls, kind, h, ff, heads, kv, layers, **more):
    return {"architectures": [cls], "model_type": kind, "hidden_act": "silu", "hidden_size": h, "intermediate_size": ff, "num_attention_heads": heads,
            "num_key_value_heads": kv, "num_hidden_layers": layers, "max_position_embeddings": 4096, "torch_dtype": "bfloat16"} | more


def qwen2moe(ids):
    c = config("Qwen2MoeForCausalLM", "qwen2_moe", 40, 96, 4, 2, 2, decoder_sparse_step=1, max_window_layers=21, moe_intermediate_size=32, norm_topk_prob=False, num_experts=5,
               num_experts_per_tok=3, rms_norm_eps=1e-6, rope_theta=1e6, shared_expert_intermediate_size=72, sliding_window=32768, tie_word_embeddings=False, use_sliding_window=False)
    c["vocab_size"] = ids
    t = frame(c)
    for b in range(2):
        p = f"model.layers.{b}."
        t |= norms(p, 40) | attention(p + "self_attn.", 40, 4, 2, 10, bias="qkv") | experts(p + "mlp.", 40, 32, 5) | mlp(p + "mlp.shared_expert.", 40, 72)
        t[p + "mlp.shared_expert_gate.weight"] = draw(1, 40)
    return c, t, 2


def qwen3moe(ids, fused=False):
    c = config("Qwen3MoeForCausalLM", "qwen3_moe", 48, 64, 6, 3, 2, attention_bias=False, decoder_sparse_step=1, head_dim=16, mlp_only_layers=[], moe_intermediate_size=32,
               norm_topk_prob=True, num_experts=4, num_experts_per_tok=2, rms_norm_eps=1e-6, rope_theta=1000000, rope_scaling=None, tie_word_embeddings=False)
    c["vocab_size"] = ids + 3
    if fused:  # as transformers 5 has it, embeddings tied, positions stretched
        del c["rope_theta"], c["rope_scaling"], c["num_experts"]
        c |= {"num_local_experts": 4, "tie_word_embeddings": True, "dtype": c.pop("torch_dtype"),
              "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 1024}}
    t = frame(c, fused)
    for b in range(2):
        p = f"model.layers.{b}."
        t |= norms(p, 48) | attention(p + "self_attn.", 48, 6, 3, 16, qk=16)
        if fused:
            t |= {p + "mlp.gate.weight": draw(4, 48), p + "mlp.experts.gate_up_proj": draw(4, 64, 48), p + "mlp.experts.down_proj": draw(4, 48, 32)}
        else:
            t |= experts(p + "mlp.", 48, 32, 4)
    return c, t, 1 if fused else 2


def qwen2(ids):
    c = config("Qwen2ForCausalLM", "qwen2", 48, 80, 4, 1, 3, max_window_layers=3, sliding_window=4096, use_sliding_window=False, tie_word_embeddings=True)  # no rope_theta, no rms_norm_eps
    c["vocab_size"] = ids
    t = frame(c, True)
    for b in range(3):
        p = f"model.layers.{b}."
        t |= norms(p, 48) | attention(p + "self_attn.", 48, 4, 1, 12, bias="qkv") | mlp(p + "mlp.", 48, 80)
    return c, t, 1


def qwen3(ids):
    c = config("Qwen3ForCausalLM", "qwen3", 36, 64, 2, 1, 2, attention_bias=False, rms_norm_eps=1e-6, rope_theta=1000000, tie_word_embeddings=False,
               rope_scaling={"rope_type": "linear", "factor": 2.0})  # no head_dim: 128
    c["vocab_size"] = ids
    t = frame(c)
    for b in range(2):
        p = f"model.layers.{b}."
        t |= norms(p, 36) | attention(p + "self_attn.", 36, 2, 1, 128, qk=128) | mlp(p + "mlp.", 36, 64)
    return c, t, 2


def olmoe(ids):
    c = config("OlmoeForCausalLM", "olmoe", 48, 32, 3, 3, 3, attention_bias=False, clip_qkv=None, eos_token_id=0, norm_topk_prob=False, num_experts=4, num_experts_per_tok=2,
               pad_token_id=1, rope_scaling=None, tie_word_embeddings=False)  # no rope_theta
    c["vocab_size"] = ids
    t = frame(c)
    for b in range(3):
        p = f"model.layers.{b}."
        t |= norms(p, 48) | attention(p + "self_attn.", 48, 3, 3, 16, qk=-1) | experts(p + "mlp.", 48, 32, 4)
    return c, t, 2


def granitemoe(ids, shared=0):
    c = config("GraniteMoeForCausalLM", "granitemoe", 40, 36, 4, 2, 2, attention_bias=False, attention_multiplier=0.0225, bos_token_id=0, embedding_multiplier=12.0, eos_token_id=0,
               logits_scaling=6.0, num_experts_per_tok=2, num_local_experts=5, residual_multiplier=0.22, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=True)
    if shared:  # multipliers of 1, not said
        c |= {"architectures": ["GraniteMoeSharedForCausalLM"], "model_type": "granitemoeshared", "shared_intermediate_size": shared, "tie_word_embeddings": False}
        del c["attention_multiplier"], c["logits_scaling"], c["rms_norm_eps"]
    c["vocab_size"] = ids
    t = frame(c, not shared)
    for b in range(2):
        p = f"model.layers.{b}."
        t |= norms(p, 40) | attention(p + "self_attn.", 40, 4, 2, 10)
        t |= {p + "block_sparse_moe.router.layer.weight": draw(5, 40), p + "block_sparse_moe.input_linear.weight": draw(5, 72, 40), p + "block_sparse_moe.output_linear.weight": draw(5, 40, 36)}
        if shared:
            t |= {p + "shared_mlp.input_linear.weight": draw(2 * shared, 40), p + "shared_mlp.output_linear.weight": draw(40, shared)}
    return c, t, 1 if shared else 2


def glm4moe(ids):
    c = config("Glm4MoeForCausalLM", "glm4_moe", 40, 64, 4, 2, 2, attention_bias=True, first_k_dense_replace=1, head_dim=12, moe_intermediate_size=32, n_routed_experts=4, n_shared_experts=2,
               norm_topk_prob=True, num_experts_per_tok=2, routed_scaling_factor=2.5, rms_norm_eps=1e-5, rope_theta=1000000, use_qk_norm=True, tie_word_embeddings=False,
               eos_token_id=[280])  # no num_nextn_predict_layers: 1; no partial_rotary_factor: 0.5; no n_group
    c["vocab_size"] = ids
    t = frame(c)
    for b in range(3):
        p = f"model.layers.{b}."
        t |= norms(p, 40) | attention(p + "self_attn.", 40, 4, 2, 12, bias="qkv", qk=12)
        if b == 0:
            t |= mlp(p + "mlp.", 40, 64)
        else:
            t |= experts(p + "mlp.", 40, 32, 4) | mlp(p + "mlp.shared_experts.", 40, 64) | {p + "mlp.gate.e_score_correction_bias": draw(4, dtype=torch.float32)}
        if b == 2:
            t |= {p + "eh_proj.weight": draw(40, 80), p + "enorm.weight": norm(40), p + "hnorm.weight": norm(40), p + "shared_head.norm.weight": norm(40)}
    return c, t, 3


def ernie(ids):
    c = config("Ernie4_5_MoeForCausalLM", "ernie4_5_moe", 48, 96, 6, 3, 2, bos_token_id=1, eos_token_id=2, moe_capacity=[64, 64, 64], moe_gate="topk", moe_intermediate_size=16, moe_k=3,
               moe_layer_end_index=1, moe_layer_interval=1, moe_layer_start_index=1, moe_num_experts=6, moe_num_shared_experts=2, moe_use_aux_free=True, num_nextn_predict_layers=1,
               pad_token_id=0, rms_norm_eps=1e-5, rope_theta=500000, tie_word_embeddings=False, use_bias=False)
    c["vocab_size"] = ids
    t = frame(c) | {"model.mtp_emb_norm.0.weight": norm(48), "model.mtp_hidden_norm.0.weight": norm(48), "model.mtp_linear_proj.0.weight": draw(48, 96)}
    for b in range(2):
        p = f"model.layers.{b}."
        t |= norms(p, 48) | attention(p + "self_attn.", 48, 6, 3, 8)
        if b == 0:
            t |= mlp(p + "mlp.", 48, 96)
        else:
            t |= experts(p + "mlp.", 48, 16, 6) | mlp(p + "mlp.shared_experts.", 48, 32) | {p + "mlp.moe_statics.e_score_correction_bias": draw(1, 6, dtype=torch.float32)}
            t[p + "mlp.gate.weight"] = t[p + "mlp.gate.weight"].float()
    t |= norms("model.mtp_block.0.", 48) | attention("model.mtp_block.0.self_attn.", 48, 6, 3, 8) | mlp("model.mtp_block.0.mlp.", 48, 8)
    return c, t, 2


def dots1(ids):
    c = config("Dots1ForCausalLM", "dots1", 48, 64, 4, 4, 3, attention_bias=False, first_k_dense_replace=1, head_dim=8, max_window_layers=3, moe_intermediate_size=20, moe_layer_freq=1, n_group=1,
               n_routed_experts=3, n_shared_experts=2, norm_topk_prob=True, num_experts_per_tok=2, rms_norm_eps=1e-5, rope_theta=10000000, routed_scaling_factor=2.5, scoring_func="sigmoid",
               sliding_window=None, tie_word_embeddings=False, topk_group=1, topk_method="noaux_tc", use_sliding_window=False)
    c["vocab_size"] = ids
    t = frame(c)
    for b in range(3):
        p = f"model.layers.{b}."
        t |= norms(p, 48) | attention(p + "self_attn.", 48, 4, 4, 8, qk=8)
        if b == 0:
            t |= mlp(p + "mlp.", 48, 64)
        else:
            t |= experts(p + "mlp.", 48, 20, 3) | mlp(p + "mlp.shared_experts.", 48, 40)
            if b == 1:
                t[p + "mlp.gate.e_score_correction_bias"] = draw(3, dtype=torch.float32)
    return c, t, 1


def minimax(ids):
    c = config("MiniMaxM2ForCausalLM", "minimax_m2", 40, 32, 3, 1, 2, attn_type_list=[1, 1], head_dim=16, num_experts_per_tok=3, num_local_experts=5, qk_norm_type="per_layer", rms_norm_eps=1e-6,
               rope_theta=5000000, rotary_dim=8, scoring_func="sigmoid", shared_intermediate_size=0, tie_word_embeddings=False, use_mtp=True, num_mtp_modules=3, use_qk_norm=True,
               use_routing_bias=True)
    c["vocab_size"] = ids
    t = frame(c)
    for b in range(2):
        p = f"model.layers.{b}."
        t |= norms(p, 40) | attention(p + "self_attn.", 40, 3, 1, 16, qk=-1) | experts(p + "block_sparse_moe.", 40, 32, 5, ("w1", "w3", "w2"))
        t |= {p + "block_sparse_moe.e_score_correction_bias": draw(5, dtype=torch.float32)}
        t[p + "block_sparse_moe.gate.weight"] = t[p + "block_sparse_moe.gate.weight"].float()
    return c, t, 2


# family: repository, tokenizer's fixture, pre-tokenizer, model
FAMILIES = {
    "qwen2": ("Qwen2.5-0.5B-Instruct", "qwen2-moe", "qwen2", qwen2),
    "qwen2moe": ("Qwen2-57B-A14B-Instruct", "qwen2-moe", "qwen2", qwen2moe),
    "qwen3": ("Qwen3-0.6B", "qwen3-moe", "qwen2", qwen3),
    "qwen3moe": ("Qwen3-235B-A22B", "qwen3-moe", "qwen2", qwen3moe),
    "qwen3moe-fused": ("Qwen3-Coder-30B-A3B-Instruct", "qwen3-moe", "qwen2", lambda ids: qwen3moe(ids, True)),
    "olmoe": ("OLMoE-1B-7B-0125", "olmoe", "olmo", olmoe),
    "granitemoe": ("granite-3.1-3b-a800m-base", "granite-moe", "refact", granitemoe),
    "granitemoe-shared": ("moe-7b-1b-active-shared-experts", "granite-moe", "refact", lambda ids: granitemoe(ids, 24)),
    "glm4moe": ("GLM-4.5", "glm4-moe", "glm4", glm4moe),
    "ernie4_5-moe": ("ERNIE-4.5-300B-A47B-PT", "ernie4.5-moe", "default", ernie),
    "dots1": ("dots.llm1.base", "dots1", "qwen2", dots1),
    "minimax-m2": ("MiniMax-M2.1", "minimax-m2", "minimax-m2", minimax),
}


def save(repo, tensors, shards):
    """Shards cut where experts end up in both, or one file."""
    if shards == 1:
        return save_file(tensors, repo + "/model.safetensors", {"format": "pt"})
    names, files = list(tensors), {}
    for i in range(shards):
        part = names[i * len(names) // shards:(i + 1) * len(names) // shards]
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file({k: tensors[k] for k in part}, f"{repo}/{file}", {"format": "pt"})
        files |= dict.fromkeys(part, file)
    json.dump({"metadata": {}, "weight_map": dict(sorted(files.items()))}, open(repo + "/model.safetensors.index.json", "w"), indent=1)


def main():
    for family in sys.argv[2:] or FAMILIES:
        name, fixture, pre, model = FAMILIES[family]
        gen.manual_seed(zlib.crc32(family.encode()))
        repo = os.path.join(HERE, family, name)
        shutil.rmtree(repo, ignore_errors=True)
        os.makedirs(repo)
        json.dump({"pre": pre}, open(os.path.join(HERE, family, "fixture.json"), "w"))
        if pre == "default":  # SentencePiece: a small one is there
            good, n = os.path.join(HERE, "..", "bad", "_good"), 300
            for f in ("tokenizer.model", "tokenizer_config.json"):
                shutil.copy(os.path.join(good, f), repo)
        else:
            n = tokenizer(os.path.dirname(glob.glob(f"{sys.argv[1]}/families/{fixture}/*/tokenizer.json")[0]), repo)
        c, t, shards = model(n)
        json.dump(c, open(repo + "/config.json", "w"), indent=1)
        save(repo, t, shards)


if __name__ == "__main__":
    main()
