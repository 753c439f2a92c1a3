"""Makes the checkpoints micro/qwen3next, micro/qwen3next-interval and micro/qwen35moe.

    python testdata/micro/make_qwen_delta.py FIXTURES     (needs torch and safetensors; golden.py then makes the goldens)
"""
import json, os, sys, torch

sys.dont_write_bytecode = True
import make_moe as m


def linear(p, h, keys, values, d, kernel, together, logs=torch.bfloat16):
    q, v = keys * d, values * d
    t = {p + "A_log": m.draw(values, dtype=logs, scale=1.5), p + "dt_bias": m.draw(values), p + "conv1d.weight": m.draw(2 * q + v, 1, kernel), p + "norm.weight": m.norm(d), p + "out_proj.weight": m.draw(h, v)}
    if together:
        return t | {p + "in_proj_qkvz.weight": m.draw(2 * q + 2 * v, h), p + "in_proj_ba.weight": m.draw(2 * values, h)}
    return t | {p + "in_proj_qkv.weight": m.draw(2 * q + v, h), p + "in_proj_z.weight": m.draw(v, h), p + "in_proj_b.weight": m.draw(values, h), p + "in_proj_a.weight": m.draw(values, h)}


def attention(p, h, heads, kv, d):
    t = m.attention(p, h, heads, kv, d, qk=d)
    return t | {p + "q_proj.weight": m.draw(2 * heads * d, h)}


def sparse(p, h, ff, shared, n, fused=False):
    t = {p + "gate.weight": m.draw(n, h), p + "experts.gate_up_proj": m.draw(n, 2 * ff, h), p + "experts.down_proj": m.draw(n, h, ff)} if fused else m.experts(p, h, ff, n)
    return t | m.mlp(p + "shared_expert.", h, shared) | {p + "shared_expert_gate.weight": m.draw(1, h)}


def mtp(h):
    return {"mtp.fc.weight": m.draw(h, 2 * h), "mtp.norm.weight": m.norm(h), "mtp.pre_fc_norm_embedding.weight": m.norm(h), "mtp.pre_fc_norm_hidden.weight": m.norm(h)}


def sizes(keys, values, d, kernel):
    return {"linear_num_key_heads": keys, "linear_num_value_heads": values, "linear_key_head_dim": d, "linear_value_head_dim": d, "linear_conv_kernel_dim": kernel}


def qwen3next(ids):
    c = m.config("Qwen3NextForCausalLM", "qwen3_next", 36, 96, 3, 1, 3, head_dim=16, moe_intermediate_size=12, shared_expert_intermediate_size=20, num_experts=3, num_experts_per_tok=2, norm_topk_prob=True,
                 attention_bias=False, decoder_sparse_step=1, mlp_only_layers=[], full_attention_interval=4, layer_types=["linear_attention", "full_attention", "linear_attention"], partial_rotary_factor=0.25,
                 rms_norm_eps=1e-6, rope_theta=1e7, rope_scaling=None, tie_word_embeddings=False, use_sliding_window=False, router_aux_loss_coef=0.001, vocab_size=ids, **sizes(2, 6, 8, 4))
    t = m.frame(c)
    for b in range(3):
        p = f"model.layers.{b}."
        t |= m.norms(p, 36) | sparse(p + "mlp.", 36, 12, 20, 3) | (attention(p + "self_attn.", 36, 3, 1, 16) if b == 1 else linear(p + "linear_attn.", 36, 2, 6, 8, 4, True))
    return c, t | mtp(36) | m.norms("mtp.layers.0.", 36) | sparse("mtp.layers.0.mlp.", 36, 12, 20, 3) | attention("mtp.layers.0.self_attn.", 36, 3, 1, 16), 2


def qwen3next_interval(ids):
    """Kinds of layers by their interval alone, what transformers has defaults for left out, A_log in F32, a yarn."""
    c, t, _ = qwen3next(ids)
    for k in ("layer_types", "partial_rotary_factor", "rope_theta", "rms_norm_eps", "intermediate_size", "norm_topk_prob", "rope_scaling"):
        del c[k]
    c |= {"full_attention_interval": 2, "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 2048}}
    c["tie_word_embeddings"] = True
    del t["lm_head.weight"]
    return c, {k: x.float() if k.endswith("A_log") else x for k, x in t.items()}, 1


def qwen35moe(ids):
    text = m.config("", "qwen3_5_moe_text", 36, 0, 2, 1, 2, head_dim=24, moe_intermediate_size=12, shared_expert_intermediate_size=20, num_experts=4, num_experts_per_tok=3, attention_bias=False,
                    attn_output_gate=True, full_attention_interval=4, layer_types=["linear_attention", "full_attention"], mamba_ssm_dtype="float32", mlp_only_layers=[], mtp_num_hidden_layers=1,
                    mtp_use_dedicated_embeddings=False, rms_norm_eps=1e-6, tie_word_embeddings=False, vocab_size=ids,
                    rope_parameters={"mrope_interleaved": True, "mrope_section": [1, 1, 1], "rope_type": "default", "rope_theta": 10000000, "partial_rotary_factor": 0.25}, **sizes(3, 6, 6, 3))
    for k in ("architectures", "intermediate_size", "torch_dtype"):
        del text[k]
    c = {"architectures": ["Qwen3_5MoeForConditionalGeneration"], "model_type": "qwen3_5_moe", "tie_word_embeddings": False, "image_token_id": 1, "video_token_id": 2, "vision_start_token_id": 3,
         "text_config": text, "vision_config": {"model_type": "qwen3_5_moe", "depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": 36}}
    t = m.frame({"vocab_size": ids, "hidden_size": 36})
    for b in range(2):
        p = f"model.layers.{b}."
        t |= m.norms(p, 36) | sparse(p + "mlp.", 36, 12, 20, 4, True) | (attention(p + "self_attn.", 36, 2, 1, 24) if b else linear(p + "linear_attn.", 36, 3, 6, 6, 3, False, torch.float32))
    t = {k.replace("model.", "model.language_model."): x for k, x in t.items()} | {"model.visual.pos_embed.weight": m.draw(4, 8)}
    return c, t | mtp(36) | m.norms("mtp.layers.0.", 36) | sparse("mtp.layers.0.mlp.", 36, 12, 20, 4) | attention("mtp.layers.0.self_attn.", 36, 2, 1, 24), 2


def main():
    m.FAMILIES.clear()
    m.FAMILIES |= {
        "qwen3next": ("Qwen3-Next-80B-A3B-Thinking", "qwen3-moe", "qwen2", qwen3next),
        "qwen3next-interval": ("Qwen3-Next-80B-A3B-Base", "qwen3-moe", "qwen2", qwen3next_interval),
        "qwen35moe": ("Qwen3.5-122B-A10B", "qwen3-moe", "qwen35", qwen35moe),
    }
    del sys.argv[2:]
    m.main()
    path = os.path.join(m.HERE, "qwen35moe", "Qwen3.5-122B-A10B", "tokenizer.json")
    tok = json.load(open(path))
    split = tok["pre_tokenizer"]["pretokenizers"][0]["pattern"]
    split["Regex"] = split["Regex"].replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]+", r"[^\s\p{L}\p{M}\p{N}]+")
    json.dump(tok, open(path, "w"), ensure_ascii=False, separators=(",", ":"))


main()
